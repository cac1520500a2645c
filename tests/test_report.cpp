#include <cmath>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "cmd_report.h"
#include "complaints.h"
#include "markup.h"
#include "report.h"
#include "report_collect.h"
#include "report_html.h"
#include "report_runs.h"
#include "report_summary.h"
#include "report_text.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string stand_in = "stand-in data: compare the gain over the student alone";

}  // namespace

TEST_CASE("report: mean and sample deviation") {
    const Spread s = spread({2, 4, 4, 4, 5, 5, 7, 9});  // mean 5, squares 32, 32 / 7
    CHECK(s.mean == 5);
    CHECK(s.deviation == doctest::Approx(std::sqrt(32.0 / 7)).epsilon(1e-12));
    CHECK(s.n == 8);
    CHECK(spread({71.5}).mean == 71.5);
    CHECK(spread({71.5}).deviation == 0);
}

TEST_CASE("report: how numbers read") {
    CHECK(fixed(71.255) == "71.25");  // the double below 71.255
    CHECK(format_points(1.204) == "+1.20");
    CHECK(format_points(-0.306) == "−0.31");
    CHECK(format_points(-0.004) == "+0.00");
    CHECK(format_points(std::nullopt) == "–");
    CHECK(format_hours(1.0) == "1:00:00");
    CHECK(format_hours(59.6 / 3600) == "0:01:00");
    CHECK(format_hours(27.5125) == "27:30:45");
}

TEST_CASE("report: seeds are one group, a folder named twice counts once, other options are another group") {
    const TempFolder folder;
    for (int seed : {1, 2, 10})
        write_run(folder / text("a/s", seed), {"", "cifar100", "big", "small", "kd", seed, 70.0 + seed, 71.0 + seed, 3600.0 * seed,
                                               text("lr,0.1\ndevice,cpu\nthreads,", seed, "\ninfo.machine,host", seed, "\n")});
    write_run(folder / "b", {"", "cifar100", "big", "small", "kd", 3, 65, 66, 60, "lr,0.05\nnote,new\n"});
    const Report report = summarize(collect_runs({folder.path(), folder / "a", folder / "a/s1"}), paper);
    REQUIRE(report.groups.size() == 2);
    const Group &other = report.groups[0], &group = report.groups[1];
    CHECK(other.options == "lr=0.05, note=new");
    CHECK(group.options == "lr=0.1, note=–");
    CHECK(group.name() == "cifar100 big→small kd [lr=0.1, note=–]");
    REQUIRE(group.runs.size() == 3);
    CHECK(group.runs[2].seed == "10");
    CHECK(group.last.mean == doctest::Approx(70 + 13.0 / 3));
    CHECK(group.last.deviation == doctest::Approx(std::sqrt((100 + 49 + 289) / 9.0 / 2)));  // of 1, 2, 10 about 13/3, times 3
    CHECK(group.best.mean == doctest::Approx(71 + 13.0 / 3));
    CHECK(group.hours == doctest::Approx(13.0 / 3));
    CHECK(group.notes == std::vector<std::string>{"no experiment id: compare the gain over the student alone"});
}

