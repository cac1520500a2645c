#include "train_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

#include "base_error.h"
#include "base_texts.h"

namespace distill {
namespace {

constexpr const char* not_on_file = "not on file";

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

std::string scaled_warmup(int warmup, int usual, int epochs) {
    return std::to_string(warmup > 0 ? std::min(std::max(1, scaled(warmup, usual, epochs)), epochs - 1) : 0);
}

}  // namespace

std::string scale_with_epochs(OptionTable& table, const Options& o) {
    const int usual = whole(table, "epochs");
    if (usual == o.epochs || usual < 1) return "";
    std::vector<std::string> changes;
    for (const TableOption& option : table.options()) {
        const std::string before = option.otherwise;
        if (!option.counts_epochs || option.given() || before.empty()) continue;
        const std::string after =
            option.name == "lr-steps" ? scaled_steps(before, usual, o.epochs) : scaled_warmup(whole(table, option.name), usual, o.epochs);
        table.follow(option.name, after);
        if (before != after) changes.push_back(text("--", option.name, " ", before, " to ", after.empty() ? "none" : after));
    }
    if (changes.empty()) return "";
    return text("note: --epochs ", o.epochs, " instead of ", usual, ": scaled ", joined(changes), "; give them by hand to have others\n");
}

void note_late_milestones(const Options& o) {
    std::vector<std::string> late;
    for (const int step : parse_lr_steps(o.lr_steps))
        if (step >= o.epochs) late.push_back(std::to_string(step));
    if (!late.empty())
        std::printf("note: --lr-steps %s: nothing happens at %s; the last epoch is %d (epochs count from 0 here)\n", o.lr_steps.c_str(),
                    joined(late).c_str(), o.epochs - 1);
}

std::string told_by_hand(const OptionTable& table, const Options& o) {
    std::vector<std::string> differing;
    for (const TableOption& option : table.options()) {
        const std::string value = option.get(), &usual = option.otherwise;
        const bool of_recipe = option.role == Role::substance && !option.is_subject;
        // Without a preset every graph is named by hand.
        if (!of_recipe || !(option.given() || option.counts_epochs) || (option.name == "graph" && o.preset.empty())) continue;
        if (usual != value)
            differing.push_back(text(option.name, "=", value.empty() ? "–" : value, " (", usual.empty() ? "–" : usual, ")"));
    }
    return joined(differing, "; ");
}

std::string told_before(const Config& config) {
    return has_option(config, "info.by_hand") ? value_of(config, "info.by_hand") : not_on_file;
}

std::string told_when_longer(const std::string& told, int before, int now) {
    if (told == not_on_file || before == now) return told;
    const std::string name = "epochs=";
    std::string usual = std::to_string(before);
    std::vector<std::string> parts;
    for (const std::string& piece : split(told, ';')) {
        const std::string part = piece.substr(std::min(piece.find_first_not_of(' '), piece.size()));
        if (const size_t open = part.find('('); starts_with(part, name))
            usual = part.substr(open + 1, part.find(')') - open - 1);
        else if (!part.empty())
            parts.push_back(part);
    }
    if (usual != std::to_string(now)) parts.insert(parts.begin(), text(name, now, " (", usual, ")"));
    return joined(parts, "; ");
}

}  // namespace distill
