#include "search_halving.h"

#include <algorithm>
#include <cmath>

namespace distill {

bool Halving::report(int epoch, double error) {
    if (!is_rung(epoch)) return true;
    if (std::isnan(error)) return false;
    std::vector<double>& errors = rungs_[epoch];
    errors.insert(std::upper_bound(errors.begin(), errors.end(), error), error);
    const size_t promoted = std::max<size_t>(1, errors.size() / 2);
    return error <= errors[promoted - 1];
}

std::vector<int> Halving::rungs(int epochs) {
    std::vector<int> all;
    for (int epoch = 1; epoch < epochs; epoch *= 2) all.push_back(epoch);
    return all;
}

std::map<int, size_t> Halving::reached() const {
    std::map<int, size_t> counts;
    for (const auto& [epoch, errors] : rungs_) counts[epoch] = errors.size();
    return counts;
}

}  // namespace distill
