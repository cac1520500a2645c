#include "texts.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>

namespace distill {
namespace {

size_t width(const std::string& utf8) {
    return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

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

std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::set<size_t>& right) {
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

}  // namespace distill
