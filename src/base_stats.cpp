#include "base_stats.h"

#include <algorithm>
#include <cmath>

#include "base_numbers.h"
#include "base_texts.h"

namespace distill {

Spread spread(const std::vector<double>& values) {
    const auto is_first = [&](double v) { return v == values.front(); };
    if (!values.empty() && std::all_of(values.begin(), values.end(), is_first)) return {values.front(), 0, values.size()};
    const double n = static_cast<double>(values.size());
    double sum = 0, squares = 0;
    for (double v : values) sum += v;
    for (double v : values) squares += (v - sum / n) * (v - sum / n);
    return {sum / n, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0.0, values.size()};
}

std::string mean_and_deviation(const Spread& s) { return s.n > 1 ? fixed(s.mean) + " ± " + fixed(s.deviation) : fixed(s.mean); }

std::string deviation_cell(const Spread& s) { return s.n > 1 ? number(s.deviation) : ""; }

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace distill
