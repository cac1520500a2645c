#include "cmd_feed.h"

#include <cstdio>
#include <memory>
#include <optional>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "cmd_feed_reconstruct.h"
#include "cmd_feed_sweep.h"
#include "cmd_method.h"
#include "cmd_preset.h"
#include "method_feed.h"
#include "method_kd.h"
#include "run_experiment.h"
#include "run_resume.h"
#include "run_sweep.h"
#include "run_teachers.h"
#include "train_recipes.h"
#include "train_schedule.h"

namespace distill {
namespace {

constexpr const char* method_name = "feed";
constexpr const char* about_teachers =
    "Teachers: trained files (--teachers a,b,…), or --train-teachers N --teacher-nets NET, kept in runs/teachers-DATASET-NET/s0, s1, …";

struct Command {
    Options options = options_of(find_recipe(feed_row.recipe));
    std::shared_ptr<FeedOptions> own = std::make_shared<FeedOptions>();
    FeedSeries series;
    ChosenMethod born = choose(ban_row);  ///< what a chain teaches by with --by ban
    OptionTable table;
};

std::shared_ptr<Command> begin_command() {
    auto c = std::make_shared<Command>();
    add_networks(c->table, c->options, feed_row.teachers);
    c->own->add_to(c->table);
    return c;
}

void settle(Options& o) {
    require_student(o);
    settle_teachers(o);
}

Chooser by_feed(const Command& c) {
    return [own = c.own] { return ChosenMethod{&feed_row, own}; };
}
Chooser by_birth(const Command& c) {
    return [born = c.born] { return born; };
}

/// The options that a chain's stages keep: FEED's own, or in their place those that born-again networks have. InputError for one of FEED's
/// that was given to these.
OptionTable kept_of_stages(const Command& c, bool born_again) {
    OptionTable table = c.table;
    if (!born_again) return table;
    OptionTable of_feed;
    c.own->add_to(of_feed);
    for (const TableOption& option : of_feed.options()) {
        if (c.table.given(option.name))
            input_error("--", option.name, ": is FEED's, which a chain --by ", ban_row.name, " has not; leave it out");
        table.at(option.name).driver();
    }
    c.born.options->add_to(table);
    return table;
}

void run_parallel(Command& c, const Settle& settle_by) { run_experiment(method_name, by_feed(c), c.table, c.options, settle_by); }

/// The chain of one seed: stage k, in stage<k>/, is `feed parallel` with the one teacher that stage k − 1 made. Each is a generation of its
/// own, so each starts afresh. `seeds`: what its runs keep of the chains beside it.
void run_chain(const fs::path& base, Command& c, OptionTable& table, const Config& seeds) {
    Options& o = c.options;
    const Options asked = o;
    const FeedOptions own_asked = *c.own;
    const FeedSeries series = c.series;
    const bool born_again = series.by == ban_row.name;
    std::string teacher = asked.teachers;
    for (int k = 1; k <= series.stages; ++k) {
        const fs::path folder = base / ("stage" + std::to_string(k));
        const bool known = fs::exists(folder);
        o = asked;
        *c.own = own_asked;
        o.teachers = teacher;
        if (k > 1) o.teacher_nets = asked.student;
        o.run = folder.string();
        o.runs = 1;
        o.resume = known;
        o.makes_copy = k == series.stages;
        if (known && RunFolder::reopen(folder).finished()) {
            if (o.makes_copy) save_finished(RunFolder::reopen(folder), o.save, table);
            std::printf("%s: finished before, skipped\n", folder.c_str());
        } else {
            std::printf("stage %d of %d\n", k, series.stages);
            Config further = seeds;
            further.emplace_back("info.stage", std::to_string(k));
            run_experiment(born_again ? ban_row.name : method_name, born_again ? by_birth(c) : by_feed(c), table, o, settle, further);
        }
        teacher = (folder / "student.safetensors").string();
    }
    std::printf("\n%-8s %10s %10s\n", base.filename().c_str(), "last %", "best %");
    for (int k = 1; k <= series.stages; ++k) {
        const CsvTable result = read_result(base / ("stage" + std::to_string(k)));
        std::printf("stage %-2d %10s %10s\n", k, result.cell(0, "last").c_str(), result.cell(0, "best").c_str());
    }
    o = asked;
}

void run_chains(Command& c) {
    Options& o = c.options;
    set_untold("feed sequential", c.table, o, method_name);
    if (o.run.empty()) o.run = "runs/" + c.series.by + "-sequential-" + o.dataset + (o.student.empty() ? "" : "-" + o.student);
    const fs::path base = o.run;
    if (fs::exists(base / "config.csv"))
        input_error(base.string(), ": holds a run that is no chain (its config.csv says of what method); name another folder with --run");
    settle_resume(o, base, {"stage[0-9]*", "s[0-9]*/stage[0-9]*"});
    if (o.resume) take_seeds_of(base, c.table, "stage1");
    const bool many = o.runs > 1 || (o.resume && holds_seeds(base, o.seed, "stage1"));
    const auto folder_of = [&](uint64_t seed) { return many ? seed_folder(base, seed) : base; };
    std::optional<RunFolder> first;
    for (int i = 0; o.resume && !first && i < o.runs; ++i)
        if (const fs::path stage = folder_of(o.seed + static_cast<uint64_t>(i)) / "stage1";
            i == o.runs - 1 || fs::exists(stage / "config.csv"))
            first = RunFolder::reopen(stage);
    const bool born_again = (first ? value_of(first->config(), "by") : c.series.by) == ban_row.name;
    OptionTable table = kept_of_stages(c, born_again);
    if (first) {
        take_options_of(*first, born_again ? ban_row.name : method_name, table, many);
        o.by_hand = told_before(first->config());
        o.given_anew = table.given_anew();
        for (const auto& [seed, folder] : numbered_folders(base, 's'))
            if (many && fs::exists(folder / "stage1/config.csv")) require_alike(*first, RunFolder::reopen(folder / "stage1"), table);
    }
    scale_with_epochs(table, o);
    const bool several = o.teachers.find(',') != std::string::npos;
    if (several || o.train_teachers > 1)
        input_error(several ? "--teachers " + o.teachers : text("--train-teachers ", o.train_teachers),
                    ": a chain begins with one teacher; name one, or use: distill feed parallel");
    if (many && !o.save.empty()) input_error("--save ", o.save, ": is one file for ", o.runs, " chains; each keeps its own students");
    if (!o.save.empty()) require_savable(o.save, table);
    if (!o.student.empty()) require_student(o);
    settle_or_train_teachers(table, o);
    if (o.student.empty()) {
        o.student = o.teacher;
        if (!o.by_hand) set_rate(table, o, find_recipe(o.recipe), "--student");
    }
    const Options asked = o;
    const Config seeds = {{"info.first_seed", std::to_string(asked.seed)}, {"info.runs", std::to_string(asked.runs)}};
    try {
        for (int i = 0; i < asked.runs; ++i) {
            o = asked;
            o.seed = asked.seed + static_cast<uint64_t>(i);
            run_chain(folder_of(o.seed), c, table, many ? seeds : Config());
        }
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in ", o.run, ", which has a checkpoint; go on with: distill feed sequential --resume --run ",
                               shell_word(base.string()), many ? text(" --seed ", asked.seed, " --runs ", asked.runs) : "",
                               asked.given_anew));
    }
}

}  // namespace

