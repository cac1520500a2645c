#include "cmd_ktg_search.h"

#include <cstdio>
#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "ktg_search.h"
#include "ktg_worker.h"
#include "run_resume.h"
#include "train_recipes.h"

namespace distill {
namespace {

struct SearchCommand {
    SearchOptions options;
    OptionTable table;
};

/// A folder that --resume names tells whether a transfer is to go on there.
void go_on_with_transfer(SearchOptions& s, const OptionTable& table) {
    if (!s.training.resume || s.training.run.empty() || !s.transfer.empty()) return;
    const RunFolder folder = RunFolder::reopen(s.training.run);
    const Config config = folder.config();
    if (value_of(config, "method") == "ktg-transfer")
        s.transfer = found_again(folder.path(), config, table.at("transfer"), value_of(config, "transfer"));
}

void add_search(Subcommand ktg) {
    const Subcommand sub = ktg.add_subcommand("search", "search for the best graph: random gates and networks, successive halving");
    sub.footer(
        "RUN/journal.csv has every trial, RUN/search.csv the winners' test accuracies; a search that was cut off goes on with --resume.");
    auto c = std::make_shared<SearchCommand>();
    OptionTable& t = c->table;
    SearchOptions& s = c->options;
    Options& o = s.training = options_of(find_recipe("ktg"));
    add_data_options(t, o);
    t.add("--nodes", s.nodes, {2, max_nodes}, "of each graph");
    t.add_network("--target", s.target, "network of node 0");
    t.add_network("--models", s.models, "networks of the other nodes to choose from");
    t.add("--sampler", s.sampler, {"random", "grid"}, "draw graphs, or try each");
    t.add("--trials", s.trials, {0}, "graphs to try, rejected and repeated ones included (0: 1500, or all of the grid)");
    t.add_on_off("--stopping", s.stopping,
                 "a trial that is not in the better half at 1, 2, 4 … epochs ends there; off: all run to the end");
    t.add("--score", s.score, {"validation", "test"}, "images that trials are scored on; test is the authors' way");
    t.add("--val", o.validation, {0}, "training records held out for the score (0: a fifth)");
    t.add("--jobs", s.jobs, {1}, "trials side by side; they share --threads; only 1 repeats exactly").said_anew();
    t.add("--devices", s.devices, "auto, cpu, or the GPUs to use: 0,1,…").said_anew().open("auto");
    t.add("--best", s.best, {1}, "graphs to train again on all training data");
    t.add("--retrain-seeds", s.retrain_seeds, {1}, "with how many seeds these, and the known methods, are trained again");
    t.add("--alone-batch", s.alone_batch, {1}, "images a step of a network that trains alone");
    t.add("--transfer", s.transfer, "do not search: train this graph (.csv) on --dataset as the best of a search is")
        .place(Places::or_shipped);
    s.losses.add_transfer_to(t);
    add_schedule_options(t, o);
    t.at("threads").said_anew();
    t.add("--run", o.run, "the search's folder").driver();
    t.add_switch("--resume", o.resume, "go on where the search was, with its options").driver();
    add_auto_resume_option(t, o);
    t.add_switch("--quiet", o.quiet, "no progress").driver();
    t.attach(sub);
    sub.callback([c] {
        Options& training = c->options.training;
        if (training.run.empty()) training.run = default_search_run(c->options);
        settle_resume(training, training.run);
        go_on_with_transfer(c->options, c->table);
        const bool transfers = !c->options.transfer.empty();
        const bool finished = training.auto_resume && fs::exists(fs::path(training.run) / "search.csv");
        if (finished && !take_search_options(RunFolder::reopen(training.run), c->options, c->table)) {
            std::printf("%s: finished before, skipped\n", training.run.c_str());
            return;
        }
        if (!transfers) return run_ktg_search(c->options, c->table);
        for (const char* name : {"nodes", "target", "models", "sampler", "trials", "score", "stopping", "val", "best"})
            if (c->table.given(name)) input_error("--", name, ": has no meaning with --transfer, which trains one given graph");
        run_ktg_transfer(c->options, c->table);
    });
}

/// For WorkerProcesses alone.
void add_worker(Subcommand ktg) {
    const Subcommand sub = ktg.add_subcommand("worker", "trains for a search");
    sub.hide();
    auto slots = std::make_shared<int>(1);
    sub.add_option("--slots", *slots, "runs at a time");
    sub.callback([slots] { run_worker(*slots); });
}

}  // namespace

void add_search_commands(Subcommand app) {
    const Subcommand ktg = app.find("ktg").value();
    add_search(ktg);
    add_worker(ktg);
}

}  // namespace distill
