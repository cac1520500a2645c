#include "cmd_report.h"

#include <iostream>
#include <memory>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "base_texts.h"
#include "report.h"
#include "report_collect.h"
#include "report_feed.h"
#include "report_grid.h"
#include "report_html.h"
#include "report_ktg.h"
#include "report_likeness.h"
#include "report_summary.h"
#include "report_text.h"

namespace distill {
namespace {

struct ReportOptions {
    std::vector<fs::path> runs;
    fs::path csv, html, paper;
};

void run_report(const ReportOptions& o) {
    require_output("--csv", o.csv, csv_begins, "report’s table");
    require_output("--html", o.html, html_begins, "report’s page");
    if (!o.csv.empty() && fs::weakly_canonical(o.csv) == fs::weakly_canonical(o.html))
        input_error("--html ", o.html.string(), ": is --csv's file, too; name another");
    const std::vector<PaperRow> paper = load_paper(paper_folder(o.paper));
    Report report = summarize(collect_runs(o.runs), paper);
    report.searches = collect_searches(o.runs, report.faults);
    if (report.groups.empty() && report.unfinished.empty() && report.searches.empty())
        input_error("nothing can be read; the first of ", report.faults.size(), ": ", report.faults.front().reason);
    write_text(std::cout, report);
    write_grids(std::cout, paper_grids(report));
    write_feed(std::cout, feed_studies(report));
    write_searches(std::cout, report.searches);
    if (!o.csv.empty()) write_csv(o.csv, report);
    if (!o.html.empty()) write_file_atomically(o.html, html_page(report, utc_now() + " UTC"));
}

struct CompareOptions {
    std::vector<fs::path> runs;
    fs::path csv;
};

inline const char* const comparison_begins = "a,b,n_a,n_b,";

/// The one experiment of a folder. InputError if it holds several, or a run that cannot be read.
Group only_group(const fs::path& folder) {
    Report report = summarize(collect_runs({folder}), {});
    if (!report.faults.empty()) input_error(report.faults.front().reason, "; a comparison leaves no run out: mend it or remove it");
    std::vector<std::string> names;
    for (const Group& group : report.groups) names.push_back(group.name());
    if (names.empty()) input_error(folder.string(), ": no finished run in it");
    if (names.size() > 1)
        input_error(folder.string(), ": found ", names.size(), " experiments, expected the seeds of one: ", joined(names, "; "));
    return std::move(report.groups.front());
}

std::string seeds_of(const Group& group) {
    std::vector<std::string> seeds;
    for (const Run& run : group.runs)
        if (seeds.empty() || seeds.back() != run.seed) seeds.push_back(run.seed);
    return joined(seeds, " ");
}

void write_comparison(const fs::path& file, const CompareOptions& o, const Comparison& c, const std::string& images,
                      const std::string& unlike) {
    const auto bound = [&](double value) { return c.has_interval ? number(value) : ""; };
    const std::vector<std::string> columns = {"a",      "b",           "n_a",        "n_b",         "mean_a", "std_a",
                                              "mean_b", "std_b",       "difference", "low",         "high",   "p",
                                              "test",   "a_is_higher", "undecided",  "test_images", "unlike"};
    write_file_atomically(file, csv_text(columns, {{o.runs[0].string(), o.runs[1].string(), std::to_string(c.a.n), std::to_string(c.b.n),
                                                    number(c.a.mean), number(c.a.deviation), number(c.b.mean), number(c.b.deviation),
                                                    number(c.difference), bound(c.low), bound(c.high), bound(c.p),
                                                    c.paired ? "paired" : "Welch", to_string(c.verdict), c.undecided, images, unlike}}));
}

void run_compare(const CompareOptions& o) {
    require_output("--csv", o.csv, comparison_begins, "comparison’s table");
    const Group a = only_group(o.runs[0]), b = only_group(o.runs[1]);
    if (a.any().dataset != b.any().dataset || test_images(a.any()) != test_images(b.any()))
        input_error(o.runs[1].string(), ": was tested on ", b.any().dataset, " (", test_images(b.any()), " images), ", o.runs[0].string(),
                    " on ", a.any().dataset, " (", test_images(a.any()), "); only accuracies on the same images compare");
    const Comparison c = compare(a, b);
    const std::string unlike = told(recipe_differences(b.any(), a.any())), images = test_images(a.any());
    std::vector<std::vector<std::string>> rows = {{"", "experiment", "seeds", "n", "test accuracy"}};
    for (const auto& [name, group] : {std::pair("a", &a), {"b", &b}})
        rows.push_back({name, group->name(), seeds_of(*group), std::to_string(group->last.n), mean_and_deviation(group->last)});
    std::cout << aligned(rows, {3}) << "\na − b: " << signed_fixed(c.difference) << " points, 95 % interval " << c.interval();
    if (c.has_interval) std::cout << ", p = " << fixed(c.p, 3);
    std::cout << (c.paired ? " (paired by seed: both share start and order)" : " (Welch: the runs share nothing)") << '\n';
    if (!images.empty()) std::cout << "tested on " << images << " images: one is " << fixed(100 / std::stod(images), 3) << " points\n";
    for (const auto& [name, group] : {std::pair("a", &a), {"b", &b}})
        if (const std::string repeats = told_of_repeats(*group); !repeats.empty())
            std::cout << "note: " << name << " has " << repeats << '\n';
    if (!unlike.empty()) std::cout << "note: beside the method, a has " << unlike << "; the difference may come from that\n";
    std::cout << "a is higher than b: " << to_string(c.verdict) << (c.undecided.empty() ? "" : " (" + c.undecided + ")") << "\n"
              << verdict_rule << '\n';
    if (!o.csv.empty()) write_comparison(o.csv, o, c, images, unlike);
}

}  // namespace

void add_report_commands(Subcommand app) {
    const Subcommand report = app.add_subcommand("report", "Runs beside the papers' numbers: a table, a CSV, one HTML page");
    auto of_report = std::make_shared<ReportOptions>();
    report.add_option("RUNS", of_report->runs, "run folders, or folders with run folders in them").required();
    report.add_option("--csv", of_report->csv, "write the table as CSV to this file");
    report.add_option("--html", of_report->html, "write one self-contained page with learning curves to this file");
    report.add_option("--paper", of_report->paper, "folder of the papers' numbers [data/paper, here or beside the program]");
    report.callback([of_report] { run_report(*of_report); });

    const Subcommand compare = app.add_subcommand("compare", "is one training better than another? Two folders with the seeds of one each");
    auto of_compare = std::make_shared<CompareOptions>();
    compare.add_option("RUNS", of_compare->runs, "a folder with the runs of the one, and one with those of the other").required().words(2);
    compare.add_option("--csv", of_compare->csv, "write means, difference, interval and verdict as CSV to this file");
    compare.callback([of_compare] { run_compare(*of_compare); });
}

}  // namespace distill
