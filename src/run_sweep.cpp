#include "run_sweep.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_stats.h"
#include "base_texts.h"
#include "run_experiment.h"

namespace distill {
namespace {

struct Sweep {
    std::string option;
    std::vector<std::string> values;
};

/// What can stand in a folder's name.
std::string folder_name(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '/' || c == '\\' || c == ':' || c == ' '; }, '_');
    return text;
}

/// "beta=1,10,100"; "lr-steps=10,20;15,25", where the values have commas of their own.
Sweep parse(const std::string& asked, const OptionTable& table) {
    const std::string origin = "--sweep " + asked;
    const size_t equals = asked.find('=');
    if (equals == std::string::npos || equals == 0) input_error(origin, ": expected OPTION=VALUE,VALUE,…");
    Sweep sweep{asked.substr(0, equals), {}};
    for (const TableOption& option : table.options())  // --net is the option student
        for (const std::string& flag : split(option.flag, ','))
            if (flag == "--" + sweep.option) sweep.option = option.name;
    if (!table.has(sweep.option)) input_error(origin, ": --", sweep.option, " is no option of this subcommand; --help lists them");
    if (sweep.option == "seed") input_error(origin, ": seeds are not swept over; ask for several with --runs");
    if (table.at(sweep.option).role == Role::driver) input_error(origin, ": --", sweep.option, " says nothing of what is trained");
    const std::string list = asked.substr(equals + 1);
    sweep.values = split(list, list.find(';') == std::string::npos ? ',' : ';');
    if (sweep.values.size() < 2) input_error(origin, ": expected two values or more");
    std::set<std::string> folders;
    for (const std::string& value : sweep.values)
        if (!folders.insert(folder_name(value)).second) input_error(origin, ": found a value twice, or two whose folders have one name");
    return sweep;
}

SweptValue results(const std::string& value, const fs::path& folder, const Options& o) {
    SweptValue all{value, {}, {}};
    const bool many = o.runs > 1 || holds_seeds(folder, o.seed, "config.csv");
    for (int i = 0; i < o.runs; ++i) {
        const CsvTable result = read_csv((many ? seed_folder(folder, o.seed + static_cast<uint64_t>(i)) : folder) / "result.csv");
        all.last.push_back(result.cell_number(0, "last"));
        all.best.push_back(result.cell_number(0, "best"));
    }
    return all;
}

void write_results(const fs::path& base, const std::string& option, const std::vector<SweptValue>& values) {
    std::vector<std::vector<std::string>> rows, shown = {{option, "n", "last %", "best %"}};
    for (const SweptValue& v : values) {
        const Spread last = spread(v.last), best = spread(v.best);
        const std::string n = std::to_string(v.last.size());
        rows.push_back({v.value, n, number(last.mean), deviation_cell(last), number(best.mean), deviation_cell(best)});
        shown.push_back({v.value, n, mean_and_deviation(last), mean_and_deviation(best)});
    }
    write_file_atomically(base / (option + ".csv"), csv_text({option, "n", "last", "last_std", "best", "best_std"}, rows));
    write_file_atomically(base / (option + ".svg"), sweep_svg(option, values));
    std::printf("\n%s", aligned(shown, {1}).c_str());
}

}  // namespace

void add_sweep_option(OptionTable& t, Options& o) {
    t.add("--sweep", o.sweep, "OPTION=a,b,c: a training for each value, their table and picture; a;b;c where values have commas")
        .driver()
        .own();
}

void run_each_value(const std::string& command, OptionTable& table, Options& o, const std::function<void()>& once) {
    if (o.sweep.empty()) return once();
    const Sweep sweep = parse(o.sweep, table);
    if (!o.save.empty())
        input_error("--save ", o.save, ": is one file for ", sweep.values.size(), " trainings; each keeps its own student");
    if (o.run.empty()) o.run = text("runs/", command, "-", sweep.option, "-", o.dataset);
    const fs::path base = o.run;
    const std::string folders = sweep.option + "*";
    settle_resume(o, base, {folders, folders + "/s[0-9]*"});
    const auto folder_of = [&](const std::string& value) { return base / folder_name(sweep.option + value); };
    for (const std::string& value : sweep.values)
        if (o.resume) take_seeds_of(folder_of(value), table);
    table.at(sweep.option).is_swept = true;
    const Options asked = o;
    const OptionTable as_asked = table;  // a training that goes on changes what its table has for options that are not given
    const auto values_asked = table.values();
    const auto begin = [&](const std::string& value) {
        table = as_asked;
        for (const auto& [name, text] : values_asked) table.follow(name, text);
        o = asked;
        table.set(sweep.option, value, "--sweep " + asked.sweep, true);
        table.at(sweep.option).otherwise = as_asked.at(sweep.option).otherwise;
        o.sweep.clear();
        o.run = folder_of(value).string();
        o.resume = o.resume && fs::exists(o.run);
    };
    for (const std::string& value : sweep.values) {  // complains before anything is trained
        begin(value);
        o.check_only = true;
        once();
    }
    try {
        for (const std::string& value : sweep.values) {
            begin(value);
            std::printf("%s %s\n", sweep.option.c_str(), value.c_str());
            once();
        }
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in ", o.run, "; go on with the same command and --resume"));
    }
    std::vector<SweptValue> values;
    for (const std::string& value : sweep.values) values.push_back(results(value, folder_of(value), asked));
    write_results(base, sweep.option, values);
}

}  // namespace distill
