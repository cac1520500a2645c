#include "cmd_paper.h"

#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_texts.h"
#include "cmd_paper_hours.h"
#include "net_table.h"
#include "paper_plan.h"

namespace distill {
namespace {

struct Asked {
    std::vector<std::string> what;
    std::string paper, runs = "runs/paper", data, device;
    std::vector<std::string> further;
    int seeds = 1, step = 0;
    bool commands = false, hours = false;
};

std::string unknown_network(const PaperRow& row) {
    for (const std::string& list : {row.teacher, row.trained()})
        for (const std::string& name : split(list, '+')) try {
                network_row(name);
            } catch (const InputError&) {
                return "this program has no network '" + name + "'";
            }
    return "";
}

TrainedBy trained_by(Subcommand app, const Asked& asked, const PaperRow& row) {
    const std::optional<Subcommand> sub = app.find(row.command);
    TrainedBy by;
    if (!sub) {
        by.obstacle = "this program has no method '" + row.method_name() + "'";
        return by;
    }
    const auto has = [&](const std::string& option) { return sub->has_option("--" + option); };
    by.preset = has("preset");
    by.obstacle = unknown_network(row);
    for (const auto& [name, value] : row.options)
        if (!has(name) && !(name == "recipe" && by.preset)) by.obstacle = text("distill ", row.command, " has no option --", name);
    if (!asked.paper.empty() && by.preset) by.further += " --paper " + shell_word(asked.paper);
    if (!asked.data.empty()) by.further += " --data " + shell_word(asked.data);
    if (!asked.device.empty() && has("device")) by.further += " --device " + shell_word(asked.device);
    if (!asked.device.empty() && !has("device")) by.further += std::string(" --devices ") + (asked.device == "cpu" ? "cpu" : "auto");
    if (has("retrain-seeds")) by.once = true, by.further += " --retrain-seeds " + std::to_string(asked.seeds);
    for (const std::string& word : asked.further) by.further += ' ' + shell_word(word);
    return by;
}

void print_lines(const std::vector<PlannedLine>& lines, const Asked& asked) {
    std::vector<std::vector<std::string>> cells;
    for (const PlannedLine& line : lines) {
        if (asked.step > 0 && line.step != asked.step) continue;
        if (asked.commands && line.step > 0) std::printf("%s\n", line.command.c_str());
        cells.push_back({line.step > 0 ? std::to_string(line.step) : "", line.row->id, line.row->dataset,
                         line.step > 0 ? std::to_string(line.seed) : "", joined(line.needs, " "), line.command, line.reason});
    }
    if (!asked.commands) std::fputs(csv_text({"step", "id", "dataset", "seed", "needs", "command", "reason"}, cells).c_str(), stdout);
}

/// A row's runs take equally long, so one is measured.
void print_hours(const std::vector<PlannedLine>& lines, const Asked& asked) {
    std::map<const PaperRow*, int> runs;
    for (const PlannedLine& line : lines)
        if (line.step > 0 && (asked.step == 0 || line.step == asked.step)) ++runs[line.row];
    double sum = 0;
    for (const PlannedLine& line : lines) {
        const auto found = runs.find(line.row);
        if (found == runs.end() || line.seed > 0) continue;
        const double each = expected_hours(*line.row, asked.device.empty() ? "auto" : asked.device, asked.seeds);
        std::printf("%9.1f h%s  %s\n", each * found->second, found->second > 1 ? text(", ", found->second, " runs").c_str() : "",
                    line.row->id.c_str());
        std::fflush(stdout);
        sum += each * found->second;
    }
    std::printf("%9.1f h in all, one run after the other, by steps measured now\n", sum);
}

}  // namespace

void add_paper_commands(Subcommand app, const std::string& program) {
    const Subcommand paper = app.add_subcommand("paper", "the papers' numbers, and the trainings that reproduce them");
    paper.require_subcommand();
    const Subcommand sub = paper.add_subcommand("rows", "rows of data/paper, with a command line a run, each after what it needs");
    const auto asked = std::make_shared<Asked>();
    sub.add_option("WHAT", asked->what, "rows' ids, or files of data/paper by their names without .csv; by default all");
    sub.add_option("--paper", asked->paper, "folder of the papers' numbers, put into every line [data/paper, here or beside the program]");
    sub.add_option("--seeds", asked->seeds,
                   "seeds of a row; of a teacher as many as its students need; of a search those that train again what it found")
        .within(1, 1000);
    sub.add_option("--runs", asked->runs, "folder of the runs").shows_default();
    sub.add_flag("--commands", asked->commands, "the command lines alone, for GNU parallel, xargs, a batch queue");
    sub.add_option("--step", asked->step, "only these: step 1 needs nothing, step 2 what step 1 has made, …").within(1, 100);
    sub.add_flag("--hours", asked->hours, "instead: how long they take on this machine, from a few steps measured now");
    sub.add_option("--data", asked->data, "put into every line");
    sub.add_option("--device", asked->device, "put into every line; --hours measures there").one_of({"auto", "cpu", "cuda"});
    sub.add_option("--with", asked->further, "words behind every line: --with=--precision --with=bf16").one_word_each();
    sub.footer(
        "Each line starts its run, goes on with it, or leaves it, if it is finished: it may be given again.\n"
        "All lines of a step may run at once:\n"
        "  for step in 1 2 3; do distill paper rows mhgd --commands --step $step | parallel -j2; done");
    sub.callback([asked, app, program] {
        const std::vector<PaperRow> rows = load_paper(paper_folder(asked->paper));
        PlanOptions options;
        options.program = program;
        options.runs = asked->runs;
        options.seeds = asked->seeds;
        options.trained_by = [&](const PaperRow& row) { return trained_by(app, *asked, row); };
        const std::vector<PlannedLine> lines = plan_rows(rows, asked->what, options);
        asked->hours ? print_hours(lines, *asked) : print_lines(lines, *asked);
    });
}

}  // namespace distill
