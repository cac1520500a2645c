#include "cmd_compare.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "base_svg.h"
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

inline const char* const comparison_begins = "a,b,n_a,n_b,";

/// The one experiment of a folder, by the folder's printable name; of chains their last stage. InputError if it holds several, or a run
/// that cannot be read; told of is what is left out.
Standing only_group(const fs::path& folder) {
    Report report = summarize(collect_runs({folder}), {});
    if (!report.faults.empty()) input_error(report.faults.front().reason, "; a comparison leaves no run out: mend it or remove it");
    std::vector<Group>& groups = report.groups;
    if (groups.empty()) input_error(folder.string(), ": no finished run in it");
    for (const Run& run : report.unfinished) std::cout << "note: " << printable(run.folder.string()) << " is not finished and left out\n";
    const auto stage_of = [](const Group& g) { return g.any().stage_number(); };
    std::sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) { return stage_of(a) < stage_of(b); });
    const auto no_chain = [&](const Group& a, const Group& b) {
        const auto what = [](const Run& r) { return std::tie(r.id, r.dataset, r.student, r.method); };
        return a.any().stage.empty() || stage_of(a) == stage_of(b) || what(a.any()) != what(b.any());
    };
    const bool chain = std::adjacent_find(groups.begin(), groups.end(), no_chain) == groups.end();
    std::vector<std::string> names;
    for (const Group& group : groups) names.push_back(group.name());
    if (!chain) input_error(folder.string(), ": found ", names.size(), " experiments, expected the seeds of one: ", joined(names, "; "));
    if (groups.size() > 1)
        std::cout << "note: " << printable(folder.string()) << ": stage " << groups.back().any().stage << " of its chains, the last\n";
    return {printable(folder.string()), std::move(groups.back())};
}

std::string seeds_of(const Group& group) {
    std::vector<std::string> seeds;
    for (const Run& run : group.runs)
        if (seeds.empty() || seeds.back() != run.seed) seeds.push_back(run.seed);
    return joined(seeds, " ");
}

/// In what a's recipe differs from b's: "batch 128 (here 64)", b's in brackets.
std::string unlike(const Standing& a, const Standing& b) { return printable(told(recipe_differences(b.group.any(), a.group.any()))); }

/// Of a pair in data/paper: row and gain of both, and whether the papers' higher one is higher here; empty where there is no order.
std::vector<std::string> papers_cells(const std::optional<PaperOrder>& order, size_t i, size_t j, const Comparison& c) {
    if (!order || !order->numbers[i] || !order->numbers[j]) return {"", "", "", "", ""};
    const PaperNumber &a = *order->numbers[i], &b = *order->numbers[j];
    std::string holds;
    for (const PaperPair& pair : order->pairs) {
        if (pair.higher == i && pair.lower == j) holds = to_string(c.verdict);
        if (pair.higher == j && pair.lower == i) holds = to_string(pair.ours.verdict);
    }
    return {a.row.id, number(a.gain), b.row.id, number(b.gain), holds};
}

/// A row a pair.
void write_comparisons(const fs::path& file, const std::vector<Standing>& standings, const Pairs& pairs,
                       const std::optional<PaperOrder>& order) {
    const std::vector<std::string> columns = {"a",           "b",
                                              "n_a",         "n_b",
                                              "mean_a",      "std_a",
                                              "mean_b",      "std_b",
                                              "difference",  "low",
                                              "high",        "p",
                                              "p_holm",      "test",
                                              "a_is_higher", "undecided",
                                              "test_images", "unlike",
                                              "paper_a",     "paper_gain_a",
                                              "paper_b",     "paper_gain_b",
                                              "papers_order"};
    const std::vector<std::vector<double>> together = judged_together(pairs);
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = i + 1; j < standings.size(); ++j) {
            const Comparison& c = pairs[i][j];
            const auto bound = [&](double value) { return c.has_interval ? number(value) : ""; };
            rows.push_back({standings[i].name, standings[j].name, std::to_string(c.a.n), std::to_string(c.b.n), number(c.a.mean),
                            deviation_cell(c.a), number(c.b.mean), deviation_cell(c.b), number(c.difference), bound(c.low), bound(c.high),
                            bound(c.p), can_be_decided(c) ? number(together[i][j]) : "", c.paired ? "paired" : "Welch",
                            to_string(c.verdict), c.undecided, test_images(standings[i].group.any()), unlike(standings[i], standings[j])});
            const std::vector<std::string> papers = papers_cells(order, i, j, c);
            rows.back().insert(rows.back().end(), papers.begin(), papers.end());
        }
    write_file_atomically(file, csv_text(columns, printable(rows)));
}

void tell_of_images(const Group& group) {
    const std::string images = test_images(group.any());
    if (!images.empty()) std::cout << "tested on " << images << " images: one is " << fixed(100 / std::stod(images), 3) << " points\n";
}

void write_pair(const Standing& a, const Standing& b, const Comparison& c) {
    std::vector<std::vector<std::string>> rows = {{"", "runs", "experiment", "seeds", "n", "test accuracy"}};
    for (const auto& [name, of] : {std::pair("a", &a), {"b", &b}})
        rows.push_back(
            {name, of->name, of->group.name(), seeds_of(of->group), std::to_string(of->group.last.n), mean_and_deviation(of->group.last)});
    std::cout << aligned(rows, {4}) << "\na − b: " << signed_fixed(c.difference) << " points, 95 % interval " << c.interval();
    if (c.has_interval) std::cout << (c.p < 0.0005 ? ", p < 0.001" : ", p = " + fixed(c.p, 3));
    std::cout << (c.paired ? " (paired by seed: both share start and order)" : " (Welch: the sides are not paired by seed)") << '\n';
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
            differences.push_back(printable(text(d.option, " ", d.ours, " (", first.name, ": ", d.theirs, ")")));
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
    std::vector<Group*> groups;
    for (Standing& standing : standings) groups.push_back(&standing.group);
    tell_apart(groups);
    const auto put_in_order = [&] {
        std::stable_sort(standings.begin(), standings.end(),
                         [](const Standing& a, const Standing& b) { return a.group.last.mean > b.group.last.mean; });
    };
    const bool one_pair = standings.size() == 2;  // which is told of as it was named
    if (!one_pair) put_in_order();
    const Pairs pairs = compare_all(standings);
    const auto order = o.order.empty() ? std::nullopt : std::optional(paper_order(o.order, standings, paper));
    if (one_pair)
        write_pair(standings[0], standings[1], pairs[0][1]);
    else
        write_all(standings, pairs);
    if (order) write_paper_order(std::cout, *order, standings);
    std::cout << verdict_rule << '\n';
    if (!o.csv.empty()) write_comparisons(o.csv, standings, pairs, order);
    if (o.svg.empty()) return;
    put_in_order();
    write_file_atomically(o.svg, standings_svg(standings, compare_all(standings)));
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
