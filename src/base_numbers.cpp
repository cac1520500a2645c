#include "base_numbers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base_texts.h"

namespace distill {

std::string number(double value) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.9g", value);
    return buffer;
}

std::optional<double> parsed_number(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || end != text.c_str() + text.size() ? std::nullopt : std::optional<double>(value);
}

std::optional<int64_t> parsed_whole(const std::string& text) {
    int64_t value = 0;
    return parse_all(text, value) ? std::optional<int64_t>(value) : std::nullopt;
}

bool same_floats(const std::string& a, const std::string& b) {
    const std::vector<std::string> ours = split(a, ','), theirs = split(b, ',');
    return std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), [](const std::string& one, const std::string& other) {
        const auto x = parsed_number(one), y = parsed_number(other);
        return x && y && static_cast<float>(*x) == static_cast<float>(*y);
    });
}

}  // namespace distill
