// `distill compare`, and what `distill report` does with outputs, through the program; and what both read of a table of runs.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "run_folders.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("compare: two folders of seeds: difference, interval, how many images, verdict, and the same as CSV") {
    const TempFolder folder;
    FinishedRun{"kd", "big"}.with("temperature", "4").write_seeds(folder / "kd", {60, 61, 62});
    FinishedRun{"reviewkd", "big"}.write_seeds(folder / "review", {64, 65, 66});
    const Ended end = run(folder, "compare review kd --csv c.csv");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(says(end.out,
               {"a  review  tin big→small reviewkd  0 1 2  3  65.00 ± 1.00", "b  kd      tin big→small kd        0 1 2  3  61.00 ± 1.00",
                "a − b: +4.00 points, 95 % interval +1.73 to +6.27, p = 0.008 (Welch: the sides are not paired by seed)",
                "tested on 1000 images: one is 0.100 points", "a is higher than b: holds\n"}));
    const CsvTable table = read_csv(folder / "c.csv");
    CHECK(table.cell(0, "a_is_higher") == "holds");
    CHECK(table.cell_number(0, "difference") == 4);
    CHECK(table.cell(0, "test") == "Welch");
    CHECK(table.cell(0, "test_images") == "1000");
    CHECK(says(run(folder, "compare kd review --csv c.csv").out, {"a is higher than b: does not hold\n"}));  // its own table is replaced
    CHECK(read_csv(folder / "c.csv").cell(0, "a_is_higher") == "does not hold");

    FinishedRun{"kd", "big"}.with("batch", "64").write_seeds(folder / "two", {60, 61});
    CHECK(says(run(folder, "compare review two").out,
               {"note: beside the method, a has batch 128 (here 64)", "a is higher than b: not decided (fewer than 3 runs a side)"}));

    const std::string sum_a(64, 'a'), sum_b(64, 'b');
    FinishedRun{"kd", "big"}.with("info.teacher_sha256", sum_a).write_seeds(folder / "of-a", {60, 61, 62});
    FinishedRun{"fitnet", "big"}.with("info.teacher_sha256", sum_b).write_seeds(folder / "of-b", {63, 64, 65});
    CHECK(says(run(folder, "compare of-b of-a").out, {"note: beside the method, a has a teacher of SHA-256 bbbbbbbb (here aaaaaaaa)"}));
    FinishedRun later = FinishedRun{"fitnet", "big"}.with("info.teacher_sha256", sum_b).with("info.stage", "2");
    later.write_seeds(folder / "later", {63, 64, 65});  // of a chain, each seed with a teacher of its own
    CHECK(output_of(folder, "compare later of-a").find("note:") == std::string::npos);
}

namespace {

/// Without the folders' names, and blanks.
std::string without_folders(std::string said) {
    for (const std::string folder : {"runs/", "again/"})
        for (size_t at = said.find(folder); at != std::string::npos; at = said.find(folder)) said.erase(at, folder.size());
    said.erase(std::remove(said.begin(), said.end(), ' '), said.end());
    return said;
}

}  // namespace

TEST_CASE("compare: what is left out is told of: unfinished runs, and the stages of a chain before its last") {
    const TempFolder folder;
    FinishedRun{"kd", "big"}.write_seeds(folder / "kd", {60, 61, 62});
    FinishedRun{"ban", "big"}.write_seeds(folder / "ban", {60, 61, 62});
    FinishedRun chain{"feed", "small"};
    for (chain.seed = 0; chain.seed < 3; ++chain.seed)
        for (const char* stage : {"1", "2", "10"}) {
            chain.last = 60 + chain.seed + std::atoi(stage);
            chain.with("info.stage", stage).write(folder / "chain" / text("s", chain.seed, "/stage", stage));
        }
    CHECK(says(run(folder, "compare chain ban").out,
               {"note: chain: stage 10 of its chains, the last\n", "0 1 2  3  71.00 ± 1.00", "a − b: +10.00"}));
    fs::remove(folder / "kd/s2/result.csv");
    const Ended end = run(folder, "compare kd ban");
    CHECK(says(end.out, {"note: kd/s2 is not finished and left out\n", "0 1    2  60.50", "fewer than 3 runs a side"}));
    FinishedRun{"kd", "big"}.with("temperature", "1").write_seeds(folder / "t1", {50, 50.1, 50.2});
    FinishedRun{"kd", "big"}.with("temperature", "4").write_seeds(folder / "t4", {60, 60.1, 60.2});
    CHECK(says(run(folder, "compare t4 t1").out, {"kd [temperature=4]", "kd [temperature=1]", "p < 0.001"}));
}

