// The report of knowledge transfer graphs and of searches for them: pictures, tables, what is compared with what.
#include <iostream>
#include <sstream>

#include "base_command_line.h"
#include "base_files.h"
#include "cmd_report.h"
#include "markup.h"
#include "report_html.h"
#include "report_ktg.h"
#include "report_runs.h"
#include "report_text.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A ktg run as `ktg train` leaves it, with two nodes that transfer both ways; `alone`: with one.
void write_graph_run(const fs::path& folder, const std::string& graph_option, int seed, double last, bool alone = false,
                     const std::string& options = "") {
    write_run(folder,
              {"", "tin20", alone ? "" : "resnet14", "resnet8", "ktg", seed, last, last + 1, 60, "graph," + graph_option + "\n" + options});
    put_file(folder / "graph.csv", alone ? "node,model,weights,gate_0\n0,resnet8,,through\n"
                                         : "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet14,,correct,through\n");
    put_file(folder / "epochs.csv", text("epoch,train_loss,test_acc,test_acc_1\n0,2,10,20\n1,1,", last, ",", last + 5, "\n"));
    put_file(folder / "edges.csv",
             "epoch,target,source,gate,weight,last_weight,loss,both_right,source_only,target_only,none_right\n"
             "1,0," +
                 std::string(alone ? "0,through" : "1,linear") + ",0.5,1,0.25,1,1,1,1\n");
}

void write_search(const fs::path& folder) {
    put_file(folder / "journal.csv",
             "trial,event,epoch,error,detail\n"
             ",study,,,dataset=tin20;target=resnet8;trials=3;epochs=4;score=validation;val=48\n"
             "0,started,0,,resnet8 resnet14 | through linear | correct through\n"
             "0,complete,4,40,\n"
             "1,rejected,0,,resnet8 resnet14 | cutoff cutoff | correct through\n"
             "2,started,0,,resnet8 resnet8 | through linear | correct through\n");
}

}  // namespace

TEST_CASE("report: graphs are drawn with the means over their seeds; one node is the student alone") {
    const TempFolder folder;
    for (int seed : {0, 1}) {
        const std::string of_search = text("search/retrained/best1/s", seed);
        write_graph_run(folder / of_search, "x/" + of_search + "/graph.csv", seed, 60 + seed);
        write_graph_run(folder / text("plain/s", seed), "plain", seed, 55, true);
    }
    write_graph_run(folder / "search/teachers/resnet8", "x/search/teachers/resnet8/graph.csv", 0, 50, true);  // the search's own
    write_graph_run(folder / "dml", "dml", 2, 58);  // the same graph from another file
    write_run(folder / "train", {"", "tin20", "", "resnet8", "train", 0, 54, 54, 1, "batch,64\n"});
    const Report report = report_on(folder);
    REQUIRE(report.groups.size() == 3);
    CHECK(is_trained_alone(report.groups[0].any()));
    CHECK(is_trained_alone(report.groups[1].any()));
    const Group& graph = report.groups[2];
    CHECK(graph.runs.size() == 3);
    CHECK(graph.name().find("[") == std::string::npos);  // no difference but the file
    CHECK(*graph.gain_last == doctest::Approx((58 + 60 + 61) / 3.0 - 55));

    const std::string page = html_page(report, "");
    CHECK(testing::balanced(page));
    CHECK(count(page, "<svg class=\"ktg\"") == 1);
    CHECK(count(page, "http") == 1);  // the picture's namespace
    CHECK(holds(page, ">59.67 %<"));  // node 0; node 1 is five points above it
    CHECK(holds(page, ">64.67 %<"));
    CHECK(holds(page, "linear, last epoch: weight 0.500, loss 0.2500"));
    CHECK(holds(page, "mean of 3 runs"));
}

