#include "run_sweep.h"

#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_notes.h"
#include "base_numbers.h"
#include "base_stats.h"
#include "base_texts.h"
#include "run_resume.h"

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

/// The option that a folder's name begins with, of several the longest; none where that cannot be swept over.
const TableOption* swept_in(const std::string& folder, const OptionTable& table) {
    const TableOption* longest = nullptr;
    for (const TableOption& option : table.options())
        if (starts_with(folder, option.name) && (!longest || option.name.size() > longest->name.size())) longest = &option;
    return longest && longest->role != Role::driver && longest->name != "seed" ? longest : nullptr;
}

std::string option_in(const fs::path& config, const std::string& name) try {
    return value_of(read_config(config), name);
} catch (const InputError&) {  // a broken run of another's
    return "";
}

/// InputError for the folder of a sweep without --sweep: it has no config.csv of its own and no seeds, only runs for each value; of one
/// that is not to be gone on with, two.
void require_no_sweep(const OptionTable& table, const Options& o) {
    const fs::path run = o.run;
    std::error_code unseen;
    if (!fs::is_directory(run, unseen) || fs::exists(run / "config.csv", unseen) || !numbered_folders(run, 's').empty()) return;
    std::map<std::string, std::set<std::string>> begun;  // values, by option
    for (const fs::directory_entry& entry : fs::directory_iterator(run, unseen)) {
        const std::string folder = entry.path().filename().string();
        const TableOption* option = swept_in(folder, table);
        const auto seeds = numbered_folders(entry.path(), 's');
        const fs::path config = (seeds.empty() ? entry.path() : seeds.begin()->second) / "config.csv";
        if (!option || !fs::exists(config, unseen)) continue;
        const std::string value = folder.substr(option->name.size()), kept = option_in(config, option->name);
        const bool same_number = parsed_number(value) && parsed_number(value) == parsed_number(kept);
        if (!value.empty() && (same_number || folder_name(kept) == value)) begun[option->name].insert(same_number ? value : kept);
    }
    if (begun.empty()) return;
    const auto& [option, values] = *begun.begin();
    if (values.size() < 2 && !o.resume && !o.auto_resume) return;
    input_error(run.string(), ": is the folder of a sweep over --", option, " (begun are ", joined({values.begin(), values.end()}),
                "); to go on with it give --sweep ", option, "=… again, with all its values, and --resume, or name another --run");
}

SweptValue results(const std::string& value, const fs::path& folder, const Options& o) {
    SweptValue all{value, {}, {}};
    const bool many = o.runs > 1 || holds_seeds(folder, o.seed, "config.csv");
    for (int i = 0; i < o.runs; ++i) {
        const CsvTable result = read_result(many ? seed_folder(folder, o.seed + static_cast<uint64_t>(i)) : folder);
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
    if (o.sweep.empty()) {
        require_no_sweep(table, o);
        return once();
    }
    const Sweep sweep = parse(o.sweep, table);
    if (!o.save.empty())
        input_error("--save ", o.save, ": is one file for ", sweep.values.size(), " trainings; each keeps its own student");
    if (o.train_teachers > 0 && (sweep.option == "recipe" || sweep.option == "dataset"))
        input_error("--train-teachers ", o.train_teachers, ": teachers are the same for all values of a sweep, which those of another ",
                    sweep.option, " are not; train them first and name them with --teachers, or leave out --sweep ", sweep.option);
    if (o.run.empty()) o.run = text("runs/", command, "-", sweep.option, "-", o.dataset);
    const fs::path base = o.run;
    const std::string folders = sweep.option + "*";
    settle_resume(o, base, {folders, folders + "/s[0-9]*"});
    if (o.resume && !fs::exists(base)) RunFolder::reopen(base);  // says that nothing is there to go on with
    const auto folder_of = [&](const std::string& value) { return base / folder_name(sweep.option + value); };
    for (const std::string& value : sweep.values)
        if (o.resume) take_seeds_of(folder_of(value), table);
    const bool sets_epochs = sweep.option == "epochs" || sweep.option == "recipe" || sweep.option == "method" || sweep.option == "preset";
    if (o.resume && !sets_epochs) {
        std::vector<fs::path> all;
        for (const std::string& value : sweep.values) {
            all.push_back(folder_of(value));
            for (const auto& [seed, folder] : numbered_folders(folder_of(value), 's')) all.push_back(folder);
        }
        require_one_length(base, all, table);
    }
    table.at(sweep.option).is_swept = true;
    const Options asked = o;
    const OptionTable as_asked = table;  // a training that goes on changes what its table has for options that are not given
    const auto values_asked = table.values();
    const int threads = omp_get_max_threads();  // what --threads 0 is, whatever another value asked for
    const auto begin = [&](const std::string& value) {
        table = as_asked;
        for (const auto& [name, text] : values_asked) table.follow(name, text);
        o = asked;
        omp_set_num_threads(threads);
        table.set(sweep.option, value, "--sweep " + asked.sweep, true);
        table.at(sweep.option).otherwise = as_asked.at(sweep.option).otherwise;
        o.sweep.clear();
        o.run = folder_of(value).string();
        o.resume = o.resume && fs::exists(o.run);
    };
    for (const std::string& value : sweep.values) {  // complains before anything is trained
        const HeldNotes silent;
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
        if (!fs::exists(base)) throw;  // in the training of teachers, which says how it goes on
        throw Interrupted(text("interrupted in ", o.run, "; go on with the same command and --resume"));
    }
    std::vector<SweptValue> values;
    for (const std::string& value : sweep.values) values.push_back(results(value, folder_of(value), asked));
    write_results(base, sweep.option, values);
}

}  // namespace distill
