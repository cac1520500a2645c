#include "cmd_preset.h"

#include <algorithm>

#include "base_error.h"

namespace distill {

const std::vector<std::string>& kin_of_kd() {
    static const std::vector<std::string> all{"kd", "ensemble", "ban", "ft", "soft-logits", "fsp", "ab", "kd-svd", "kd-svdf"};
    return all;
}

bool is_kin_of_kd(const std::string& method) { return std::count(kin_of_kd().begin(), kin_of_kd().end(), method) > 0; }

Preset::Preset(OptionTable& table, const std::string& id)
    : table_(table), row_(find_paper_row(load_paper(paper_folder()), id)), origin_("--preset " + id) {}

void Preset::require(const std::string& subcommand, const std::string& belongs) const {
    if (belongs.empty())
        input_error(origin_, ": the number of method ", row_.method, " is on file for the report only; this program does not train it");
    if (belongs != subcommand && !(belongs == "kd" && subcommand == row_.method))
        input_error(origin_, ": is a row of method ", row_.method, "; use it with: distill ", belongs);
}

void Preset::set(const std::string& option, const std::string& value) { table_.set(option, value, origin_); }

void Preset::set_recipe(Options& options, const std::string& recipe) {
    distill::set_recipe(table_, options, find_recipe(recipe), row_.method, origin_);
}

void Preset::set_subject() {
    set("id", row_.id);
    set("dataset", row_.dataset);
    set("student", row_.method == "teacher" ? row_.teacher : row_.student);
}

}  // namespace distill
