// The papers' tables as grids: which of our groups stands in a cell, what is counted, and the text and HTML of it.
#include <cstdlib>
#include <sstream>

#include "complaints.h"
#include "markup.h"
#include "report_grid.h"
#include "testing.h"

using namespace distill;
using testing::holds;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Two papers with the number of one training, a method whose loss is not there, and two numbers of one cell.
std::vector<PaperRow> rows_on_file() {
    std::vector<PaperRow> rows = {
        {"a-kd", "T", "cifar100", "big", "small", "kd", "top1", 70.5, {}, "s", "kd", {{"recipe", "crd"}}},
        {"a-wide-kd", "T", "cifar100", "big+big", "wide", "kd", "top1", 73.0, 0.25, "s", "kd", {{"recipe", "crd"}}},
        {"a-review", "T", "cifar100", "big", "small", "reviewkd", "top1_best", 72.0, {}, "s", "reviewkd"},
        {"a-ofd", "T", "cifar100", "big", "small", "ofd", "top1", 71.0, {}, "s", ""},
        {"b-kd", "U<1>", "cifar100", "big", "small", "kd", "top1", 70.6, {}, "s", "kd", {{"recipe", "crd"}}},
        {"b-kd-too", "U<1>", "cifar100", "big", "small", "kd", "top1", {}, {}, "s", "kd", {{"recipe", "crd"}, {"beta", "2"}}},
        {"c-kd", "V", "cifar100", "big", "other", "kd", "top1", 60.0, {}, "s", "kd"},
    };
    for (PaperRow& row : rows) row.file = row.id.substr(0, 1);
    return rows;
}

Group group_of(const PaperRow& row, bool is_the_papers, const std::vector<double>& last, const std::string& dataset = "cifar100") {
    Group g;
    std::vector<double> best;
    for (const double accuracy : last) {
        Run run;
        run.id = row.id, run.dataset = dataset, run.last = accuracy, run.best = accuracy + 1;
        g.runs.push_back(run);
        best.push_back(run.best);
    }
    g.last = spread(last), g.best = spread(best);
    g.paper = row;
    g.is_the_papers = is_the_papers;
    return g;
}

std::string text_of(const Report& report) {
    std::ostringstream out;
    write_grids(out, paper_grids(report));
    return out.str();
}

}  // namespace

TEST_CASE("report grid: of a chain its last stage stands in the cell") {
    Report report;
    report.paper = rows_on_file();
    for (const char* stage : {"1", "10", "2"}) {  // in the order of their text
        report.groups.push_back(group_of(report.paper[0], true, {60.0 + std::atoi(stage)}));
        report.groups.back().runs[0].stage = stage;
    }
    const std::vector<PaperGrid> grids = paper_grids(report);
    REQUIRE(grids[0].cells[0][0]);
    CHECK(grids[0].cells[0][0]->ours == &report.groups[1]);
}

TEST_CASE("report grid: a training stands in every cell it is, the paper's own before others, and cells are counted") {
    Report report;
    report.paper = rows_on_file();
    const auto& rows = report.paper;
    report.groups = {group_of(rows[0], false, {50, 50, 50}), group_of(rows[0], true, {71, 72}), group_of(rows[2], false, {71.5}),
                     group_of(rows[1], true, {74}, "tin20")};  // on other data: in no cell
    const std::vector<PaperGrid> grids = paper_grids(report);
    REQUIRE(grids.size() == 3);
    CHECK(grids[0].title == "a: T");
    CHECK(grids[0].pairs == std::vector<std::string>{"big→small", "2 × big→wide"});
    CHECK(grids[0].methods == std::vector<std::string>{"kd", "reviewkd", "ofd"});
    CHECK(grids[1].methods == std::vector<std::string>{"kd", "kd"});  // two numbers of one pair
    REQUIRE(grids[0].cells[0][0]);
    CHECK(grids[0].cells[0][0]->ours == &report.groups[1]);
    CHECK_FALSE(grids[0].cells[0][1]->ours);
    CHECK_FALSE(grids[0].cells[2][1]);
    CHECK(grids[1].cells[0][0]->ours == &report.groups[1]);  // the same training under another id
    CHECK_FALSE(grids[1].cells[1][0]->ours);
    CHECK(grids[0].cells[1][0]->accuracy().mean == 72.5);  // the paper's is of the best epoch

    const Coverage all = coverage_of(grids);
    CHECK(all.cells == 7);
    CHECK(all.run == 2);
    CHECK(all.otherwise == 1);
    CHECK(all.on_file == 1);
    CHECK(all.told() == "2 of 7 cells run, 1 more not with the paper's data and recipe (†); on file for the report only: 1");
}

