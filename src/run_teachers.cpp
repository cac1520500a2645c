#include "run_teachers.h"

#include <algorithm>
#include <cstdio>

#include "base_error.h"
#include "base_output_file.h"
#include "base_texts.h"
#include "method_supervised.h"
#include "net_table.h"
#include "run_experiment.h"
#include "run_many.h"
#include "train_interruption.h"
#include "train_recipes.h"

namespace distill {
namespace {

/// The options of `distill train` for these teachers: what was asked for, but for what is the asking training's own.
struct TeacherTraining {
    TeacherTraining(const OptionTable& asked, const Options& o) {
        add_training_options(table, options, false);
        const bool any_length = asked.at("epochs").is_swept;  // and with it what was scaled to it
        for (const TableOption& option : asked.options()) {   // teachers of a sweep are the same for all its values
            if (!table.has(option.name) || table.at(option.name).is_own) continue;
            const bool of_value = option.is_swept || (any_length && option.counts_epochs && !option.given());
            table.set(option.name, of_value ? option.otherwise : option.get(), "--" + option.name);
        }
        options.normalize_auto = o.normalize_auto;
        options.student = o.teacher_nets;
        const Recipe& recipe = find_recipe(o.recipe);
        const TableOption& rate = asked.at("lr");
        if ((!rate.given() || rate.is_swept) && options.lr == rate_of(recipe, o.student))
            options.lr = rate_of(recipe, options.student);  // not the student's
        options.runs = o.train_teachers;
        options.role = "teacher";
        options.resume = true;
        options.run = o.teachers_run.empty() ? "runs/teachers-" + o.dataset + "-" + options.student : o.teachers_run;
    }
    fs::path folder(int seed) const { return seed_folder(options.run, static_cast<uint64_t>(seed)); }
    Options options;
    OptionTable table;
};

/// A teacher that is there must be the one that would be trained now.
void require_same_training(const RunFolder& there, const Config& wanted) {
    there.require_start_key();
    const Config theirs = there.config();
    // Other images under the same name have another normalisation, too: the images are the better complaint.
    if (value_of(theirs, "dataset") == value_of(wanted, "dataset")) require_same_input(there, wanted);
    for (const auto& [name, value] : wanted) {
        const bool counts = name == "seed" || (name != "id" && !is_circumstance(name));
        if (const std::string found = value_of(theirs, name); counts && found != value)
            input_error(there.path().string(), ": this teacher was trained with ", name, " ", found.empty() ? "(nothing)" : found,
                        ", asked for is ", value.empty() ? "(nothing)" : value,
                        "; ask for the same, or name another folder with --teachers-run");
    }
}

void train_teachers(TeacherTraining& t) {
    Options& o = t.options;
    require_student(o);
    parse_lr_steps(o.lr_steps);
    Session session = open_session(o);
    const MethodFactory make = [](Session& own, const Options& settled) { return std::make_unique<Supervised>(own.setting(), settled); };
    Loader(*session.backend, session.on_device, session.loader_options(o));  // these two say what is wrong before there is a folder
    start_method(session, o, make);
    const Config facts = run_facts(session, o);
    std::vector<PlannedRun> planned;
    int left = 0;
    for (int seed = 0; seed < o.runs; ++seed) {
        o.seed = static_cast<uint64_t>(seed);
        Config config = run_config("train", t.table, facts);
        const fs::path folder = t.folder(seed);
        if (fs::exists(folder)) require_same_training(RunFolder::reopen(folder), config);
        left += !fs::exists(folder / "result.csv");
        planned.push_back({folder, "train", o, std::move(config)});
    }
    std::printf("%d teacher(s), %s, in %s: %d to train\n", o.runs, o.student.c_str(), o.run.c_str(), left);
    if (left == 0) return;
    o.seed = 0;
    print_configuration("train", kept_options(t.table));
    if (!interruption()) catch_interruption(o.time_limit);
    try {
        train_runs(session, planned, side_by_side(o, *session.backend), make);
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in the training of the teachers in ", o.run, "; go on with the same command"));
    }
}

}  // namespace

void settle_or_train_teachers(const OptionTable& table, Options& o) {
    if (table.given("teachers") && !table.given("train-teachers")) o.train_teachers = 0;  // a preset's, where none are named
    if (o.train_teachers == 0) return settle_teachers(o);
    if (table.given("teachers"))
        input_error("--train-teachers ", o.train_teachers, ": --teachers ", o.teachers, " names teachers; give one or the other");
    const std::vector<std::string> before = split(o.teachers, ',');  // of a run that goes on
    if (o.resume && static_cast<int>(before.size()) >= o.train_teachers &&
        std::all_of(before.begin(), before.end(), [](const std::string& file) { return fs::exists(file); }))
        return settle_teachers(o);
    if (o.teacher_nets.empty())
        input_error("--train-teachers ", o.train_teachers, ": which network? Name it with --teacher-nets; there are: ", network_names());
    if (o.teacher_nets.find(',') != std::string::npos)
        input_error("--teacher-nets ", o.teacher_nets, ": --train-teachers trains teachers of one network; name one");
    TeacherTraining training(table, o);
    std::vector<std::string> files;
    for (int seed = 0; seed < o.train_teachers; ++seed) {
        files.push_back((training.folder(seed) / "student.safetensors").string());
        require_not_read("--save", o.save, files.back());
    }
    if (!o.check_only) train_teachers(training);
    o.teachers = joined(files, ",");
    settle_teachers(o);
}

}  // namespace distill
