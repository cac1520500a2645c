// experiment.h: from options to finished run folders: what is asked for is checked and resolved, then one training a seed.
// defines: run_experiment
#pragma once
#include <string>

#include "laboratory.h"

namespace distill {

/// Trains `options.runs` seeds, options.side_by_side at a time. Prints the resolved configuration first, measures the teacher before
/// distilling (InputError below --teacher-min), keeps each run's folder, and with --resume goes on where a run stopped and skips a
/// finished one.
void run_experiment(const std::string& method_name, OptionTable& table, Options& options, bool distills, const MethodFactory& make_method);

}  // namespace distill