TEST_CASE("report: a graph whose training a full disk ended in the middle of a row is read as far as it went") {
    const TempFolder folder;
    write_unfinished(folder / "r", {"", "cifar100", "", "", "ktg"});
    put_file(folder / "r/graph.csv", "node,model,weights,gate_0\n0,resnet8,,through\n");
    std::ofstream(folder / "r/epochs.csv", std::ios::app) << "2,0.1,1.";
    const auto fault = [&] { return collect_runs({folder.path()}).front().fault; };
    const std::string header = "epoch,target,source,gate,weight,last_weight,loss,both_right,source_only,target_only,none_right\n";
    for (const char* rows : {"", "0,0,0,through,1,1,0.5,5,1,2,2\n", "0,0,0,through,1,1,0.5,5,1,2,2\n1,0,0,thr"}) {
        put_file(folder / "r/edges.csv", header + rows);
        CAPTURE(rows);
        CHECK(fault() == "");
    }
}

TEST_CASE("report: a search with its picture and its table beside what is on file") {
    const TempFolder folder;
    write_search(folder / "runs/search");
    CHECK(collect_runs({folder / "runs"}).empty());  // a search under way is something to report
    put_file(folder / "runs/search/search.csv",
             "id,trial,search_error,test_mean,test_std,n,graph\n"
             "best1,0,40,61.5,0.25,2,resnet8 resnet14 | through linear | correct through\n"
             "plain-resnet8,,,60,,1,resnet8 | through\n");
    put_file(folder / "paper/ktg.csv",
             "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n"
             "found,T,tin20,,resnet8,ktg-search,,,top1,63.25,,a <paper>\n"
             "elsewhere,T,tin20,,resnet32a,ktg-search,,,top1,70,,b\n");
    CommandLine line;
    add_report_command(line);
    std::ostringstream out;
    std::streambuf* const before = std::cout.rdbuf(out.rdbuf());
    const std::string place = folder.path().string();
    line.run({"report", place + "/runs", "--html", place + "/o.html", "--paper", place + "/paper"});
    std::cout.rdbuf(before);
    CHECK(holds(out.str(),
                "runs/search: resnet8 on tin20, graphs of 2 nodes, 3 trials; the best, trial 0, has an error of 40.00 %\n"
                "on all training data  test accuracy  n  gain over plain  95 % interval  above plain\n"
                "best1                 61.50 ± 0.25   2            +1.50  –              not decided\n"
                "plain-resnet8         60.00          1                –  –              –\n"
                "Gain over plain-resnet8, of the graphs’ batch. "));
    const std::string page = read_file(folder / "o.html");
    CHECK(testing::balanced(page));
    CHECK(count(page, "<svg class=\"ktg\"") == 2);  // the search, and the graph that it found
    CHECK(count(page, "http") == 2);
    for (const char* part : {"2 of 3 trials have ended: 1 complete", "48 images held out", "The best graph: trial 0",
                             "<td>61.50 ± 0.25</td>", "<td>+1.50</td>", "<td>63.25</td>", "a &lt;paper&gt;"})
        CHECK_MESSAGE(holds(page, part), part);
    CHECK_FALSE(holds(page, "elsewhere"));

    // Where the graphs' batch is another than that of networks alone, the gain is over plain training with the graphs'.
    std::string journal = read_file(folder / "runs/search/journal.csv");
    journal.replace(journal.find("val=48"), 6, "val=48;batch=64;alone-batch=128");
    put_file(folder / "runs/search/journal.csv", journal);
    std::vector<Fault> none;
    std::ostringstream before_it, with_it;
    write_searches(before_it, collect_searches({folder / "runs"}, none));
    CHECK(holds(before_it.str(), "best1                 61.50 ± 0.25   2                –  –              –\n"));
    CHECK(holds(before_it.str(), "No gain over plain training: none is there with the graphs’ batch, 64."));
    const std::string results = read_file(folder / "runs/search/search.csv");
    put_file(folder / "runs/search/search.csv", results +
                                                    "plain-resnet8-batch64,,,60.5,0.5,3,resnet8 | through\n"
                                                    "kd-resnet14,,,63.5,0.5,3,resnet8 resnet14 | through linear | cutoff cutoff\n");
    put_file(folder / "runs/search/config.csv", "option,value\nmethod,ktg-search\ninfo.test_images,500\n");
    write_searches(with_it, collect_searches({folder / "runs"}, none));
    CHECK(none.empty());
    CHECK(holds(with_it.str(), "best1                  61.50 ± 0.25   2            +1.00  −0.09 to +2.09  not decided\n"));
    CHECK(holds(with_it.str(), "kd-resnet14            63.50 ± 0.50   3            +3.00  +1.87 to +4.13  holds\n"));
    CHECK(holds(with_it.str(), "Gain over plain-resnet8-batch64, of the graphs’ batch; tested on 500 images. "));
    CHECK(holds(with_it.str(), verdict_rule));

    put_file(folder / "runs/search/journal.csv", "epoch,lr\n1,2\n");
    std::vector<Fault> faults;
    CHECK(collect_searches({folder / "runs"}, faults).empty());
    REQUIRE(faults.size() == 1);
    CHECK(holds(faults[0].reason, "no search's journal"));
}

