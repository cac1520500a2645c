// experiment.h: from resolved options to finished run folders: data, device, teacher, then one training a seed.
// defines: Laboratory, open_laboratory, MethodFactory, Settle, require_student, run_experiment, load_start_weights,
//          warn_if_trained_otherwise
#pragma once
#include <functional>
#include <map>
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

/// Called once the options are final (a resumed run's are the ones it was started with), before anything is opened: says what is wrong
/// with them, and sets what follows from them.
using Settle = std::function<void(Options&)>;
void require_student(Options& options);  ///< InputError unless --student names a network

/// Trains `options.runs` seeds. Prints the resolved configuration first, measures the teacher before distilling (InputError below
/// --teacher-min), keeps each run's folder, and with --resume goes on where a run stopped and skips a finished one.
void run_experiment(const std::string& method_name, OptionTable& table, Options& options, bool distills, const MethodFactory& make_method,
                    const Settle& settle = require_student);

/// --init: a plain student, or a file with the student under "student." and the helpers beside it. Returns the file's metadata.
std::map<std::string, std::string> load_start_weights(Parameters& parameters, const std::string& path);

/// Prints a line for each of data set and normalisation in which a weight file's metadata differ from the options (resolved).
void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& options);

}  // namespace distill
