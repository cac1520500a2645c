#include "experiment.h"

#include <omp.h>

#include <algorithm>
#include <cstdio>

#include "backend.h"
#include "csv.h"
#include "error.h"
#include "files.h"
#include "progress.h"
#include "safetensors.h"
#include "version.h"

namespace distill {
namespace {

/// Options that say how this process goes about it, not what the run is: not kept.
bool drives_only(const std::string& name) { return name == "resume" || name == "quiet" || name == "runs" || name == "run"; }

/// What stands for "choose for me", and was chosen when the run began.
bool left_open(const std::string& name, const std::string& value) { return value == "auto" || (name == "threads" && value == "0"); }

bool is_checksum(const std::string& key) { return key.size() > 7 && key.compare(key.size() - 7, 7, "_sha256") == 0; }

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

double measure_teacher(Laboratory& lab, const Loader& loader, const Options& o) {
    warn_if_trained_otherwise(o.teacher_weights, lab.teacher->metadata(), o);
    const Evaluation e = evaluate(*lab.backend, loader, lab.teacher->network());
    std::printf("teacher %s: test accuracy %.2f %%, loss %.4f (%lld images)\n", o.teacher.c_str(), e.accuracy, e.loss,
                static_cast<long long>(loader.test_records()));
    std::fflush(stdout);
    if (e.accuracy < o.teacher_min)
        input_error(o.teacher_weights, ": the teacher's test accuracy is ", number(e.accuracy), " %, --teacher-min asks for ",
                    number(o.teacher_min), " %; train it longer or lower the minimum");
    return e.accuracy;
}

/// A network that has no weights of its own (a graph's ensemble) gets no file.
void save_network(const fs::path& path, const Parameters& parameters, const std::string& prefix, const Network& network,
                  const std::string& method, const Options& o, double accuracy) {
    WeightFile file;
    file.tensors = parameters.to_file(prefix);
    file.metadata = {{"network", network.name()}, {"classes", std::to_string(network.classes())}, {"dataset", o.dataset},
                     {"normalization", o.normalize}, {"method", method}, {"seed", std::to_string(o.seed)}, {"accuracy", number(accuracy)}};
    if (!file.tensors.empty()) write_safetensors(path, file);
}

/// Everything that is no network's: the method's helper modules.
void save_helpers(const fs::path& path, Method& method) {
    std::vector<std::string> networks = {student_prefix};
    for (const OtherNetwork& other : method.others())
        if (!other.prefix.empty()) networks.push_back(other.prefix);
    WeightFile file;
    for (auto& [name, tensor] : method.parameters().to_file())
        if (std::none_of(networks.begin(), networks.end(), [n = name](const auto& p) { return n.compare(0, p.size(), p) == 0; }))
            file.tensors[name] = std::move(tensor);
    if (!file.tensors.empty()) write_safetensors(path, file);
}

std::unique_ptr<Method> start_method(Laboratory& lab, const Options& o, const MethodFactory& make) {
    std::unique_ptr<Method> method = make(lab, o);
    if (!o.init.empty()) load_start_weights(method->parameters(), o.init);
    return method;
}

}  // namespace

Config kept_options(const OptionTable& table) {
    Config rows = table.values();
    rows.erase(std::remove_if(rows.begin(), rows.end(), [](const auto& row) { return drives_only(row.first); }), rows.end());
    return rows;
}

void take_options_of(const RunFolder& folder, const std::string& method, OptionTable& table, bool one_of_many) {
    const Config now = table.values();
    for (const auto& [name, value] : folder.config()) {
        if (name == "method" && value != method)
            input_error(folder.path().string(), ": was started with: distill ", value,
                        "; resume it with that, or start anew in another folder");
        if (!table.has(name) || drives_only(name) || (one_of_many && name == "seed")) continue;
        const auto own = std::find_if(now.begin(), now.end(), [&, n = name](const auto& row) { return row.first == n; });
        const bool open = left_open(name, own->second);
        if (table.given(name) && !open && name != "save" && own->second != value)
            input_error("--", name, " ", own->second, ": ", folder.path().string(), " was started with ", value,
                        "; resume without it, or start anew in another folder");
        table.set(name, value, folder.file("config.csv").string(), open);
    }
}

std::string checksum(const Dataset& data) {
    std::string digests;
    for (const Split* part : {&data.train, &data.test}) {
        digests += sha256_hex({reinterpret_cast<const char*>(part->pixels.data()), part->pixels.size()});
        digests += sha256_hex({reinterpret_cast<const char*>(part->labels.data()), part->labels.size() * sizeof(int32_t)});
    }
    return sha256_hex(digests);
}

void require_same_input(const RunFolder& folder, const Config& facts) {
    for (const auto& [name, value] : folder.config())
        for (const auto& [key, now] : facts)
            if (key == name && value != now && is_checksum(key))
                input_error(folder.path().string(), ": the ",
                            key == "info.data_sha256" ? "data set" : key.substr(5, key.size() - 12) + "'s file",
                            " is not the one this run was started with (SHA-256 ", now.substr(0, 12), "…, expected ", value.substr(0, 12),
                            "…); restore it, or start anew in another folder");
}

void print_configuration(const std::string& method, const Config& rows) {
    std::printf("distill %s\n", method.c_str());
    for (const auto& [name, value] : rows)
        if (!value.empty()) std::printf("  %-16s %s\n", name.c_str(), value.c_str());
    std::fflush(stdout);
}

std::optional<TrainingResult> train_in_folder(const std::string& method_name, Laboratory& lab, Loader& loader, const Options& o,
                                              const RunFolder& folder, const MethodFactory& make, const AfterEpoch& goes_on) {
    const std::unique_ptr<Method> method = start_method(lab, o, make);
    Trainer trainer(*lab.backend, loader, *method, o, folder);
    bool stopped = false;
    const TrainingResult r = trainer.run([&](int epochs, double accuracy) { return !(stopped = goes_on && !goes_on(epochs, accuracy)); });
    if (stopped) return std::nullopt;
    const auto save = [&](const fs::path& path, const std::string& prefix, const Network& network, double accuracy) {
        save_network(path, method->parameters(), prefix, network, method_name, o, accuracy);
    };
    save(folder.file("student.safetensors"), student_prefix, method->student(), r.last);
    if (!o.save.empty()) save(o.save, student_prefix, method->student(), r.last);
    const std::vector<OtherNetwork> others = method->others();
    for (size_t i = 0; i < others.size(); ++i)  // "node1." is kept in node1.safetensors
        if (const std::string& prefix = others[i].prefix; !prefix.empty())
            save(folder.path() / (prefix + "safetensors"), prefix, *others[i].network, r.others[i]);
    save_helpers(folder.file("helpers.safetensors"), *method);
    folder.write_result({o.id, o.dataset, o.teacher, o.student, method_name, std::to_string(o.seed), r.last, r.best, r.best_epoch,
                         r.seconds, o.device, o.precision, commit()});
    return r;
}

LoaderOptions Laboratory::loader_options(const Options& o) const {
    LoaderOptions l;
    l.batch = o.batch;
    l.shuffle = o.shuffle;
    l.drop_last = o.drop_last;
    l.seed = o.seed;
    l.augmentation.crop_flip = o.augment == "crop-flip";
    l.augmentation.reflect = o.crop_pad == "reflect";
    l.normalization = normalization;
    return l;
}

Laboratory open_laboratory(Options& o) {
    Laboratory lab;
    lab.backend = make_backend(o.device, device_options(o));
    o.device = lab.backend->device() == Device::cpu ? "cpu" : "cuda";
    o.threads = omp_get_max_threads();
    lab.data = load_dataset(o.data, o.dataset);
    lab.normalization = resolve_normalization(o.normalize, lab.data, o.normalize_auto);
    o.normalize = to_string(lab.normalization);
    constexpr uint64_t split_seed = 0;  // the same split for every seed of a run, so that validation accuracies compare
    if (o.validation > 0) hold_out_validation(lab.data, o.validation, split_seed);
    return lab;
}

void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& o) {
    for (const auto& [key, here] : {std::pair<std::string, std::string>{"dataset", o.dataset}, {"normalization", o.normalize}}) {
        const auto found = metadata.find(key);
        if (found != metadata.end() && found->second != here)
            std::printf("warning: %s was trained with %s %s, here it meets %s\n", path.c_str(), key.c_str(), found->second.c_str(),
                        here.c_str());
    }
}