TEST_CASE("report grid: the text has the tables that something was run of, and always the count") {
    Report report;
    report.paper = rows_on_file();
    CHECK(text_of(report) == "\nThe papers' tables (data/paper): 0 of 7 cells run; on file for the report only: 1\n");
    CHECK(text_of({}).empty());
    report.groups = {group_of(report.paper[0], true, {71, 72}), group_of(report.paper[2], false, {71.5})};
    const std::string told = text_of(report);
    CHECK(holds(told,
                "\na: T: 1 of 4 cells run, 1 more not with the paper's data and recipe (†); on file for the report only: 1\n"
                "method    big→small  ours               2 × big→wide  ours\n"
                "kd        70.50      71.50 ± 0.71, n 2  73.00 ± 0.25\n"
                "reviewkd  72.00 b    72.50, n 1 †\n"
                "ofd       71.00\n"));
    CHECK(holds(told, "\nb: U<1>: 1 of 2 cells run\n"));
    CHECK_FALSE(holds(told, "c: V"));
}

TEST_CASE("report grid: the page's tables are balanced, escaped, and as wide as their heads") {
    Report report;
    report.paper = rows_on_file();
    CHECK(holds(grids_section(paper_grids(report)), "<p>0 of 7 cells run; on file for the report only: 1.</p>"));
    CHECK(grids_section({}).empty());
    report.groups = {group_of(report.paper[0], true, {71, 72})};
    const std::string page = grids_section(paper_grids(report));
    CHECK(testing::balanced(page));
    CHECK(holds(page, "<h3>b: U&lt;1&gt;</h3>"));
    CHECK(holds(page, "<td>70.50<span class=\"id\">71.50 ± 0.71, n 2</span></td><td>73.00 ± 0.25</td></tr>"));
    CHECK(holds(page, "<tr><td class=\"text\">ofd</td><td>71.00</td><td></td></tr>"));
    CHECK_FALSE(holds(page, "c: V"));
}

TEST_CASE("report grid: how, when and how long stands below each table of which something was run") {
    Report report;
    report.paper = rows_on_file();
    Group g = group_of(report.paper[0], true, {71, 72});
    g.hours = 1.5, g.devices = "cpu", g.commits = "abc";
    g.runs[0].sittings = {{"2026-11-28 23:50:00", "cpu, A"}, {"2026-11-29 01:00:00", "cpu, B"}, {"2026-11-29 02:00:00", "cpu, B"}};
    g.runs[1].sittings = {{"2026-11-30 08:00:00", "cpu, B"}};
    report.groups = {g};
    CHECK(holds(text_of(report), "time of one"));
    for (const char* part : {"71.50 ± 0.71", "72.50 ± 0.71", "1:30:00", "2026-11-28 to 2026-11-30", "2, 2 machines", "abc"}) {
        CAPTURE(part);
        CHECK(holds(text_of(report), part));
        CHECK(holds(grids_section(paper_grids(report)), part));
    }
    report.groups[0].runs[1].sittings.clear();  // of a run from before there was sessions.csv nobody knows
    CHECK_FALSE(holds(text_of(report), "machines"));
}

TEST_SUITE_END();