TEST_CASE("runs_csv.py: a table becomes folders that say the same, other seeds may stand beside them, torn tables are refused") {
    if (std::system("python3 -c 1") != 0) return skip("no python3");
    const TempFolder folder;
    const std::string tool = "python3 '" + fs::absolute(fs::path(__FILE__).parent_path() / "../tools/runs_csv.py").string() + "' ";
    const auto call = [&](const std::string& arguments) {
        return WEXITSTATUS(std::system(("cd '" + folder.path().string() + "' && " + tool + arguments + " 2> said").c_str()));
    };
    FinishedRun kd = FinishedRun{"kd", "big"}
                         .with("precision", "fp32")
                         .with("models", "0=a,1=b")
                         .with("lr-steps", "18,22")
                         .with("device", "cpu")
                         .with("init", "");
    kd = kd.with("teacher-weights", "/x/t.safetensors").with("info.teacher_sha256", std::string(64, 'a')).with("info.role", "student");
    kd.write_seeds(folder / "runs/kd", {60.25, 61, 62});
    FinishedRun{"fitnet", "big"}.write_seeds(folder / "runs/fitnet", {63, 64, 65.5});
    // The last of a chain, whose teachers are one a seed; a search's graph, of which the searched-for file is not here.
    FinishedRun last = FinishedRun{"feed", "small"}.with("info.stage", "2").with("info.by_hand", "");
    last.id = "feed-row";
    for (; last.seed < 3; ++last.seed)
        last.with("info.teacher0_sha256", std::string(64, static_cast<char>('a' + last.seed)))
            .write(folder / "runs/last" / std::to_string(last.seed));
    FinishedRun graph =
        FinishedRun{"ktg", "big"}.with("graph", "/gone/ktg/retrained/best1/s0/graph.csv").with("precision", "fp32").with("device", "cpu");
    graph.write_seeds(folder / "runs/ktg/retrained/best1", {66, 67, 68.5});
    FinishedRun{}.write(folder / "runs/ktg/teachers/big");             // is the search's own
    for (const std::string method : {"ktg-search", "ktg-transfer"}) {  // stopped before there was a journal or a graph trained again
        put_file(folder / "runs" / method / "config.csv", "option,value\nmethod," + method + '\n');
        FinishedRun{}.write(folder / "runs" / method / "pretrained/small");
        FinishedRun{}.write(folder / "runs" / method / "teachers/big");
    }
    put_file(folder / "runs/kd/s1/sessions.csv",
             "began_utc,epoch,step,machine,commit\n2026-01-02 03:04:05,0,0,\"cpu, 1 threads\",a\n2026-01-03 00:00:00,1,0,other,a\n");

    REQUIRE(call("runs > runs.csv") == 0);
    REQUIRE(call("--unpack runs.csv again") == 0);
    REQUIRE(call("again > again.csv") == 0);
    CHECK(read_csv(folder / "runs.csv").rows.size() == 12);
    CHECK(read_file(folder / "again.csv") == read_file(folder / "runs.csv"));
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    CHECK(says(run(folder, "report again --paper paper").out, {"tin big→small kd                  2  –"}));  // epochs, without a curve
    for (const std::string of : {"fitnet", "last", "ktg"}) {
        const Ended first = run(folder, "compare runs/" + of + " runs/kd"), second = run(folder, "compare again/" + of + " again/kd");
        CHECK(first.code == 0);
        CHECK(without_folders(second.out) == without_folders(first.out));
    }
    const Config config = read_config(folder / "again/last/0/config.csv");
    CHECK(value_of(config, "id") == "feed-row");
    CHECK(std::count(config.begin(), config.end(), std::pair<std::string, std::string>("info.by_hand", "")) == 1);
    CHECK(read_file(folder / "again/ktg/retrained/best1/s1/graph.csv") == read_file(folder / "runs/ktg/retrained/best1/s1/graph.csv"));

    kd.seed = 3;
    kd.write(folder / "again/kd/s3");
    CHECK(says(run(folder, "compare again/fitnet again/kd").out, {"tin big→small kd      0 1 2 3  4"}));
    graph.seed = 3;
    graph.write(folder / "again/ktg/retrained/best1/s3");
    const Ended joined = run(folder, "compare again/ktg again/kd");
    CAPTURE(joined.err);
    CHECK(says(joined.out, {"ktg/best1", "0 1 2 3  4"}));
    put_file(folder / "again/fitnet/s0/mine", "");  // what is there stays
    REQUIRE(call("--unpack runs.csv again") == 0);
    CHECK(fs::exists(folder / "again/fitnet/s0/mine"));
    CHECK(fs::exists(folder / "again/kd/s3/epochs.csv"));

    CHECK(call("--unpack again/kd/s3/epochs.csv more") == 2);
    CHECK(says(read_file(folder / "said"), {"again/kd/s3/epochs.csv: found no column 'run'"}));

    // A table that a full disk or a kill cut off, or that names a run twice, is refused before anything is unpacked.
    const std::string table = read_file(folder / "runs.csv");
    const size_t first_row = table.find('\n') + 1;
    put_file(folder / "cut.csv", table.substr(0, first_row + 20));
    put_file(folder / "unended.csv", table.substr(0, table.size() - 1));
    put_file(folder / "wide.csv", table.substr(0, table.size() - 1) + ",1\n");
    put_file(folder / "twice.csv", table + table.substr(first_row));
    for (const auto& [name, said] : {std::pair{"cut", "row 1 is torn"},
                                     {"unended", "row 12 is torn"},
                                     {"wide", "row 12 is torn"},
                                     {"twice", "found two runs fitnet/s0"}}) {
        CHECK(call(std::string("--unpack ") + name + ".csv more") == 2);
        CHECK(says(read_file(folder / "said"), {std::string("runs_csv: ") + name + ".csv: " + said}));
    }
    CHECK_FALSE(fs::exists(folder / "more"));
    // A user's folders stay, whatever they are called; of its own it leaves none.
    for (const char* mine : {"more/kd/s0.part/notes.txt", "more/kd/.s0-mine/notes.txt"}) put_file(folder / mine, "mine");
    REQUIRE(call("--unpack runs.csv more") == 0);
    REQUIRE(call("more > more.csv") == 0);
    CHECK(read_file(folder / "more.csv") == table);
    for (const char* mine : {"more/kd/s0.part/notes.txt", "more/kd/.s0-mine/notes.txt"}) CHECK(read_file(folder / mine) == "mine");
    CHECK(std::distance(fs::directory_iterator(folder / "more/kd"), {}) == 5);
    CHECK(fs::status(folder / "more/kd/s0").permissions() == fs::status(folder / "more/kd").permissions());

    const std::string both = tool + "--unpack runs.csv both";  // two at once
    REQUIRE(std::system(("cd '" + folder.path().string() + "' && { " + both + " & first=$!; " + both + " && wait $first; }").c_str()) == 0);
    REQUIRE(call("both > both.csv") == 0);
    CHECK(read_file(folder / "both.csv") == table);
    CHECK(std::distance(fs::directory_iterator(folder / "both/kd"), {}) == 3);

    put_file(folder / "file", "mine");
    CHECK(call("--unpack runs.csv file") == 2);
    CHECK(read_file(folder / "said") == "runs_csv: file/fitnet/s0: cannot be written (Not a directory); name another folder\n");
    CHECK(read_file(folder / "file") == "mine");

    CHECK(call("runs/kd runs/fitnet > more.csv") == 2);
    CHECK(says(read_file(folder / "said"), {"runs/kd, runs/fitnet: found two runs s0"}));
    put_file(folder / "runs/kd/s1/result.csv", "");
    CHECK(call("runs > more.csv") == 2);
    CHECK(says(read_file(folder / "said"), {"runs_csv: runs/kd/s1/result.csv: found no column 'id'"}));
}

