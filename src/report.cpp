#include "report.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "csv.h"
#include "error.h"
#include "files.h"
#include "nearest.h"
#include "progress.h"
#include "report_feed.h"
#include "report_html.h"
#include "report_ktg.h"
#include "search_space.h"

namespace distill {
namespace {

// ---- reading run folders

/// A cell that must be finite and within [low, high].
double bounded(const CsvTable& table, size_t row, const std::string& column, double low, double high) {
    const double value = table.cell_number(row, column);
    if (!(value >= low && value <= high))
        input_error(table.path.string(), ": row ", row + 1, ", column '", column, "': found ", value, ", expected ", low, " to ", high);
    return value;
}

std::vector<Epoch> read_epochs(const fs::path& file) {
    const CsvTable table = read_csv(file);
    std::vector<Epoch> epochs;
    table.column("epoch"), table.column("train_loss"), table.column("test_acc");  // also where there is no row yet
    for (size_t r = 0; r < table.rows.size(); ++r) {
        if (table.cell_number(r, "epoch") != static_cast<double>(r))
            input_error(file.string(), ": row ", r + 1, ": found epoch ", table.cell(r, "epoch"), ", expected ", r,
                        " (one row an epoch, from 0); the file was edited or two runs wrote it");
        epochs.push_back({table.cell_number(r, "train_loss"), bounded(table, r, "test_acc", 0, 100)});
    }
    return epochs;
}

/// The columns of result.csv that are text. What config.csv has of them stands for an unfinished run.
const std::vector<std::pair<const char*, std::string Run::*>> text_fields = {
    {"id", &Run::id},         {"dataset", &Run::dataset}, {"teacher", &Run::teacher}, {"student", &Run::student},
    {"method", &Run::method}, {"seed", &Run::seed},       {"device", &Run::device},   {"precision", &Run::precision},
    {"commit", &Run::commit}};

Run read_run(const fs::path& folder) {
    Run run;
    run.folder = folder;
    run.finished = fs::exists(folder / "result.csv");
    run.config = read_config(folder / "config.csv");
    run.stage = value_of(run.config, "info.stage");
    if (!run.stage.empty() && !parsed_whole(run.stage))
        input_error((folder / "config.csv").string(), ": option 'info.stage': found '", run.stage, "', expected a whole number");
    if (fs::exists(folder / "epochs.csv")) run.epochs = read_epochs(folder / "epochs.csv");
    if (!run.finished) {
        for (const auto& [name, field] : text_fields) run.*field = value_of(run.config, name);
        if (run.student.empty()) run.student = value_of(run.config, "net");  // the option's other name
        read_graph_of(run);
        return run;
    }
    const CsvTable result = read_csv(folder / "result.csv");
    if (result.rows.size() != 1) input_error(result.path.string(), ": found ", result.rows.size(), " rows, expected one");
    for (const auto& [name, field] : text_fields) run.*field = result.cell(0, name);
    run.last = bounded(result, 0, "last", 0, 100);
    run.best = bounded(result, 0, "best", 0, 100);
    run.seconds = bounded(result, 0, "seconds", 0, 1e12);
    read_graph_of(run);
    return run;
}

// ---- grouping

/// A graph counts by its networks and gates, not by the file it is in; a chain's stage by its number, not by the teacher from the stage
/// before, which is another one for each seed.
using Experiment = std::tuple<std::string, std::string, std::string, std::string, std::string, std::string, std::string>;
Experiment experiment_of(const Run& r) {
    return {r.dataset, r.student, r.teacher, r.method, r.stage, r.id, r.graph ? graph_line(*r.graph) : ""};
}

Config substance_of(const Run& run) {
    Config config;
    std::copy_if(run.config.begin(), run.config.end(), std::back_inserter(config), [&](const auto& o) {
        const bool from_stage = !run.stage.empty() && run.stage != "1";
        return !is_circumstance(o.first) && !(run.graph && (o.first == "graph" || o.first == "models")) &&
               !(from_stage && o.first == "teachers");
    });
    std::sort(config.begin(), config.end());
    config.emplace_back("precision", run.precision);
    return config;
}

std::string unique_values(const std::vector<Run>& runs, std::string Run::* field) {
    std::set<std::string> values;
    for (const Run& run : runs) values.insert(run.*field);
    return joined({values.begin(), values.end()});
}

bool seed_order(const Run& a, const Run& b) {  // s2 before s10; seeds that are no numbers by text
    return std::tuple(a.seed.size(), a.seed, a.folder) < std::tuple(b.seed.size(), b.seed, b.folder);
}

Group make_group(std::vector<Run> runs) {
    Group group;
    std::sort(runs.begin(), runs.end(), seed_order);
    std::vector<double> last, best, hours;
    for (const Run& run : runs) last.push_back(run.last), best.push_back(run.best), hours.push_back(run.seconds / 3600);
    group.last = spread(last);
    group.best = spread(best);
    group.hours = spread(hours).mean;
    group.devices = unique_values(runs, &Run::device);
    group.commits = unique_values(runs, &Run::commit);
    for (size_t i = 1; i < runs.size(); ++i)
        if (runs[i].seed == runs[i - 1].seed) {
            group.notes.push_back("a seed is there more than once, so the deviation is not one over independent runs");
            break;
        }
    if (group.commits.find(", ") != std::string::npos) group.notes.push_back("runs of several commits");
    group.runs = std::move(runs);
    return group;
}

/// Says in `options` where the groups [first, last) of one experiment differ.
void name_differences(std::vector<Group>::iterator first, std::vector<Group>::iterator last) {
    std::map<std::string, std::set<std::string>> values;  // by option; absent is ""
    for (auto group = first; group != last; ++group)
        for (const auto& [option, value] : substance_of(group->any())) values[option];
    for (auto& [option, seen] : values) {
        for (auto group = first; group != last; ++group) seen.insert(value_of(substance_of(group->any()), option));
        if (seen.size() < 2) continue;
        for (auto group = first; group != last; ++group) {
            const std::string value = value_of(substance_of(group->any()), option);
            group->options += (group->options.empty() ? "" : ", ") + option + "=" + (value.empty() ? "–" : value);
        }
    }
}

// ---- joining

/// Is the run what the row describes, the data set aside? Rows such as `reviewkd-r` and `mhgd-heads-4` are variants of the method before the
/// dash; kd-svd is none of kd.
bool is_experiment_of(const PaperRow& row, const Run& run) {
    if (row.method == "student") return is_trained_alone(run) && run.student == row.student;
    if (row.method == "teacher") return is_trained_alone(run) && run.student == row.teacher;
    if (row.method == "ktg-search") return run.method == "ktg" && run.student == row.student;  // with the networks that it found
    const bool variant = run.method != "kd" && row.method.rfind(run.method + "-", 0) == 0, method = row.method == run.method || variant;
    return method && run.teacher == row.teacher && run.student == row.student;
}

/// Is a count that is 0 by default anything else?
bool is_set(const Config& config, const std::string& option) {
    const std::string value = value_of(config, option);
    return !value.empty() && value != "0";
}

void join_paper(Group& group, const std::vector<PaperRow>& paper) {
    const Run& run = group.any();
    const auto named = std::find_if(paper.begin(), paper.end(), [&](const PaperRow& row) { return !run.id.empty() && row.id == run.id; });
    const bool known_data = std::any_of(paper.begin(), paper.end(), [&](const PaperRow& row) { return row.dataset == run.dataset; });
    const bool found = named != paper.end();
    std::string reason;
    if (found ? named->dataset != run.dataset : !known_data)
        reason = "stand-in data";
    else if (run.id.empty())
        reason = "no experiment id";
    else if (!found)
        reason = "no row of data/paper has this id";
    else if (!is_experiment_of(*named, run))
        reason = "not the networks or the method of the row that its id names";
    else if (is_set(run.config, "val"))
        reason = "tested on records held out of the training set (--val)";
    else if (is_set(run.config, "max-steps"))
        reason = "cut short by --max-steps";
    if (!reason.empty()) group.notes.push_back(reason + ": compare the gain over the student alone");
    if (!found) return;

    group.paper = *named;
    const bool top1 = named->metric == "top1" || named->metric == "top1_best";
    if (!named->value || !top1) return;
    if (reason.empty()) group.difference = (group.compared_by_best() ? group.best : group.last).mean - *named->value;
    const PaperRow* alone = student_alone(paper, *named);
    if (alone && alone->value && named->method != "student" && named->method != "teacher") group.paper_gain = *named->value - *alone->value;
}

void join_student_alone(Group& group, const std::vector<Group>& groups) {
    const auto fits = [&](const Run& run) {
        return is_trained_alone(run) && run.dataset == group.any().dataset && run.student == group.any().student;
    };
    const Group* alone = is_trained_alone(group.any()) ? nullptr : nearest_group(groups, group, fits);
    if (!alone) return;
    group.student_alone = alone->name();
    group.gain_last = group.last.mean - alone->last.mean;
    group.gain_best = group.best.mean - alone->best.mean;
    const size_t ours = group.any().epochs.size(), theirs = alone->any().epochs.size();
    if (ours != theirs) group.notes.push_back(text("gain of ", ours, " epochs over a student alone of ", theirs));
}

// ---- text

using Cells = std::vector<std::string>;

/// "net+net+net" as "3 × net"; different ones stay as they are.
std::string counted(const std::string& teachers) {
    const std::vector<std::string> all = split(teachers, '+');
    const bool alike = std::all_of(all.begin(), all.end(), [&](const std::string& t) { return t == all.front(); });
    return alike && all.size() > 1 ? text(all.size(), " × ", all.front()) : teachers;
}

std::string stage_of(const Run& run) { return run.stage.empty() ? "" : ", stage " + run.stage; }

std::string number_or_empty(const std::optional<double>& value) { return value ? number(*value) : ""; }

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    char buffer[32];
    std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    return buffer;
}

}  // namespace

