#include "cmd_preset.h"

#include <algorithm>

#include "base_error.h"
#include "method_table.h"

namespace distill {

const std::vector<std::string>& kin_of_kd() {
    static const std::vector<std::string> all{"kd", "ensemble", "ban", "ft", "soft-logits", "fsp", "ab", "kd-svd", "kd-svdf"};
    return all;
}

bool is_kin_of_kd(const std::string& method) { return std::count(kin_of_kd().begin(), kin_of_kd().end(), method) > 0; }

bool has_preset(const Options& o) {
    if (o.preset.empty() && !o.paper.empty())
        input_error("--paper ", o.paper, ": is where --preset finds its row; name the row with --preset, or leave it out");
    return !o.preset.empty();
}

PaperRow preset_row(const Options& o) { return find_paper_row(load_paper(paper_folder(o.paper)), o.preset); }

void apply_preset(const PaperRow& row, const std::string& subcommand, OptionTable& table, Options& options) {
    const std::string origin = "--preset " + row.id, method = row.method_name();
    if (row.command.empty())
        input_error(origin, ": the number of method ", row.method, " is on file for the report only; this program does not train it");
    const MethodRow* known = find_method(method);
    if (!known) input_error(origin, ": its number is on file, but this program has no method '", method, "'");
    const bool of_kd = subcommand == "kd" && is_kin_of_kd(row.command) && table.has("method");
    if (row.command != subcommand && !of_kd)
        input_error(origin, ": is a row of method ", row.method, "; ",
                    row.command == "ktg search" ? "its command line: distill paper rows " + row.id + " --commands"
                                                : "use it with: distill " + row.command);

    const auto set = [&](const std::string& option, const std::string& value) { table.set(option, value, origin); };
    if (of_kd) set("method", method);
    if (table.has("student")) set("student", row.trained());  // which the recipe's rate goes by
    for (const auto& [name, value] : row.options)
        if (name == "recipe") set_recipe(table, options, find_recipe(value), method, origin);
    set("id", row.id);
    set("dataset", row.dataset);
    if (known->teachers == Teaching::one) set("teacher", row.teacher);
    for (const auto& [name, value] : row.options)
        if (name != "recipe" && value.find('{') == std::string::npos) set(name, value);
}

}  // namespace distill