TEST_CASE("report: difference by the metric that the paper reports, gain over the student alone") {
    const TempFolder folder;
    write_run(folder / "alone/s0", {"p-student", "cifar100", "", "small", "train", 0, 69.0, 69.5});
    write_run(folder / "alone/s1", {"p-student", "cifar100", "", "small", "train", 1, 69.5, 70.0});
    write_run(folder / "teacher", {"p-teacher", "cifar100", "", "big", "train", 0, 73.5, 74.5});
    write_run(folder / "kd", {"p-kd", "cifar100", "big", "small", "kd", 0, 71.0, 71.25});
    write_run(folder / "review", {"p-reviewkd", "cifar100", "big", "small", "reviewkd", 0, 71.5, 72.5});
    write_run(folder / "ablation", {"p-ablation", "cifar100", "big", "small", "reviewkd", 0, 70.5, 70.75});
    const Report report = report_on(folder);
    std::map<std::string, Group> by_id;
    for (const Group& g : report.groups) by_id.emplace(g.any().id, g);
    REQUIRE(by_id.size() == 5);

    CHECK(*by_id["p-student"].difference == doctest::Approx(0.25));  // mean of last 69.25
    CHECK_FALSE(by_id["p-student"].gain_last);
    CHECK(*by_id["p-teacher"].difference == doctest::Approx(-0.5));
    CHECK_FALSE(by_id["p-teacher"].paper_gain);
    CHECK(*by_id["p-kd"].difference == doctest::Approx(0.5));
    CHECK(*by_id["p-kd"].gain_last == doctest::Approx(1.75));
    CHECK(*by_id["p-kd"].gain_best == doctest::Approx(1.5));
    CHECK(*by_id["p-kd"].paper_gain == doctest::Approx(1.5));
    CHECK(by_id["p-kd"].student_alone == "p-student");
    CHECK(by_id["p-reviewkd"].compared_by_best());
    CHECK(*by_id["p-reviewkd"].difference == doctest::Approx(0.5));
    CHECK(*by_id["p-reviewkd"].paper_gain == doctest::Approx(3.0));
    CHECK(by_id["p-reviewkd"].notes.empty());
    CHECK(by_id["p-ablation"].is_the_papers);
    CHECK_FALSE(by_id["p-ablation"].difference);  // the paper's number is not on file
    CHECK(by_id["p-ablation"].notes.empty());
    CHECK(*by_id["p-ablation"].gain_last == doctest::Approx(1.25));
}

TEST_CASE("report: no absolute comparison where the run is not the row's") {
    const auto only_group = [](const Recipe& r) {
        const TempFolder folder;
        write_run(folder / "run", r);
        return report_on(folder).groups.at(0);
    };
    const auto reason = [](const Group& g) {
        CHECK_FALSE(g.difference);
        REQUIRE(g.notes.size() == 1);
        return g.notes[0].substr(0, g.notes[0].find(':'));
    };
    const Group elsewhere = only_group({"p-kd", "tin20", "big", "small", "kd"});
    CHECK(elsewhere.notes == std::vector<std::string>{stand_in});
    CHECK_FALSE(elsewhere.difference);
    CHECK(*elsewhere.paper_gain == doctest::Approx(1.5));
    CHECK(elsewhere.name() == "p-kd on tin20");
    CHECK(only_group({"", "fashion-mnist", "big", "small", "kd"}).notes == std::vector<std::string>{stand_in});
    CHECK(reason(only_group({"", "cifar100", "big", "small", "kd"})) == "no experiment id");
    CHECK(reason(only_group({"mine", "cifar100", "big", "small", "kd"})) == "no row of data/paper has this id");
    for (const Recipe& r :
         {Recipe{"p-kd", "cifar100", "big", "tiny", "kd"}, Recipe{"p-kd", "cifar100", "big", "small", "reviewkd"},
          Recipe{"p-teacher", "cifar100", "", "small", "train"}, Recipe{"p-student", "cifar100", "big", "small", "train"}})
        CHECK(reason(only_group(r)) == "not the networks or the method of the row that its id names");
    Recipe held_out{"p-kd", "cifar100", "big", "small", "kd"}, cut = held_out, plain = held_out;
    held_out.options = "val,5000\n";
    cut.options = "val,0\nmax-steps,10\n";
    plain.options = "val,0\nmax-steps,0\n";
    CHECK(reason(only_group(held_out)) == "tested on records held out of the training set (--val)");
    CHECK(reason(only_group(cut)) == "cut short by --max-steps");
    CHECK(only_group(plain).difference);
}

