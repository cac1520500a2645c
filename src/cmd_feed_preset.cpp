#include "cmd_feed_preset.h"

#include "base_error.h"
#include "base_texts.h"
#include "cmd_preset.h"

namespace distill {
namespace {

std::string subcommand_of(const std::string& method) {
    if (method == "teacher" || method == "student") return "train";
    if (method == "feed") return "feed parallel";
    if (method == "feed-sequential") return "feed sequential";
    return is_kin_of_kd(method) ? "kd" : "";
}

}  // namespace

bool is_feed_preset(const std::string& id) { return id.compare(0, 5, "feed-") == 0; }

void apply_feed_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    const PaperRow& row = preset.row();
    preset.require(subcommand, subcommand_of(row.method));
    preset.set_recipe(options, "feed");
    preset.set_subject();
    if (is_kin_of_kd(row.method) && table.has("method")) preset.set("method", row.method);
    if (row.method == "kd" || row.method == "ft" || row.method == "ban") preset.set("teacher", row.teacher);
    if ((row.method == "feed" || row.method == "ensemble") && !table.given("teachers")) {
        const std::vector<std::string> teachers = split(row.teacher, '+');
        if (teachers.empty()) input_error("--preset ", row.id, ": its row in data/paper names no teacher, expected one or more, with a +");
        preset.set("train-teachers", std::to_string(teachers.size()));
        preset.set("teacher-nets", teachers.front());
    }
}

}  // namespace distill
