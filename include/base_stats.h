// base_stats.h: what a few numbers are in the mean.
// defines: Spread, spread, mean_and_deviation, deviation_cell, median
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace distill {

/// Mean and sample standard deviation (divisor n − 1; 0 for n = 1) of n ≥ 1 values. Of equal values they are that value and 0, unrounded.
struct Spread {
    double mean = 0, deviation = 0;
    size_t n = 0;
};
Spread spread(const std::vector<double>& values);
/// "71.80 ± 0.12", of one value without the deviation.
std::string mean_and_deviation(const Spread& s);
/// The deviation as a cell of a CSV; of one value, which has none, empty.
std::string deviation_cell(const Spread& s);

double median(std::vector<double> values);  ///< of an even number, the upper one of the two in the middle

}  // namespace distill
