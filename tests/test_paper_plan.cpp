// Rows of data/paper as command lines: order, what they need, what cannot be run; and lines that may be given again.
#include <csignal>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "paper_plan.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// id, method, command, options.
std::vector<PaperRow> rows_of(const std::vector<std::vector<std::string>>& all) {
    std::vector<PaperRow> rows;
    for (const auto& cell : all) {
        PaperRow row{cell[0], "T", "d", "big", "small", cell[1], "top1", {}, {}, "s", cell[2]};
        for (const std::string& word : split(cell[3], ' '))
            row.options.emplace_back(word.substr(0, word.find('=')), word.substr(word.find('=') + 1));
        row.file = "p";
        rows.push_back(row);
    }
    return rows;
}

std::vector<std::string> told(const std::vector<PlannedLine>& lines) {
    std::vector<std::string> all;
    for (const PlannedLine& l : lines) all.push_back(text(l.step, ' ', l.row->id, ' ', l.seed, ' ', l.command, l.reason));
    return all;
}

const std::string head = "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n";

}  // namespace

TEST_CASE("paper plan: what is needed comes first, as often as it is needed") {
    const auto rows = rows_of({{"three", "feed", "feed parallel", "teachers={t:3}"},
                               {"born", "ban", "ban", "teacher-weights={s} lr=0.1"},
                               {"t", "teacher", "train", "student=big"},
                               {"s", "student", "train", ""}});
    PlanOptions options;
    options.runs = "r";
    options.program = "./my distill";
    options.trained_by = [](const PaperRow& row) { return TrainedBy{true, false, row.id == "s" ? " --device cuda" : "", ""}; };
    const std::string d = "'./my distill' ";
    CHECK(
        told(plan_rows(rows, {}, options)) ==
        std::vector<std::string>{
            "1 t 0 " + d + "train --preset t --seed 0 --run r/t/s0 --auto-resume",
            "1 t 1 " + d + "train --preset t --seed 1 --run r/t/s1 --auto-resume",
            "1 t 2 " + d + "train --preset t --seed 2 --run r/t/s2 --auto-resume",
            "1 s 0 " + d + "train --preset s --seed 0 --run r/s/s0 --auto-resume --device cuda",
            "2 three 0 " + d +
                "feed parallel --preset three --teachers "
                "r/t/s0/student.safetensors,r/t/s1/student.safetensors,r/t/s2/student.safetensors --seed 0 --run r/three/s0 --auto-resume",
            "2 born 0 " + d + "ban --preset born --teacher-weights r/s/s0/student.safetensors --seed 0 --run r/born/s0 --auto-resume",
        });
    options.seeds = 2;
    const auto asked = plan_rows(rows, {"born"}, options);  // and the student that it is born from
    REQUIRE(asked.size() == 3);
    CHECK(asked[0].row->id == "s");
    CHECK(asked[2].seed == 1);
    CHECK(asked[2].needs == std::vector<std::string>{"s"});
    CHECK(plan_rows(rows, {"p"}, options).size() == 3 + 2 + 2 + 2);  // the whole file; teachers as many as are needed
}

TEST_CASE("paper plan: one training once; what cannot be run says why, and with it what needs it") {
    const auto rows = rows_of({{"t", "teacher", "train", "student=big"},
                               {"also-t", "teacher", "train", "student=big"},
                               {"kd", "kd", "kd", "teacher-weights={also-t}"},
                               {"on-file", "ofd", "", ""},
                               {"gone", "xyz", "xyz", "teacher-weights={t}"},
                               {"after", "ban", "ban", "teacher-weights={gone}"},
                               {"search", "ktg-search", "ktg search", "trials=1500"}});
    PlanOptions options;
    options.trained_by = [](const PaperRow& row) {
        return TrainedBy{row.id != "search", false, "", row.command == "xyz" ? "no method" : ""};
    };
    std::map<std::string, PlannedLine> by_id;
    for (const PlannedLine& line : plan_rows(rows, {}, options)) by_id[line.row->id] = line;
    CHECK(by_id["also-t"].reason == "the same training as t");
    CHECK(by_id["kd"].needs == std::vector<std::string>{"t"});
    CHECK(by_id["kd"].command.find("runs/paper/t/s0/student.safetensors") != std::string::npos);
    CHECK(by_id["on-file"].reason == "on file for the report only");
    CHECK(by_id["gone"].reason == "no method");
    CHECK(by_id["after"].reason == "needs gone: no method");
    CHECK(by_id["after"].step == 0);
    CHECK(by_id["search"].command == "distill ktg search --dataset d --trials 1500 --seed 0 --run runs/paper/search/s0 --auto-resume");

    CHECK(plan_rows(rows, {"also-t"}, options).front().row->id == "t");
    CHECK(complaint([&] { plan_rows(rows, {"kx"}, options); }).find("unknown experiment id 'kx'") != std::string::npos);
}