std::string points(const std::optional<double>& difference) {
    if (!difference) return "–";
    const std::string size = fixed(std::abs(*difference));
    return (*difference < 0 && size != "0.00" ? "−" : "+") + size;
}

std::string clock_time(double hours) { return duration(hours * 3600); }

bool is_trained_alone(const Run& run) { return (run.method == "train" || run.method == "ktg") && run.teacher.empty(); }

std::string label(const Run& run) {
    if (is_trained_alone(run)) return "trained alone";
    if (run.graph_name.find('/') != std::string::npos) return "graph " + run.graph_name;  // a search's; drawn with its networks
    if (!run.graph_name.empty()) return "graph " + run.graph_name + " with " + run.teacher;
    return (run.teacher.empty() ? run.method : run.method + " from " + counted(run.teacher)) + stage_of(run);
}

std::string Group::name() const {
    const Run& run = any();
    std::string all = run.id + stage_of(run);
    if (run.id.empty())
        all = run.dataset + " " + (run.teacher.empty() ? "" : counted(run.teacher) + "→") + run.student + " " + run.method + stage_of(run) +
              (run.graph_name.empty() ? "" : " " + run.graph_name);
    else if (!paper || paper->dataset != run.dataset)
        all += " on " + run.dataset;
    return options.empty() ? all : all + " [" + options + "]";
}

