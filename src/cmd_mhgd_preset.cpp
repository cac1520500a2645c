#include "cmd_mhgd_preset.h"

#include "cmd_preset.h"

namespace distill {
namespace {

const std::string with_heads = "mhgd-heads-";  ///< a row's method, the number behind it; "mhgd" is with the default

bool is_mhgd(const std::string& method) { return method == "mhgd" || method.compare(0, with_heads.size(), with_heads) == 0; }

std::string subcommand_of(const std::string& method) {
    if (method == "teacher" || method == "student") return "train";
    if (is_mhgd(method)) return "mhgd";
    return is_kin_of_kd(method) ? "kd" : "";
}

}  // namespace

bool is_mhgd_preset(const std::string& id) { return id.compare(0, 5, "mhgd-") == 0; }

void apply_mhgd_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    const PaperRow& row = preset.row();
    const std::string belongs = subcommand_of(row.method);
    preset.require(subcommand, belongs);
    preset.set_recipe(options, "mhgd");
    preset.set_subject();
    if (belongs != "train") preset.set("teacher", row.teacher);
    if (belongs == "kd" && table.has("method")) preset.set("method", row.method);
    if (belongs == "mhgd" && row.method != "mhgd") preset.set("heads", row.method.substr(with_heads.size()));
}

}  // namespace distill
