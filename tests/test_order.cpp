// `distill compare` of more than two trainings, as a picture, and beside the papers' order: through the program, on run folders made here.
#include <map>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "markup.h"
#include "report_order.h"
#include "run_folders.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Numbers of big → small: one paper's, whose student reaches 60, and another's, whose student reaches 70.
void write_paper(const fs::path& folder) {
    const auto row = [](const std::string& id, const std::string& method, const std::string& command, const std::string& options,
                        const std::string& metric, const std::string& value) {
        return id + ",t,tin,big,small," + method + "," + command + "," + options + "," + metric + "," + value + ",,s\n";
    };
    put_file(folder / "p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n" +
                                   row("p-teacher", "teacher", "train", "recipe=crd student=big", "top1", "75") +
                                   row("p-student", "student", "train", "recipe=crd", "top1", "60") +
                                   row("p-kd", "kd", "kd", "recipe=crd teacher-weights={p-teacher}", "top1", "61.2") +
                                   row("p-at-best", "at", "at", "", "top1_best", "64") + row("p-at", "at", "at", "", "top1", "61.5") +
                                   row("p-crd", "crd", "crd", "recipe=crd", "top1", "63") +
                                   row("p-crd-kd", "crd-kd", "crd", "recipe=crd alpha=1", "top1_best", "63.5") +
                                   row("p-vid", "vid", "vid", "", "top1", "") + row("p-ft", "ft", "ft", "recipe=crd", "top1", "62") +
                                   row("p-ft-mhgd", "ft", "ft", "recipe=mhgd", "top1", "63.7") +
                                   row("r-student", "student", "train", "", "top1", "70") + row("r-hkd", "hkd", "hkd", "", "top1", "71") +
                                   "q-at,t,other,huge,small,at,at,,top1,50,,s\n");
}

/// Trainings of which all differences but that of kd and at are decided: crd 66, kd 64, at 63.9, alone 60, crd with KD 58.
void write_runs(const fs::path& folder) {
    FinishedRun{}.write_seeds(folder / "alone", {60, 60.2, 59.8});
    FinishedRun{"kd", "big"}.write_seeds(folder / "kd", {64, 64.2, 63.8});
    FinishedRun{"at", "big"}.write_seeds(folder / "at", {63.9, 64.2, 63.6});
    FinishedRun{"crd", "big"}.with("alpha", "0").write_seeds(folder / "crd", {66, 66.2, 65.8});
    FinishedRun{"crd", "big"}
        .with("alpha", "1.0")
        .with("info.by_hand", "epochs=2 (9); alpha=1 (0)")
        .write_seeds(folder / "crd-kd", {58, 58.2, 57.8});
    FinishedRun{"vid", "big"}.write_seeds(folder / "vid", {62, 62.1, 61.9});
    write_paper(folder / "paper");
}

/// The heights at which the picture's bars begin and end.
std::vector<std::string> bars_of(const std::string& svg) {
    std::vector<std::string> all;
    const std::string begins = "<path class=\"together\" d=\"M";
    for (size_t at = svg.find(begins); at != std::string::npos; at = svg.find(begins, at + 1))
        all.push_back(svg.substr(at + begins.size(), svg.find('"', at + begins.size()) - at - begins.size()));
    return all;
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
                         "10 pairs can be decided, each by itself: if nothing differed, about 0.5 of them would be by chance; judged all "
                         "at once (Holm), 9 of the 9 decided still are",
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
               {"note: beside the method, kd, alone have batch 128 (other: 64); differences may come from that"}));
    // Of one run, and of runs that do not spread, nothing can be told.
    FinishedRun{"sp", "big"}.write_seeds(folder / "one", {63.9});
    FinishedRun{"cc", "big"}.write_seeds(folder / "equal", {50, 50, 50});
    const Ended few = run(folder, "compare alone kd one equal crd");
    CHECK(says(few.out, {"3  one    tin big→small sp", "1  63.90          –            1, 2, 4, 5", "3  50.00 ± 0.00   –            1–4",
                         "3 pairs can be decided, each by itself: if nothing differed, about 0.2",
                         "nothing can be told of one, equal: fewer than 3 runs, or all alike"}));
}

