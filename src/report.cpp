#include "report.h"

#include <algorithm>

#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"

namespace distill {
namespace {

std::string stage_of(const Run& run) { return run.stage.empty() ? "" : ", stage " + run.stage; }

}  // namespace

bool is_trained_alone(const Run& run) { return (run.method == "train" || run.method == "ktg") && run.teacher.empty(); }

std::string counted(const std::string& teachers) {
    const std::vector<std::string> all = split(teachers, '+');
    const bool alike = std::all_of(all.begin(), all.end(), [&](const std::string& t) { return t == all.front(); });
    return alike && all.size() > 1 ? text(all.size(), " × ", all.front()) : teachers;
}

std::string label(const Run& run) {
    if (is_trained_alone(run)) return "trained alone";
    if (run.graph_name.find('/') != std::string::npos) return "graph " + run.graph_name;  // a search's; drawn with its networks
    if (!run.graph_name.empty()) return "graph " + run.graph_name + " with " + run.teacher;
    return (run.teacher.empty() ? run.method : run.method + " from " + counted(run.teacher)) + stage_of(run);
}

int64_t Run::stage_number() const { return parsed_whole(stage).value_or(0); }

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

std::string Group::epochs() const { return any().epochs.empty() ? value_of(any().config, "epochs") : std::to_string(any().epochs.size()); }

std::string format_points(const std::optional<double>& difference) { return difference ? signed_fixed(*difference) : "–"; }

std::string format_hours(double hours) { return duration(hours * 3600); }

}  // namespace distill