TEST_CASE("report: the student alone is the one with the most like options; doubtful gains are noted") {
    const TempFolder folder;
    write_run(folder / "a", {"", "tin20", "", "small", "train", 0, 40, 40, 1, "batch,64\nlr,0.1\n"});
    write_run(folder / "b", {"", "tin20", "", "small", "train", 0, 50, 50, 1, "batch,128\nlr,0.1\n"});
    write_run(folder / "c", {"", "tin20", "", "other", "train", 0, 90, 90, 1, "batch,128\nlr,0.1\n"});
    write_run(folder / "kd", {"", "tin20", "big", "small", "kd", 0, 52, 53, 1, "batch,128\nlr,0.1\nalpha,0.9\n", {1, 2, 3}});
    write_run(folder / "again", {"", "tin20", "big", "small", "kd", 0, 52, 53, 1, "batch,128\nlr,0.1\nalpha,0.9\n", {1, 2, 3}, "def"});
    for (const Group& g : report_on(folder).groups) {
        if (g.any().method != "kd") continue;
        CHECK_FALSE(g.gain_last);
        CHECK_FALSE(g.above_alone);
        CHECK(g.student_alone.empty());
        REQUIRE(g.notes.size() == 4);
        CHECK(g.notes[0] == "2 runs of 1 seed: those of one seed count once, with their mean");
        CHECK(g.last.n == 1);
        CHECK(g.notes[1] == "runs of several commits");
        CHECK(g.notes[2] == stand_in);
        CHECK(g.notes[3] == "no gain: tin20 small train [batch=128], the nearest student alone, has epochs trained 2 (here 3)");
    }
}

TEST_CASE("report: the student alone is not one that began from a file, nor a teacher of its seeds") {
    const TempFolder folder;
    const std::string data = "info.data_sha256,d\n";
    write_run(folder / "tuned", {"", "tin20", "", "small", "train", 0, 64, 64, 1, data + "init,x\ninfo.init_sha256,0\nlr,0.1\n"});
    write_run(folder / "alone", {"", "tin20", "", "small", "train", 0, 60, 60, 1, data + "info.role,alone\nlr,0.1\n"});
    write_run(folder / "teacher", {"", "tin20", "", "small", "train", 0, 62, 62, 1, data + "info.role,teacher\nlr,0.1\n"});
    write_run(folder / "kd", {"", "tin20", "big", "small", "kd", 0, 63, 63, 1, data + "info.role,student\nlr,0.1\n"});
    const Report report = report_on(folder);
    CHECK(report.groups.size() == 4);  // an equal seed starts another network as a teacher
    for (const Group& g : report.groups)
        if (g.any().method == "kd") CHECK(g.gain_last.value_or(0) == doctest::Approx(3));
}

TEST_CASE("report: who the teachers were is said once, by the run or by an option") {
    const TempFolder folder;
    write_run(folder / "a", {"", "tin20", "big+big", "small", "feed", 0, 60, 60, 1});
    write_run(folder / "b", {"", "tin20", "big+big", "small", "feed", 1, 61, 61, 1});
    std::string config = read_file(folder / "b/config.csv");
    config.erase(config.find("teacher,"), std::string("teacher,big+big\n").size());  // `feed parallel` has no option of this name
    put_file(folder / "b/config.csv", config);
    CHECK(report_on(folder).groups.size() == 1);
}

TEST_CASE("report: unfinished runs are listed, not counted") {
    const TempFolder folder;
    write_unfinished(folder / "begun", {"", "tin20", "", "small", "train", 4, 0, 0, 0, "", {11, 22.5}});
    write_unfinished(folder / "fresh", {"", "tin20", "", "", "train", 5, 0, 0, 0, "net,large\n", {}});
    const Report report = report_on(folder);
    CHECK(report.groups.empty());
    REQUIRE(report.unfinished.size() == 2);
    CHECK(report.unfinished[0].seed == "4");
    CHECK(report.unfinished[0].student == "small");
    CHECK(report.unfinished[1].student == "large");
    std::ostringstream out;
    write_text(out, report);
    const std::string where = folder.path().string(), blank(where.size() + 6 - 14, ' ');
    CHECK(out.str() == "unfinished run" + blank + "  epochs  of  test accuracy\n" + where + "/begun       2  30          22.50\n" + where +
                           "/fresh       0  30              –\n");
    const std::string page = html_page(report, "");
    CHECK(holds(page, "Unfinished runs"));
    CHECK_FALSE(holds(page, "<h2>Results"));
}