TEST_CASE("paper plan: rows that need themselves or nothing that is there, and counts that are none") {
    const auto refused = [](const std::string& options, const std::string& says) {
        const auto rows = rows_of({{"a", "kd", "kd", options}, {"b", "kd", "kd", "teacher-weights={a}"}});
        INFO(options);
        CHECK(complaint([&] { plan_rows(rows, {}, {}); }).find(says) != std::string::npos);
    };
    refused("teacher-weights={b}", "needs itself, over other rows");
    refused("teacher-weights={c}", "row a: needs the row c, which is in none of the files read");
    for (const char* value : {"{b", "{}", "{b:0}", "{b:x}", "{b:2:3}", "{b:1000}", "{b},{b}"})
        refused(text("teachers=", value), "expected {ID} or {ID:COUNT}");
}

TEST_CASE("paper plan: every row on file has a command line or a reason, in an order that respects what it needs") {
    const Ended end = run(TempFolder(), "paper rows");
    REQUIRE(end.code == 0);
    const TempFolder folder;
    put_file(folder / "rows.csv", end.out);
    const CsvTable table = read_csv(folder / "rows.csv");
    std::set<std::string> seen, done;
    int last = 1;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const std::string id = table.cell(r, "id"), step = table.cell(r, "step");
        INFO(id);
        seen.insert(id);
        CHECK(table.cell(r, "command").empty() != table.cell(r, "reason").empty());
        CHECK(table.cell(r, "command").empty() == step.empty());
        if (step.empty()) continue;
        for (const std::string& needed : split(table.cell(r, "needs"), ' ')) CHECK(done.count(needed) == 1);
        CHECK(std::stoi(step) >= last);
        last = std::stoi(step);
        done.insert(id);
    }
    CHECK(seen.size() == load_paper(paper_folder()).size());
    CHECK(last >= 2);
}

namespace {

/// Each `every`-th line on file is taken by its subcommand, which then lacks the data or a teacher's weights.
void check_lines(size_t every, const std::string& device) {
    const TempFolder folder;
    const Ended end = run(folder, "paper rows --commands --data no-such-place --seeds 2 --device " + device);
    REQUIRE(end.code == 0);
    const std::vector<std::string> lines = split(end.out, '\n');
    REQUIRE(lines.size() > 100);
    for (size_t i = 0; i < lines.size(); i += every) {
        INFO(lines[i]);
        const Ended tried = run(folder, lines[i].substr(lines[i].find(' ') + 1));
        CHECK(tried.code == 2);
        const bool lacks = says(tried.err, {"no-such-place"}) || tried.err.find("student.safetensors") != std::string::npos;
        CHECK_MESSAGE(lacks, tried.err);
    }
}

}  // namespace

TEST_CASE("paper rows: expected hours of rows with memories, without, and of a chain") {
    const TempFolder folder;
    const auto row = [](const std::string& method, const std::string& command, const std::string& options) {
        return "x-" + method + ",t,cifar10,resnet8,resnet8," + method + "," + command + "," + options + ",top1,50,,s\n";
    };
    put_file(folder / "p/x.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n" +
                                     row("teacher", "train", "student=resnet8") +
                                     row("crd", "crd", "recipe=crd teacher-weights={x-teacher}") +
                                     row("ban", "feed sequential", "recipe=feed by=ban teachers={x-teacher}"));
    const Ended end = run(folder, "paper rows --paper p --hours --device cpu");
    CHECK_MESSAGE(end.code == 0, end.err);
    for (const char* id : {"x-teacher", "x-crd", "x-ban"}) CHECK(says(end.out, {id}));
    CHECK(end.out.find(" 0.0 ") == std::string::npos);
    MESSAGE(end.out);
}

TEST_CASE("paper rows: presets take what they say") { check_lines(9, "cpu"); }
TEST_CASE("slow: paper rows: presets take what they say, all of them") { check_lines(1, "auto"); }

TEST_CASE("paper rows: a search is asked for once, on whatever device") {
    const TempFolder folder;
    const std::string lines = run(folder, "paper rows ktg-search --commands --seeds 3 --device cuda").out;
    CHECK(split(lines, '\n').size() == 3);  // a data set each
    CHECK(says(lines, {"--devices auto", "--retrain-seeds 3"}));
    check_rejected(folder, "paper rows --device gpu", {"--device"});
}

