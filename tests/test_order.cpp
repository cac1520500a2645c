// `distill compare` of more than two trainings, and beside the papers' order: through the program, on run folders made here.
#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "markup.h"
#include "run_folders.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Numbers of big → small, as the file of a paper has them.
void write_paper(const fs::path& folder) {
    const auto row = [](const std::string& id, const std::string& method, const std::string& command, const std::string& options,
                        const std::string& metric, const std::string& value) {
        return id + ",t,tin,big,small," + method + "," + command + "," + options + "," + metric + "," + value + ",,s\n";
    };
    put_file(folder / "p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n" +
                                   row("p-teacher", "teacher", "train", "recipe=crd student=big", "top1", "75") +
                                   row("p-student", "student", "train", "recipe=crd", "top1", "60") +
                                   row("p-kd", "kd", "kd", "recipe=crd teacher-weights={p-teacher}", "top1", "61.2") +
                                   row("p-at", "at", "at", "", "top1", "61.5") + row("p-crd", "crd", "crd", "recipe=crd", "top1", "63") +
                                   row("p-crd-kd", "crd-kd", "crd", "recipe=crd alpha=1", "top1_best", "63.5") +
                                   row("p-vid", "vid", "vid", "", "top1", "") + "q-at,t,other,huge,small,at,at,,top1,50,,s\n");
}

/// Trainings of which all differences but that of kd and at are decided: crd 66, kd 64, at 63.9, alone 60, crd with KD 58.
void write_runs(const fs::path& folder) {
    FinishedRun{}.write_seeds(folder / "alone", {60, 60.2, 59.8});
    FinishedRun{"kd", "big"}.write_seeds(folder / "kd", {64, 64.2, 63.8});
    FinishedRun{"at", "big"}.write_seeds(folder / "at", {63.9, 64.2, 63.6});
    FinishedRun{"crd", "big"}.with("alpha", "0").write_seeds(folder / "crd", {66, 66.2, 65.8});
    FinishedRun{"crd", "big"}.with("alpha", "1").write_seeds(folder / "crd-kd", {58, 58.2, 57.8});
    FinishedRun{"vid", "big"}.write_seeds(folder / "vid", {62, 62.1, 61.9});
    write_paper(folder / "paper");
}

}  // namespace

TEST_CASE("order: many trainings stand by accuracy, each with those that it is higher than; every pair in the CSV") {
    const TempFolder folder;
    write_runs(folder.path());
    const Ended end = run(folder, "compare alone kd at crd crd-kd --csv c.csv");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(says(end.out, {"1  crd     tin big→small crd", "3  66.00 ± 0.20   2–5          –", "2  kd      tin big→small kd ",
                         "3  64.00 ± 0.20   4, 5         3", "3  at      tin big→small at ", "3  63.90 ± 0.30   4, 5         2",
                         "5  crd-kd  tin big→small crd", "3  58.00 ± 0.20   –            –",
                         "10 pairs, each tested by itself: if nothing differed, 0.5 of them would be decided by chance",
                         "tested on 1000 images: one is 0.100 points"}));
    CHECK(end.out.find("note:") == std::string::npos);
    CHECK(end.out.find("papers' order") == std::string::npos);
    const CsvTable table = read_csv(folder / "c.csv");
    REQUIRE(table.rows.size() == 10);
    CHECK(table.cell(0, "a") == "crd");
    CHECK(table.cell(0, "b") == "kd");
    CHECK(table.cell(0, "a_is_higher") == "holds");
    CHECK(table.cell(4, "b") == "at");
    CHECK(table.cell(4, "a_is_higher") == "not decided");

    FinishedRun{"fitnet", "big"}.with("batch", "64").write_seeds(folder / "other", {70, 70.2, 69.8});
    CHECK(says(run(folder, "compare alone other kd").out,
               {"note: unlike other, kd, alone: batch 128 (here 64); the difference may come from that"}));
}

TEST_CASE("order: the picture has all trainings and seeds, and bars where neighbours are not told apart") {
    const TempFolder folder;
    write_runs(folder / "all/<one>");
    FinishedRun{"sp", "big"}.write_seeds(folder / "all/<one>/sp", {64.1, 64.5, 64.2});  // between kd, at and crd: not told from two of them
    FinishedRun{"cc", "big"}.write_seeds(folder / "all/<one>/cc", {60.1, 60.3, 59.9});  // not told from alone
    std::string all;
    for (const char* name : {"alone", "kd", "at", "crd", "sp", "cc"}) all += std::string(" all/<one>/") + name;
    const Ended end = run(folder, "compare" + all + " --svg a.svg");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    const std::string svg = read_file(folder / "a.svg");
    CHECK(balanced(svg));
    CHECK(count(svg, "class=\"seed\"") == 18);
    CHECK(count(svg, "class=\"alone\"") == 1);
    CHECK(count(svg, "class=\"together\"") == 2);  // sp, kd, at; cc, alone
    CHECK(count(svg, ">crd</text>") == 1);         // without the folders that all lie in
    CHECK(svg.find("<one>") == std::string::npos);
    CHECK(run(folder, "compare all/<one>/kd all/<one>/at --svg a.svg").code == 0);  // its own is replaced
    CHECK(count(read_file(folder / "a.svg"), "class=\"mean\"") == 2);
    put_file(folder / "mine.svg", "<svg>");
    check_rejected(folder, "compare all/<one>/kd all/<one>/at --svg mine.svg", {"mine.svg: is there and is no picture"});
    check_rejected(folder, "compare all/<one>/kd all/<one>/at --svg same --csv same", {"--svg same: is --csv's file, too"});
}

TEST_CASE("order: what of the papers' order holds, of all pairs and of those clearly apart; options tell their rows") {
    const TempFolder folder;
    write_runs(folder.path());
    const Ended end = run(folder, "compare alone kd at crd crd-kd vid --order big:small --paper paper");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    // By the papers crd-kd 63.5, crd 63, at 61.5, kd 61.2, alone 60: here crd-kd is the lowest, the others hold but at above kd.
    CHECK(says(end.out, {"The papers' order, big→small on tin", "all                            10     5            4            1\n",
                         "half a point or more apart      9     5            4            0\n",
                         "crd-kd above alone  63.50, 60.00   −2.00  −2.45 to −1.55", "crd-kd above crd    63.50, 63.00   −8.00",
                         "no number on file: vid\n"}));
    CHECK(end.out.find("crd-kd above alone") < end.out.find("crd-kd above kd"));  // the furthest apart first
    CHECK(end.out.find("at above kd") == std::string::npos);
    const Ended two = run(folder, "compare kd crd --order tin:big:small --paper paper");
    CHECK(says(two.out, {"1  crd", "all                             1     1            0            0"}));
    check_rejected(folder, "compare kd crd --order huge:small --paper paper",
                   {"--order huge:small: no number of data/paper is of these", "tin:big:small", "other:huge:small"});
    for (const std::string wrong : {"big", "a:tin:big:small", "''"})
        check_rejected(folder, "compare kd crd --order " + wrong + " --paper paper", {"--order"});
    check_rejected(folder, "compare kd vid --order big:small --paper paper", {"no two different numbers of these trainings' methods"});
    FinishedRun{"kd", "big"}.with("lr", "0.2").write_seeds(folder / "again", {64, 65, 66});
    check_rejected(folder, "compare kd crd again --order big:small --paper paper",
                   {"again and kd are both the papers' kd (p-kd); leave one of them out"});
    check_rejected(folder, "compare kd crd --order big:small --paper gone", {"gone"});
}

TEST_SUITE_END();
