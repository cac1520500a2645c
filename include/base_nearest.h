// base_nearest.h: lists of names, and which of them a misspelt one may have meant.
// defines: edit_distance, nearest, joined, split
#pragma once
#include <string>
#include <vector>

namespace distill {

/// Levenshtein distance: how many letters a typing error got wrong.
size_t edit_distance(const std::string& a, const std::string& b);

/// The (at most) `count` of `names` with the fewest letters to change, nearest first, equals by name.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& names, size_t count);

/// "a, b, c".
std::string joined(const std::vector<std::string>& words, const char* between = ", ");

/// The parts between separators: "a,b," is "a", "b"; an empty text has none.
std::vector<std::string> split(const std::string& text, char separator);

}  // namespace distill
