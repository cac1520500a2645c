// run_experiment.h: from options to finished run folders: what is asked for is checked and resolved, then one training a seed.
// defines: Chooser, Settle, require_student, require_savable, save_finished, run_experiment, kept_options, run_config, print_configuration,
//          run_facts, with_start, side_by_side
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "method_table.h"
#include "run_session.h"
#include "train_run_folder.h"

namespace distill {

/// What is trained by; asked for again once a resumed run's options are known.
using Chooser = std::function<ChosenMethod()>;

/// Called once the options are final (a resumed run's are the ones it was started with), before anything is opened: says what is wrong
/// with them, and sets what follows from them.
using Settle = std::function<void(Options&)>;
/// InputError unless the student is a network; `option` is where it is named.
void require_student(Options& options, const char* option = "--student");

/// What can be wrong with --save is found before there is a run: a folder that is not there or cannot be written, a file of another kind, or
/// one that an option of `table` names for the run to read. InputError, or WriteError.
void require_savable(const std::filesystem::path& path, const OptionTable& table);
/// --save of a run that is finished: it may have ended before the copy was made, or another is asked for now. Nothing where `to` is empty.
void save_finished(const RunFolder& folder, const std::filesystem::path& to, const OptionTable& table);

/// Trains `options.runs` seeds, options.side_by_side at a time. Prints the resolved configuration first, measures the teachers, if the
/// method has some (InputError below --teacher-min), keeps each run's folder, and with --resume goes on where a run stopped and skips a
/// finished one; with --auto-resume it does so without opening anything where all are finished. With options.check_only it stops where the
/// teachers would be measured (those that --teacher-min is asked of are, silently): nothing is printed or written. `command` is what it
/// goes on with ("kd", "ktg"); `facts` are further rows of config.csv.
void run_experiment(const std::string& command, const Chooser& chosen, OptionTable& table, Options& options, const Settle& settle,
                    const Config& facts = {});

/// What config.csv keeps of a subcommand's options, and what prints first.
Config kept_options(const OptionTable& table);
/// What a new run's config.csv has: the method, these options, the facts.
Config run_config(const std::string& method, const OptionTable& table, const Config& facts);
void print_configuration(const std::string& method_name, const Config& rows);
/// What config.csv says of every run beside its options: by which program, on what, with which and how many images; and what its start
/// weights and batches are drawn from: the key's version, the role and the generation.
Config run_facts(const Session& session);
Config with_start(Config facts, const Options& options);
Config run_facts(const Session& session, const Options& options);  ///< all of it
/// --side-by-side, resolved: one small network does not fill a GPU; a CPU's threads serve one training after another best.
int side_by_side(const Options& options, const Backend& backend);

}  // namespace distill