TEST_CASE("report: what a search trained in the end is compared with plain training seed by seed, where start and order are shared") {
    const TempFolder folder;
    const fs::path search = folder / "search";
    write_search(search);
    std::string journal = read_file(search / "journal.csv");
    journal.replace(journal.find("val=48"), 6, "val=48;batch=64;alone-batch=128");
    put_file(search / "journal.csv", journal);
    put_file(search / "search.csv",
             "id,trial,search_error,test_mean,test_std,n,graph\n"
             "best1,0,40,63,2.64575131,3,resnet8 resnet14 | through linear | correct through\n"
             "plain-resnet8-batch64,,,60,3,3,resnet8 | through\n");
    const double best[] = {62, 66, 61}, plain[] = {60, 63, 57};  // differences 2, 3, 4
    for (int seed = 0; seed < 3; ++seed) {
        const std::string facts = "batch,64\nshuffle,on\ninfo.start_key,2\ninfo.role,graph\ninfo.generation,1\ninfo.data_sha256,d\n";
        const std::string of_best = text("retrained/best1/s", seed), of_plain = text("retrained/plain-resnet8-batch64/s", seed);
        write_graph_run(search / of_best, "x/" + of_best + "/graph.csv", seed, best[seed], false, facts);
        write_graph_run(search / of_plain, "x/" + of_plain + "/graph.csv", seed, plain[seed], true, facts);
    }
    const auto said = [&] {
        std::vector<Fault> faults;
        std::ostringstream out;
        write_searches(out, collect_searches({folder.path()}, faults));
        CHECK(faults.empty());
        return out.str();
    };
    const std::string alone = "Not all runs of plain-resnet8-batch64 are there: all are compared by Welch’s t.";
    // Error 1/√3; at two degrees the interval reaches 4.302653 of it, 2.48.
    CHECK(holds(said(), "best1                  63.00 ± 2.65   3            +3.00  +0.52 to +5.48  holds\n"));
    CHECK_FALSE(holds(said(), alone));
    // Welch's error is √(7/3 + 9/3) = 2.309, with 3.94 degrees.
    fs::remove_all(search / "retrained/plain-resnet8-batch64/s1");
    CHECK(holds(said(), "+3.00  −3."));
    CHECK(holds(said(), "not decided\n"));
    CHECK(holds(said(), alone));
    fs::remove_all(search / "retrained");
    CHECK(holds(said(), "not decided\n"));
}

TEST_CASE("report: a searched graph is compared with the paper's by its id, whatever networks were found") {
    const TempFolder folder;
    write_graph_run(folder / "r", "best1.csv", 0, 60);
    const std::string row = "found,tin20,resnet14,resnet8,ktg,0,60,61,1,60,cpu,fp32,abc\n";
    put_file(folder / "r/result.csv", result_header + row);
    put_file(folder / "r/config.csv", "option,value\nmethod,ktg\ngraph,best1.csv\ninfo.by_hand,\n");
    const PaperRow searched{"found", "T", "tin20", "", "resnet8", "ktg-search", "top1", 63.25, {}, "b"};
    const Report report = summarize(collect_runs({folder.path()}), {searched});
    CHECK(*report.groups.at(0).difference == doctest::Approx(-3.25));
    CHECK(report.groups[0].any().graph_name == "best1");
    CHECK(label(report.groups[0].any()) == "graph best1 with resnet14");
}

TEST_SUITE_END();