void add_feed_commands(Subcommand app) {
    const Subcommand feed = app.add_subcommand(feed_row.name, feed_row.title);
    feed.require_subcommand();
    Subcommand sub = feed.add_subcommand("parallel", "a student learns the last maps of all teachers at once, through a layer for each");
    sub.footer(about_teachers);
    const auto parallel = begin_command();
    add_sweep_option(parallel->table, parallel->options);
    parallel->table.attach(sub);
    sub.callback([c = parallel] {
        run_each_value("feed", c->table, c->options, [&] {
            set_untold("feed parallel", c->table, c->options, method_name);
            run_parallel(*c, [&](Options& final) { settle_networks(c->table, final, feed_row.teachers); });
        });
    });
    sub = feed.add_subcommand("sweep", "parallel with the first 1, 2, 3, … of the teachers");
    sub.footer(about_teachers);
    const auto sweep = begin_command();
    sweep->series.add_sweep_to(sweep->table);
    sweep->table.attach(sub);
    sub.callback([c = sweep] {
        if (!has_preset(c->options) && c->table.given("recipe")) set_untold("feed sweep", c->table, c->options, method_name);
        run_sweep(c->table, c->options, c->series, [&] { run_parallel(*c, settle); });
    });
    sub = feed.add_subcommand("sequential", "a chain: each stage's student teaches the next one");
    sub.footer(about_teachers);
    const auto chain = begin_command();
    chain->series.add_chain_to(chain->table);
    chain->table.attach(sub);
    sub.callback([c = chain] { run_chains(*c); });
    add_reconstruct_command(feed);
}

}  // namespace distill