Spread spread(const std::vector<double>& values) {
    const double n = static_cast<double>(values.size());
    double sum = 0, squares = 0;
    for (double v : values) sum += v;
    for (double v : values) squares += (v - sum / n) * (v - sum / n);
    return {sum / n, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0.0, values.size()};
}

std::string mean_and_deviation(const Spread& s) { return s.n > 1 ? fixed(s.mean) + " ± " + fixed(s.deviation) : fixed(s.mean); }

std::vector<Run> collect_runs(const std::vector<fs::path>& folders) {
    std::map<fs::path, fs::path> found;  // by canonical path: a folder named twice counts once
    bool search = false;
    const auto look = [&](const fs::path& folder) {
        if (fs::exists(folder / "result.csv") || fs::exists(folder / "epochs.csv")) found.emplace(fs::canonical(folder), folder);
        search |= fs::exists(folder / "journal.csv");
    };
    for (const fs::path& folder : folders) {
        if (!fs::is_directory(folder)) input_error(folder.string(), ": is no folder, expected a run folder or one with run folders in it");
        look(folder);
        for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
            if (!at->is_directory()) continue;
            // A search's trials, and what they needed, are its journal's; what it trained in the end are runs like others.
            const fs::path parent = at->path().parent_path(), name = at->path().filename();
            const bool of_search = fs::exists(parent / "journal.csv") || fs::exists(parent / "retrained");
            if (of_search && (name == "trials" || name == "pretrained" || name == "teachers"))
                at.disable_recursion_pending();
            else
                look(at->path());
        }
    }
    std::vector<Run> runs;
    for (const auto& [canonical, folder] : found) runs.push_back(read_run(folder));
    if (runs.empty() && !search)
        input_error("no run found in ", folders.empty() ? "no folder at all" : folders.front().string(),
                    folders.size() > 1 ? " and the other folders" : "", ": expected a result.csv or epochs.csv in it or below");
    return runs;
}

