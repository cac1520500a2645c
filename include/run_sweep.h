// run_sweep.h: --sweep OPTION=a,b,c: a training for each value of an option, their table and their picture.
// defines: SweptValue, add_sweep_option, run_each_value, sweep_svg
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "train_options.h"

namespace distill {

/// A value of the option, and what its seeds came to: test accuracies in %.
struct SweptValue {
    std::string value;
    std::vector<double> last, best;
};

void add_sweep_option(OptionTable& table, Options& options);

/// Without --sweep trains `once`. With it trains `once` for each value in turn, in RUN/<option><value>/ (s0/, s1/ … in it for several seeds),
/// as if it had been given by hand, all else as asked; what is finished is skipped. Ends with RUN/<option>.csv (<option>,n,last,last_std,
/// best,best_std) and RUN/<option>.svg. `command`: for the folder's name by default. InputError for an option that the subcommand does not
/// have, and for a value that cannot be trained with, before anything is: `once` is called for each value with options.check_only first.
void run_each_value(const std::string& command, OptionTable& table, Options& options, const std::function<void()>& once);

/// Accuracy after the last epoch over the values, in their order: each seed, mean and standard deviation.
std::string sweep_svg(const std::string& option, const std::vector<SweptValue>& values);

}  // namespace distill
