// train_options.h: what every training can be told, and its options on the command line.
// defines: Options, add_training_options, add_teachers_options, add_classes_option, add_data_options, add_schedule_options,
//          add_run_options, add_auto_resume_option, add_device_option, add_threads_option, add_machine_options, options_of,
//          set_recipe, set_rate, device_options, parse_lr_steps, parse_normalization, resolve_normalization, to_string
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core_backend.h"
#include "core_philox.h"
#include "dataset.h"
#include "train_option_table.h"
#include "train_recipes.h"

namespace distill {

/// What every training can be told, by whatever method (a method's own options lie beside it); the defaults are ReviewKD's training
/// (docs/papers.md §5.7), recipes have others (train_recipes.h). "auto" values are replaced by what they resolve to before anything prints.
struct Options {
    std::string data = "data", dataset = "cifar100";
    std::string teacher, student, teacher_weights, init;
    std::string teachers, teacher_nets;  ///< lists, separated by commas
    int train_teachers = 0;
    std::string teachers_run;
    double teacher_min = 0;  ///< percent
    bool other_classes = false;
    std::string recipe = "reviewkd";
    int epochs = 240;
    int64_t max_steps = 0;  ///< 0: no limit
    int64_t batch = 128, validation = 0, per_class = 0;
    double lr = 0.1, weight_decay = 5e-4, momentum = 0.9;
    std::string lr_steps = "150,180,210";
    bool nesterov = true, shuffle = true, drop_last = false;
    uint64_t seed = 0;
    std::string role = "alone";  ///< as start_key takes it; this and the next follow from what is trained, and are no options
    int generation = 0;
    int runs = 1, side_by_side = 0, threads = 0;
    std::string normalize_auto = "125.3,123.0,113.9,63.0,62.1,66.7";  ///< what auto means on the official sets; not an option itself
    std::string normalize = "auto", augment = "crop-flip", crop_pad = "zero";
    std::string precision = "fp32", device = "auto";
    bool deterministic = true, winograd = true;
    std::string run, save, id, preset, paper, sweep;
    int gpu = 0;                         ///< of the device cuda; not an option itself
    bool makes_copy = true;              ///< --save's, at the end: not of a chain's stages before the last; not an option itself
    bool check_only = false;             ///< stop before anything is measured or trained, as a sweep does first; not an option itself
    std::chrono::seconds time_limit{0};  ///< of this process; 0: none
    bool resume = false, auto_resume = false, log_steps = false, quiet = false;
    bool lr_by_hand = false;             ///< --lr was given, and not as --preset has it; not an option itself
    std::string given_anew;              ///< to a resumed run, for its hint (OptionTable::given_anew); not an option itself
    std::optional<std::string> by_hand;  ///< of a resumed run, what its config.csv says (told_by_hand); not an option itself

    /// What weights, batches and augmentation are drawn from.
    uint64_t start() const { return start_key(seed, role, generation); }
};

/// The options that trainings by most methods share; `distills`: with those of one teacher.
void add_training_options(OptionTable& table, Options& options, bool distills);
/// --teachers, --teacher-nets, --train-teachers, --teachers-run: several frozen networks, named or trained first.
void add_teachers_options(OptionTable& table, Options& options);
/// --other-classes: what distils asks for it where a trained network's classes are not the data set's.
void add_classes_option(OptionTable& table, Options& options);
/// Of these, what says on which data, how to train, and what a run keeps: all but the networks.
void add_data_options(OptionTable& table, Options& options);
void add_schedule_options(OptionTable& table, Options& options);
void add_run_options(OptionTable& table, Options& options);
void add_auto_resume_option(OptionTable& table, Options& options);
/// --device, --threads, and both, one after the other; what they say of a run is the caller's to add.
TableOption& add_device_option(OptionTable& table, Options& options);
TableOption& add_threads_option(OptionTable& table, Options& options);
void add_machine_options(OptionTable& table, Options& options);

/// A training by this recipe.
Options options_of(const Recipe& recipe);

/// Sets what the recipe says, unless it was given by hand: the schedule, at the rate of the student that `options` has by now, what "auto" normalises by, and of its weights those of
/// `method` (empty: none). `origin` as OptionTable::set takes it.
void set_recipe(OptionTable& table, Options& options, const Recipe& recipe, const std::string& method, const std::string& origin);

/// Of that the learning rate alone, which is the student's: for one that is known later, or for a recipe that is there by default.
void set_rate(OptionTable& table, const Options& options, const Recipe& recipe, const std::string& origin);

/// --threads, --precision, --deterministic and --winograd, and the number of the GPU, as the backend takes them.
DeviceOptions device_options(const Options& options);

/// "150,180,210" as epochs; InputError for anything else. Empty: none.
std::vector<int> parse_lr_steps(const std::string& text);

/// "none" (pixel/255), or six numbers of 255, means and deviations; nothing for another text.
std::optional<Normalization> parse_normalization(const std::string& text);

/// --normalize: that, or auto (an import's own, on the official sets `official`). The second form prints a normalisation as six numbers.
Normalization resolve_normalization(const std::string& text, const Dataset& data, const std::string& official);
std::string to_string(const Normalization& n);

}  // namespace distill
