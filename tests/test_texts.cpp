// Texts that others can read, whatever bytes a user's files are called by.
#include "base_texts.h"

#include "base_files.h"
#include "base_safetensors.h"
#include "base_svg.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "run_folders.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("texts: a check that fails shows a C string's letters, not where they lie") {
    const char *const name = "resnet8", *const none = nullptr;
    CHECK(doctest::toString(name) == "resnet8");
    CHECK(doctest::toString(none) == "nullptr");
}

TEST_CASE("texts: UTF-8 passes, what is none is replaced or escaped") {
    const std::string good = "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88 ~";
    CHECK(as_utf8(good) == good);
    CHECK(printable(good) == good);
    const std::pair<const char*, size_t> bad[] = {
        {"\xff", 1},         {"\x80", 1},         {"\xc0\xaf", 2},         {"\xc3", 1},
        {"\xed\xa0\x80", 3}, {"\xe0\x80\xaf", 3}, {"\xf4\x90\x80\x80", 4}, {"\xf5\x80\x80\x80", 4},
        {"\xe2\x82", 2}};  // and how many bytes
    for (const auto& [bytes, count] : bad) {
        CAPTURE(count);
        std::string replaced = "a", escaped_bytes = "a";
        for (size_t i = 0; i < count; ++i) replaced += "\uFFFD", escaped_bytes += "\\x";
        CHECK(as_utf8(std::string("a") + bytes + "b") == replaced + "b");
        const std::string shown = printable(std::string("a") + bytes + "b");
        CHECK(shown.size() == 2 + 4 * count);
        CHECK(as_utf8(shown) == shown);
    }
    CHECK(printable("\xff\x1b[31m\n\x7f\xc2\x9b") == "\\xFF\\x1B[31m\\x0A\\x7F\\xC2\\x9B");
    CHECK(as_utf8("a\n\x1b") == "a\n\x1b");
    CHECK(escaped("<\xff>") == "&lt;\uFFFD&gt;");
    CHECK(escaped("\xEF\xBF\xBE\xEF\xBF\xBF") == "\uFFFD\uFFFD");  // noncharacters, which XML refuses
}

TEST_CASE("texts: a report's page is UTF-8, whatever the runs are called") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 8, 30, 6});
    REQUIRE(
        run(folder, "train --net resnet8 --dataset s --batch 20 --epochs 1 --threads 1 --quiet --id m\xfcller --run runs/caf\xe9").code ==
        0);
    REQUIRE(run(folder, "report runs --html page.html").code == 0);
    const std::string page = read_file(folder / "page.html");
    CHECK(as_utf8(page) == page);
    CHECK(says(page, {"runs/caf\uFFFD", "m\uFFFDller"}));
}

TEST_CASE("texts: what goes to a terminal or into a table is printable UTF-8, whatever the runs are called") {
    CHECK(aligned({{"a\x1b[31m", "b"}, {"c", "\xe9"}}) == "a\\x1B[31m  b\nc          \\xE9\n");
    const TempFolder folder;
    const std::string red = "red\x1b[31m", latin = "caf\xe9";
    FinishedRun{"kd", "big"}.write_seeds(folder / "runs" / red, {60, 61, 62});
    FinishedRun{"fitnet", "big"}.with("batch", "6\x1b").write_seeds(folder / "runs" / latin, {63, 64, 65});
    FinishedRun{"feed", "big\x1b"}.write(folder / "runs/feed");
    FinishedRun{}.write(folder / "runs" / ("open" + red + latin));
    fs::remove(folder / "runs" / ("open" + red + latin) / "result.csv");
    FinishedRun{}.write(folder / "runs" / ("torn" + red + latin));
    put_file(folder / "runs" / ("torn" + red + latin) / "epochs.csv", "torn\x1b\xe9");
    put_file(folder / "runs" / ("search" + red + latin) / "journal.csv",
             "trial,event,epoch,error,detail\n,study,,,dataset=s\x1b;target=resnet8\xe9;trials=\x1b\n");
    put_file(folder / "runs" / ("search" + red + latin) / "search.csv",
             "id,trial,search_error,test_mean,test_std,n,graph\nplain-resnet8,,,60,,1,resnet8 | through\n\x1b,,,60,,1,resnet8 | through\n");
    put_file(folder / "paper/p.csv", "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n");
    WeightFile weights;
    weights.tensors["w\x1b"] = {{1}, {1}};
    write_safetensors(folder / (red + latin), weights);
    const auto check = [&](const std::string& line, const std::vector<std::string>& parts, const std::string& csv = "") {
        CAPTURE(printable(line));
        const Ended end = run(folder, line);
        CHECK_MESSAGE(end.code == 0, end.err);
        std::string told = end.out;
        if (!csv.empty()) {
            const std::string table = read_file(folder / csv);
            CHECK(says(table, parts));
            told += table;
        }
        CHECK(says(end.out, parts));
        for (const std::string& row : split(told, '\n')) CHECK(printable(row) == row);
    };
    const std::string both = "red\\x1B[31mcaf\\xE9";
    check("compare runs/" + red + " runs/" + latin + " --csv c.csv", {"runs/red\\x1B[31m", "runs/caf\\xE9", "6\\x1B"}, "c.csv");
    check("compare runs/" + red + " runs/" + latin + " runs/feed --csv c.csv", {"runs/red\\x1B[31m", "runs/caf\\xE9", "6\\x1B"}, "c.csv");
    check("report runs --paper paper --csv r.csv", {"runs/open" + both, "runs/torn" + both, "big\\x1B"}, "r.csv");
    check("report runs --paper paper", {"search runs/search" + both + ": resnet8\\xE9 on s\\x1B"});
    check("watch runs --csv w.csv", {"runs/open" + both, "runs/torn" + both}, "w.csv");
    check("ktg show runs/search" + red + latin, {"resnet8\\xE9 on s\\x1B"});
    check("weights show " + red + latin, {both + ": safetensors, 1 tensors", "w\\x1B"});
    check("weights show --csv " + red + latin, {"w\\x1B,1"});
}

TEST_SUITE_END();
