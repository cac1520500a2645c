#include "cmd_method.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "base_error.h"
#include "cmd_feed_preset.h"
#include "cmd_mhgd_preset.h"
#include "cmd_preset.h"
#include "run_experiment.h"
#include "run_teachers.h"
#include "train_recipes.h"

namespace distill {
namespace {

/// A subcommand's options live as long as the program.
struct Command {
    explicit Command(const MethodRow& row) : options(options_of(find_recipe(row.recipe))), method(choose(row)) {}
    Options options;
    ChosenMethod method;
    OptionTable table;
};

/// A row of ReviewKD's. The benchmark that KD, the teachers and the students alone come from trains at batch 64, rate 0.05, plain momentum
/// (docs/papers.md §7).
void apply_review_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    const std::string &method = preset.row().method, reviewkd = "reviewkd";
    const bool plain = method == "teacher" || method == "student", review = method.compare(0, reviewkd.size(), reviewkd) == 0;
    preset.require(subcommand, plain ? "train" : review ? reviewkd : method == "kd" ? "kd" : "");
    preset.set_subject();
    if (!plain) preset.set("teacher", preset.row().teacher);
    preset.set_recipe(options, review ? "reviewkd" : "kd");
    static const std::map<std::string, std::vector<const char*>> ablations = {{"reviewkd", {}},
                                                                              {"reviewkd-all", {}},
                                                                              {"reviewkd-reproduction", {}},
                                                                              {"reviewkd-none", {"no-review", "no-hcl"}},
                                                                              {"reviewkd-r", {"no-residual", "no-abf", "no-hcl"}},
                                                                              {"reviewkd-r-res", {"no-abf", "no-hcl"}},
                                                                              {"reviewkd-r-res-abf", {"no-hcl"}},
                                                                              {"reviewkd-r-res-hcl", {"no-abf"}}};
    if (!review) return;
    const auto ablation = ablations.find(method);
    if (ablation == ablations.end()) input_error("--preset ", preset.row().id, ": found the unknown method '", method, "' in data/paper");
    for (const char* part : ablation->second) preset.set(part, "on");
}

/// A network trained alone as KTG's are; the graphs' rows are `ktg train`'s.
void apply_ktg_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    preset.require(subcommand, preset.row().method == "student" ? "train" : "ktg train");
    preset.set_recipe(options, "ktg-alone");
    preset.set("normalize", options.normalize_auto);
    preset.set_subject();
}

}  // namespace

void add_networks(OptionTable& t, Options& o, Teaching teachers) {
    if (teachers == Teaching::several) {
        add_teachers_options(t, o);
        t.add("--teacher-min", o.teacher_min, {0, 100}, "stop if a teacher's test accuracy is below this, in %").circumstance();
        add_classes_option(t, o);
    }
    add_training_options(t, o, teachers == Teaching::one);
}

void settle_networks(const OptionTable& table, Options& o, Teaching teachers) {
    require_student(o, teachers == Teaching::none ? "--net" : "--student");
    if (teachers == Teaching::several) settle_or_train_teachers(table, o);
}

void set_untold(const std::string& subcommand, OptionTable& table, Options& o, const std::string& method) {
    if (const std::string& id = o.preset; !id.empty()) {
        if (table.given("recipe"))
            input_error("--preset ", id, " and --recipe ", o.recipe,
                        ": a row of data/paper has a recipe of its own; leave one of them out");
        const auto apply = is_feed_preset(id)              ? apply_feed_preset
                           : is_mhgd_preset(id)            ? apply_mhgd_preset
                           : id.compare(0, 4, "ktg-") == 0 ? apply_ktg_preset
                                                           : apply_review_preset;
        apply(subcommand, table, o);
    }
    if (table.given("recipe")) set_recipe(table, o, find_recipe(o.recipe), method, "--recipe " + o.recipe);
}

void add_method_command(CLI::App& app, const MethodRow& row) {
    CLI::App* sub = app.add_subcommand(row.name, row.title);
    const auto c = std::make_shared<Command>(row);
    add_networks(c->table, c->options, row.teachers);
    c->method.options->add_to(c->table);
    c->table.attach(*sub);
    sub->callback([c, &row] {
        set_untold(row.name, c->table, c->options, row.name);
        run_experiment(
            row.name, [c] { return c->method; }, c->table, c->options,
            [c, &row](Options& final) {
                settle_networks(c->table, final, row.teachers);
                c->method.options->settle(final);
            });
    });
}

}  // namespace distill
