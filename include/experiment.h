// experiment.h: from resolved options to finished run folders: data, device, teacher, then one training a seed.
// defines: Laboratory, open_laboratory, MethodFactory, Settle, require_student, run_experiment, train_in_folder, kept_options,
//          print_configuration, take_options_of, checksum, require_same_input, load_start_weights, warn_if_trained_otherwise
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// One training in its folder, to its end (its weights and result.csv are written then) or to where `goes_on` stops it (nothing is
/// returned).
std::optional<TrainingResult> train_in_folder(const std::string& method_name, Laboratory& lab, Loader& loader, const Options& options,
                                              const RunFolder& folder, const MethodFactory& make_method, const AfterEpoch& goes_on = {});

/// What config.csv keeps of a subcommand's options, and what prints first.
Config kept_options(const OptionTable& table);
void print_configuration(const std::string& method_name, const Config& rows);
/// A resumed run has the options it was started with; one given by hand must say the same (InputError). Of several runs each has its own
/// seed.
void take_options_of(const RunFolder& folder, const std::string& method_name, OptionTable& table, bool one_of_many = false);
/// Of the images and labels that a run trains and tests on.
std::string checksum(const Dataset& data);
/// InputError if a run that goes on does not find the data and trained networks that it began with: `facts` are config.csv's info rows.
void require_same_input(const RunFolder& folder, const Config& facts);

/// --init: a plain student, or a file with the student under "student." and the helpers beside it. Returns the file's metadata.
std::map<std::string, std::string> load_start_weights(Parameters& parameters, const std::string& path);

/// Prints a line for each of data set and normalisation in which a weight file's metadata differ from the options (resolved).
void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& options);

}  // namespace distill