std::map<std::string, std::string> load_start_weights(Parameters& parameters, const std::string& path) {
    const WeightFile file = read_safetensors(path);
    const auto first = file.tensors.lower_bound(student_prefix);
    const bool whole = first != file.tensors.end() && first->first.compare(0, student_prefix.size(), student_prefix) == 0;
    parameters.from_file(file, path, whole ? "" : student_prefix);
    return file.metadata;
}

void require_student(Options& o) {
    if (o.student.empty()) input_error("--student: no network named; there are: ", network_names());
    family_of(o.student);  // throws for an unknown name
}

void run_experiment(const std::string& method_name, OptionTable& table, Options& o, bool distills, const MethodFactory& make_method,
                    const Settle& settle) {
    const fs::path base = o.run.empty() ? default_run(method_name, o) : o.run;
    const bool many = o.runs > 1;
    const auto seed_of = [first = o.seed](int i) { return first + static_cast<uint64_t>(i); };
    const auto folder_of = [&](int i) { return many ? base / ("s" + std::to_string(seed_of(i))) : base; };
    for (int i = 0; i < o.runs; ++i) {
        const bool known = fs::exists(folder_of(i));
        if (known && !o.resume)
            input_error(folder_of(i).string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
        if (o.resume && (known || !many)) take_options_of(RunFolder::reopen(folder_of(i)), method_name, table, many);
    }
    if (many && !o.save.empty())
        input_error("--save ", o.save, ": is one file for ", o.runs, " runs; each keeps its own student.safetensors");
    settle(o);
    const std::vector<int> steps = parse_lr_steps(o.lr_steps);

    Laboratory lab = open_laboratory(o);
    // All that can be wrong with the input is found here, before a folder is made.
    if (!o.save.empty() && !fs::is_directory(fs::absolute(o.save).parent_path()))
        input_error("--save ", o.save, ": the folder is not there; make it first");
    if (distills) lab.teacher = Teacher::load(*lab.backend, o, lab.data.classes);
    Loader loader(*lab.backend, lab.data, lab.loader_options(o));
    std::unique_ptr<Method> first = start_method(lab, o, make_method);
    print_configuration(method_name, kept_options(table));
    if (!steps.empty() && steps.front() >= o.epochs)
        std::printf("note: all of --lr-steps %s lie beyond the last epoch (%d): the learning rate stays constant\n", o.lr_steps.c_str(),
                    o.epochs - 1);
    Config facts{{"info.commit", commit()}, {"info.machine", lab.backend->description()}, {"info.data_sha256", checksum(lab.data)}};
    if (distills) facts.emplace_back("info.teacher_sha256", sha256_of_file(o.teacher_weights));
    if (distills) facts.emplace_back("info.teacher_accuracy", number(measure_teacher(lab, loader, o)));
    for (auto& fact : measure_pretrained(lab, loader, o, *first)) facts.push_back(std::move(fact));
    first.reset();  // its memory is the trainings'

    catch_interruption();
    for (int i = 0; i < o.runs; ++i) {
        if (many) o.seed = seed_of(i);
        loader.reseed(o.seed);
        const fs::path path = folder_of(i);
        const bool known = o.resume && fs::exists(path);  // else create() refuses a folder that appeared meanwhile
        if (known && RunFolder::reopen(path).finished()) {
            std::printf("%s: finished before, skipped\n", path.c_str());
            continue;
        }
        Config config{{"method", method_name}};
        for (auto& row : kept_options(table)) config.push_back(row);
        config.insert(config.end(), facts.begin(), facts.end());
        RunFolder folder = known ? RunFolder::reopen(path) : RunFolder::create(path, config);
        folder.lock();
        if (known) require_same_input(folder, facts);
        const TrainingResult r = *train_in_folder(method_name, lab, loader, o, folder, make_method);
        std::printf("%s: last %.2f %%, best %.2f %% (epoch %d), %s\n", path.c_str(), r.last, r.best, r.best_epoch,
                    duration(r.seconds).c_str());
        std::fflush(stdout);
    }
}

}  // namespace distill
