#include "cmd_compare.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "base_texts.h"
#include "report_collect.h"
#include "report_likeness.h"
#include "report_order.h"
#include "report_summary.h"

namespace distill {
namespace {

struct CompareOptions {
    std::vector<fs::path> runs;
    std::string order;
    fs::path csv, svg, paper;
};

inline const char *const comparison_begins = "a,b,n_a,n_b,", *const picture_begins = "<svg class=\"ktg\"";

/// The one experiment of a folder. InputError if it holds several, or a run that cannot be read.
Standing only_group(const fs::path& folder) {
    Report report = summarize(collect_runs({folder}), {});
    if (!report.faults.empty()) input_error(report.faults.front().reason, "; a comparison leaves no run out: mend it or remove it");
    std::vector<std::string> names;
    for (const Group& group : report.groups) names.push_back(group.name());
    if (names.empty()) input_error(folder.string(), ": no finished run in it");
    if (names.size() > 1)
        input_error(folder.string(), ": found ", names.size(), " experiments, expected the seeds of one: ", joined(names, "; "));
    return {folder.string(), std::move(report.groups.front())};
}

std::string seeds_of(const Group& group) {
    std::vector<std::string> seeds;
    for (const Run& run : group.runs)
        if (seeds.empty() || seeds.back() != run.seed) seeds.push_back(run.seed);
    return joined(seeds, " ");
}

/// In what a's recipe differs from b's: "batch 128 (here 64)", b's in brackets.
std::string unlike(const Standing& a, const Standing& b) { return told(recipe_differences(b.group.any(), a.group.any())); }

/// A row a pair.
void write_comparisons(const fs::path& file, const std::vector<Standing>& standings, const Pairs& pairs) {
    const std::vector<std::string> columns = {"a",      "b",           "n_a",        "n_b",         "mean_a", "std_a",
                                              "mean_b", "std_b",       "difference", "low",         "high",   "p",
                                              "test",   "a_is_higher", "undecided",  "test_images", "unlike"};
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = i + 1; j < standings.size(); ++j) {
            const Comparison& c = pairs[i][j];
            const auto bound = [&](double value) { return c.has_interval ? number(value) : ""; };
            rows.push_back({standings[i].name, standings[j].name, std::to_string(c.a.n), std::to_string(c.b.n), number(c.a.mean),
                            number(c.a.deviation), number(c.b.mean), number(c.b.deviation), number(c.difference), bound(c.low),
                            bound(c.high), bound(c.p), c.paired ? "paired" : "Welch", to_string(c.verdict), c.undecided,
                            test_images(standings[i].group.any()), unlike(standings[i], standings[j])});
        }
    write_file_atomically(file, csv_text(columns, rows));
}

void tell_of_images(const Group& group) {
    const std::string images = test_images(group.any());
    if (!images.empty()) std::cout << "tested on " << images << " images: one is " << fixed(100 / std::stod(images), 3) << " points\n";
}

void write_pair(const Standing& a, const Standing& b, const Comparison& c) {
    std::vector<std::vector<std::string>> rows = {{"", "experiment", "seeds", "n", "test accuracy"}};
    for (const auto& [name, group] : {std::pair("a", &a.group), {"b", &b.group}})
        rows.push_back({name, group->name(), seeds_of(*group), std::to_string(group->last.n), mean_and_deviation(group->last)});
    std::cout << aligned(rows, {3}) << "\na − b: " << signed_fixed(c.difference) << " points, 95 % interval " << c.interval();
    if (c.has_interval) std::cout << ", p = " << fixed(c.p, 3);
    std::cout << (c.paired ? " (paired by seed: both share start and order)" : " (Welch: the runs share nothing)") << '\n';
    tell_of_images(a.group);
    for (const auto& [name, group] : {std::pair("a", &a.group), {"b", &b.group}})
        if (const std::string repeats = told_of_repeats(*group); !repeats.empty())
            std::cout << "note: " << name << " has " << repeats << '\n';
    if (const std::string differences = unlike(a, b); !differences.empty())
        std::cout << "note: beside the method, a has " << differences << "; the difference may come from that\n";
    std::cout << "a is higher than b: " << to_string(c.verdict) << (c.undecided.empty() ? "" : " (" + c.undecided + ")") << '\n';
}

void write_all(const std::vector<Standing>& standings, const Pairs& pairs) {
    write_standings(std::cout, standings, pairs);
    tell_of_images(standings.front().group);
    const Standing& first = standings.front();
    std::map<std::string, std::vector<std::string>> unlike_first;
    for (const Standing& standing : standings) {
        if (const std::string repeats = told_of_repeats(standing.group); !repeats.empty())
            std::cout << "note: " << standing.name << " has " << repeats << '\n';
        std::vector<std::string> differences;
        for (const RecipeDifference& d : recipe_differences(standing.group.any(), first.group.any()))
            differences.push_back(text(d.option, " ", d.ours, " (", first.name, ": ", d.theirs, ")"));
        if (!differences.empty()) unlike_first[joined(differences)].push_back(standing.name);
    }
    for (const auto& [differences, names] : unlike_first)
        std::cout << "note: beside the method, " << joined(names) << (names.size() == 1 ? " has " : " have ") << differences
                  << "; differences may come from that\n";
}

/// InputError for what was named twice.
void require_different(const std::vector<fs::path>& folders) {
    std::set<fs::path> all;
    for (const fs::path& folder : folders)
        if (!all.insert(fs::weakly_canonical(fs::absolute(folder)) / "").second)
            input_error(folder.string(), ": is named twice; a comparison takes each training once");
}

void run_compare(const CompareOptions& o) {
    require_output("--csv", o.csv, comparison_begins, "comparison’s table");
    require_output("--svg", o.svg, picture_begins, "picture");
    if (one_output(o.csv, o.svg)) input_error("--svg ", o.svg.string(), ": is --csv's file, too; name another");
    if (!o.paper.empty() && o.order.empty()) input_error("--paper ", o.paper.string(), ": goes with --order, whose numbers it has");
    require_different(o.runs);
    const std::vector<PaperRow> paper = o.order.empty() ? std::vector<PaperRow>() : load_paper(paper_folder(o.paper));
    std::vector<Standing> standings;
    for (const fs::path& folder : o.runs) standings.push_back(only_group(folder));
    const Run& first = standings.front().group.any();
    for (const auto& [name, group] : standings)
        if (group.any().dataset != first.dataset || test_images(group.any()) != test_images(first))
            input_error(name, ": was tested on ", group.any().dataset, " (", test_images(group.any()), " images), ", standings.front().name,
                        " on ", first.dataset, " (", test_images(first), "); only accuracies on the same images compare");
    const bool one_pair = standings.size() == 2 && o.order.empty() && o.svg.empty();  // in the order given
    if (!one_pair)
        std::stable_sort(standings.begin(), standings.end(),
                         [](const Standing& a, const Standing& b) { return a.group.last.mean > b.group.last.mean; });
    const Pairs pairs = compare_all(standings);
    const auto order = o.order.empty() ? std::nullopt : std::optional(paper_order(o.order, standings, paper));
    if (one_pair)
        write_pair(standings[0], standings[1], pairs[0][1]);
    else
        write_all(standings, pairs);
    if (order) write_paper_order(std::cout, *order, standings);
    std::cout << verdict_rule << '\n';
    if (!o.csv.empty()) write_comparisons(o.csv, standings, pairs);
    if (!o.svg.empty()) write_file_atomically(o.svg, standings_svg(standings, pairs));
}

}  // namespace

void add_compare_command(Subcommand app) {
    const Subcommand compare = app.add_subcommand("compare", "is one training better than another? Folders with the seeds of one each");
    auto o = std::make_shared<CompareOptions>();
    compare.add_option("RUNS", o->runs, "two folders or more, each with the runs of one training").required().at_least(2);
    compare.add_option("--csv", o->csv, "write means, difference, interval and verdict of every pair as CSV to this file");
    compare.add_option("--svg", o->svg, "write a picture of them to this file");
    compare.add_option("--order", o->order,
                       "the papers' order of these methods for a teacher and a student, resnet56:resnet20, or of another data set, "
                       "cifar100:resnet56:resnet20: what of it holds here");
    compare.add_option("--paper", o->paper, "folder of the papers' numbers [data/paper, here or beside the program]");
    compare.callback([o] { run_compare(*o); });
}

}  // namespace distill
