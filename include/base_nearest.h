// base_nearest.h: which names a misspelt one may have meant.
// defines: edit_distance, nearest
#pragma once
#include <string>
#include <vector>

namespace distill {

/// Levenshtein distance: how many letters a typing error got wrong.
size_t edit_distance(const std::string& a, const std::string& b);

/// The (at most) `count` of `names` with the fewest letters to change, nearest first, equals by name.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& names, size_t count);

}  // namespace distill
