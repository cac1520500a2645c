#include "cmd_method.h"

#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "cmd_preset.h"
#include "run_experiment.h"
#include "run_sweep.h"
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
    if (table.has("lr")) set_rate(table, o, find_recipe(o.recipe), "the default");
    if (has_preset(o)) {
        if (table.given("recipe"))
            input_error("--preset ", o.preset, " and --recipe ", o.recipe,
                        ": a row of data/paper has a recipe of its own; leave one of them out");
        apply_preset(preset_row(o), subcommand, table, o);
    }
    if (table.given("recipe")) set_recipe(table, o, find_recipe(o.recipe), method, "--recipe " + o.recipe);
    const bool as_preset = !o.preset.empty() && table.has("lr") && table.at("lr").get() == table.otherwise("lr");
    o.lr_by_hand = table.has("lr") && table.given("lr") && !as_preset;
}

void add_method_command(Subcommand app, const MethodRow& row) {
    const Subcommand sub = app.add_subcommand(row.name, row.title);
    const auto c = std::make_shared<Command>(row);
    add_networks(c->table, c->options, row.teachers);
    c->method.options->add_to(c->table);
    add_sweep_option(c->table, c->options);
    c->table.attach(sub);
    sub.callback([c, sub, &row] {
        if (sub.passes_on()) return;  // one of its own was asked for, and has run
        run_each_value(row.name, c->table, c->options, [&] {
            set_untold(row.name, c->table, c->options, row.name);
            run_experiment(
                row.name, [c] { return c->method; }, c->table, c->options,
                [c, &row](Options& final) {
                    settle_networks(c->table, final, row.teachers);
                    c->method.options->settle(final);
                });
        });
    });
}

}  // namespace distill
