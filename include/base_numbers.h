// base_numbers.h: numbers as the project's files hold them: printed, and read back whole or not at all.
// defines: number, parse_all, parsed_number, parsed_whole, same_floats
#pragma once
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

namespace distill {

/// A float as every CSV of the project prints it: %.9g (a float32 survives the round trip).
std::string number(double value);

/// Whether all of the text is one number of T's; `value` is then it.
template <class T>
bool parse_all(const std::string& text, T& value) {
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    return error == std::errc() && end == last;
}

/// The number that all of the text says, in strtod's forms or in decimal digits; none if it is something else.
std::optional<double> parsed_number(const std::string& text);
std::optional<int64_t> parsed_whole(const std::string& text);
/// Lists of numbers, separated by commas, that are the same floats, however they are written.
bool same_floats(const std::string& a, const std::string& b);

}  // namespace distill
