#include "cmd_feed.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "cmd_feed_preset.h"
#include "cmd_feed_reconstruct.h"
#include "cmd_feed_sweep.h"
#include "method_feed.h"
#include "run_experiment.h"
#include "run_teachers.h"
#include "train_schedule.h"

namespace distill {
namespace {

constexpr const char* method_name = "feed";

struct Command {
    Options options = feed_defaults();
    std::unique_ptr<OptionTable> table;
};

std::shared_ptr<Command> add_command(CLI::App& feed, const std::string& name, const std::string& help, CLI::App*& sub) {
    sub = feed.add_subcommand(name, help);
    auto c = std::make_shared<Command>();
    c->table = std::make_unique<OptionTable>(*sub);
    Options& o = c->options;
    OptionTable& t = *c->table;
    add_teachers_options(t, o);
    t.add("--teacher-min", o.teacher_min, {0, 100}, "stop if a teacher's test accuracy is below this, in %");
    add_classes_option(t, o);
    add_training_options(t, o, false);
    t.add("--beta", o.beta, {0}, "weight of each teacher's distance");
    t.add("--feed-norm", o.feed_norm, {"l1", "l2"}, "distance of normalised maps: of absolute, or of squared differences");
    t.add("--feed-reduction", o.feed_reduction, {"mean", "sample"}, "over all elements: their mean; or their sum, mean over samples");
    t.add("--ntl-depth", o.ntl_depth, {1}, "3x3 convolutions of a transformation layer");
    t.add("--ntl-width", o.ntl_width, {0}, "channels between them (0: the teacher's)");
    t.add("--ntl-slope", o.ntl_slope, {0}, "of the leaky ReLU after each, below 0");
    return c;
}

void apply_preset(const char* subcommand, Command& c) {
    const std::string& preset = c.options.preset;
    if (preset.empty()) return;
    if (!is_feed_preset(preset)) input_error("--preset ", preset, ": is no row of FEED's; those are in data/paper/feed.csv");
    apply_feed_preset(subcommand, *c.table, c.options);
}

void settle(Options& o) {
    require_student(o);
    settle_teachers(o);
}

std::unique_ptr<Method> make_feed(Laboratory& lab, const Options& o) {
    return std::make_unique<Feed>(*lab.backend, o, lab.data->classes, lab.teachers);
}

/// One generation of born-again networks: CE + KL at T = 1.
std::unique_ptr<Method> make_born_again(Laboratory& lab, const Options& o) {
    Options one = o;
    one.temperature = one.alpha = one.gamma = 1;
    return std::make_unique<KnowledgeDistillation>(*lab.backend, one, lab.data->classes, lab.teachers);
}

void run_parallel(Command& c, const Settle& settle_by) {
    run_experiment(method_name, *c.table, c.options, true, make_feed, settle_by);
}

/// The chain of one seed: stage k, in stage<k>/, is `feed parallel` with the one teacher that stage k − 1 made. Each is a generation of its
/// own, so each starts afresh.
void run_chain(const fs::path& base, Command& c) {
    Options& o = c.options;
    const Options asked = o;
    const bool by_feed = asked.chain_by == "feed";
    std::string teacher = asked.teachers;
    for (int k = 1; k <= asked.stages; ++k) {
        const fs::path folder = base / ("stage" + std::to_string(k));
        const bool known = fs::exists(folder);
        o = asked;
        o.teachers = teacher;
        if (k > 1) o.teacher_nets = asked.student;
        o.run = folder.string();
        o.stage = k;
        o.runs = 1;
        o.resume = known;
        if (k < asked.stages) o.save.clear();
        if (known && RunFolder::reopen(folder).finished()) {
            std::printf("%s: finished before, skipped\n", folder.c_str());
        } else {
            std::printf("stage %d of %d\n", k, asked.stages);
            run_experiment(by_feed ? method_name : "ban", *c.table, o, true, by_feed ? make_feed : make_born_again, settle);
        }
        teacher = (folder / "student.safetensors").string();
    }
    std::printf("\n%-8s %10s %10s\n", base.filename().c_str(), "last %", "best %");
    for (int k = 1; k <= asked.stages; ++k) {
        const CsvTable result = read_csv(base / ("stage" + std::to_string(k)) / "result.csv");
        std::printf("stage %-2d %10s %10s\n", k, result.cell(0, "last").c_str(), result.cell(0, "best").c_str());
    }
    o = asked;
}

void run_chains(Command& c) {
    Options& o = c.options;
    apply_preset("feed sequential", c);
    if (o.run.empty()) o.run = "runs/" + o.chain_by + "-sequential-" + o.dataset + (o.student.empty() ? "" : "-" + o.student);
    const fs::path base = o.run;
    const bool known = fs::exists(base);
    if (known && !o.resume)
        input_error(base.string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
    if (o.resume) take_seeds_of(base, *c.table, "stage1");
    const bool many = o.runs > 1 || (o.resume && !fs::exists(base / "stage1") && fs::exists(base / ("s" + std::to_string(o.seed))));
    const auto folder_of = [&](uint64_t seed) { return many ? base / ("s" + std::to_string(seed)) : base; };
    if (o.resume) {
        const RunFolder first = RunFolder::reopen(folder_of(o.seed) / "stage1");
        take_options_of(first, value_of(first.config(), "by") == "ban" ? "ban" : method_name, *c.table);
        o.by_hand = told_before(first.config());
    }
    scale_with_epochs(*c.table, o);
    const bool several = o.teachers.find(',') != std::string::npos;
    if (several || o.train_teachers > 1)
        input_error(several ? "--teachers " + o.teachers : text("--train-teachers ", o.train_teachers),
                    ": a chain begins with one teacher; name one, or use: distill feed parallel");
    if (many && !o.save.empty()) input_error("--save ", o.save, ": is one file for ", o.runs, " chains; each keeps its own students");
    if (!o.student.empty()) require_student(o);
    settle_or_train_teachers(*c.table, o);
    if (o.student.empty()) o.student = o.teacher;
    const Options asked = o;
    try {
        for (int i = 0; i < asked.runs; ++i) {
            o = asked;
            o.seed = asked.seed + static_cast<uint64_t>(i);
            run_chain(folder_of(o.seed), c);
        }
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in ", o.run, ", which has a checkpoint; go on with: distill feed sequential --resume --run ",
                               shell_word(base.string()), many ? text(" --runs ", asked.runs) : ""));
    }
}

}  // namespace

