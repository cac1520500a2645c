#include "base_texts.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sstream>

namespace distill {
namespace {

size_t width(const std::string& utf8) {
    return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Bytes of the UTF-8 character at `at` (RFC 3629: shortest form, no surrogates, up to U+10FFFF); 0 if there is none.
size_t character_at(const std::string& s, size_t at) {
    const auto byte = [&](size_t i) { return at + i < s.size() ? static_cast<unsigned char>(s[at + i]) : 0u; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80, high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (byte(1) < low || byte(1) > high) return 0;
    for (size_t i = 2; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80) return 0;
    return length;
}

}  // namespace

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
    return all;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::string part;
    std::istringstream in(text);
    while (std::getline(in, part, separator)) parts.push_back(part);
    return parts;
}

bool starts_with(const std::string& text, const std::string& beginning) { return text.compare(0, beginning.size(), beginning) == 0; }

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string signed_fixed(double value) {
    const std::string size = fixed(value < 0 ? -value : value);
    return (value < 0 && size != "0.00" ? "−" : "+") + size;
}

std::string fixed(double value, int digits) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
    return buffer;
}

std::string shell_word(const std::string& word) {
    const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_@%+=:,./-", c) || c >= 0x80; };
    if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
    std::string quoted = "'";
    for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    return quoted + "'";
}

std::string as_utf8(const std::string& bytes) {
    std::string out;
    for (size_t at = 0, n; at < bytes.size(); at += std::max<size_t>(n, 1)) {
        n = character_at(bytes, at);
        out += n > 0 ? bytes.substr(at, n) : "\uFFFD";
    }
    return out;
}

std::string printable(const std::string& bytes) {
    std::string out;
    for (size_t at = 0, n; at < bytes.size(); at += std::max<size_t>(n, 1)) {
        n = character_at(bytes, at);
        const auto first = static_cast<unsigned char>(bytes[at]);
        const bool control =
            n == 1 ? first < 0x20 || first == 0x7F : n == 2 && first == 0xC2 && static_cast<unsigned char>(bytes[at + 1]) < 0xA0;
        if (n > 0 && !control) {
            out += bytes.substr(at, n);
            continue;
        }
        for (size_t i = at; i < at + std::max<size_t>(n, 1); ++i) {
            char escape[5];
            std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
            out += escape;
        }
    }
    return out;
}

std::vector<std::vector<std::string>> printable(std::vector<std::vector<std::string>> rows) {
    for (auto& row : rows)
        for (std::string& cell : row) cell = printable(cell);
    return rows;
}

std::string aligned(const std::vector<std::vector<std::string>>& as_given, const std::set<size_t>& right) {
    const std::vector<std::vector<std::string>> rows = printable(as_given);
    std::vector<size_t> widths(rows.front().size());
    for (const auto& row : rows)
        for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
    std::string all;
    for (const auto& row : rows) {
        std::string line;
        for (size_t c = 0; c < row.size(); ++c) {
            const std::string blanks(widths[c] - width(row[c]), ' ');
            line += (c ? "  " : "") + (right.count(c) ? blanks + row[c] : row[c] + blanks);
        }
        all += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return all;
}

std::string first_characters(const std::string& utf8, size_t count) {
    size_t at = 0;
    for (size_t seen = 0; at < utf8.size(); ++at)
        if ((utf8[at] & 0xC0) != 0x80 && seen++ == count) break;
    return utf8.substr(0, at);
}

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);  // trainings begin side by side
    char buffer[32];
    std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &parts);
    return buffer;
}

std::string duration(double seconds) {
    const auto s = static_cast<long>(seconds + 0.5);
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return buffer;
}

}  // namespace distill
