#include "cmd_report.h"

#include <iostream>
#include <memory>

#include "base_command_line.h"
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
    if (one_output(o.csv, o.html)) input_error("--html ", o.html.string(), ": is --csv's file, too; name another");
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

}  // namespace

void add_report_command(Subcommand app) {
    const Subcommand report = app.add_subcommand("report", "Runs beside the papers' numbers: a table, a CSV, one HTML page");
    auto of_report = std::make_shared<ReportOptions>();
    report.add_option("RUNS", of_report->runs, "run folders, or folders with run folders in them").required();
    report.add_option("--csv", of_report->csv, "write the table as CSV to this file");
    report.add_option("--html", of_report->html, "write one self-contained page with learning curves to this file");
    report.add_option("--paper", of_report->paper, "folder of the papers' numbers [data/paper, here or beside the program]");
    report.callback([of_report] { run_report(*of_report); });
}

}  // namespace distill
