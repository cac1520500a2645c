// experiment.h: from resolved options to finished run folders: data, device, teacher, then one training a seed.
// defines: Laboratory, MethodFactory, run_experiment, load_start_weights, save_student
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "distillation.h"

namespace distill {

/// What all seeds of an experiment share.
struct Laboratory {
    std::unique_ptr<Backend> backend;
    Dataset data;
    Normalization normalization;
    std::unique_ptr<Teacher> teacher;  ///< null for plain training

    LoaderOptions loader_options(const Options& options) const;
};

/// Opens the device, reads the data set (with --val applied) and resolves options.normalize, threads and device in place.
Laboratory open_laboratory(Options& options);

using MethodFactory = std::function<std::unique_ptr<Method>(Laboratory&, const Options&)>;

/// Trains `options.runs` seeds. Prints the resolved configuration first, measures the teacher before distilling (InputError below
/// --teacher-min), keeps each run's folder, and with --resume goes on where a run stopped and skips a finished one.
void run_experiment(const std::string& method_name, OptionTable& table, Options& options, bool distills, const MethodFactory& make_method);

/// --init: a plain student, or a file with the student under "student." and the helpers beside it.
void load_start_weights(Parameters& parameters, const std::string& path);

}  // namespace distill
