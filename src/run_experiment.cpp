#include "run_experiment.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_notes.h"
#include "base_output_file.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_version.h"
#include "base_weight_files.h"
#include "core_backend.h"
#include "net_table.h"
#include "run_many.h"
#include "run_resume.h"
#include "train_interruption.h"
#include "train_schedule.h"
#include "trainer.h"

namespace distill {
namespace {

std::string default_run(const std::string& method, const Options& o) {
    std::string name = "runs/" + method + "-" + o.dataset;
    if (!o.teacher.empty()) name += "-" + o.teacher;
    return name + "-" + o.student;
}

/// The trained networks that the run learns from: its teachers, but for those that a check finds untrained, and what the method has from
/// files. InputError for one whose classes are not the data's.
std::vector<PretrainedNetwork> learnt_from(const Session& session, const Options& o, const Method& method) {
    std::vector<PretrainedNetwork> all;
    for (size_t i = 0; i < session.teachers.size(); ++i) {
        const Teacher& teacher = *session.teachers[i];
        const std::string name = o.teachers.empty() ? "teacher" : "teacher" + std::to_string(i);
        if (!teacher.file().empty()) all.push_back({name, teacher.network(), teacher.file(), teacher.metadata()});
    }
    for (const PretrainedNetwork& p : method.pretrained()) all.push_back(p);
    for (const PretrainedNetwork& p : all) {
        require_same_classes(p.file.string(), p.metadata, o, *session.data);
        warn_if_trained_otherwise(p.file.string(), p.metadata, o, *session.data);
    }
    return all;
}

/// Of the last map.
std::string extents(const Network& network, const Session& session) {
    const Shape map = network.stage_shape(network.stages().size() - 1, {1, session.data->height, session.data->width, 3});
    return text(map.h, "x", map.w, "x", map.c);
}

/// Tests each once, on images that none of them can have been trained on: what --val holds out of the training part is new to the student
/// alone. Returns what config.csv says of them; of several teachers also what their last maps are, and the student's. InputError for one
/// that can teach nothing, or less than --teacher-min asks for.
Config measure(const std::vector<PretrainedNetwork>& networks, Session& session, const Loader& loader, const Options& o,
               const Network& student) {
    std::optional<Loader> test_part;
    if (o.validation > 0 && !networks.empty()) {
        Dataset whole = load_dataset(o.data, o.dataset);
        whole.train = {};
        LoaderOptions batches = session.loader_options(o);
        batches.trains = false;
        test_part.emplace(*session.backend, whole, batches);
    }
    const Loader& unseen = test_part ? *test_part : loader;
    const bool of_several = !o.teachers.empty();
    Config facts;
    for (const PretrainedNetwork& p : networks) {
        const std::string file = p.file.string();
        const Evaluation e = evaluate(*session.backend, unseen, p.network);
        if (!o.check_only)
            std::printf("%s %s: test accuracy %.2f %%, loss %.4f (%lld images)\n", p.name.c_str(), p.network.name().c_str(), e.accuracy,
                        e.loss, static_cast<long long>(unseen.test_records()));
        std::fflush(stdout);
        require_finite(file, p.network, e);
        if (e.accuracy < o.teacher_min)
            input_error(file, ": the teacher's test accuracy is ", number(e.accuracy), " %, --teacher-min asks for ", number(o.teacher_min),
                        " %; train it longer or lower the minimum");
        facts.emplace_back("info." + p.name + "_sha256", sha256_of_file(p.file));
        facts.emplace_back("info." + p.name + "_accuracy", number(e.accuracy));
        if (of_several) facts.emplace_back("info." + p.name + "_map", extents(p.network, session));
    }
    if (of_several) facts.emplace_back("info.student_map", extents(student, session));
    return facts;
}

}  // namespace

Config kept_options(const OptionTable& table) {
    Config rows;
    for (const TableOption& option : table.options())
        if (option.role != Role::driver) rows.emplace_back(option.name, option.get());
    return rows;
}

Config run_facts(const Session& session) {
    return {{"info.commit", commit()},
            {"info.machine", session.backend->description()},
            {"info.data_sha256", session.data_sha256()},
            {"info.train_images", std::to_string(session.data->train.records)},
            {"info.test_images", std::to_string(session.data->test.records)}};
}

Config run_facts(const Session& session, const Options& o) { return with_start(run_facts(session), o); }

Config with_start(Config facts, const Options& o) {
    facts.emplace_back("info.start_key", std::to_string(start_key_version));
    facts.emplace_back("info.role", o.role);
    facts.emplace_back("info.generation", std::to_string(o.generation));
    return facts;
}

int side_by_side(const Options& o, const Backend& backend) {
    constexpr int most_on_gpu = 8;
    if (o.side_by_side > 0) return o.side_by_side;
    return backend.device() == Device::cuda ? std::min(o.runs, most_on_gpu) : 1;
}

Config run_config(const std::string& method, const OptionTable& table, const Config& facts) {
    Config config{{"method", method}};
    for (auto& row : kept_options(table)) config.push_back(std::move(row));
    config.insert(config.end(), facts.begin(), facts.end());
    return config;
}

void print_configuration(const std::string& method, const Config& rows) {
    std::printf("distill %s\n", command_of(method).c_str());
    for (const auto& [name, value] : rows)
        if (!value.empty()) std::printf("  %-16s %s\n", name.c_str(), value.c_str());
    if (const std::string normalize = value_of(rows, "normalize"); !normalize.empty() && normalize != "auto")
        warn_of_normalization(normalize);
    std::fflush(stdout);
}

void require_student(Options& o, const char* option) {
    if (o.student.empty()) input_error(option, ": no network named; there are: ", network_names());
    network_row(o.student);  // throws for an unknown name
}

void require_savable(const fs::path& path, const OptionTable& table) {
    std::error_code unused;
    const fs::path place = behind_links(path);
    if (!fs::is_directory(fs::absolute(place).parent_path()))
        input_error("--save ", path.string(), ": the folder is not there; make it first");
    if (fs::exists(path, unused) && !is_weight_file(path))
        input_error("--save ", path.string(), ": is there and is no weight file, so it is not replaced; name another, or move it away");
    std::string trial = place.string() + ".XXXXXX";
    const int fd = ::mkstemp(trial.data());
    if (fd < 0) cannot_write(path, errno);
    ::close(fd);
    ::unlink(trial.c_str());
    for (const auto& [option, file] : table.inputs()) require_not_read("--save", path, file);
}

void save_finished(const RunFolder& folder, const fs::path& to, const OptionTable& table) {
    if (to.empty()) return;
    const bool missing = !fs::exists(to) && fs::is_directory(fs::absolute(behind_links(to)).parent_path());
    if (!table.given("save") && !missing) {
        const fs::path own = folder.file("student.safetensors");
        if (fs::is_regular_file(to) && fs::is_regular_file(own) && read_file(to) != read_file(own))
            tell_once(text("note: --save ", to.string(), ": holds other weights than this run's; say --save again to replace them"));
        return;
    }
    require_savable(to, table);
    write_file_atomically(to, read_file(folder.file("student.safetensors")));
    std::printf("saved: %s\n", to.c_str());
}

void run_experiment(const std::string& command, const Chooser& chosen, OptionTable& table, Options& o, const Settle& settle,
                    const Config& further) {
    const auto method = [&] { return std::string(chosen().row->name); };
    const MethodFactory make_method = [&](Session& session, const Options& options) {
        return chosen().options->make(session.setting(), options);
    };
    const fs::path base = o.run.empty() ? default_run(method(), o) : o.run;
    if (o.auto_resume) settle_resume(o, base, {"s[0-9]*"});  // without, each run's own folder counts
    if (o.resume) take_seeds_of(base, table);
    const bool many = o.runs > 1 || (o.resume && holds_seeds(base, o.seed, "config.csv"));
    const auto seed_of = [first = o.seed](int i) { return first + static_cast<uint64_t>(i); };
    const auto folder_of = [&](int i) { return many ? seed_folder(base, seed_of(i)) : base; };
    if (o.resume && many && !fs::exists(base)) RunFolder::reopen(base);  // says that nothing is there to go on with
    if (o.resume && many) {
        std::vector<fs::path> all;
        for (int i = 0; i < o.runs; ++i) all.push_back(folder_of(i));
        require_one_length(base, all, table);
    }
    int finished = 0;
    fs::path begun;  // the first that has
    for (int i = 0; i < o.runs; ++i) {
        if (!o.resume && !o.auto_resume) settle_resume(o, folder_of(i));
        if (!o.resume || (many && !fs::exists(folder_of(i)))) continue;
        const RunFolder folder = RunFolder::reopen(folder_of(i));
        begun.empty() ? void(begun = folder.path()) : require_alike(RunFolder::reopen(begun), folder, table);
        take_options_of(folder, command, table, many, {"epochs"});
        require_longer(folder, table, o);
        o.by_hand = told_when_longer(told_before(folder.config()), epochs_of(folder), o.epochs);  // of those not begun yet
        finished += folder.finished() && epochs_of(folder) >= o.epochs;
    }
    if (o.resume) o.given_anew = table.given_anew();
    if (o.resume && many) {
        const std::set<uint64_t> started = seeds_started(base);
        bool all = true;
        for (int i = 0; i < o.runs; ++i) all = all && started.count(seed_of(i)) > 0;
        if (!all) o.given_anew += text(" --seed ", o.seed, " --runs ", o.runs);  // of which those under way know nothing
    }
    if (finished == o.runs && !many) save_finished(RunFolder::reopen(base), o.save, table);
    if (o.auto_resume && finished == o.runs) {
        for (int i = 0; i < o.runs && !o.check_only; ++i) std::printf("%s: finished before, skipped\n", folder_of(i).c_str());
        return;
    }
    // A run that goes on has its own schedule, made longer or not.
    const std::string scaled = o.by_hand ? "" : scale_with_epochs(table, o);
    const std::string by_hand = o.by_hand ? *o.by_hand : told_by_hand(table, o);
    if (many && !o.save.empty())
        input_error("--save ", o.save, ": is one file for ", o.runs, " runs; each keeps its own student.safetensors");
    // All that can be wrong with the input is found before a folder is made; settling may train teachers, so it comes after what is quick.
    if (!o.save.empty()) require_savable(o.save, table);
    parse_lr_steps(o.lr_steps);
    settle(o);

    Session session = open_session(o);
    if (chosen().row->teachers != Teaching::none) {
        session.teachers = load_teachers(*session.backend, o, session.data->classes);
        o.role = "student";
        for (const auto& teacher : session.teachers) o.generation = std::max(o.generation, generation_after(teacher->metadata()));
    }
    if (!o.init.empty()) {
        const std::map<std::string, std::string> metadata = read_weights(o.init).metadata;
        warn_if_trained_otherwise(o.init, metadata, o, *session.data);
        o.generation = std::max(o.generation, generation_after(metadata));
    }
    const Loader loader(*session.backend, session.on_device, session.loader_options(o));
    std::unique_ptr<Method> first = start_method(session, o, make_method);
    const std::vector<PretrainedNetwork> teaching = learnt_from(session, o, *first);
    if (o.check_only) {
        if (o.teacher_min > 0) measure(teaching, session, loader, o, first->student());
        return;
    }
    print_configuration(command, kept_options(table));
    std::printf("%s", scaled.c_str());
    for (const std::string& note : first->notes()) std::printf("note: %s\n", note.c_str());
    note_late_milestones(o);
    Config facts = run_facts(session, o);
    for (auto& fact : measure(teaching, session, loader, o, first->student())) facts.push_back(std::move(fact));
    if (!o.init.empty()) facts.emplace_back("info.init_sha256", sha256_of_file(o.init));
    for (const auto& [name, file] : chosen().options->files()) {
        warn_if_trained_otherwise(file, read_weights(file).metadata, o, *session.data);
        facts.emplace_back("info." + name + "_sha256", sha256_of_file(file));
    }
    facts.emplace_back("info.by_hand", by_hand);
    facts.insert(facts.end(), further.begin(), further.end());
    if (many) facts.emplace_back("info.first_seed", std::to_string(o.seed)), facts.emplace_back("info.runs", std::to_string(o.runs));
    first.reset();  // its memory is the trainings'

    std::vector<PlannedRun> planned;
    for (int i = 0; i < o.runs; ++i) {
        if (many) o.seed = seed_of(i);
        planned.push_back({folder_of(i), method(), o, run_config(method(), table, facts)});
    }
    if (!interruption()) catch_interruption(o.time_limit);  // a signal since the experiment before this one, of a chain, still counts
    train_runs(session, planned, side_by_side(o, *session.backend), make_method);
}

}  // namespace distill
