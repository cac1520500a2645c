#include "train_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "base_csv.h"
#include "base_error.h"
#include "base_nearest.h"

namespace distill {
namespace {

template <class T>
bool parse_whole(const std::string& text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

bool fits(double value, const Range& range) {
    return value <= range.high && (range.open ? value > range.low : value >= range.low);
}

std::string described(const char* kind, const Range& range) {
    const Range any;
    std::string words = kind;
    if (range.low > any.low) words += (range.open ? " above " : " from ") + number(range.low);
    if (range.high < any.high) words += " to " + number(range.high);
    return words + (range.low > any.low && range.high == any.high && !range.open ? " on" : "");
}

template <class T>
std::function<bool(const std::string&)> integer_setter(T& value, Range range) {
    return [&value, range](const std::string& s) {
        T parsed;
        return parse_whole(s, parsed) && fits(static_cast<double>(parsed), range) && (value = parsed, true);
    };
}

/// Takes the number as config.csv will have it, so that a resumed run computes with the same one.
bool parse_real(const std::string& s, const Range& range, double& value) {
    double parsed;
    return parse_whole(s, parsed) && fits(parsed, range) && parse_whole(number(parsed), value);
}

}  // namespace

OptionTable::OptionTable() : own_(std::make_shared<CLI::App>()), app_(own_.get()) {}

CLI::Option* OptionTable::bind(const std::string& flag, const Kind& kind, const std::string& help, std::function<std::string()> get,
                               std::function<bool(const std::string&)> set) {
    const std::string name = flag.substr(flag.rfind("--") + 2);
    const auto parse = [set, flag, expected = kind.expected](const CLI::results_t& words) {
        if (!set(words.back())) input_error(flag, ": found '", words.back(), "', expected ", expected);
        return true;
    };
    CLI::Option* option = kind.is_switch ? app_->add_flag_callback(flag, [set] { set("on"); }, help) : app_->add_option(flag, parse, help);
    if (!kind.is_switch) option->type_name(kind.type)->default_str(get())->expected(1)->take_last();
    const std::string otherwise = get();
    bindings_.push_back({name, option, kind.expected, std::move(get), std::move(set), otherwise});
    return option;
}

CLI::Option* OptionTable::add(const std::string& flag, std::string& value, const std::string& help) {
    return bind(flag, {"TEXT", "text"}, help, [&value] { return value; }, [&value](const std::string& s) { return value = s, true; });
}
CLI::Option* OptionTable::add(const std::string& flag, int& value, Range range, const std::string& help) {
    return bind(flag, {"INT", described("a whole number", range)}, help, [&value] { return std::to_string(value); },
                integer_setter(value, range));
}
CLI::Option* OptionTable::add(const std::string& flag, int64_t& value, Range range, const std::string& help) {
    return bind(flag, {"INT", described("a whole number", range)}, help, [&value] { return std::to_string(value); },
                integer_setter(value, range));
}
CLI::Option* OptionTable::add(const std::string& flag, uint64_t& value, const std::string& help) {
    const Range range{0};
    return bind(flag, {"INT", described("a whole number", range)}, help, [&value] { return std::to_string(value); },
                integer_setter(value, range));
}
CLI::Option* OptionTable::add(const std::string& flag, double& value, Range range, const std::string& help) {
    return bind(flag, {"NUMBER", described("a number", range)}, help, [&value] { return number(value); },
                [&value, range](const std::string& s) { return parse_real(s, range, value); });
}
CLI::Option* OptionTable::add(const std::string& flag, std::optional<double>& value, Range range, const std::string& help) {
    return bind(flag, {"NUMBER", "auto, or " + described("a number", range)}, help, [&value] { return value ? number(*value) : "auto"; },
                [&value, range](const std::string& s) {
                    if (s == "auto") return value.reset(), true;
                    double parsed;
                    return parse_real(s, range, parsed) && (value = parsed, true);
                });
}
CLI::Option* OptionTable::add(const std::string& flag, std::string& value, const std::vector<std::string>& choices,
                              const std::string& help) {
    return bind(flag, {joined(choices, "|"), "one of " + joined(choices)}, help, [&value] { return value; },
                [&value, choices](const std::string& s) {
                    if (std::find(choices.begin(), choices.end(), s) == choices.end()) return false;
                    return value = s, true;
                });
}
CLI::Option* OptionTable::add_on_off(const std::string& flag, bool& value, const std::string& help) {
    return bind(flag, {"on|off", "on or off"}, help, [&value] { return value ? "on" : "off"; },
                [&value](const std::string& s) { return value = s == "on", s == "on" || s == "off"; });
}
CLI::Option* OptionTable::add_switch(const std::string& flag, bool& value, const std::string& help) {
    return bind(flag, {"", "on or off", true}, help, [&value] { return value ? "on" : "off"; },
                [&value](const std::string& s) { return value = s == "on", s == "on" || s == "off"; });
}

bool OptionTable::has(const std::string& name) const {
    return std::any_of(bindings_.begin(), bindings_.end(), [&](const Binding& b) { return b.name == name; });
}

const OptionTable::Binding& OptionTable::find(const std::string& name) const {
    for (const Binding& b : bindings_)
        if (b.name == name) return b;
    failure("OptionTable: no option '", name, "'");
}

bool OptionTable::given(const std::string& name) const { return find(name).option->count() > 0; }

const std::string& OptionTable::otherwise(const std::string& name) const { return find(name).otherwise; }

void OptionTable::set(const std::string& name, const std::string& text_value, const std::string& origin, bool even_if_given) {
    const auto b = std::find_if(bindings_.begin(), bindings_.end(), [&](const Binding& other) { return other.name == name; });
    if (b == bindings_.end())
        input_error(origin, ": option '", name, "' is none of this subcommand's; was it written by another subcommand?");
    b->otherwise = text_value;
    if (b->option->count() > 0 && !even_if_given) return;
    if (!b->set(text_value)) input_error(origin, ": option '", name, "': found '", text_value, "', expected ", b->expected);
}

std::vector<std::pair<std::string, std::string>> OptionTable::values() const {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Binding& b : bindings_) rows.emplace_back(b.name, b.get());
    return rows;
}

void add_data_options(OptionTable& t, Options& o) {
    t.add("--data", o.data, "folder of the data sets");
    t.add("--dataset", o.dataset, "cifar10, cifar100, or the name of an imported set");
    t.add("--per-class", o.per_class, {0}, "train on the first so many images of each class (0: on all)");
}

void add_training_options(OptionTable& t, Options& o, bool distills) {
    add_data_options(t, o);
    if (distills) {
        t.add("--teacher", o.teacher, "teacher network");
        t.add("--teacher-weights", o.teacher_weights, "the trained teacher (.safetensors)");
        t.add("--teacher-min", o.teacher_min, {0, 100}, "stop if the teacher's test accuracy is below this, in %");
        add_classes_option(t, o);
    }
    t.add(distills ? "--student" : "--net,--student", o.student, "network to train");
    t.add("--init", o.init, "start from these weights (.safetensors)");
    add_schedule_options(t, o);
    add_run_options(t, o);
}

void add_teachers_options(OptionTable& t, Options& o) {
    t.add("--teachers", o.teachers, "the trained teachers, separated by commas (.safetensors)");
    t.add("--teacher-nets", o.teacher_nets, "their networks, where the files do not say; one name may serve for all");
    t.add("--train-teachers", o.train_teachers, {0}, "instead: train so many of one network first, alone, from seeds 0, 1, 2, …");
    t.add("--teachers-run", o.teachers_run, "their folder, used again where it is there; by default runs/teachers-<dataset>-<network>");
}

void add_classes_option(OptionTable& t, Options& o) {
    t.add_switch("--other-classes", o.other_classes,
                 "take trained networks even if their classes are others than the data set's, or in another order");
}

void add_schedule_options(OptionTable& t, Options& o) {
    t.add("--epochs", o.epochs, {1}, "passes over the training data");
    t.add("--batch", o.batch, {1}, "images a step");
    t.add("--lr", o.lr, {0}, "learning rate at the start");
    t.add("--lr-steps", o.lr_steps, "epochs from whose start on the rate is a tenth, e.g. 150,180,210");
    t.add("--momentum", o.momentum, {0, 1}, "of the velocity");
    t.add("--weight-decay", o.weight_decay, {0}, "added to every gradient, times the weight");
    t.add_on_off("--nesterov", o.nesterov, "Nesterov's momentum");
    t.add("--seed", o.seed, "of initial weights, batches and augmentation");
    t.add("--normalize", o.normalize, "auto, none, or m1,m2,m3,s1,s2,s3 of 255");
    t.add("--augment", o.augment, {"crop-flip", "none"}, "random crop of the padded image and horizontal flip, or nothing");
    t.add("--crop-pad", o.crop_pad, {"zero", "reflect"}, "what the crop's border of 4 pixels is filled with");
    t.add_on_off("--shuffle", o.shuffle, "a new order each epoch; off: consecutive records");
    t.add_on_off("--drop-last", o.drop_last, "leave out an epoch's last, smaller batch");
    t.add("--precision", o.precision, {"fp32", "tf32", "bf16"}, "of convolutions and products; sums, weights and losses stay fp32");
    t.add_on_off("--deterministic", o.deterministic, "the same bits each time on one machine; off may be faster on a GPU");
    t.add_on_off("--winograd", o.winograd, "CPU: 3x3 convolutions with fewer products; off: every product as it is written");
    t.add("--threads", o.threads, {0}, "CPU threads (0: OMP_NUM_THREADS, or all cores)");
}

void add_run_options(OptionTable& t, Options& o) {
    t.add("--max-steps", o.max_steps, {0}, "end after this many steps (0: no limit)");
    t.add("--runs", o.runs, {1}, "trainings with seeds seed, seed+1, …");
    t.add("--side-by-side", o.side_by_side, {0}, "of these at a time (0: on a GPU up to 8, on the CPU 1); the results are the same");
    t.add("--val", o.validation, {0}, "hold out this many training records and test on them (0: test on the test set)");
    t.add("--device", o.device, {"auto", "cpu", "cuda"}, "where to compute");
    t.add("--run", o.run, "the run's folder; by default under runs/, named after what is trained");
    t.add_switch("--resume", o.resume, "go on from the run's checkpoint, with the run's options");
    t.add_switch("--log-steps", o.log_steps, "also write steps.csv, one row a step");
    t.add("--save", o.save, "also save the trained network here (.safetensors)");
    t.add("--id", o.id, "the experiment's id in the report");
    t.add("--preset", o.preset, "take everything from this row of data/paper");
    t.add_switch("--quiet", o.quiet, "no progress");
}

void set_schedule(OptionTable& table, Options paper, const std::string& origin) {
    CLI::App app;
    OptionTable theirs(app);
    add_schedule_options(theirs, paper);
    for (const auto& [name, value] : theirs.values()) table.set(name, value, origin);
}

DeviceOptions device_options(const Options& o) {
    const Precision precision = o.precision == "bf16" ? Precision::bf16 : o.precision == "tf32" ? Precision::tf32 : Precision::fp32;
    return {o.threads, precision, o.deterministic, o.winograd, 0};
}

std::vector<int> parse_lr_steps(const std::string& s) {
    std::vector<int> epochs;
    for (const std::string& part : split(s, ',')) {
        int epoch = 0;
        if (!parse_whole(part, epoch) || epoch < 0 || (!epochs.empty() && epoch <= epochs.back()))
            input_error("--lr-steps: found '", s, "', expected rising epochs like 150,180,210");
        epochs.push_back(epoch);
    }
    return epochs;
}

Normalization resolve_normalization(const std::string& s, const Dataset& data, const std::string& official) {
    if (s == "auto") return data.imported ? data.stats : resolve_normalization(official, data, "none");
    Normalization n;
    if (s == "none") {
        std::fill(n.std, n.std + 3, 255.0f);
        return n;
    }
    const auto parts = split(s, ',');
    bool good = parts.size() == 6;
    for (size_t i = 0; good && i < 6; ++i) {
        float& place = i < 3 ? n.mean[i] : n.std[i - 3];
        good = parse_whole(parts[i], place) && (i < 3 || place > 0);
    }
    if (!good) input_error("--normalize: found '", s, "', expected auto, none, or six numbers m1,m2,m3,s1,s2,s3 of 255 with s > 0");
    return n;
}

std::string to_string(const Normalization& n) {
    std::string s;
    for (float v : n.mean) s += number(static_cast<double>(v)) + ",";
    for (int c = 0; c < 3; ++c) s += number(static_cast<double>(n.std[c])) + (c < 2 ? "," : "");
    return s;
}

}  // namespace distill
