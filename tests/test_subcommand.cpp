// base_command_line.h by itself; what the program makes of it is in test_command_line.cpp.
#include "base_command_line.h"
#include "base_files.h"
#include "complaints.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// `tool sizes WHERE… --net … --word … …`, and `tool hidden`; each line is read by a tool of its own.
struct Tool : CommandLine {
    std::string net = "none";
    int size = 8;
    int64_t count = 0;
    uint64_t seed = 0;
    double part = 0;
    fs::path file;
    std::vector<fs::path> where;
    std::vector<std::string> words;
    bool quiet = false;
    std::vector<std::string> taken, ran;
    CommandOption given_size, taken_level;

    Tool() : CommandLine("a tool", "tool") {
        require_subcommand();
        const Subcommand sizes = add_subcommand("sizes", "of files");
        sizes.add_option("WHERE", where, "folders").required().at_least(2);
        sizes.add_option("--net,--student", net, "a network").one_of({"none", "big"});
        given_size = sizes.add_option("--size", size, "of images").within(4, 16).shows_default();
        sizes.add_option("--count", count, "of all");
        sizes.add_option("--seed", seed, "of chance");
        sizes.add_option("--part", part, "of one");
        sizes.add_option("--file", file, "to write");
        sizes.add_option("--word", words, "of many").one_word_each();
        sizes.add_flag("--quiet", quiet, "no word");
        taken_level = sizes.take_option(
            "--level", [this](const std::string& word) { taken.push_back(word); }, "of noise", "LEVEL", "low");
        sizes.take_flag(
            "--fast", [this] { taken.emplace_back("fast"); }, "no rest");
        sizes.callback([this] { ran.emplace_back("sizes"); });
        const Subcommand other = add_subcommand("hidden", "not for people");
        other.hide();
        other.add_subcommand("deep", "below it").callback([this] { ran.emplace_back("deep"); });
        other.callback([this, other] { ran.emplace_back(other.passes_on() ? "passes on" : "hidden"); });
    }
};

std::string wrong(const std::vector<std::string>& words) {
    return complaint([&] { Tool().run(words); });
}

}  // namespace

TEST_CASE("subcommand: values of every kind land in their variables") {
    Tool t;
    t.run({"sizes", "a", "--student=big", "--size", "9", "--count", "-8589934592", "--seed", "18446744073709551615", "--part", "0.25", "b",
           "--file", "x y", "--word", "--word=--deep", "--word", "w", "--quiet"});
    CHECK(t.net == "big");
    CHECK(t.size == 9);
    CHECK(t.count == -8589934592);
    CHECK(t.seed == 18446744073709551615u);
    CHECK(t.part == 0.25);
    CHECK(t.file == "x y");
    CHECK(t.where == std::vector<fs::path>{"a", "b"});
    CHECK(t.quiet);
    CHECK(t.given_size.given());
    CHECK_FALSE(t.taken_level.given());
    CHECK_FALSE(CommandOption().given());
    CHECK(t.ran == std::vector<std::string>{"sizes"});
    Tool more;
    more.run({"sizes", "a", "b", "c"});
    CHECK(more.where.size() == 3);
}

TEST_CASE("subcommand: what is no variable gets its last word, a list's option one word each time") {
    Tool t;
    t.run({"sizes", "--word=--x", "a", "--word", "w", "--level", "1", "--level=2", "--fast", "b"});
    CHECK(t.words == std::vector<std::string>{"--x", "w"});
    CHECK(t.where == std::vector<fs::path>{"a", "b"});
    CHECK(t.taken == std::vector<std::string>{"2", "fast"});
    CHECK(t.taken_level.given());
    CHECK_FALSE(t.given_size.given());
    CHECK(t.size == 8);
}

TEST_CASE("subcommand: one is found by its path, and tells what was asked of it") {
    Tool t;
    REQUIRE(t.find("hidden deep"));
    CHECK_FALSE(t.find("deep"));
    CHECK_FALSE(t.find("sizes deep"));
    CHECK(t.find("sizes")->has_option("--student"));
    CHECK_FALSE(t.find("sizes")->has_option("--deep"));
    t.run({"hidden", "deep"});
    CHECK(t.ran == std::vector<std::string>{"deep", "passes on"});
    t.run({"hidden"});
    CHECK(t.ran.back() == "hidden");
}

TEST_CASE("subcommand: a wrong line is one complaint, without what is hidden") {
    CHECK(wrong({"size"}) == "unknown subcommand 'size'; did you mean sizes? Valid are: sizes (tool --help)");
    CHECK(wrong({}) == "a subcommand is missing; there are: sizes (tool --help)");
    CHECK(says(wrong({"sizes", "a", "b", "--sise", "9"}), {"sizes: unknown option --sise; did you mean --size?", "(tool sizes --help)"}));
    CHECK(says(wrong({"sizes", "a"}), {"sizes: ", "2 required"}));
    CHECK(says(wrong({"sizes", "a", "b", "--size", "17"}), {"--size", "17 not in range 4 to 16"}));
    CHECK(says(wrong({"sizes", "a", "b", "--net", "huge"}), {"--net", "huge not in {none,big}"}));
    CHECK(says(wrong({"sizes", "a", "b", "--part", "half"}), {"--part = half, expected FLOAT"}));
}
