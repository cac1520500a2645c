#include "experiment.h"

#include <algorithm>
#include <cstdio>

#include "backend.h"
#include "csv.h"
#include "error.h"
#include "files.h"
#include "runs.h"
#include "schedule.h"
#include "version.h"

namespace distill {
namespace {

/// Options that say how this process goes about it, not what the run is: not kept.
bool drives_only(const std::string& name) {
    return name == "resume" || name == "quiet" || name == "runs" || name == "side-by-side" || name == "run";
}

/// The subcommand that trains by a method.
std::string command_of(const std::string& method) {
    if (method == "ktg") return "ktg train";
    if (method == "ktg-search") return "ktg search";
    if (method == "ktg-transfer") return "ktg search --transfer";
    return method;
}

/// What stands for "choose for me", and was chosen when the run began.
bool left_open(const std::string& name, const std::string& value) { return value == "auto" || (name == "threads" && value == "0"); }

std::string default_run(const std::string& method, const Options& o) {
    std::string name = "runs/" + method + "-" + o.dataset;
    if (!o.teacher.empty()) name += "-" + o.teacher;
    return name + "-" + o.student;
}

/// Tests each of the method's pre-trained networks once. Returns what config.csv says of them.
Config measure_pretrained(Laboratory& lab, const Loader& loader, const Options& o, const Method& method) {
    Config facts;
    for (const PretrainedNetwork& p : method.pretrained()) {
        warn_if_trained_otherwise(p.file.string(), p.metadata, o);
        const Evaluation e = evaluate(*lab.backend, loader, p.network);
        std::printf("%s %s, pre-trained: test accuracy %.2f %%, loss %.4f\n", p.name.c_str(), p.network.name().c_str(), e.accuracy, e.loss);
        facts.emplace_back("info." + p.name + "_sha256", sha256_of_file(p.file));
        facts.emplace_back("info." + p.name + "_accuracy", number(e.accuracy));
    }
    std::fflush(stdout);
    return facts;
}

std::string extents(const Network& network, Laboratory& lab) {
    const Recording off(nullptr);
    const Var image(Tensor::zeros(*lab.backend, {1, lab.data->height, lab.data->width, 3}));
    const Shape map = network.forward(image, Mode::evaluate).map.shape();
    return text(map.h, "x", map.w, "x", map.c);
}

/// A network's start weights hang on its name and seed alone: a student of its teacher's network and seed begins as that did.
void warn_of_same_start(const Teacher& teacher, const Options& o) {
    const auto seed = teacher.metadata().find("seed");
    if (teacher.network().name() != o.student || seed == teacher.metadata().end()) return;
    for (int i = 0; i < o.runs; ++i)
        if (seed->second == std::to_string(o.seed + static_cast<uint64_t>(i)))
            std::printf("warning: %s was trained with seed %s, as a student here: both start from the same weights; give another --seed\n",
                        teacher.file().c_str(), seed->second.c_str());
}

/// Tests each teacher once. Of several, config.csv says what their last maps are, and the student's.
Config measure_teachers(Laboratory& lab, const Loader& loader, const Options& o, const Network& student) {
    Config facts;
    const bool numbered = !o.teachers.empty();
    for (size_t i = 0; i < lab.teachers.size(); ++i) {
        const Teacher& teacher = *lab.teachers[i];
        const std::string name = numbered ? "teacher" + std::to_string(i) : "teacher";
        warn_if_trained_otherwise(teacher.file(), teacher.metadata(), o);
        warn_of_same_start(teacher, o);
        const Evaluation e = evaluate(*lab.backend, loader, teacher.network());
        std::printf("%s %s: test accuracy %.2f %%, loss %.4f (%lld images)\n", name.c_str(), teacher.network().name().c_str(), e.accuracy,
                    e.loss, static_cast<long long>(loader.test_records()));
        std::fflush(stdout);
        if (e.accuracy < o.teacher_min)
            input_error(teacher.file(), ": the teacher's test accuracy is ", number(e.accuracy), " %, --teacher-min asks for ",
                        number(o.teacher_min), " %; train it longer or lower the minimum");
        facts.emplace_back("info." + name + "_sha256", sha256_of_file(teacher.file()));
        facts.emplace_back("info." + name + "_accuracy", number(e.accuracy));
        if (numbered) facts.emplace_back("info." + name + "_map", extents(teacher.network(), lab));
    }
    if (numbered) facts.emplace_back("info.student_map", extents(student, lab));
    return facts;
}

}  // namespace

Config kept_options(const OptionTable& table) {
    Config rows = table.values();
    rows.erase(std::remove_if(rows.begin(), rows.end(), [](const auto& row) { return drives_only(row.first); }), rows.end());
    return rows;
}

void take_options_of(const RunFolder& folder, const std::string& method, OptionTable& table, bool one_of_many,
                     const std::set<std::string>& free) {
    const Config now = table.values();
    for (const auto& [name, value] : folder.config()) {
        const bool of_kd = table.has("method") && std::count(kd_methods.begin(), kd_methods.end(), value) > 0;
        if (name == "method" && !of_kd && value != method)
            input_error(folder.path().string(), ": was started with: distill ", command_of(value),
                        "; resume it with that, or start anew in another folder");
        if (!table.has(name) || drives_only(name) || (one_of_many && name == "seed")) continue;
        const auto own = std::find_if(now.begin(), now.end(), [&, n = name](const auto& row) { return row.first == n; });
        const bool open = left_open(name, own->second);
        if (table.given(name) && !open && name != "save" && free.count(name) == 0 && own->second != value)
            input_error("--", name, " ", own->second, ": ", folder.path().string(), " was started with ", value,
                        "; resume without it, or start anew in another folder");
        table.set(name, value, folder.file("config.csv").string(), open);
    }
}

int side_by_side(const Options& o, const Backend& backend) {
    constexpr int most_on_gpu = 8;
    if (o.side_by_side > 0) return o.side_by_side;
    return backend.device() == Device::cuda ? std::min(o.runs, most_on_gpu) : 1;
}

std::string checksum(const Dataset& data) {
    std::string digests;
    for (const Split* part : {&data.train, &data.test}) {
        digests += sha256_hex({reinterpret_cast<const char*>(part->pixels.data()), part->pixels.size()});
        digests += sha256_hex({reinterpret_cast<const char*>(part->labels.data()), part->labels.size() * sizeof(int32_t)});
    }
    return sha256_hex(digests);
}

Config image_counts(const Dataset& data) {
    return {{"info.train_images", std::to_string(data.train.records)}, {"info.test_images", std::to_string(data.test.records)}};
}

void print_configuration(const std::string& method, const Config& rows) {
    std::printf("distill %s\n", command_of(method).c_str());
    for (const auto& [name, value] : rows)
        if (!value.empty()) std::printf("  %-16s %s\n", name.c_str(), value.c_str());
    std::fflush(stdout);
}

void require_student(Options& o) {
    if (o.student.empty()) input_error("--student: no network named; there are: ", network_names());
    family_of(o.student);  // throws for an unknown name
}

void run_experiment(const std::string& method_name, OptionTable& table, Options& o, bool distills, const MethodFactory& make_method,
                    const Settle& settle) {
    // A subcommand of several methods says with an option which it is.
    const auto method = [&] { return table.has("method") ? o.kd_method : method_name; };
    const fs::path base = o.run.empty() ? default_run(method(), o) : o.run;
    const bool many = o.runs > 1;
    const auto seed_of = [first = o.seed](int i) { return first + static_cast<uint64_t>(i); };
    const auto folder_of = [&](int i) { return many ? base / ("s" + std::to_string(seed_of(i))) : base; };
    for (int i = 0; i < o.runs; ++i) {
        const bool known = fs::exists(folder_of(i));
        if (known && !o.resume)
            input_error(folder_of(i).string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
        if (!o.resume || (!known && many)) continue;
        const RunFolder folder = RunFolder::reopen(folder_of(i));
        take_options_of(folder, method_name, table, many);
        o.by_hand = told_before(folder.config());
    }
    const std::string scaled = scale_with_epochs(table, o);
    const std::string by_hand = o.by_hand ? *o.by_hand : told_by_hand(table, o);
    if (many && !o.save.empty())
        input_error("--save ", o.save, ": is one file for ", o.runs, " runs; each keeps its own student.safetensors");
    // All that can be wrong with the input is found before a folder is made; settling may train teachers, so it comes after what is quick.
    if (!o.save.empty() && !fs::is_directory(fs::absolute(o.save).parent_path()))
        input_error("--save ", o.save, ": the folder is not there; make it first");
    parse_lr_steps(o.lr_steps);
    settle(o);

    Laboratory lab = open_laboratory(o);
    if (distills) lab.teachers = load_teachers(*lab.backend, o, lab.data->classes);
    const Loader loader(*lab.backend, lab.on_device, lab.loader_options(o));
    std::unique_ptr<Method> first = start_method(lab, o, make_method);
    print_configuration(method_name, kept_options(table));
    std::printf("%s", scaled.c_str());
    note_late_milestones(o);
    Config facts{{"info.commit", commit()}, {"info.machine", lab.backend->description()}, {"info.data_sha256", checksum(*lab.data)}};
    for (auto& fact : measure_teachers(lab, loader, o, first->student())) facts.push_back(std::move(fact));
    for (auto& fact : measure_pretrained(lab, loader, o, *first)) facts.push_back(std::move(fact));
    for (auto& count : image_counts(*lab.data)) facts.push_back(std::move(count));
    if (!o.init.empty()) facts.emplace_back("info.init_sha256", sha256_of_file(o.init));
    if (!o.mha.empty()) facts.emplace_back("info.mha_sha256", sha256_of_file(o.mha));
    facts.emplace_back("info.by_hand", by_hand);
    if (o.stage > 0) facts.emplace_back("info.stage", std::to_string(o.stage));
    first.reset();  // its memory is the trainings'

    std::vector<PlannedRun> planned;
    for (int i = 0; i < o.runs; ++i) {
        if (many) o.seed = seed_of(i);
        Config config{{"method", method()}};
        for (auto& row : kept_options(table)) config.push_back(row);
        config.insert(config.end(), facts.begin(), facts.end());
        planned.push_back({folder_of(i), method(), o, std::move(config)});
    }
    if (!interruption()) catch_interruption();  // a signal since the experiment before this one, of a chain, still counts
    train_runs(lab, planned, side_by_side(o, *lab.backend), make_method);
}

}  // namespace distill