TEST_CASE("compare: what is no pair of experiments is refused") {
    const TempFolder folder;
    FinishedRun{}.write_seeds(folder / "all/a", {60, 61});
    FinishedRun{}.with("lr", "0.2").write_seeds(folder / "all/b", {60, 61});
    FinishedRun{"train", "", "small", "other"}.write_seeds(folder / "other", {60, 61});
    check_rejected(folder, "compare all all/a", {"all: found 2 experiments", "expected the seeds of one", "lr=0.2"});
    FinishedRun{"feed", "small"}.with("info.stage", "1").write_seeds(folder / "beside/chain", {60, 61});
    FinishedRun{"feed", "small"}.with("info.stage", "2").write_seeds(folder / "beside/chain2", {60, 61});
    FinishedRun{}.write_seeds(folder / "beside/alone", {60, 61});
    check_rejected(folder, "compare beside all/a", {"beside: found 3 experiments", "expected the seeds of one"});
    check_rejected(folder, "compare all/a gone", {"gone: is no folder"});
    check_rejected(folder, "compare all/a other", {"other: was tested on other (1000 images), all/a on tin"});
    check_rejected(folder, "compare all/a", {"compare: RUNS", "2"});
    put_file(folder / "all/a/s1/result.csv", "torn");
    check_rejected(folder, "compare all/a all/b", {"all/a/s1/result.csv: is cut off after 4 bytes", "leaves no run out"});
}

