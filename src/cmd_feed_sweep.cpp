#include "cmd_feed_sweep.h"

#include <cstdio>
#include <optional>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_stats.h"
#include "base_texts.h"
#include "run_experiment.h"
#include "run_many.h"
#include "run_resume.h"
#include "run_teachers.h"
#include "train_schedule.h"

namespace distill {
namespace {

std::optional<uint64_t> whole_number(const std::string& s) {
    const auto number = parsed_whole(s);
    return number && *number >= 0 ? std::optional<uint64_t>(*number) : std::nullopt;
}

/// "1,3,5", each at most `teachers`; empty: 1 … `teachers`.
std::set<int> numbers_of(const std::string& s, int teachers) {
    std::set<int> numbers;
    for (int n = 1; s.empty() && n <= teachers; ++n) numbers.insert(n);
    for (const std::string& part : split(s, ',')) {
        const auto n = whole_number(part);
        if (!n || *n == 0) input_error("--numbers ", s, ": found '", part, "', expected numbers of teachers like 1,3,5");
        if (*n > static_cast<uint64_t>(teachers))
            input_error("--numbers ", s, ": found ", part, ", but there are ", teachers,
                        " teachers; name more with --teachers, or train more with --train-teachers");
        numbers.insert(static_cast<int>(*n));
    }
    return numbers;
}

/// A sweep that goes on has the options of its runs; those with the most teachers know them all.
void take_options_of_sweep(const fs::path& base, OptionTable& table, Options& o) {
    const auto sizes = numbered_folders(base, 'n');
    const auto seeds = sizes.empty() ? sizes : numbered_folders(sizes.rbegin()->second, 's');
    if (seeds.empty())
        input_error(base.string(), ": no sweep to resume here (n1/s0, … are missing); ",
                    fs::exists(base) ? "name a sweep's folder with --run, or start anew in another" : "start it without --resume");
    take_seeds_of(sizes.rbegin()->second, table);
    // More teachers may have been named than the largest number; what is used of them each run compares. Each run is made longer by itself.
    const std::set<std::string> free = {"teachers", "teacher-nets", "train-teachers", "epochs"};
    const RunFolder first = RunFolder::reopen(seeds.begin()->second);
    take_options_of(first, "feed", table, table.given("seed"), free);
    o.by_hand = told_when_longer(told_before(first.config()), epochs_of(first), o.epochs);
    if (table.given("teachers") && !table.given("teacher-nets")) o.teacher_nets.clear();
}

std::string first_of(const std::string& list, char separator, int n) {
    std::vector<std::string> parts = split(list, separator);
    parts.resize(static_cast<size_t>(n));
    return joined(parts, ",");
}

void finish(const fs::path& base) {
    std::vector<std::vector<std::string>> rows, shown = {{"teachers", "last %", "best %", "n"}};
    for (const auto& [teachers, folder] : numbered_folders(base, 'n')) {
        std::vector<double> last, best;
        for (const auto& [seed, run] : numbered_folders(folder, 's')) {
            if (!fs::exists(run / "result.csv")) continue;
            const CsvTable result = read_result(run);
            rows.push_back({std::to_string(teachers), std::to_string(seed)});
            for (const char* column : {"last", "best", "seconds"}) rows.back().push_back(result.cell(0, column));
            last.push_back(result.cell_number(0, "last"));
            best.push_back(result.cell_number(0, "best"));
        }
        if (!last.empty())
            shown.push_back({std::to_string(teachers), mean_and_deviation(spread(last)), mean_and_deviation(spread(best)),
                             std::to_string(last.size())});
    }
    write_file_atomically(base / "sweep.csv", csv_text({"teachers", "seed", "last", "best", "seconds"}, rows));
    std::printf("\n%s", aligned(shown, {0, 3}).c_str());
}

}  // namespace

void run_sweep(OptionTable& table, Options& o, const FeedSeries& series, const std::function<void()>& parallel) {
    if (!o.preset.empty()) input_error("--preset ", o.preset, ": a row has one number of teachers; use it with: distill feed parallel");
    if (!o.save.empty()) input_error("--save ", o.save, ": is one file for all runs of a sweep; each keeps its own student.safetensors");
    const fs::path base = o.run.empty() ? "runs/feed-sweep-" + o.dataset + "-" + o.student : o.run;
    settle_resume(o, base, {"n[0-9]*", "n[0-9]*/s[0-9]*"});
    if (o.resume) take_options_of_sweep(base, table, o);
    if (!o.by_hand) scale_with_epochs(table, o);  // a sweep that goes on has its own schedule, made longer or not
    require_student(o);
    const int teachers = o.train_teachers > 0 ? o.train_teachers : static_cast<int>(o.teachers.empty() ? 0 : split(o.teachers, ',').size());
    const std::set<int> numbers = numbers_of(series.numbers, teachers);
    std::vector<fs::path> all;
    for (const auto& [n, folder] : numbered_folders(base, 'n'))
        for (const auto& [seed, run] : numbered_folders(folder, 's')) all.push_back(run);
    require_one_length(base, all, table);
    settle_or_train_teachers(table, o);
    const Options asked = o;
    try {
        for (auto n = numbers.rbegin(); n != numbers.rend(); ++n) {
            const fs::path folder = base / ("n" + std::to_string(*n));
            const auto run_of = [&](int i) { return seed_folder(folder, asked.seed + static_cast<uint64_t>(i)); };
            const auto is_left = [&](const fs::path& run) {
                return !fs::exists(run / "result.csv") || (table.given("epochs") && epochs_of(RunFolder::reopen(run)) != asked.epochs);
            };
            int left = 0;
            for (int i = 0; i < asked.runs; ++i) left += is_left(run_of(i));
            std::printf("%s%d of %d teachers: %d of %d runs left\n", left > 0 ? "\n" : "", *n, teachers, left, asked.runs);
            if (left == 0) continue;
            o = asked;
            o.run = (asked.runs > 1 ? folder : run_of(0)).string();
            o.resume = fs::exists(o.run);
            o.teachers = first_of(asked.teachers, ',', *n);
            if (asked.train_teachers > 0)
                o.train_teachers = *n;
            else
                o.teacher_nets = first_of(asked.teacher, '+', *n);
            parallel();
        }
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted in ", o.run, ", which has a checkpoint; go on with the same command and --resume"));
    }
    o = asked;
    finish(base);
}

}  // namespace distill