TEST_CASE("report: what is wrong with a run folder is said with file and place, and is no reason to leave out the others") {
    const TempFolder folder;
    const auto message = [&] { return collect_runs({folder.path()}).at(0).fault; };
    CHECK(holds(complaint([&] { collect_runs({folder.path()}); }), "no run found in " + folder.path().string()));
    CHECK(holds(complaint([&] { collect_runs({folder / "gone"}); }), "gone: is no folder"));
    const Recipe good;
    write_run(folder / "r", good);
    CHECK(message() == "");
    const fs::path result = folder / "r/result.csv", epochs = folder / "r/epochs.csv";
    put_file(result, result_header);
    CHECK(holds(message(), "r/result.csv: found 0 rows, expected one"));
    put_file(result, "id,dataset\nx,cifar100\n");
    CHECK(holds(message(), "r/result.csv: no column 'teacher'"));
    put_file(result, result_header + ",d,,s,train,1,0.7\n");
    CHECK(holds(message(), "r/result.csv: line 2: found 7 cells, expected 13"));
    put_file(result, result_header + ",d,,s,train,1,170,70,1,1,cpu,fp32,c\n");
    CHECK(holds(message(), "r/result.csv: row 1, column 'last': found 170, expected 0 to 100"));
    put_file(result, result_header + ",d,,s,train,1,70,nan,1,1,cpu,fp32,c\n");
    CHECK(holds(message(), "column 'best': found nan, expected 0 to 100"));
    put_file(result, "");
    CHECK(holds(message(), "r/result.csv: is empty"));
    write_run(folder / "r", good);
    put_file(epochs, epochs_header + "0,0.1,1,1,5,1,10,10,1\n2,0.1,1,1,5,1,10,10,1\n");
    CHECK(holds(message(), "r/epochs.csv: row 2: found epoch 2, expected 1"));
    put_file(epochs, "epoch,lr\n");
    CHECK(holds(message(), "r/epochs.csv: no column 'train_loss'"));
    fs::remove(epochs);
    CHECK(message() == "");  // without curves, but finished
    for (const char* fact :
         {"info.stage,two", "info.stage,0", "info.teacher0_accuracy,much", "info.teacher_accuracy,170", "info.test_images,many"}) {
        Recipe odd;
        odd.options = std::string(fact) + "\n";
        write_run(folder / "r", odd);
        CHECK(holds(message(), text("r/config.csv: option '", std::string(fact).substr(0, std::string(fact).find(',')), "': found '")));
    }
    fs::remove(folder / "r/config.csv");
    CHECK(holds(message(), "r/config.csv"));

    write_run(folder / "whole", good);
    std::ofstream(folder / "whole/epochs.csv", std::ios::app) << "999,0.1,0.";  // torn, though finished
    write_run(folder / "other", good);
    const Report report = report_on(folder);
    REQUIRE(report.groups.size() == 1);
    CHECK(report.groups[0].runs.size() == 1);
    REQUIRE(report.faults.size() == 2);
    CHECK(report.faults[1].folder == folder / "whole");
    std::ostringstream out;
    write_text(out, report);
    CHECK(holds(out.str(), "cannot be read, left out"));
    CHECK(holds(out.str(), "whole/epochs.csv: is cut off after "));
    const std::string page = html_page(report, "");
    CHECK(testing::balanced(page));
    CHECK(holds(page, "whole/epochs.csv: is cut off after "));
    CHECK(holds(page, "2 that cannot be read"));
    write_csv(folder / "t.csv", report);
    const CsvTable table = read_csv(folder / "t.csv");
    CHECK(table.cell(2, "status") == "cannot be read");
    CHECK(holds(table.cell(2, "note"), "whole/epochs.csv: is cut off after "));

    write_unfinished(folder / "under-way", good);
    std::ofstream(folder / "under-way/epochs.csv", std::ios::app) << "2,0.1,0.";  // its next row is being written
    CHECK(report_on(folder).faults.size() == 2);
    CHECK(report_on(folder).unfinished.at(0).epochs.size() == 2);
}

