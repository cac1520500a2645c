// Files of runs and searches that were cut off, are garbage or are gone: each reader names the file, and shows what is left.
#include <chrono>
#include <sstream>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "graph_show.h"
#include "paper.h"
#include "report_collect.h"
#include "report_ktg.h"
#include "report_summary.h"
#include "report_text.h"
#include "report_watch.h"
#include "run_folders.h"
#include "search_history.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string garbage(200, '\xff');

void cut(const fs::path& file, size_t bytes) { put_file(file, read_file(file).substr(0, bytes)); }

Watched watched(const fs::path& folder) { return look_at(folder, std::chrono::system_clock::now()).value(); }

std::string report_text(const Report& report) {
    std::ostringstream out;
    write_text(out, report);
    return out.str();
}

/// With all that `watch` looks at.
void write_run(const FinishedRun& run, const fs::path& folder) {
    run.write(folder);
    put_file(folder / "epochs.csv", text("epoch,train_loss,test_acc,best_acc,seconds\n0,2,50,50,9\n1,1,", run.last, ",60,9\n"));
}

/// A graph's run with the accuracies 71.25 and 81.5, and what went over its edges.
void write_graph_run(const fs::path& folder) {
    write_run(FinishedRun{"ktg", "big"}.with("info.node1_accuracy", "81.5"), folder);
    put_file(folder / "graph.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet14,,cutoff,cutoff\n");
    put_file(folder / "epochs.csv", "epoch,train_loss,test_acc,best_acc,seconds\n0,2,71.25,71.25,9\n");
    put_file(folder / "edges.csv",
             "epoch,target,source,gate,weight,last_weight,loss,both_right,source_only,target_only,none_right\n"
             "0,0,1,linear,0.7,0.9,0.25,60,20,10,10\n");
}

void write_search(const fs::path& folder) {
    put_file(folder / "config.csv", "option,value\nmethod,ktg-search\ninfo.test_images,500\n");
    put_file(folder / "journal.csv",
             "trial,event,epoch,error,detail\n,study,,,dataset=tin;target=resnet8;trials=1;epochs=4;val=48\n"
             "0,started,0,,resnet8 | through\n0,complete,4,40,\n");
    put_file(folder / "search.csv",
             "id,trial,search_error,test_mean,test_std,n,graph\nbest1,0,40,61.5,0.25,2,resnet8 | through\n"
             "plain-resnet8,,,60,,1,resnet8 | through\n");
}

}  // namespace

TEST_CASE("torn files: what the program wrote is cut off where it ends without a line's end; what people write needs none") {
    const TempFolder folder;
    const fs::path file = folder / "t.csv";
    const std::string whole = "option,value\nmethod,kd\nalpha,0.9\n";
    for (size_t n = 1; n < whole.size(); ++n) {
        CAPTURE(n);
        put_file(file, whole.substr(0, n));
        const std::string said = complaint([&] { read_csv(file, ReadCsv::whole); });
        CHECK(said.empty() == (whole[n - 1] == '\n'));
        if (!said.empty()) CHECK(says(said, {text("t.csv: is cut off after ", n, " bytes, expected a line's end there")}));
    }
    CHECK(read_csv(file).rows.size() == 2);
    put_file(file, whole);
    CHECK(read_csv(file, ReadCsv::whole).rows == read_csv(file).rows);

    put_file(folder / "g.csv", "node,model,weights,gate_0\n0,resnet8,,through");
    CHECK(read_graph(folder / "g.csv").size() == 1);
    put_file(folder / "paper/p.csv",
             "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\np-kd,T,tin,big,small,kd,kd,,top1,70,,b");
    CHECK(load_paper(folder / "paper").size() == 1);
}

TEST_CASE("torn files: a config.csv has its columns and the row method, a result.csv its one row") {
    const TempFolder folder;
    const fs::path config = folder / "config.csv", result = folder / "result.csv";
    const auto said = [&](const std::string& bytes) {
        put_file(config, bytes);
        return complaint([&] { read_config(config); });
    };
    CHECK(said("option,value\nmethod,kd\n") == "");
    CHECK(says(said("optio"), {"config.csv: is cut off after 5 bytes"}));
    CHECK(says(said("option,value\n"), {"config.csv: found no row 'method'"}));
    CHECK(says(said("a,value\n"), {"config.csv: no column 'option'"}));
    CHECK(says(said("option,b\nmethod,kd\n"), {"config.csv: no column 'value'"}));
    CHECK(says(said(garbage + "\n"), {"config.csv: no column 'option'"}));

    const auto of_result = [&](const std::string& bytes) {
        put_file(result, bytes);
        return complaint([&] { read_result(folder.path()); });
    };
    CHECK(of_result("last,commit\n60,abc\n") == "");
    CHECK(says(of_result("last,commit\n60,a"), {"result.csv: is cut off"}));
    CHECK(says(of_result("last,commit\n"), {"result.csv: found 0 rows, expected one"}));
}