TEST_CASE("order: p values corrected for all pairs, after Holm") {
    const std::vector<double> found = holm({0.01, 0.04, 0.03, 0.005}),
                              right = {0.03, 0.06, 0.06, 0.02};  // 3·0.01, as the one before, 2·0.03, 4·0.005
    for (size_t i = 0; i < right.size(); ++i) CHECK(found[i] == doctest::Approx(right[i]));
    CHECK(holm({0.7, 0.9}) == std::vector<double>{1, 1});
    CHECK(holm({}).empty());
    // Decided by itself, not among all: sp is half a point above kd, whose runs spread by 0.2.
    const TempFolder folder;
    write_runs(folder.path());
    FinishedRun{"sp", "big"}.write_seeds(folder / "sp", {64.45, 64.55, 64.5});
    const Ended end = run(folder, "compare alone kd at crd crd-kd sp --csv c.csv");
    CAPTURE(end.out);
    const CsvTable table = read_csv(folder / "c.csv");
    int lost = 0;
    for (size_t row = 0; row < table.rows.size(); ++row) {
        const double p = table.cell_number(row, "p"), together = table.cell_number(row, "p_holm");
        CHECK(together >= p);
        lost += p <= 0.05 && together > 0.05;
    }
    CHECK(lost >= 1);
}

TEST_CASE("order: what is no set of trainings is refused") {
    const TempFolder folder;
    write_runs(folder.path());
    FinishedRun{"kd", "big", "small", "other"}.write_seeds(folder / "elsewhere", {60, 61, 62});
    check_rejected(folder, "compare alone kd elsewhere", {"elsewhere: was tested on other (1000 images), alone on tin"});
    check_rejected(folder, "compare alone kd ./alone/", {"./alone/: is named twice"});
    check_rejected(folder, "compare alone kd at --paper paper", {"--paper paper: goes with --order"});
    put_file(folder / "mine.svg", "<svg>");
    check_rejected(folder, "compare alone kd --svg mine.svg", {"mine.svg: is there and is no picture"});
    check_rejected(folder, "compare alone kd --svg same --csv ./same", {"--svg same: is --csv's file, too"});
}

TEST_CASE("order: the picture has all trainings and seeds, and bars where neighbours are not told apart") {
    const TempFolder folder;
    const fs::path all = folder / "all/<one>";
    write_runs(all);
    FinishedRun{"sp", "big"}.write_seeds(all / "s&p", {64.3, 64.6, 64.2});                         // not told from kd and at
    FinishedRun{"cc", "big"}.write_seeds(all / "cc", {60.1, 60.3, 59.9});                          // not told from alone
    FinishedRun{"rkd", "big"}.write_seeds(all / "rkd", {60});                                      // of one run nothing is told
    FinishedRun{"nst", "big"}.write_seeds(all / (std::string(60, 'n') + "st"), {66.9, 65, 65.2});  // not told from all of 64 to 66
    std::string named;
    for (const char* name : {"alone", "kd", "at", "crd", "s&p", "cc", "rkd"}) named += std::string(" all/<one>/") + name;
    const Ended end = run(folder, "compare" + named + " --svg a.svg");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    const std::string svg = read_file(folder / "a.svg");
    CHECK(balanced(svg));
    CHECK(count(svg, "class=\"seed\"") == 19);
    CHECK(count(svg, "class=\"row alone\"") == 1);
    CHECK(count(svg, "class=\"row hollow\"") == 1);
    CHECK(count(svg, ">n 1</text>") == 1);
    // Rows are 28 high, the first begins at 16: s&p, kd and at are the second to the fourth, cc and alone (of equal mean with rkd) the fifth, …
    const std::vector<std::string> bars = bars_of(svg);
    REQUIRE(bars.size() == 2);
    CHECK(bars[0] == "844.0 51.0 L844.0 121.0");
    CHECK(bars[1] == "844.0 135.0 L844.0 177.0");
    CHECK(svg.find("var(") == std::string::npos);  // which browsers alone know
    CHECK(count(svg, ">s&amp;p</text>") == 1);     // without the folders that all lie in
    CHECK(run(folder, "compare" + named + " all/<one>/" + std::string(60, 'n') + "st --svg a.svg").code == 0);  // its own is replaced
    const std::string wide = read_file(folder / "a.svg");
    CHECK(count(wide, ">…" + std::string(28, 'n') + "st</text>") == 1);
    REQUIRE(bars_of(wide).size() == 3);
    CHECK(bars_of(wide)[0] == "844.0 23.0 L844.0 65.0");
    CHECK(bars_of(wide)[1] == "853.0 51.0 L853.0 149.0");  // what touches stands in another column
    const Ended pair = run(folder, "compare all/<one>/at all/<one>/kd --svg a.svg --csv a.csv");
    CHECK(pair.out == run(folder, "compare all/<one>/at all/<one>/kd").out);  // in the order given, picture or not
    CHECK(read_csv(folder / "a.csv").cell(0, "a") == "all/<one>/at");
    const std::string two = read_file(folder / "a.svg");
    CHECK(says(two, {">kd</text>", ">at</text>"}));
    CHECK(two.find(">kd</text>") < two.find(">at</text>"));  // the higher one first
}