TEST_CASE("report: the text table") {
    const TempFolder folder;
    for (int seed : {0, 1}) {
        write_run(folder / text("alone/s", seed), {"p-student", "cifar100", "", "small", "train", seed, 69.0 + seed, 70.0 + seed});
        write_run(folder / text("tin/s", seed), {"", "tin20", "big", "small", "kd", seed, 50.0 + seed, 51});
    }
    write_run(folder / "review", {"p-reviewkd", "cifar100", "big", "small", "reviewkd", 0, 71.5, 71.75, 5025});
    std::ostringstream out;
    write_text(out, report_on(folder));
    const std::string expected =
        "experiment          epochs  paper         last          best on test"
        "  n  compared  difference  gain last  95 % interval  above alone  gain best  paper's gain  test images     time  device  note\n"
        "p-student                2  69.00         69.50 ± 0.71  70.50 ± 0.71"
        "  2  last           +0.50          –              –  –                    –             –        10000  1:00:00  cpu\n"
        "p-reviewkd               2  72.00 ± 0.25  71.50         71.75       "
        "  1  best           −0.25      +2.00              –  not decided      +1.25         +3.00        10000  1:23:45  cpu\n"
        "tin20 big→small kd       2  –             50.50 ± 0.71  51.00 ± 0.00"
        "  2  –                  –          –              –  –                    –             –        10000  1:00:00  cpu     1\n"
        "\n";
    const size_t table_end = out.str().find("Top-1");
    CHECK(out.str().substr(0, table_end) == expected);
    CHECK(out.str().substr(table_end) ==
          "Top-1 accuracy on the test set in %, mean ± sample standard deviation of n runs; differences and gains (over the student alone) "
          "in points; time of one run, h:mm:ss. Above alone: " +
              std::string(verdict_rule) + "\n1  stand-in data: compare the gain over the student alone\n");
}

TEST_CASE("report: the CSV has the same numbers, raw, and appears whole") {
    const TempFolder folder;
    write_run(folder / "runs/alone", {"p-student", "cifar100", "", "small", "train", 0, 69.125, 70});
    write_run(folder / "runs/kd", {"p-kd", "cifar100", "big", "small", "kd", 0, 71.25, 71.5, 900});
    write_unfinished(folder / "runs/open", {"p-kd", "cifar100", "big", "small", "kd", 1});
    const Report report = summarize(collect_runs({folder / "runs"}), paper);
    const fs::path file = folder / "table.csv";
    write_csv(file, report);
    CHECK_FALSE(fs::exists(file.string() + ".tmp"));
    const CsvTable table = read_csv(file);
    REQUIRE(table.rows.size() == 3);
    CHECK(table.cell(1, "experiment") == "p-kd");
    CHECK(table.cell_number(1, "paper") == 70.5);
    CHECK(table.cell(1, "paper_metric") == "top1");
    CHECK(table.cell_number(1, "last_mean") == 71.25);
    CHECK(table.cell(1, "last_std") == "");
    CHECK(table.cell_number(1, "difference") == 0.75);
    CHECK(table.cell_number(1, "gain_last") == 2.125);
    CHECK(table.cell_number(1, "gain_best") == 1.5);
    CHECK(table.cell_number(1, "paper_gain") == 1.5);
    CHECK(table.cell_number(1, "hours") == 0.25);
    CHECK(table.cell(1, "student_alone") == "p-student");
    CHECK(table.cell(2, "status") == "unfinished");
    CHECK(table.cell(2, "epochs") == "2");
    CHECK(table.cell(2, "last_mean") == "");
    CHECK(holds(complaint([&] { write_csv(folder / "no/where.csv", report); }), "where.csv"));
}

