// experiment.h: from options to finished run folders: what is asked for is checked and resolved, then one training a seed.
// defines: Settle, require_student, run_experiment
#pragma once
#include <functional>
#include <string>

#include "laboratory.h"

namespace distill {

/// Called once the options are final (a resumed run's are the ones it was started with), before anything is opened: says what is wrong
/// with them, and sets what follows from them.
using Settle = std::function<void(Options&)>;
void require_student(Options& options);  ///< InputError unless --student names a network

/// Trains `options.runs` seeds, options.side_by_side at a time. Prints the resolved configuration first, measures the teacher before
/// distilling (InputError below --teacher-min), keeps each run's folder, and with --resume goes on where a run stopped and skips a
/// finished one.
void run_experiment(const std::string& method_name, OptionTable& table, Options& options, bool distills, const MethodFactory& make_method,
                    const Settle& settle = require_student);

}  // namespace distill