TEST_CASE("order: what of the papers' order holds, of all pairs and of those clearly apart; options tell their rows") {
    const TempFolder folder;
    write_runs(folder.path());
    const Ended end = run(folder, "compare alone kd at crd crd-kd vid --order big:small --paper paper --csv o.csv");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    // By the papers crd-kd 63.5, crd 63, at 61.5 (of the last epoch), kd 61.2, alone 60: here crd-kd is the lowest, the others hold but at above kd.
    CHECK(says(
        end.out,
        {"The papers' order, big→small on tin", "at      p-at                61.50  last         +1.50\n",
         "crd-kd  p-crd-kd            63.50  best         +3.50\n", "alone   r-student           70.00  last         +0.00\n",
         "all                            10     5            4            1\n",
         "half a point or more apart      9     5            4            0\n", "crd-kd above alone        +3.50  −2.00  −2.45 to −1.55\n",
         "crd-kd above crd          +0.50  −8.00", "no number on file of the method with these options: vid\n"}));
    CHECK(says(end.out, {"crd-kd above alone", "crd-kd above kd"}));
    CHECK(end.out.find("crd-kd above alone") < end.out.find("crd-kd above kd"));  // the furthest apart first
    CHECK(end.out.find("at above kd") == std::string::npos);
    const CsvTable table = read_csv(folder / "o.csv");
    std::map<std::string, std::string> held;
    for (size_t row = 0; row < table.rows.size(); ++row)
        held[table.cell(row, "a") + " " + table.cell(row, "b")] = table.cell(row, "papers_order");
    CHECK(held.at("crd kd") == "holds");
    CHECK(held.at("crd crd-kd") == "does not hold");  // the papers' higher one is b
    CHECK(held.at("kd at") == "not decided");
    CHECK(held.at("crd vid").empty());
    CHECK(table.cell(0, "paper_a") == "p-crd");
    CHECK(table.cell_number(0, "paper_gain_a") == 3);
    // Another paper's student alone is higher: its method's gain is 1, not 11.
    FinishedRun{"hkd", "big"}.write_seeds(folder / "hkd", {63, 63.2, 62.8});
    const Ended other = run(folder, "compare kd hkd --order tin:big:small --paper paper");
    CHECK(says(other.out, {"a  kd ", "hkd  r-hkd               71.00  last         +1.00",
                           "all                             1     1            0            0"}));
    // AT and KD together are no AT.
    FinishedRun{"at", "big"}
        .with("alpha", "1")
        .with("info.by_hand", "epochs=2 (9); alpha=1 (0)")
        .write_seeds(folder / "at-kd", {65, 66, 67});
    CHECK(says(run(folder, "compare kd crd at-kd --order big:small --paper paper").out, {"with these options: at-kd\n"}));
    // A rate that the recipe would have chosen, given by hand, turns nothing on.
    FinishedRun{"ft", "big"}
        .with("paraphraser-lr", "0.01")
        .with("batch", "64")
        .with("benchmark-form", "on")
        .with("info.by_hand", "epochs=2 (9); paraphraser-lr=0.01 (0)")
        .write_seeds(folder / "ft", {65, 66, 67});
    CHECK(says(run(folder, "compare kd crd ft --order big:small --paper paper").out, {"ft   p-ft  "}));
    // Of two papers' forms of a method its own.
    FinishedRun{"ft", "big"}
        .with("nesterov", "on")
        .with("crop-pad", "reflect")
        .with("benchmark-form", "off")
        .write_seeds(folder / "mft", {64, 65, 66});
    CHECK(says(run(folder, "compare kd crd mft --order big:small --paper paper").out, {"mft  p-ft-mhgd  "}));

    check_rejected(folder, "compare kd crd --order huge:small --paper paper",
                   {"--order huge:small: no number of data/paper is of these", "tin:big:small", "other:huge:small"});
    for (const std::string wrong : {"big", "a:tin:big:small", ":small", "''"})
        check_rejected(folder, "compare kd crd --order " + wrong + " --paper paper", {"--order"});
    check_rejected(folder, "compare kd vid --order big:small --paper paper", {"no two different numbers of these trainings' methods"});
    FinishedRun{"kd", "big"}.with("lr", "0.2").write_seeds(folder / "again", {64, 65, 66});
    check_rejected(folder, "compare kd crd again --order big:small --paper paper",
                   {"again and kd are both the papers' kd (p-kd); leave one of them out"});
    check_rejected(folder, "compare kd crd --order big:small --paper gone", {"gone"});
}

TEST_SUITE_END();
