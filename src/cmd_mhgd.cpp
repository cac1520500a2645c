#include "cmd_mhgd.h"

#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"
#include "cmd_method.h"
#include "method_mhgd.h"
#include "run_experiment.h"
#include "run_sweep.h"
#include "train_recipes.h"

namespace distill {
namespace {

constexpr const char* method_name = "mhgd";

/// --heads: a number, or several for a training each.
struct Command {
    Options options = options_of(find_recipe(mhgd_row.recipe));
    std::shared_ptr<MhgdOptions> own = std::make_shared<MhgdOptions>();
    std::string heads = std::to_string(own->heads);
    OptionTable table;
};

/// `asked`: all that was given, of which `text` is one.
int parse_heads(const std::string& text, const std::string& asked) {
    constexpr int most = 1024;
    const int64_t heads = parsed_whole(text).value_or(0);
    if (heads < 1 || heads > most)
        input_error("--heads: found '", asked, "', expected a whole number from 1 to ", most, ", or several (1,2,4,8,16) for a table");
    return static_cast<int>(heads);
}

void train(Command& c) {
    set_untold(method_name, c.table, c.options, method_name);
    run_experiment(
        method_name,
        [&c] {
            return ChosenMethod{&mhgd_row, c.own};
        },
        c.table, c.options,
        [&c](Options& o) {
            settle_networks(c.table, o, mhgd_row.teachers);
            c.own->heads = parse_heads(c.heads, c.heads);  // a resumed run's may be others
            c.own->settle(o);
        });
}

/// --heads 1,2,4 is --sweep heads=1,2,4.
void sweep_heads(Command& c) {
    const std::vector<std::string> all = split(c.heads, ',');
    if (all.size() < 2) return;
    for (const std::string& heads : all) parse_heads(heads, c.heads);
    Options& o = c.options;
    if (!o.sweep.empty()) input_error("--heads ", c.heads, " and --sweep ", o.sweep, ": are two sweeps; ask for one");
    if (!c.own->mha.empty()) input_error("--mha ", c.own->mha, ": is of one number of heads, --heads asks for ", all.size());
    if (!o.preset.empty()) input_error("--preset ", o.preset, ": a row has one number of heads, --heads asks for ", all.size());
    if (o.run.empty()) o.run = "runs/mhgd-heads-" + o.dataset + "-" + o.teacher + "-" + o.student;
    o.sweep = "heads=" + c.heads;
}

}  // namespace

void add_mhgd_command(Subcommand app) {
    const Subcommand sub = app.add_subcommand(mhgd_row.name, mhgd_row.title);
    sub.footer("Beside a run's files: preparation.csv (an epoch of the attention networks a row), mha.safetensors (these), gradients.csv.");
    const auto c = std::make_shared<Command>();
    OptionTable& t = c->table;
    add_networks(t, c->options, mhgd_row.teachers);
    t.add("--heads", c->heads, "attention heads; several (1,2,4,8,16): a training each in heads<A>/, and their table, heads.csv");
    c->own->add_all_but_heads_to(t);
    add_sweep_option(t, c->options);
    t.attach(sub);
    sub.callback([c] {
        sweep_heads(*c);
        run_each_value(method_name, c->table, c->options, [c] { train(*c); });
    });
}

}  // namespace distill
