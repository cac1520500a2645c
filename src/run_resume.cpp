#include "run_resume.h"

#include <fnmatch.h>
#include <algorithm>
#include <cstdlib>
#include <map>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_notes.h"
#include "base_texts.h"
#include "run_many.h"
#include "train_schedule.h"

namespace distill {
namespace {

/// Has a run begun in the folder, or in one there whose path from it fits one of the patterns?
bool holds_run(const fs::path& folder, const std::vector<std::string>& within) {
    if (fs::exists(folder / "config.csv")) return true;
    if (within.empty() || !fs::is_directory(folder)) return false;
    const fs::recursive_directory_iterator all(folder, fs::directory_options::skip_permission_denied);
    return std::any_of(begin(all), end(all), [&](const fs::directory_entry& entry) {
        if (entry.path().filename() != "config.csv") return false;
        const std::string path = entry.path().parent_path().lexically_relative(folder).string();
        return std::any_of(within.begin(), within.end(),
                           [&](const std::string& p) { return ::fnmatch(p.c_str(), path.c_str(), FNM_PATHNAME) == 0; });
    });
}

/// "none", and numbers before they were rounded to floats, are what a run keeps of them. InputError for what is no normalisation.
bool same_normalization(const std::string& now, const std::string& kept) {
    return now != "auto" && same_floats(to_string(resolve_normalization(now, {}, "none")), kept);
}

/// Where --save of a run that goes on, perhaps in another folder or on another machine, is to go; nowhere, in a line, if that is gone.
std::string save_place(const Config& then, const std::string& value) {
    if (value.empty()) return value;
    const fs::path from = value_of(then, started_in), place = from.empty() ? fs::path(value) : from / value;
    std::error_code unknown;
    if (!fs::is_directory(fs::absolute(place).parent_path())) {
        tell_once(text("note: --save ", place.string(), ": its folder is not here, no copy is made; say another with --save"));
        return "";
    }
    return fs::equivalent(fs::absolute(value).parent_path(), fs::absolute(place).parent_path(), unknown) ? value : place.string();
}

/// Of assignments (1=a,2=b), those of `then`, each as `now` has it, if it has it; then those that `now` alone has.
std::string assigned_anew(const std::string& then, const std::string& now) {
    const auto key = [](const std::string& item) { return item.substr(0, item.find('=')); };
    std::vector<std::string> all;
    for (const std::string& list : {then, now})
        for (const std::string& item : list.empty() ? std::vector<std::string>() : split(list, ',')) {
            const auto same = std::find_if(all.begin(), all.end(), [&](const std::string& other) { return key(other) == key(item); });
            same == all.end() ? all.push_back(item) : void(*same = item);
        }
    return joined(all, ",");
}

}  // namespace

std::string command_of(const std::string& method) {
    if (method == "ktg") return "ktg train";
    if (method == "ktg-search") return "ktg search";
    if (method == "ktg-transfer") return "ktg search --transfer";
    return method;
}

void settle_resume(Options& o, const fs::path& folder, const std::vector<std::string>& within) {
    if (o.auto_resume) {
        o.resume = holds_run(folder, within);
        return;
    }
    if (fs::exists(folder) && !o.resume)
        input_error(folder.string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
}

std::set<uint64_t> seeds_started(const fs::path& base, const std::string& within) {
    std::set<uint64_t> seeds;
    for (const auto& [seed, folder] : numbered_folders(base, 's')) {
        const fs::path file = folder / within / "config.csv";
        if (!fs::exists(file)) continue;
        const Config config = read_config(file);
        const uint64_t first = std::strtoull(value_of(config, "info.first_seed").c_str(), nullptr, 10);
        const uint64_t runs = std::strtoull(value_of(config, "info.runs").c_str(), nullptr, 10);
        seeds.insert(seed);
        for (uint64_t i = 0; i < runs; ++i) seeds.insert(first + i);
    }
    return seeds;
}

void take_seeds_of(const fs::path& base, OptionTable& table, const std::string& within) {
    if (table.given("seed") || fs::exists(base / "config.csv")) return;
    const std::set<uint64_t> seeds = seeds_started(base, within);
    if (seeds.empty()) return;
    const uint64_t first = *seeds.begin(), runs = *seeds.rbegin() + 1 - first;
    if (runs != seeds.size() && !table.given("runs")) {
        std::vector<std::string> found;
        for (const uint64_t seed : seeds) found.push_back(std::to_string(seed));
        input_error(base.string(), ": the seeds begun are ", joined(found),
                    ", and not those between; say which to go on with: --seed N, or --seed N --runs M");
    }
    table.set("seed", std::to_string(first), base.string());
    table.set("runs", std::to_string(runs), base.string());
}

void require_one_length(const fs::path& base, const std::vector<fs::path>& runs, const OptionTable& table) {
    if (table.given("epochs")) return;
    std::map<int, std::string> lengths;  // in epochs, each with the first run of it
    for (const fs::path& run : runs)
        if (fs::exists(run / "config.csv")) lengths.emplace(epochs_of(RunFolder::reopen(run)), run.lexically_relative(base).string());
    if (lengths.size() < 2) return;
    const auto& [fewest, shorter] = *lengths.begin();
    const auto& [most, longer] = *lengths.rbegin();
    input_error(base.string(), ": its runs are of one length, not ", fewest, " epochs in ", shorter, " and ", most, " in ", longer,
                "; go on with all of them: --resume --epochs ", most);
}

void require_alike(const RunFolder& first, const RunFolder& other, const OptionTable& table) {
    const Config ours = first.config(), theirs = other.config();
    for (const TableOption& option : table.options()) {
        const auto kept = [&](const Config& c) { return has_option(c, option.name) ? value_of(c, option.name) : option.initial; };
        const bool own = option.role == Role::driver || option.name == "seed" || option.places != Places::none;
        if (own || option.given() || kept(ours) == kept(theirs)) continue;
        const std::string found = text("--", option.name, ": ", first.path().string(), " was started with ", kept(ours), ", ",
                                       other.path().string(), " with ", kept(theirs));
        if (option.role == Role::substance)
            input_error(found, "; go on with each by itself: --resume --run ", shell_word(other.path().string()));
        if (option.name == "threads" || option.name == "device") tell_once("note: " + found + "; say with which all go on");
    }
}

void take_options_of(const RunFolder& folder, const std::string& method, OptionTable& table, bool one_of_many,
                     const std::set<std::string>& free) {
    const Config then = folder.config();
    for (const auto& [name, value] : then) {
        const auto among = [v = value](const std::vector<std::string>& choices) {
            return std::count(choices.begin(), choices.end(), v) > 0;
        };
        const bool of_kin = name == "method" && table.has(name) && among(table.at(name).choices);
        if (name == "method" && !of_kin && value != method)
            input_error(folder.path().string(), ": was started with: distill ", command_of(value),
                        "; resume it with that, or start anew in another folder");
        if (!table.has(name) || table.at(name).role == Role::driver || (one_of_many && name == "seed")) continue;
        const TableOption& option = table.at(name);
        const std::string now = option.get();
        const bool open = option.left_open(now);
        const bool differs = option.given() && !open && now != value && !(name == "normalize" && same_normalization(now, value));
        const bool said_anew = !differs || option.may_be_said_anew || free.count(name) > 0 || option.names_same_files(now, value);
        if (!said_anew && (name == "threads" || name == "device"))
            tell_once(text("note: --", name, " ", now, ": ", folder.path().string(), " was started with ", value,
                           "; from here on its bits are not those of a run left alone"));
        else if (!said_anew)
            input_error("--", name, " ", now, ": ", folder.path().string(), " was started with ", value,
                        "; resume without it, or start anew in another folder");
        const std::string place =
            name == "save" && !option.given() ? save_place(then, value) : found_again(folder.path(), then, option, value);
        table.set(name, place, folder.file("config.csv").string(), open);
        if (option.places == Places::assigned && option.given()) table.follow(name, assigned_anew(place, now));
    }
    // An option that is newer than the run: what was done before there was one, whatever a recipe says today.
    for (const TableOption& option : table.options())
        if (option.role != Role::driver && !has_option(then, option.name))
            table.set(option.name, option.initial, folder.file("config.csv").string());
    folder.require_start_key();
}

void require_longer(const RunFolder& folder, const OptionTable& table, const Options& o) {
    const int before = epochs_of(folder);
    if (!table.given("epochs") || o.epochs == before) return;
    const std::string name = folder.path().string();
    if (o.epochs < before)
        input_error("--epochs ", o.epochs, ": ", name, " was started with ", before, ", and a run can be made longer, not shorter; resume ",
                    "without it, or start anew in another folder");
    if (o.max_steps > 0)
        input_error("--epochs ", o.epochs, ": ", name, " ends by --max-steps ", o.max_steps, "; start anew in another folder");
    const std::vector<int> steps = parse_lr_steps(o.lr_steps);
    std::string falls;
    for (const int epoch : steps)
        if (epoch >= before && epoch < o.epochs) falls += (falls.empty() ? ", a tenth from epoch " : " and ") + std::to_string(epoch);
    if (!falls.empty()) falls += " (epochs count from 0 here)";
    tell_once(text("note: ", name, " goes on from ", before, " to ", o.epochs, " epochs; --lr-steps ",
                   o.lr_steps.empty() ? "(none)" : o.lr_steps, " stays: the added epochs begin at rate ",
                   number(learning_rate(o.lr, steps, before)), falls, table.has("graph") ? "; linear gates rise to the new end" : ""));
}

}  // namespace distill
