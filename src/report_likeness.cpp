#include "report_likeness.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "method_table.h"

namespace distill {
namespace {

bool is_content(const std::string& option) { return starts_with(option, "info.") && is_checksum(option); }

/// Are a student's, or a graph's target's, start weights drawn, and from its seed, role and generation alone?
bool starts_by_key(const Run& run) {
    const std::string role = value_of(run.config, "info.role");
    if (!start_file(run).empty()) return false;
    if (role == "graph") return run.graph && run.graph->is_trained(0);
    return role == "student";
}

/// For each seed what start weights and order follow from; nothing where they follow from more, or two runs of a seed differ in it.
std::optional<std::map<std::string, std::vector<std::string>>> starts_of(const Group& group) {
    std::map<std::string, std::vector<std::string>> all;
    for (const Run& run : group.runs) {
        std::vector<std::string> facts;
        for (const char* option : {"info.start_key", "info.role", "info.generation", "info.data_sha256", "batch", "shuffle"})
            facts.push_back(value_of(run.config, option));
        const bool on_file = std::find(facts.begin(), facts.end(), "") == facts.end();
        facts.push_back(run.student);
        if (!on_file || !starts_by_key(run) || all.emplace(run.seed, facts).first->second != facts) return {};
    }
    return all;
}

/// Is the option a path to what the run has on file by content?
bool is_known_by_content(const Run& run, const std::string& option, const std::string& value) {
    const auto on_file = [&](const std::string& name) { return !value_of(run.config, "info." + name + "_sha256").empty(); };
    const Places places = places_of(option);
    if (places == Places::whole) return on_file(option == "teacher-weights" ? "teacher" : option);
    if (places == Places::listed) return on_file(option == "teachers" ? "teacher0" : option);
    if (places != Places::assigned) return false;
    // Of a graph's nodes the frozen ones alone are on file.
    const auto parts = split(value, ',');
    return std::all_of(parts.begin(), parts.end(),
                       [&](const std::string& part) { return on_file("node" + part.substr(0, part.find('='))); });
}

bool is_later_stage(const Run& run) { return !run.stage.empty() && run.stage != "1"; }

/// Options of every method's training; the rest is the method's own.
const char* const recipe_options[] = {"epochs",    "batch",   "lr",       "lr-steps", "momentum",  "weight-decay", "nesterov",
                                      "normalize", "augment", "crop-pad", "shuffle",  "drop-last", "max-steps",    "val"};

}  // namespace

Config substance_of(const Run& run) {
    Config config;
    for (const auto& [option, value] : run.config) {
        const bool of_teachers =
            option == "teachers" || option == "teacher-weights" || (is_content(option) && option != "info.data_sha256");
        const bool of_graph = run.graph && (option == "graph" || option == "models");
        if (option == "teacher" || value.empty() || of_graph || (of_teachers && is_later_stage(run))) continue;  // run.teacher says it
        if (is_known_by_content(run, option, value)) continue;
        if (is_content(option) || !is_circumstance(option)) config.emplace_back(option, value);
    }
    std::sort(config.begin(), config.end());
    config.erase(std::unique(config.begin(), config.end()),
                 config.end());  // kd's method is its option --method, too; not in a table of runs
    // A search's runs know the files of their frozen nodes by place alone.
    for (int i = 0; run.graph && i < run.graph->size(); ++i) {
        const fs::path& file = run.graph->node(i).weights;
        if (run.graph->is_frozen(i) && !file.empty() && value_of(run.config, text("info.node", i, "_sha256")).empty())
            config.emplace_back(text("node", i), fs::weakly_canonical(file).string());
    }
    config.emplace_back("role", value_of(run.config, "info.role") == "teacher" ? "teacher" : "");  // a student of its seed starts otherwise
    // Other roundings than everybody's: a CPU's without minimal filtering, as before there was any.
    config.emplace_back("winograd", run.device == "cpu" && value_of(run.config, "winograd") != "on" ? "off" : "on");
    config.emplace_back("precision", run.precision);
    return config;
}

std::vector<std::string> teacher_contents(const Run& run) {
    std::vector<std::string> contents;
    for (size_t i = 0;; ++i) {
        const std::string sum = value_of(run.config, text("info.teacher", i, "_sha256"));
        if (sum.empty()) break;
        contents.push_back(sum);
    }
    return contents.empty() ? split(value_of(run.config, "teachers"), ',') : contents;
}

std::string start_file(const Run& run) {
    const bool of_graph = run.graph && run.graph->is_trained(0);
    const std::string content = value_of(run.config, of_graph ? "info.node0_sha256" : "info.init_sha256");
    if (!content.empty()) return content;
    return of_graph ? run.graph->node(0).weights.string() : value_of(run.config, "init");
}

std::string test_images(const Run& run) { return value_of(run.config, "info.test_images"); }

std::vector<RecipeDifference> recipe_differences(const Run& ours, const Run& theirs) {
    std::vector<RecipeDifference> all;
    const auto add = [&](const std::string& option, const std::string& mine, const std::string& other) {
        if (mine != other) all.push_back({option, mine.empty() ? "–" : mine, other.empty() ? "–" : other});
    };
    for (const char* option : recipe_options)
        if (has_option(ours.config, option) && has_option(theirs.config, option))
            add(option, value_of(ours.config, option), value_of(theirs.config, option));
    add("precision", ours.precision, theirs.precision);
    if (all.empty() && !ours.epochs.empty() && !theirs.epochs.empty())
        add("epochs trained", std::to_string(ours.epochs.size()), std::to_string(theirs.epochs.size()));
    const auto add_file = [&](const char* what, const char* option) {
        const std::string mine = value_of(ours.config, option), other = value_of(theirs.config, option);
        if (!mine.empty() && !other.empty()) add(what, mine.substr(0, 8), other.substr(0, 8));
    };
    add_file("images of SHA-256", "info.data_sha256");
    if (!is_later_stage(ours) && !is_later_stage(theirs)) add_file("a teacher of SHA-256", "info.teacher_sha256");
    return all;
}

std::string told(const std::vector<RecipeDifference>& differences) {
    std::vector<std::string> words;
    for (const RecipeDifference& d : differences) words.push_back(text(d.option, " ", d.theirs, " (here ", d.ours, ")"));
    return joined(words);
}

const Group* nearest_group(const std::vector<Group>& groups, const Group& group, const std::function<bool(const Run&)>& fits) {
    const Group* nearest = nullptr;
    std::pair<size_t, size_t> fewest;
    const Config ours = substance_of(group.any());
    for (const Group& other : groups) {
        if (!fits(other.any())) continue;
        size_t options = 0;
        for (const auto& [option, value] : ours)
            for (const auto& [their_option, their_value] : substance_of(other.any()))
                options += option == their_option && value != their_value;
        const std::pair<size_t, size_t> differing(recipe_differences(group.any(), other.any()).size(), options);
        if (!nearest || differing < fewest) nearest = &other, fewest = differing;
    }
    return nearest;
}

std::vector<double> by_seed(const std::vector<Run>& runs, double Run::*figure) {
    std::vector<double> means;
    for (auto first = runs.begin(); first != runs.end();) {
        const auto end = std::find_if(first, runs.end(), [&](const Run& run) { return run.seed != first->seed; });
        std::vector<double> own;
        for (auto run = first; run != end; ++run) own.push_back(*run.*figure);
        means.push_back(spread(own).mean);
        first = end;
    }
    return means;
}

std::string told_of_repeats(const Group& group) {
    if (group.last.n == group.runs.size()) return "";
    return text(group.runs.size(), " runs of ", group.last.n, group.last.n == 1 ? " seed" : " seeds",
                ": those of one seed count once, with their mean");
}

bool share_start_and_order(const Group& a, const Group& b) {
    const auto ours = starts_of(a);
    return ours && ours == starts_of(b);
}

Comparison compare(const Group& a, const Group& b) {
    if (!share_start_and_order(a, b)) return compare_independent(a.last, b.last);
    return compare_paired(by_seed(a.runs, &Run::last), by_seed(b.runs, &Run::last));
}

}  // namespace distill
