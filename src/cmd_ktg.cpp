#include "cmd_ktg.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "base_svg.h"
#include "base_texts.h"
#include "cmd_preset.h"
#include "graph_show.h"
#include "ktg_graph_run.h"
#include "method_ktg.h"
#include "report_collect.h"
#include "run_experiment.h"
#include "run_sweep.h"
#include "search_early.h"
#include "search_journal.h"
#include "search_space.h"
#include "search_svg.h"
#include "train_recipes.h"

namespace distill {
namespace {

constexpr const char* about_gates =
    "Gates: through (as it is), cutoff (never), linear (weight rises from 0 to 1), correct (where the source is right).";

struct TrainCommand {
    Options options = options_of(find_recipe("ktg"));
    std::shared_ptr<KtgOptions> own = std::make_shared<KtgOptions>();
    OptionTable table;
};

/// --preset: a row of data/paper, a shipped graph, or a file; what was given by hand wins. Whether it says the batch.
bool set_preset(TrainCommand& c) {
    if (!has_preset(c.options)) return false;
    const std::string& preset = c.options.preset;
    const bool file = preset.find('/') != std::string::npos || std::filesystem::path(preset).extension() == ".csv";
    const std::vector<PaperRow> rows = file ? std::vector<PaperRow>() : load_paper(paper_folder(c.options.paper));
    const bool on_file = std::any_of(rows.begin(), rows.end(), [&](const PaperRow& row) { return row.id == preset; });
    const bool graph = file || !(on_file || starts_with(preset, "ktg-"));
    if (graph && !c.options.paper.empty())
        input_error("--paper ", c.options.paper, ": --preset ", preset, " is a graph, no row of a paper; leave it out");
    if (graph) {
        c.table.set("graph", preset, "--preset " + preset);
        return false;
    }
    const PaperRow row = preset_row(c.options);
    apply_preset(row, "ktg train", c.table, c.options);
    return has_option(row.options, "batch");
}

void train(TrainCommand& c) {
    Options& o = c.options;
    const bool batch_set = set_preset(c);
    if (!c.own->file.empty()) {
        const bool alone = named_graph(*c.own).size() == 1;
        if (!batch_set) c.table.set("batch", std::to_string(find_recipe(alone ? "ktg-alone" : "ktg").batch), "the default");
        if (o.run.empty()) o.run = "runs/ktg-" + o.dataset + "-" + std::filesystem::path(c.own->file).stem().string();
    }
    run_experiment(
        "ktg",
        [&c] {
            return ChosenMethod{&ktg_row, c.own};
        },
        c.table, o,
        [&c](Options& settled) {
            c.own->settle(settled);
            if (!settled.check_only) std::printf("%s", graph_text(c.own->graph).c_str());
        });
}

void add_train(Subcommand ktg) {
    const Subcommand sub = ktg.add_subcommand("train", "train the nodes of a graph together");
    sub.footer(about_gates);
    const auto c = std::make_shared<TrainCommand>();
    add_graph_options(c->table, c->options, *c->own);
    add_sweep_option(c->table, c->options);
    c->table.attach(sub);
    sub.callback([c] { run_each_value("ktg", c->table, c->options, [c] { train(*c); }); });
}

void list_graphs() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(graph_folder()))
        if (entry.path().extension() == ".csv") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) std::printf("%s\n%s\n", file.stem().c_str(), graph_text(read_graph(file)).c_str());
}

/// Is it a folder with a search's journal, or what is called as a journal is? Else it is a graph.
bool names_journal(const std::filesystem::path& path) { return has_journal(path) || path.filename() == "journal.csv"; }

void show_search(const std::string& path, const std::string& svg, const std::string& csv) {
    const SearchHistory history = read_search(path);
    if (!svg.empty()) write_file_atomically(svg, search_svg(history));
    if (!csv.empty()) write_file_atomically(csv, preferences_csv(history));
    std::printf("%s", search_text(history).c_str());
    if (const auto early = early_stopping(history)) std::printf("\n%s", early_text(*early).c_str());
}

void add_show(Subcommand ktg) {
    const Subcommand sub = ktg.add_subcommand("show", "a graph as text and picture, alone or with what a run made of it; a search as both");
    sub.footer(about_gates);
    struct Asked {
        std::string graph, run, svg, csv;
    };
    auto asked = std::make_shared<Asked>();
    sub.add_option("GRAPH", asked->graph,
                   "a shipped graph's name, a .csv file, or a search's folder; by default the run's; without either, all shipped graphs");
    sub.add_option("--run", asked->run, "a run's folder: its accuracies and what went over the edges");
    sub.add_option("--svg", asked->svg, "write the picture here");
    sub.add_option("--csv", asked->csv,
                   "of a search: write here how often the best tenth of its different trainings and all made each choice");
    sub.callback([asked] {
        require_output("--svg", asked->svg, picture_begins, "picture");
        require_output("--csv", asked->csv, preferences_begins, "table of choices");
        if (one_output(asked->svg, asked->csv)) input_error("--svg ", asked->svg, ": is --csv's file, too; name another");
        if (asked->graph.empty() && asked->run.empty()) {
            if (!asked->svg.empty()) input_error("--svg ", asked->svg, ": of which graph? Name one, or a run with --run");
            if (!asked->csv.empty()) input_error("--csv ", asked->csv, ": of which search? Name its folder");
            return list_graphs();
        }
        if (asked->run.empty() && names_journal(asked->graph)) return show_search(asked->graph, asked->svg, asked->csv);
        if (!asked->csv.empty()) input_error("--csv ", asked->csv, ": it is a search's; name a search's folder, or leave it out");
        const std::filesystem::path run = asked->run;
        const std::filesystem::path file = asked->graph.empty() ? run / "graph.csv" : find_graph(asked->graph);
        const Graph graph = read_graph(file);
        require_sound(graph, file.string());
        if (!run.empty() && graph_line(graph) != graph_line(read_graph(run / "graph.csv")))
            input_error(asked->graph, ": is not the graph of --run ", asked->run, "; leave it out to see that run's own");
        const GraphOutcome outcome = run.empty() ? GraphOutcome() : read_graph_outcome(graph, run);
        if (!asked->svg.empty()) write_file_atomically(asked->svg, graph_svg(graph, outcome));
        std::printf("%s", graph_text(graph, outcome).c_str());
    });
}

}  // namespace

void add_ktg_commands(Subcommand app) {
    const Subcommand ktg = app.add_subcommand(ktg_row.name, ktg_row.title);
    ktg.require_subcommand();
    add_train(ktg);
    add_show(ktg);
}

}  // namespace distill
