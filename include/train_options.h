// train_options.h: the command line of every training subcommand: one table that parses, prints help, writes config.csv and reads it back.
// defines: Options, Range, OptionTable, add_training_options, add_teachers_options, add_classes_option, add_data_options,
//          add_schedule_options, add_run_options, set_schedule, device_options, parse_lr_steps, resolve_normalization
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core_backend.h"
#include "core_philox.h"
#include "dataset.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace distill {

/// Everything a training can be told; the defaults are ReviewKD's training (docs/papers.md §5.7), which other methods change
/// (there, §7). "auto" values are replaced by what they resolve to before anything prints.
struct Options {
    std::string data = "data", dataset = "cifar100";
    std::string teacher, student, teacher_weights, init;
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
    std::string run, save, id, preset;
    bool resume = false, log_steps = false, quiet = false;
    double teacher_min = 0;  ///< percent
    bool other_classes = false;
    // kd
    std::string kd_method = "kd";
    double temperature = 4, alpha = 0.9, gamma = 0.1;
    int init_epochs = 40;
    // reviewkd
    std::optional<double> kd_weight;  ///< λ; by pair if not given
    int kd_warmup = 20;
    std::string teacher_bn = "running";
    bool no_review = false, no_residual = false, no_abf = false, no_hcl = false;
    // feed, and kd with several teachers or Factor Transfer
    std::string teachers, teacher_nets;  ///< lists, separated by commas
    int train_teachers = 0;
    std::string teachers_run, numbers;
    double beta = 500;
    std::string feed_norm = "l1", feed_reduction = "mean";
    int ntl_depth = 3, ntl_width = 0;  ///< 0: as wide as the teacher's map
    double ntl_slope = 0.1;
    double paraphraser_rate = 0.5;
    int paraphraser_epochs = 30;
    double paraphraser_lr = 0.1;
    int stages = 3;
    std::string chain_by = "feed";
    int stage = 0;  ///< of a chain, from 1; not an option itself
    std::optional<std::string> by_hand;  ///< of a resumed run, what its config.csv says (told_by_hand); not an option itself
    std::string students;  ///< a list, as teachers
    // mhgd, and kd's kin that mixes gradients
    int heads = 8;
    int mha_epochs = 40;
    std::string mha, mha_bn = "running", mixing = "clip";
    bool head_dropping = true;
    // ktg
    std::string graph, models, weights;
    std::string frozen_bn = "running";

    /// What weights, batches and augmentation are drawn from.
    uint64_t start() const { return start_key(seed, role, generation); }
};

/// What a number may be; NaN and infinities never fit.
struct Range {
    double low = std::numeric_limits<double>::lowest(), high = std::numeric_limits<double>::max();
    bool open = false;  ///< `low` itself is left out
};

/// The options of one subcommand, each bound to a field of Options. Where a value comes from, in falling order: the command line, a
/// resumed run's config.csv, --preset, the default. A value that does not fit is an InputError: option, found, expected.
class OptionTable {
  public:
    OptionTable();  ///< without a command line: nothing is given there
    explicit OptionTable(CLI::App& app) : app_(&app) {}

    CLI::Option* add(const std::string& flag, std::string& value, const std::string& help);
    CLI::Option* add(const std::string& flag, int& value, Range range, const std::string& help);
    CLI::Option* add(const std::string& flag, int64_t& value, Range range, const std::string& help);
    CLI::Option* add(const std::string& flag, uint64_t& value, const std::string& help);
    CLI::Option* add(const std::string& flag, double& value, Range range, const std::string& help);
    CLI::Option* add(const std::string& flag, std::optional<double>& value, Range range, const std::string& help);
    CLI::Option* add(const std::string& flag, std::string& value, const std::vector<std::string>& choices, const std::string& help);
    CLI::Option* add_on_off(const std::string& flag, bool& value, const std::string& help);
    CLI::Option* add_switch(const std::string& flag, bool& value, const std::string& help);

    bool has(const std::string& name) const;
    bool given(const std::string& name) const;  ///< on the command line
    /// What the option would be if it were not given there: the last that was set, else the default.
    const std::string& otherwise(const std::string& name) const;
    /// Sets an option, by default only if it was not given by hand; `origin` (a file, a preset) is named if the text does not fit.
    void set(const std::string& name, const std::string& text, const std::string& origin, bool even_if_given = false);
    /// Name (without dashes) and value of every option, as config.csv has them.
    std::vector<std::pair<std::string, std::string>> values() const;

  private:
    struct Binding {
        std::string name;
        CLI::Option* option;
        std::string expected;
        std::function<std::string()> get;
        std::function<bool(const std::string&)> set;  ///< false: the text does not fit
        std::string otherwise = {};
    };
    struct Kind {
        std::string type, expected;  ///< for --help and for complaints
        bool is_switch = false;
    };
    CLI::Option* bind(const std::string& flag, const Kind& kind, const std::string& help, std::function<std::string()> get,
                      std::function<bool(const std::string&)> set);
    const Binding& find(const std::string& name) const;
    std::shared_ptr<CLI::App> own_;  ///< stands in for the command line
    CLI::App* app_;
    std::vector<Binding> bindings_;
};

/// The options that `train`, `kd` and `reviewkd` share; `distills`: with those of a teacher.
void add_training_options(OptionTable& table, Options& options, bool distills);
/// --teachers, --teacher-nets, --train-teachers, --teachers-run: several frozen networks, named or trained first.
void add_teachers_options(OptionTable& table, Options& options);
/// --other-classes: what distils asks for it where a trained network's classes are not the data set's.
void add_classes_option(OptionTable& table, Options& options);
/// Of these, what says on which data, how to train, and what a run keeps: all but the networks.
void add_data_options(OptionTable& table, Options& options);
void add_schedule_options(OptionTable& table, Options& options);
void add_run_options(OptionTable& table, Options& options);

/// A paper's training: the schedule's options as `paper` has them, unless they were given by hand; `origin` as in OptionTable::set.
void set_schedule(OptionTable& table, Options paper, const std::string& origin);

/// --threads, --precision and --deterministic, as the backend takes them.
DeviceOptions device_options(const Options& options);

/// "150,180,210" as epochs; InputError for anything else. Empty: none.
std::vector<int> parse_lr_steps(const std::string& text);

/// --normalize: auto (an import's own, on the official sets `official`), none (pixel/255), or six numbers of 255. The second form prints
/// a normalisation as those six numbers.
Normalization resolve_normalization(const std::string& text, const Dataset& data, const std::string& official);
std::string to_string(const Normalization& n);

}  // namespace distill
