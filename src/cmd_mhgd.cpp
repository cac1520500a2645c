#include "cmd_mhgd.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_stats.h"
#include "base_texts.h"
#include "cmd_method.h"
#include "method_mhgd.h"
#include "run_experiment.h"
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

std::vector<int> parse_heads(const std::string& text) {
    constexpr int most = 1024;
    std::vector<int> all;
    for (const std::string& part : split(text, ',')) {
        const int64_t heads = parsed_whole(part).value_or(0);
        if (heads < 1 || heads > most)
            input_error("--heads: found '", text, "', expected a whole number from 1 to ", most, ", or several (1,2,4,8,16) for a table");
        all.push_back(static_cast<int>(heads));
    }
    return all;
}

void train(Command& c, int heads) {
    c.heads = std::to_string(heads);
    run_experiment(
        method_name,
        [&c] {
            return ChosenMethod{&mhgd_row, c.own};
        },
        c.table, c.options,
        [&c](Options& o) {
            settle_networks(c.table, o, mhgd_row.teachers);
            c.own->heads = parse_heads(c.heads).front();  // a resumed run's may be others
            c.own->settle(o);
        });
}

/// heads.csv: a row for each number of heads, over its seeds.
void write_table(const fs::path& base, const std::vector<int>& all, const Options& o) {
    std::vector<std::vector<std::string>> rows;
    std::printf("\n%8s %3s %18s %18s\n", "heads", "n", "last %", "best %");
    for (const int heads : all) {
        std::vector<double> last, best;
        for (int i = 0; i < o.runs; ++i) {
            fs::path folder = base / ("heads" + std::to_string(heads));
            if (o.runs > 1) folder /= "s" + std::to_string(o.seed + static_cast<uint64_t>(i));
            const CsvTable result = read_csv(folder / "result.csv");
            last.push_back(result.cell_number(0, "last"));
            best.push_back(result.cell_number(0, "best"));
        }
        const Spread l = spread(last), b = spread(best);
        std::vector<std::string>& row = rows.emplace_back();
        row = {std::to_string(heads), std::to_string(o.runs)};
        for (const double v : {l.mean, l.deviation, b.mean, b.deviation}) row.push_back(number(v));
        std::printf("%8d %3d %9.2f ± %6.2f %9.2f ± %6.2f\n", heads, o.runs, l.mean, l.deviation, b.mean, b.deviation);
    }
    write_file_atomically(base / "heads.csv", csv_text({"heads", "n", "last", "last_std", "best", "best_std"}, rows));
}

/// One training after the other, in heads<A>/; what is finished is skipped.
void sweep(Command& c, const std::vector<int>& all) {
    Options& o = c.options;
    if (!c.own->mha.empty()) input_error("--mha ", c.own->mha, ": is of one number of heads, --heads asks for ", all.size());
    if (!o.preset.empty()) input_error("--preset ", o.preset, ": a row has one number of heads, --heads asks for ", all.size());
    if (!o.save.empty()) input_error("--save ", o.save, ": is one file for ", all.size(), " trainings; each keeps its own student");
    if (o.run.empty()) o.run = "runs/mhgd-heads-" + o.dataset + "-" + o.teacher + "-" + o.student;
    const fs::path base = o.run;
    settle_resume(o, base);
    for (const int heads : all)
        if (o.resume) take_seeds_of(base / ("heads" + std::to_string(heads)), c.table);
    const Options asked = o;
    const MhgdOptions own_asked = *c.own;
    const OptionTable as_asked = c.table;  // a training that goes on changes what its table has for options that are not given
    try {
        for (const int heads : all) {
            o = asked;
            *c.own = own_asked;
            c.table = as_asked;
            o.run = (base / ("heads" + std::to_string(heads))).string();
            o.resume = fs::exists(o.run);
            std::printf("%d heads\n", heads);
            train(c, heads);
        }
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in ", o.run, "; go on with the same command and --resume"));
    }
    write_table(base, all, asked);
}

}  // namespace

void add_mhgd_command(CLI::App& app) {
    auto* sub = app.add_subcommand(mhgd_row.name, mhgd_row.title);
    const auto c = std::make_shared<Command>();
    OptionTable& t = c->table;
    add_networks(t, c->options, mhgd_row.teachers);
    t.add("--heads", c->heads, "attention heads; several (1,2,4,8,16): a training each in heads<A>/, and their table, heads.csv");
    c->own->add_all_but_heads_to(t);
    t.attach(*sub);
    sub->callback([c] {
        set_untold(method_name, c->table, c->options, method_name);
        const std::vector<int> heads = parse_heads(c->heads);
        heads.size() == 1 ? train(*c, heads.front()) : sweep(*c, heads);
    });
}

}  // namespace distill
