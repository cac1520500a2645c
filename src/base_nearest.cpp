#include "base_nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace distill {

size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = std::exchange(row[0], i);
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& names, size_t count) {
    std::vector<std::pair<size_t, std::string>> ranked;
    for (const std::string& name : names) ranked.emplace_back(edit_distance(word, name), name);
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::string> first;
    for (size_t i = 0; i < ranked.size() && i < count; ++i) first.push_back(ranked[i].second);
    return first;
}

}  // namespace distill
