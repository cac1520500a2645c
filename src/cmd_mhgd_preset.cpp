#include "cmd_mhgd_preset.h"

#include <algorithm>

#include "cmd_preset.h"
#include "run_experiment.h"

namespace distill {
namespace {

const std::string with_heads = "mhgd-heads-";  ///< a row's method, the number behind it; "mhgd" is with the default

bool is_mhgd(const std::string& method) { return method == "mhgd" || method.compare(0, with_heads.size(), with_heads) == 0; }

std::string subcommand_of(const std::string& method) {
    if (method == "teacher" || method == "student") return "train";
    if (is_mhgd(method)) return "mhgd";
    return std::count(kd_methods.begin(), kd_methods.end(), method) > 0 ? "kd" : "";
}

}  // namespace

Options mhgd_defaults() {
    Options o;
    o.epochs = 100;
    o.lr_steps = "30,60,80";
    o.crop_pad = "reflect";
    o.normalize_auto = "112.4776,124.1058,129.3773,70.4587,65.4312,68.2094";
    return o;
}

bool is_mhgd_preset(const std::string& id) { return id.compare(0, 5, "mhgd-") == 0; }

void apply_mhgd_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    const PaperRow& row = preset.row();
    const std::string belongs = subcommand_of(row.method);
    preset.require(subcommand, belongs);
    preset.set_schedule(mhgd_defaults());
    options.normalize_auto = mhgd_defaults().normalize_auto;
    preset.set_subject();
    if (belongs != "train") preset.set("teacher", row.teacher);
    if (belongs == "kd") preset.set("method", row.method);
    if (belongs == "mhgd" && row.method != "mhgd") preset.set("heads", row.method.substr(with_heads.size()));
}

}  // namespace distill
