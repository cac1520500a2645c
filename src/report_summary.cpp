#include "report_summary.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"
#include "method_table.h"
#include "report_likeness.h"
#include "search_space.h"

namespace distill {
namespace {

// ---- grouping

/// A graph counts by its networks and gates, not by the file it is in; a chain's stage by its number, not by the teacher from the stage
/// before, which is another one for each seed.
using Experiment = std::tuple<std::string, std::string, std::string, std::string, std::string, std::string, std::string>;
Experiment experiment_of(const Run& r) {
    return {r.dataset, r.student, r.teacher, r.method, r.stage, r.id, r.graph ? graph_line(*r.graph) : ""};
}

std::string unique_values(const std::vector<Run>& runs, std::string Run::*field) {
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
    std::vector<double> hours;
    for (const Run& run : runs) hours.push_back(run.seconds / 3600);
    group.last = spread(by_seed(runs, &Run::last));
    group.best = spread(by_seed(runs, &Run::best));
    group.hours = spread(hours).mean;
    group.devices = unique_values(runs, &Run::device);
    group.commits = unique_values(runs, &Run::commit);
    group.runs = std::move(runs);
    if (const std::string repeats = told_of_repeats(group); !repeats.empty()) group.notes.push_back(repeats);
    if (group.commits.find(", ") != std::string::npos) group.notes.push_back("runs of several commits");
    return group;
}

/// Says in `options` where groups of one experiment differ.
void name_differences(const std::vector<Group*>& groups) {
    std::map<std::string, std::set<std::string>> values;  // by option; absent is ""
    for (const Group* group : groups)
        for (const auto& [option, value] : substance_of(group->any())) values[option];
    for (auto& [option, seen] : values) {
        for (const Group* group : groups) seen.insert(value_of(substance_of(group->any()), option));
        if (seen.size() < 2) continue;
        const bool is_sum = starts_with(option, "info.");  // "info.teacher_sha256": its first digits tell enough
        for (Group* group : groups) {
            const std::string value = value_of(substance_of(group->any()), option);
            group->options += (group->options.empty() ? "" : ", ") + (is_sum ? option.substr(5) : option) + "=" +
                              (value.empty() ? "–"
                               : is_sum      ? value.substr(0, 8)
                                             : value);
        }
    }
}

// ---- joining

/// Is the run of the row's method and networks, the data set and the options aside?
bool is_experiment_of(const PaperRow& row, const Run& run) {
    if (row.method == "ktg-search") return run.method == "ktg" && run.student == row.student;  // with the networks that it found
    if (row.method_name() == "train") return is_trained_alone(run) && run.student == row.trained();
    const std::string by = value_of(row.options, "by");  // what a chain's stages train by, where it is not the command's method
    return (by.empty() ? row.method_name() : by) == run.method && run.teacher == row.teacher && run.student == row.student;
}

/// Is a count that is 0 by default anything else?
bool is_set(const Config& config, const std::string& option) {
    const std::string value = value_of(config, option);
    return !value.empty() && value != "0";
}

/// The images of the official set, training and test; 0 where its size is not fixed.
std::pair<int, int> official_images(const std::string& dataset) {
    if (dataset == "cifar10" || dataset == "cifar100") return {50000, 10000};
    return dataset == "tiny-imagenet" ? std::pair(100000, 10000) : std::pair(0, 0);
}

/// What the row says today and the run's options do not: it was trained by an older row of this id. Empty if there is none.
std::string other_row(const PaperRow& row, const Run& run) {
    for (const auto& [option, value] : row.options) {
        const bool compared = option != "recipe" && value.find('{') == std::string::npos && role_of(option) == Role::substance;
        if (const std::string trained = value_of(run.config, option); compared && trained != value && !same_floats(trained, value))
            return "trained with " + option + " " + (trained.empty() ? "–" : trained) + ", the row has " + value + " now";
    }
    return "";
}

/// Why a run of the row's experiment was not trained as the paper's was; empty if it was.
std::string other_recipe(const PaperRow& row, const Run& run) {
    const bool has_preset = row.method != "ktg-search";  // which graph a search found is not on file
    if (has_preset && value_of(run.config, "preset") != row.id) return "not trained with --preset " + row.id;
    if (!has_option(run.config, "info.by_hand")) return "what was given by hand beside the preset is not on file";
    if (const std::string by_hand = value_of(run.config, "info.by_hand"); !by_hand.empty()) return "not the paper's recipe: " + by_hand;
    if (const std::string other = other_row(row, run); has_preset && !other.empty()) return other;
    for (int i = 0; run.graph && i < run.graph->size(); ++i)
        if (run.graph->is_trained(i) && !run.graph->node(i).weights.empty()) return text("its node ", i, " began from trained weights");
    const auto [train, test] = official_images(row.dataset);
    const std::string ours = value_of(run.config, "info.train_images"), tested = test_images(run);
    if (train > 0 && (ours != std::to_string(train) || tested != std::to_string(test)))
        return text("not the official images: ", ours, " for training and ", tested, " for testing, not ", train, " and ", test);
    return "";
}

/// Why the group does not stand beside the row with its id; empty if it does. `named`: null if there is no such row.
std::string not_the_papers(const Run& run, const PaperRow* named, const std::vector<PaperRow>& paper) {
    const bool known_data = std::any_of(paper.begin(), paper.end(), [&](const PaperRow& row) { return row.dataset == run.dataset; });
    if (named ? named->dataset != run.dataset : !known_data) return "stand-in data";
    if (run.id.empty()) return "no experiment id";
    if (!named) return "no row of data/paper has this id";
    if (!is_experiment_of(*named, run)) return "not the networks or the method of the row that its id names";
    if (is_set(run.config, "val")) return "tested on records held out of the training set (--val)";
    if (is_set(run.config, "max-steps")) return "cut short by --max-steps";
    return other_recipe(*named, run);
}

void join_paper(Group& group, const std::vector<PaperRow>& paper) {
    const Run& run = group.any();
    const auto found = std::find_if(paper.begin(), paper.end(), [&](const PaperRow& row) { return !run.id.empty() && row.id == run.id; });
    const PaperRow* const named = found == paper.end() ? nullptr : &*found;
    const std::string reason = not_the_papers(run, named, paper);
    if (!reason.empty()) group.notes.push_back(reason + ": compare the gain over the student alone");
    if (!named) return;

    group.paper = *named;
    group.is_the_papers = reason.empty();
    if (!named->value) return;
    if (reason.empty()) group.difference = (group.compared_by_best() ? group.best : group.last).mean - *named->value;
    const PaperRow* alone = student_alone(paper, *named);
    if (alone && alone->value && named->method != "student" && named->method != "teacher") group.paper_gain = *named->value - *alone->value;
}

void join_student_alone(Group& group, const std::vector<Group>& groups) {
    const auto fits = [&](const Run& run) {
        return is_trained_alone(run) && run.dataset == group.any().dataset && run.student == group.any().student &&
               (start_file(run).empty() || start_file(run) == start_file(group.any()));
    };
    const Group* alone = is_trained_alone(group.any()) ? nullptr : nearest_group(groups, group, fits);
    if (!alone) return;
    if (const auto differences = recipe_differences(group.any(), alone->any()); !differences.empty()) {
        group.notes.push_back("no gain: " + alone->name() + ", the nearest student alone, has " + told(differences));
        return;
    }
    group.student_alone = alone->name();
    group.gain_last = group.last.mean - alone->last.mean;
    group.gain_best = group.best.mean - alone->best.mean;
    group.above_alone = compare(group, *alone);
}

}  // namespace

void tell_apart(const std::vector<Group*>& groups) {
    std::map<Experiment, std::vector<Group*>> experiments;
    for (Group* group : groups) experiments[experiment_of(group->any())].push_back(group);
    for (const auto& [experiment, its] : experiments) name_differences(its);
}

Report summarize(std::vector<Run> runs, const std::vector<PaperRow>& paper) {
    Report report;
    std::map<std::pair<Experiment, Config>, std::vector<Run>> alike;
    for (Run& run : runs) {
        if (!run.fault.empty())
            report.faults.push_back({run.folder, run.fault});
        else if (run.finished)
            alike[{experiment_of(run), substance_of(run)}].push_back(std::move(run));
        else
            report.unfinished.push_back(std::move(run));
    }
    for (auto& [key, members] : alike) report.groups.push_back(make_group(std::move(members)));
    std::vector<Group*> groups;
    for (Group& group : report.groups) groups.push_back(&group);
    tell_apart(groups);
    for (Group& group : report.groups) join_paper(group, paper);
    for (Group& group : report.groups) join_student_alone(group, report.groups);
    report.paper = paper;
    return report;
}

}  // namespace distill
