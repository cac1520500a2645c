#include "train_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

#include "base_error.h"
#include "base_nearest.h"

namespace distill {
namespace {

int whole(const OptionTable& table, const std::string& option) {
    const std::string value = table.otherwise(option);
    const std::optional<int64_t> parsed = parsed_whole(value);
    if (!parsed) input_error("--", option, ": found '", value, "', expected a whole number");
    return static_cast<int>(*parsed);
}

/// `part` of `usual` epochs, of `epochs`.
int scaled(int part, int usual, int epochs) { return static_cast<int>(std::lround(static_cast<double>(part) * epochs / usual)); }

std::string scaled_steps(const std::string& usual_steps, int usual, int epochs) {
    std::set<int> steps;
    for (const int step : parse_lr_steps(usual_steps))
        if (const int now = scaled(step, usual, epochs); now >= 1 && now < epochs) steps.insert(now);
    std::vector<std::string> words;
    for (const int step : steps) words.push_back(std::to_string(step));
    return joined(words, ",");
}

/// What a run is of, not how it is trained; and what the report looks at by itself.
bool is_subject(const std::string& option) {
    static const std::set<std::string> names = {"student", "teacher", "dataset",   "id",      "teacher-weights", "teachers",
                                                "models",  "weights", "max-steps", "val",     "deterministic",   "run",
                                                "resume",  "quiet",   "runs",      "students", "side-by-side"};
    return names.count(option) > 0 || is_circumstance(option);
}

}  // namespace

std::string scale_with_epochs(const OptionTable& table, Options& o) {
    const int usual = whole(table, "epochs");
    if (usual == o.epochs || usual < 1) return "";
    std::vector<std::string> changes;
    const auto changed = [&](const char* option, const std::string& before, const std::string& after) {
        if (before != after) changes.push_back(text("--", option, " ", before, " to ", after.empty() ? "none" : after));
    };
    if (const std::string steps = table.otherwise("lr-steps"); !table.given("lr-steps") && !steps.empty()) {
        o.lr_steps = scaled_steps(steps, usual, o.epochs);
        changed("lr-steps", steps, o.lr_steps);
    }
    if (table.has("kd-warmup") && !table.given("kd-warmup")) {
        const int warmup = whole(table, "kd-warmup");
        o.kd_warmup = warmup > 0 ? std::min(std::max(1, scaled(warmup, usual, o.epochs)), o.epochs - 1) : 0;
        changed("kd-warmup", std::to_string(warmup), std::to_string(o.kd_warmup));
    }
    if (changes.empty()) return "";
    return text("note: --epochs ", o.epochs, " instead of ", usual, ": scaled ", joined(changes), "; give them by hand to have others\n");
}

void note_late_milestones(const Options& o) {
    std::vector<std::string> late;
    for (const int step : parse_lr_steps(o.lr_steps))
        if (step >= o.epochs) late.push_back(std::to_string(step));
    if (!late.empty())
        std::printf("note: of --lr-steps %s, %s lie beyond the last epoch (%d) and change nothing\n", o.lr_steps.c_str(),
                    joined(late).c_str(), o.epochs - 1);
}

std::string told_by_hand(const OptionTable& table, const Options& o) {
    std::vector<std::string> differing;
    for (const auto& [option, value] : table.values()) {
        const bool may_differ = table.given(option) || option == "lr-steps" || option == "kd-warmup";
        // Without a preset every graph is named by hand.
        if (!may_differ || is_subject(option) || (option == "graph" && o.preset.empty())) continue;
        if (const std::string usual = table.otherwise(option); usual != value)
            differing.push_back(text(option, "=", value.empty() ? "–" : value, " (", usual.empty() ? "–" : usual, ")"));
    }
    return joined(differing, "; ");
}

std::string told_before(const Config& config) {
    for (const auto& [option, value] : config)
        if (option == "info.by_hand") return value;
    return "not on file";
}

}  // namespace distill