const Group* nearest_group(const std::vector<Group>& groups, const Group& group, const std::function<bool(const Run&)>& fits) {
    const Group* nearest = nullptr;
    size_t fewest = 0;
    for (const Group& other : groups) {
        if (!fits(other.any())) continue;
        const Config theirs = substance_of(other.any());
        size_t differing = 0;
        for (const auto& [option, value] : substance_of(group.any()))
            for (const auto& [their_option, their_value] : theirs) differing += option == their_option && value != their_value;
        if (!nearest || differing < fewest) nearest = &other, fewest = differing;
    }
    return nearest;
}

Report summarize(std::vector<Run> runs, const std::vector<PaperRow>& paper) {
    Report report;
    std::map<std::pair<Experiment, Config>, std::vector<Run>> alike;
    for (Run& run : runs) {
        if (run.finished)
            alike[{experiment_of(run), substance_of(run)}].push_back(std::move(run));
        else
            report.unfinished.push_back(std::move(run));
    }
    for (auto& [key, members] : alike) report.groups.push_back(make_group(std::move(members)));
    for (auto first = report.groups.begin(); first != report.groups.end();) {
        const auto last = std::find_if(first, report.groups.end(),
                                       [&](const Group& g) { return experiment_of(g.any()) != experiment_of(first->any()); });
        name_differences(first, last);
        first = last;
    }
    for (Group& group : report.groups) join_paper(group, paper);
    for (Group& group : report.groups) join_student_alone(group, report.groups);
    report.paper = paper;
    return report;
}