TEST_CASE("report: outputs that cannot be written, or are no report's, are refused before anything is read") {
    const TempFolder folder;
    FinishedRun{}.write(folder / "runs/a");
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    put_file(folder / "precious.csv", "my,own\n1,2\n");
    put_file(folder / "empty.csv", "");
    const std::string report = "report runs --paper paper ";
    for (const std::string option : {"--csv ", "--html "}) {
        check_rejected(folder, report + option + "precious.csv",
                       {option + "precious.csv: is there and is no report’s", "name another file"});
        check_rejected(folder, report + option + "runs/a/config.csv", {"config.csv: is there and is no report’s"});
        check_rejected(folder, report + option + "runs", {"runs: is a folder"});
        check_rejected(folder, report + option + "gone/x", {"gone", "is not there; make it first"});
        check_rejected(folder, report + option + "/dev/null", {"/dev/null: is no regular file"});
    }
    check_rejected(folder, "report gone --csv precious.csv", {"precious.csv: is there"});  // before the runs
    check_rejected(folder, report + "--csv same --html ./same", {"--csv's file, too"});
    check_rejected(folder, "compare runs runs --csv precious.csv", {"precious.csv: is there and is no comparison’s"});
    for (int again = 0; again < 2; ++again) {  // its own are replaced
        const Ended end = run(folder, report + "--csv empty.csv --html page.html");
        CAPTURE(end.err);
        CHECK(end.code == 0);
    }
    CHECK(read_csv(folder / "empty.csv").cell(0, "status") == "finished");
}

TEST_CASE("report: a link as an output stays one, and what it stands for is written") {
    const TempFolder folder;
    FinishedRun{}.write(folder / "runs/a");
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    fs::create_directory(folder / "www");
    fs::create_symlink("www/index.html", folder / "page.html");
    fs::create_symlink("www/runs.csv", folder / "table.csv");
    const std::string report = "report runs --paper paper ";
    for (int again = 0; again < 2; ++again) {
        succeed(folder, report + "--html page.html --csv table.csv");
        for (const char* link : {"page.html", "table.csv"}) CHECK(fs::is_symlink(folder / link));
        CHECK(says(read_file(folder / "www/index.html"), {"</html>"}));
        CHECK(read_csv(folder / "www/runs.csv").cell(0, "status") == "finished");
        fs::remove(folder / "www/runs.csv");
    }
    fs::create_symlink("gone/x.html", folder / "lost.html");
    check_rejected(folder, report + "--html lost.html", {"--html lost.html: the folder ", "gone is not there; make it first"});
    check_rejected(folder, report + "--html table.csv --csv www/runs.csv", {"--html", "--csv's file, too"});
    put_file(folder / "notes", "my own");
    fs::create_symlink("notes", folder / "mine.csv");
    check_rejected(folder, report + "--csv mine.csv", {"--csv mine.csv: is there and is no report’s"});
}

TEST_CASE("report: one torn run is told of, the others are reported; nothing but torn ones ends with 2") {
    const TempFolder folder;
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    FinishedRun{}.write(folder / "all/torn");
    put_file(folder / "all/torn/epochs.csv", read_file(folder / "all/torn/epochs.csv") + "999,0.1,0.");
    put_file(folder / "all/search/journal.csv", "no,journal\n");
    check_rejected(folder, "report all --paper paper", {"nothing can be read; the first of 2: ", "all/torn/epochs.csv: is cut off"});
    FinishedRun{}.write(folder / "all/whole");
    const Ended end = run(folder, "report all --paper paper --html page.html --csv table.csv");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    for (const std::string& shown : {end.out, read_file(folder / "page.html")})
        CHECK(says(shown, {"tin", "60.00", "all/torn/epochs.csv: is cut off after 50 bytes", "all/search"}));
    CHECK(read_csv(folder / "table.csv").rows.size() == 3);
}

TEST_SUITE_END();
