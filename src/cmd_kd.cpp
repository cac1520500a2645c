#include "cmd_kd.h"

#include <filesystem>
#include <map>
#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "cmd_method.h"
#include "cmd_preset.h"
#include "run_experiment.h"
#include "run_sweep.h"
#include "train_recipes.h"

namespace distill {
namespace {

struct Command {
    std::string method = "kd";
    std::map<std::string, ChosenMethod> methods;  ///< each with options of its own; those that share a name get the same values
    Options options;
    OptionTable table;

    Command() : options(options_of(find_recipe(find_method("kd")->recipe))) {
        for (const std::string& name : kin_of_kd()) methods[name] = choose(*find_method(name));
    }
    const ChosenMethod& chosen() const { return methods.at(method); }
};

/// The chosen method's own defaults and recipe in the place of kd's. InputError for a weight that it does not have and its kin may have.
void set_defaults(Command& c) {
    const std::string origin = "--method " + c.method;
    const ChosenMethod fresh = choose(*c.chosen().row);
    OptionTable own;
    fresh.options->add_to(own);
    for (const TableOption& option : own.options()) {
        const TableOption& said = c.table.at(option.name);
        if (!option.is_fixed)
            c.table.set(option.name, option.get(), origin);
        else if (said.given() && !option.set.front()(said.get()))
            input_error("--", option.name, ": found '", said.get(), "', expected ", option.expected);
    }
    // A run that goes on says its method itself; where methods are swept over, an option may be one's.
    const Options& o = c.options;
    const bool goes_on = o.resume || (o.auto_resume && (o.run.empty() || std::filesystem::exists(o.run)));
    const bool known = c.table.given("method") ? !c.table.at("method").is_swept : !goes_on;
    for (const auto& [name, kin] : c.methods) {
        if (!known) break;
        OptionTable theirs;
        choose(*kin.row).options->add_to(theirs);
        for (const TableOption& option : theirs.options())
            if (!own.has(option.name) && c.table.given(option.name))
                input_error("--", option.name, ": is an option of --method ", name, ", which --method ", c.method, " does not have");
    }
    set_recipe(c.table, c.options, find_recipe(fresh.row->recipe), "", origin);
}

void settle(const Command& c, Options& o) {
    const bool several = c.chosen().row->teachers == Teaching::several;
    require_student(o);
    if (!several && o.train_teachers > 0)
        input_error("--train-teachers ", o.train_teachers, ": --method ", c.method, " has one teacher, of --teacher and --teacher-weights");
    if (!several && !o.teachers.empty())
        input_error("--teachers ", o.teachers, ": --method ", c.method, " has one teacher, of --teacher and --teacher-weights");
    for (const char* name : {"teacher-nets", "teachers-run"})
        if (!several && c.table.given(name))
            input_error("--", name, ": --method ", c.method, " has one teacher, of --teacher and --teacher-weights");
    if (several && c.table.given("teacher"))
        input_error("--teacher ", o.teacher, ": --method ensemble has the teachers of --teachers; their networks are in --teacher-nets");
    if (several && !o.teacher_weights.empty())
        input_error("--teacher-weights ", o.teacher_weights, ": --method ensemble has the teachers of --teachers; name them all there");
    c.chosen().options->settle(o);
    settle_networks(c.table, o, c.chosen().row->teachers);
}

}  // namespace

void add_kd_command(Subcommand app) {
    const Subcommand sub = app.add_subcommand("kd", "distil a teacher's logits: gamma*CE + alpha*T^2*KL; and its kin, with --method");
    const auto c = std::make_shared<Command>();
    OptionTable& t = c->table;
    add_training_options(t, c->options, true);
    t.add("--method", c->method, kin_of_kd(),
          "the loss: Hinton's; the same from --teachers' mean logits; born-again, CE + KL at T = 1; Factor Transfer; "
          "0.7*CE + 0.3*KL at T = 4; FSP and AB, which initialise the student and then train it plainly; KD-SVD, relations of "
          "singular vectors, or these themselves (kd-svdf). Unless told otherwise, ensemble, ban and ft train as distill feed does, "
          "from soft-logits on as distill mhgd");
    add_teachers_options(t, c->options);
    for (const std::string& name : kin_of_kd()) c->methods.at(name).options->add_to(t);
    add_sweep_option(t, c->options);
    t.attach(sub);
    const auto once = [c] {
        if (has_preset(c->options))
            if (const std::string named = preset_row(c->options).method_name(); is_kin_of_kd(named))
                c->table.set("method", named, "--preset " + c->options.preset);
        set_defaults(*c);
        set_untold("kd", c->table, c->options, c->method);
        run_experiment(
            "kd", [c] { return c->chosen(); }, c->table, c->options, [c](Options& final) { settle(*c, final); });
    };
    sub.callback([c, once] { run_each_value("kd", c->table, c->options, once); });
}

}  // namespace distill
