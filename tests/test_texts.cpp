// Texts that others can read, whatever bytes a user's files are called by.
#include "base_texts.h"

#include "base_files.h"
#include "base_svg.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

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

TEST_SUITE_END();