TEST_CASE("paper rows: the lines train, are left alone when given again, and go on where they were cut") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 16, 48, 24});
    put_file(folder / "data/paper/p.csv",
             head +
                 "t,T,s,resnet14,resnet8,teacher,train,student=resnet14 epochs=2,top1,,,x\n"
                 "kd,T,s,resnet14,resnet8,kd,kd,epochs=20 teacher-weights={t},top1,,,x\n"  // long enough for a kill to come in time
                 "chain,T,s,resnet14,resnet8,feed-sequential,feed sequential,epochs=2 stages=2 teachers={t},top1,,,x\n"
                 "two,T,s,resnet14+resnet14,resnet8,feed,feed parallel,epochs=2 teachers={t:2},top1,,,x\n");
    const auto lines = [&](const std::string& more) {
        const Ended end = run(folder, "paper rows --commands --with=--batch=16 --with=--threads=1 --with=--quiet " + more);
        REQUIRE(end.code == 0);
        std::vector<std::string> all = split(end.out, '\n');
        for (std::string& line : all) line = line.substr(line.find(' ') + 1);  // without the program
        return all;
    };
    CHECK(lines("").size() == 2 + 3);
    CHECK(lines("--step 1").size() == 2);
    CHECK(lines("--step 2 --seeds 2").size() == 6);
    CHECK(run(folder, lines("")[2]).code == 2);  // its teacher is not there
    for (const std::string& line : lines("")) REQUIRE(run(folder, line).code == 0);
    CHECK(read_csv(folder / "runs/paper/kd/s0/result.csv").cell(0, "id") == "kd");

    const fs::path of_kd = folder / "runs/paper/kd/s0";
    const std::string before = without_seconds(of_kd / "epochs.csv");
    for (const std::string& line : lines("")) {
        const Ended end = run(folder, line);
        CHECK(end.code == 0);
        CHECK(end.out.find("finished before, skipped") != std::string::npos);
    }
    CHECK(without_seconds(of_kd / "epochs.csv") == before);

    fs::remove_all(of_kd);
    Command cut(folder, lines("")[2]);
    wait_until(cut, [&] { return fs::exists(of_kd / "config.csv"); });
    cut.send(SIGKILL);
    CHECK(cut.wait().code == 128 + SIGKILL);
    REQUIRE(run(folder, lines("")[2]).code == 0);
    CHECK(without_seconds(of_kd / "epochs.csv") == before);

    check_rejected(folder, "paper rows nothing", {"unknown experiment id 'nothing'"});
    check_rejected(folder, "paper rows --seeds 0", {"--seeds"});
}

TEST_CASE("paper rows: --paper reads the rows of another folder, and so does each line") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 16, 48, 24});
    put_file(folder / "mine/p.csv", head + "my-t,T,s,resnet14,resnet8,teacher,train,student=resnet14 epochs=1,top1,,,x\n");
    put_file(folder / "mine/q.csv", head + "my-kd,T,s,resnet14,resnet8,kd,kd,epochs=1 teacher-weights={my-t},top1,,,x\n");
    const Ended end = run(folder, "paper rows --paper mine --commands --with=--batch=16 --with=--threads=1 --with=--quiet");
    REQUIRE(end.code == 0);
    const std::vector<std::string> lines = split(end.out, '\n');
    REQUIRE(lines.size() == 2);
    for (const std::string& line : lines) {
        const Ended trained = run(folder, line.substr(line.find(' ') + 1));
        CHECK_MESSAGE(trained.code == 0, line, ": ", trained.err);
    }
    CHECK(read_csv(folder / "runs/paper/my-kd/s0/result.csv").cell(0, "id") == "my-kd");
    CHECK(run(folder, "kd --resume --run runs/paper/my-kd/s0").code == 0);  // a run that goes on needs no row
    const std::string nearest = "unknown experiment id 'my-kt'; the nearest of 2 in mine (p, q): my-kd, my-t";
    for (const std::string line : {"paper rows my-kt", "train --preset my-kt", "kd --preset my-kt"})
        check_rejected(folder, line + " --paper mine", {nearest});
    for (const std::string line : {"train --net resnet8", "kd --student resnet8", "ktg train --graph kd"})
        check_rejected(folder, line + " --dataset s --paper mine", {"--paper mine: ", "--preset"});
    check_rejected(folder, "paper rows --paper gone", {"gone: is no folder"});
}

TEST_SUITE_END();