void write_text(std::ostream& out, const Report& report) {
    std::vector<Cells> rows = {{"experiment", "epochs", "paper", "last", "best on test", "n", "compared", "difference", "gain last",
                                "gain best", "paper's gain", "time", "device", "note"}};
    std::vector<std::string> notes;
    for (const Group& g : report.groups) {
        std::string marks;
        for (const std::string& note : g.notes) {
            auto at = std::find(notes.begin(), notes.end(), note);
            if (at == notes.end()) at = notes.insert(at, note);
            marks += (marks.empty() ? "" : ",") + std::to_string(at - notes.begin() + 1);
        }
        const bool on_file = g.paper && g.paper->value;
        const std::string paper = on_file ? mean_and_deviation({*g.paper->value, g.paper->std.value_or(0), g.paper->std ? 2u : 1u}) : "–";
        rows.push_back({g.name(), std::to_string(g.any().epochs.size()), paper, mean_and_deviation(g.last), mean_and_deviation(g.best),
                        std::to_string(g.last.n), g.difference ? (g.compared_by_best() ? "best" : "last") : "–", points(g.difference),
                        points(g.gain_last), points(g.gain_best), points(g.paper_gain), clock_time(g.hours), g.devices, marks});
    }
    if (!report.groups.empty()) {
        out << aligned(rows, {1, 5, 6, 7, 8, 9, 10, 11});
        out << "\nTop-1 accuracy on the test set in %, mean ± sample standard deviation of n runs; differences and gains (over the "
               "student alone) in points; time of one run, h:mm:ss.\n";
    }
    for (size_t i = 0; i < notes.size(); ++i) out << i + 1 << "  " << notes[i] << '\n';
    if (report.unfinished.empty()) return;
    if (!report.groups.empty()) out << '\n';
    rows = {{"unfinished run", "last epoch", "of", "test accuracy"}};
    for (const Run& run : report.unfinished) {
        const bool begun = !run.epochs.empty();
        rows.push_back({run.folder.string(), begun ? std::to_string(run.epochs.size() - 1) : "–", value_of(run.config, "epochs"),
                        begun ? fixed(run.epochs.back().test_acc) : "–"});
    }
    out << aligned(rows, {1, 2, 3});
}

void write_csv(const fs::path& file, const Report& report) {
    const Cells columns = {"experiment", "status",    "id",         "dataset",       "teacher",   "student",  "method",
                           "options",    "epochs",    "paper",      "paper_std",     "paper_metric", "last_mean", "last_std",
                           "best_mean",  "best_std",  "n",          "difference",    "gain_last", "gain_best", "paper_gain",
                           "student_alone", "hours",  "device",     "precision",     "commit",    "note"};
    std::vector<Cells> rows;
    for (const Group& g : report.groups) {
        const Run& run = g.any();
        const auto deviation = [](const Spread& s) { return s.n > 1 ? number(s.deviation) : ""; };
        rows.push_back({g.name(), "finished", run.id, run.dataset, run.teacher, run.student, run.method, g.options,
                        std::to_string(run.epochs.size()), g.paper ? number_or_empty(g.paper->value) : "",
                        g.paper ? number_or_empty(g.paper->std) : "", g.paper ? g.paper->metric : "", number(g.last.mean), deviation(g.last),
                        number(g.best.mean), deviation(g.best), std::to_string(g.last.n), number_or_empty(g.difference),
                        number_or_empty(g.gain_last), number_or_empty(g.gain_best), number_or_empty(g.paper_gain), g.student_alone,
                        number(g.hours), g.devices, run.precision, g.commits, joined(g.notes, "; ")});
    }
    for (const Run& run : report.unfinished) {
        rows.push_back({run.folder.string(), "unfinished", run.id, run.dataset, run.teacher, run.student, run.method, "",
                        std::to_string(run.epochs.size())});
        rows.back().resize(columns.size());
    }
    write_file_atomically(file, csv_text(columns, rows));
}

void add_report_command(CLI::App& app) {
    struct Options {
        std::vector<fs::path> runs;
        fs::path csv, html, paper;
    };
    CLI::App* command = app.add_subcommand("report", "Runs beside the papers' numbers: a table, a CSV, one HTML page");
    auto options = std::make_shared<Options>();
    command->add_option("RUNS", options->runs, "run folders, or folders with run folders in them")->required();
    command->add_option("--csv", options->csv, "write the table as CSV to this file");
    command->add_option("--html", options->html, "write one self-contained page with learning curves to this file");
    command->add_option("--paper", options->paper, "folder of the papers' numbers [data/paper, here or beside the program]");
    command->callback([options] {
        Report report = summarize(collect_runs(options->runs), load_paper(paper_folder(options->paper)));
        report.searches = collect_searches(options->runs);
        write_text(std::cout, report);
        write_feed(std::cout, feed_studies(report));
        write_searches(std::cout, report.searches);
        if (!options->csv.empty()) write_csv(options->csv, report);
        if (!options->html.empty()) write_file_atomically(options->html, html_page(report, utc_now()));
    });
}

}  // namespace distill