TEST_CASE("torn files: a finished run with one is left out by the report, broken to watch for the same reason, and not compared") {
    const TempFolder folder;
    const FinishedRun kd = FinishedRun{"kd", "big"}.with("info.data_sha256", std::string(64, 'a'));
    write_run(kd, folder / "kd/s0");
    write_run(FinishedRun{"fitnet", "big"}, folder / "fitnet");
    FinishedRun other = kd;
    other.seed = 1;
    const fs::path run = folder / "kd/s1";
    const auto check = [&](const std::string& file, const std::string& reason) {
        CAPTURE(file);
        CAPTURE(reason);
        const Report report = summarize(collect_runs({folder / "kd"}), {});
        REQUIRE(report.groups.size() == 1);
        CHECK(report.groups[0].runs.size() == 1);
        CHECK(report.groups[0].options.empty());
        REQUIRE(report.faults.size() == 1);
        CHECK(says(report.faults[0].reason, {(run / file).string() + ": " + reason}));
        CHECK(says(report_text(report), {"cannot be read, left out", (run / file).string() + ": " + reason}));
        const Watched w = watched(run);
        CHECK(w.state == WatchedState::broken);
        CHECK(w.what == report.faults[0].reason);
        check_rejected(folder, "compare kd fitnet", {"kd/s1/" + file + ": " + reason, "leaves no run out"});
        fs::remove_all(run);
    };
    write_run(other, run);
    CHECK(watched(run).state == WatchedState::finished);
    cut(run / "config.csv", 5);
    check("config.csv", "is cut off after 5 bytes");
    write_run(other, run);
    cut(run / "config.csv", 13);
    check("config.csv", "found no row 'method'");
    for (const char* file : {"config.csv", "result.csv", "epochs.csv"}) {
        write_run(other, run);
        cut(run / file, read_file(run / file).size() - 2);  // within the last cell
        check(file, "is cut off after ");
        write_run(other, run);
        put_file(run / file, garbage);
        check(file, "is cut off after 200 bytes");
    }
}

TEST_CASE("torn files: watch tells of a table of epochs without its columns, also before it has a row") {
    const TempFolder folder;
    put_file(folder / "a/config.csv", "option,value\nmethod,kd\n");
    put_file(folder / "a/epochs.csv", garbage + "\n");
    CHECK(watched(folder / "a").state == WatchedState::broken);
    CHECK(says(watched(folder / "a").what, {"a/epochs.csv: no column 'test_acc'"}));
}

TEST_CASE("torn files: a graph's run without its graph.csv is named beside the table") {
    const TempFolder folder;
    write_run(FinishedRun{"kd", "big"}, folder / "kd");
    write_graph_run(folder / "ktg");
    CHECK(summarize(collect_runs({folder.path()}), {}).groups.size() == 2);
    fs::remove(folder / "ktg/graph.csv");
    const Report report = summarize(collect_runs({folder.path()}), {});
    CHECK(report.groups.size() == 1);
    CHECK(says(report_text(report), {"tin big→small kd", "cannot be read, left out", "ktg/graph.csv: cannot be read"}));
    CHECK(watched(folder / "ktg").state == WatchedState::broken);
}

TEST_CASE("torn files: ktg show --run shows what can be read, and names what cannot") {
    const TempFolder folder;
    const std::string of_target = "71.25 %", of_frozen = "81.50 %", of_edge = "1 -> 0";
    struct Bad {
        const char* file;
        std::string column, lost;
    };
    for (const auto& [file, column, lost] :
         {Bad{"epochs.csv", "test_acc", of_target}, Bad{"config.csv", "option", of_frozen}, Bad{"edges.csv", "epoch", of_edge}})
        for (const bool ends : {false, true}) {
            write_graph_run(folder / "run");
            CHECK(says(run(folder, "ktg show --run run").out, {of_target, of_frozen, of_edge}));
            put_file(folder / "run" / file, garbage + (ends ? "\n" : ""));
            const Ended end = run(folder, "ktg show --run run");
            CHECK(end.code == 0);
            const std::string fault = ends ? ": no column '" + column + "'" : ": is cut off after 200 bytes";
            CHECK(says(end.out, {"resnet14  frozen", std::string("cannot be read: run/") + file + fault}));
            for (const std::string& part : {of_target, of_frozen, of_edge})
                CHECK((end.out.find(part) == std::string::npos) == (part == lost));
        }
}

TEST_CASE("torn files: of a search with a broken search.csv or config.csv the rest is shown, and the file is named") {
    const TempFolder folder;
    const fs::path search = folder / "runs/search";
    const std::string trials = "1 of 1 trials have ended: 1 complete", table = "on all training data", images = "tested on 500 images";
    const auto reported = [&](std::vector<Fault>& faults) {
        std::ostringstream out;
        write_searches(out, collect_searches({folder.path()}, faults));
        return out.str();
    };
    const std::vector<std::pair<std::string, std::string>> bad = {{"search.csv", "no column 'id'"}, {"config.csv", "no column 'option'"}};
    for (const auto& [file, no_column] : bad)
        for (const bool ends : {false, true}) {
            CAPTURE(file);
            write_search(search);
            std::vector<Fault> none, faults;
            CHECK(says(run(folder, "ktg show runs/search").out, {trials, table}));
            CHECK(says(reported(none), {"runs/search: resnet8 on tin", table, images}));
            CHECK(none.empty());
            CHECK(watched(search).state == WatchedState::finished);

            put_file(search / file, garbage + (ends ? "\n" : ""));
            const std::string fault = file + ": " + (ends ? no_column : "is cut off after 200 bytes");
            const Ended shown = run(folder, "ktg show runs/search");
            CHECK(shown.code == 0);
            CHECK(says(shown.out, {trials, "cannot be read: runs/search/" + fault}));
            const std::string said = reported(faults);
            CHECK(says(said, {"runs/search: resnet8 on tin"}));
            for (const std::string& out : {shown.out, said}) CHECK((out.find(table) == std::string::npos) == (file == "search.csv"));
            CHECK(said.find(images) == std::string::npos);
            REQUIRE(faults.size() == 1);
            CHECK(faults[0].folder == search / file);
            CHECK(says(faults[0].reason, {fault}));
            CHECK(watched(search).state == WatchedState::broken);
            CHECK(says(watched(search).what, {fault}));
        }
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    write_search(search);
    put_file(search / "search.csv", garbage);
    CHECK(says(run(folder, "report runs --paper paper").out,
               {"cannot be read, left out", "runs/search/search.csv: is cut off", "search runs/search: "}));
}

TEST_SUITE_END();
