#include "feed_preset.h"

#include <algorithm>

#include "error.h"
#include "experiment.h"
#include "nearest.h"
#include "paper.h"

namespace distill {
namespace {

bool is_kin_of_kd(const std::string& method) { return std::count(kd_methods.begin(), kd_methods.end(), method) > 0; }

std::string subcommand_of(const std::string& method) {
    if (method == "teacher" || method == "student") return "train";
    if (method == "feed") return "feed parallel";
    return is_kin_of_kd(method) ? "kd" : "feed sequential";
}

}  // namespace

Options feed_defaults() {
    Options o;
    o.epochs = 200;
    o.lr_steps = "100,150";
    o.nesterov = false;
    return o;
}

bool is_feed_preset(const std::string& id) { return id.compare(0, 5, "feed-") == 0; }

void apply_feed_preset(const std::string& subcommand, OptionTable& table, const Options& options) {
    const auto rows = load_paper(paper_folder());
    const PaperRow& row = find_paper_row(rows, options.preset);
    const std::string belongs = subcommand_of(row.method), origin = "--preset " + row.id;
    if (belongs != subcommand) input_error(origin, ": is a row of method ", row.method, "; use it with: distill ", belongs);
    const auto set = [&](const char* name, const std::string& value) { table.set(name, value, origin); };
    set_schedule(table, feed_defaults(), origin);
    set("id", row.id);
    set("dataset", row.dataset);
    set("student", row.method == "teacher" ? row.teacher : row.student);
    if (is_kin_of_kd(row.method)) set("method", row.method);
    if (row.method == "kd" || row.method == "ft" || row.method == "ban") set("teacher", row.teacher);
    if ((row.method == "feed" || row.method == "ensemble") && !table.given("teachers")) {
        const std::vector<std::string> teachers = split(row.teacher, '+');
        set("train-teachers", std::to_string(teachers.size()));
        set("teacher-nets", teachers.front());
    }
}

}  // namespace distill