TEST_CASE("report: the page is self-contained, balanced and escapes what runs say") {
    const TempFolder folder;
    for (int seed : {0, 1})
        write_run(folder / text("alone/s", seed), {"p-student", "cifar100", "", "small", "train", seed, 69.0 + seed, 70.0 + seed});
    for (int k = 0; k < 8; ++k)  // more lines than colours
        write_run(folder / text("kd", k), {"", "cifar100", "big", "small", "kd", 0, 70.0 + k, 72, 60, text("alpha,0.", k, "\n")});
    write_run(folder / "evil", {"\"<script>\"\"&\"", "a<b>", "", "x&y", "train", 0, 50, 50, 1, "data,\"</dd><img src=x>\"\n", {50}});
    write_unfinished(folder / "open", {"p-kd", "cifar100", "big", "small", "kd", 1});
    const std::string page = html_page(report_on(folder), "2025-01-31 12:00 UTC");
    CHECK(holds(page, "2025-01-31 12:00 UTC"));

    for (const char* outside : {"http", "src=", "href", "url(", "@import", "<script", "<link", "<img"}) {
        CAPTURE(outside);
        CHECK(count(page, outside) == (std::string(outside) == "src=" ? 1u : 0u));  // the one within the escaped option
    }
    CHECK(holds(page, "&lt;script&gt;&quot;&amp;"));
    CHECK(holds(page, "&lt;/dd&gt;&lt;img src=x&gt;"));

    CHECK(testing::balanced(page));
    CHECK_FALSE(holds(page, "50.0000000"));          // an axis around one value
    CHECK(holds(page, "M52.0 151.0L60.0 151.0\""));  // a curve of one epoch, in the middle of its axis
    CHECK(holds(page, "stroke-dasharray=\"5 3\""));

    CHECK(holds(page, "small on cifar100"));
    CHECK(count(page, "class=\"mean\"") == 2 * (9 + 1));  // both charts: nine groups, and the other panel's one
    CHECK(count(page, "class=\"seed\"") == 2 * 2);        // only where there is more than one seed
    CHECK(count(page, "<details>") == 11);                // configurations, and what stands behind the grid's numbers
    CHECK(holds(page, "stroke-dasharray"));
    CHECK(holds(page, "1 unfinished"));
    CHECK_FALSE(holds(page, "nan"));
    CHECK(count(page, "inf") == count(page, "info."));
}

TEST_CASE("report: a diverged loss leaves a gap in its curve") {
    const TempFolder folder;
    write_run(folder / "r", {});
    put_file(folder / "r/epochs.csv", epochs_header +
                                          "0,0.1,2,2,5,1,10,10,1\n1,0.1,nan,nan,5,1,11,11,1\n2,0.1,1,1,5,1,12,12,1\n"
                                          "3,0.1,1,1,5,1,12,12,1\n");
    const std::string page = html_page(report_on(folder), "");
    const size_t loss = page.find("d=\"", page.find("class=\"mean\"", page.find("Training loss")));
    const std::string path = page.substr(loss + 3, page.find('"', loss + 3) - loss - 3);
    CHECK(count(path, "M") == 2);
    CHECK(count(path, "L") == 2);  // the first epoch alone is a short line
}

TEST_CASE("report: the command writes both files and needs the papers' numbers") {
    const TempFolder folder;
    write_run(folder / "runs/r", {});
    put_file(folder / "paper/p.csv",
             "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n"
             "p-kd,T,cifar100,big,small,kd,kd,,top1,70,,b\n");
    const auto run = [&](const std::string& words) {
        CommandLine line;
        add_report_command(line);
        line.run(split("report " + (folder / "runs").string() + words, ' '));
    };
    std::ostringstream out;
    std::streambuf* const before = std::cout.rdbuf(out.rdbuf());
    const std::string common = " --csv " + (folder / "o.csv").string() + " --html " + (folder / "o.html").string() + " --paper ";
    run(common + (folder / "paper").string());
    const std::string wrong = complaint([&] { run(common + (folder / "gone").string()); });
    std::cout.rdbuf(before);
    CHECK(holds(out.str(), "cifar100 small train"));
    CHECK(read_csv(folder / "o.csv").rows.size() == 1);
    CHECK(holds(read_file(folder / "o.html"), "</html>"));
    CHECK(holds(wrong, "gone: is no folder"));
}

TEST_SUITE_END();