void add_feed_commands(CLI::App& app) {
    auto* feed = app.add_subcommand("feed", "FEED: an ensemble of teachers at the feature-map level (ECAI 2020)");
    feed->require_subcommand(1);
    CLI::App* sub = nullptr;
    auto parallel = add_command(*feed, "parallel", "a student learns the last maps of all teachers at once, through a layer for each", sub);
    sub->callback([c = parallel] {
        apply_preset("feed parallel", *c);
        run_parallel(*c, [&](Options& final) {
            require_student(final);
            settle_or_train_teachers(*c->table, final);
        });
    });
    auto sweep = add_command(*feed, "sweep", "parallel with the first 1, 2, 3, … of the teachers", sub);
    sweep->table->add("--numbers", sweep->options.numbers, "of teachers, e.g. 1,3,5; by default from 1 to all of them");
    sub->callback([c = sweep] {
        run_sweep(*c->table, c->options, [&] { run_parallel(*c, settle); });
    });
    auto chain = add_command(*feed, "sequential", "a chain: each stage's student teaches the next one", sub);
    chain->table->add("--stages", chain->options.stages, {1}, "students, one after another, beginning with the teacher's");
    chain->table->add("--by", chain->options.chain_by, {"feed", "ban"}, "each teaches by FEED, or is born again: CE + KL at T = 1");
    sub->callback([c = chain] { run_chains(*c); });
    add_reconstruct_command(*feed);
}

}  // namespace distill
