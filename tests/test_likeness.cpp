// Like with like: which runs are one experiment, which may be set beside the paper's number, the student alone, or each other.
#include <cmath>
#include <map>

#include "base_svg.h"
#include "base_texts.h"
#include "markup.h"
#include "report_collect.h"
#include "report_html.h"
#include "report_likeness.h"
#include "report_summary.h"
#include "run_folders.h"
#include "search_space.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string sum_a(64, 'a'), sum_b(64, 'b');

std::vector<Group> groups_of(const TempFolder& folder, const std::vector<PaperRow>& paper = {}) {
    return summarize(collect_runs({folder.path()}), paper).groups;
}

const Group& by_method(const std::vector<Group>& groups, const std::string& method) {
    for (const Group& group : groups)
        if (group.any().method == method) return group;
    FAIL("no group of method " << method);
    return groups.front();
}

FinishedRun taught(int seed, const std::string& path, const std::string& teacher_sum, const std::string& data_sum) {
    FinishedRun run{"kd", "big"};
    run.seed = seed;
    run.options = {{"teacher-weights", path}, {"info.teacher_sha256", teacher_sum}, {"info.data_sha256", data_sum}};
    return run;
}

}  // namespace

TEST_CASE("likeness: on a CPU minimal filtering, or none as before there was any, is part of what a run is; on a GPU there is none") {
    const auto group_of = [](const std::string& device, const std::string& winograd) {
        Run run;
        run.device = device;
        run.config = {{"method", "train"}};
        if (!winograd.empty()) run.config.emplace_back("winograd", winograd);
        return substance_of(run);
    };
    CHECK(group_of("cpu", "on") == group_of("cuda", "on"));
    CHECK(group_of("cpu", "on") == group_of("cuda", ""));
    CHECK(group_of("cpu", "off") == group_of("cpu", ""));
    CHECK(group_of("cpu", "off") != group_of("cpu", "on"));
}

TEST_CASE("likeness: a teacher under two paths is one experiment; another file under its path, or other data, is another") {
    const TempFolder folder;
    taught(0, "t/student.safetensors", sum_a, sum_a).write(folder / "s0");
    taught(1, "../x/t/student.safetensors", sum_a, sum_a).write(folder / "s1");
    REQUIRE(groups_of(folder).size() == 1);
    CHECK(groups_of(folder)[0].runs.size() == 2);
    CHECK(groups_of(folder)[0].options.empty());

    taught(2, "t/student.safetensors", sum_b, sum_a).write(folder / "s2");
    taught(3, "t/student.safetensors", sum_a, sum_b).write(folder / "s3");
    const std::vector<Group> groups = groups_of(folder);
    REQUIRE(groups.size() == 3);
    std::map<std::string, size_t> runs;
    for (const Group& group : groups) runs[group.options] = group.runs.size();
    CHECK(runs == std::map<std::string, size_t>{{"data_sha256=aaaaaaaa, teacher_sha256=aaaaaaaa", 2},
                                                {"data_sha256=aaaaaaaa, teacher_sha256=bbbbbbbb", 1},
                                                {"data_sha256=bbbbbbbb, teacher_sha256=aaaaaaaa", 1}});
}

TEST_CASE("likeness: several teachers, start weights and a graph's frozen nodes count by content, a chain's later stages not") {
    const TempFolder folder;
    const auto write = [&](const std::string& name, int seed, FinishedRun run) {
        run.seed = seed;
        run.write(folder / name / text("s", seed));
    };
    const FinishedRun feed{"feed", "big+big"}, chain = FinishedRun{"feed", "small"}.with("info.stage", "2"), init{"train"};
    for (int seed : {0, 1}) {
        const std::string place = text(seed, "/a"), own(64, static_cast<char>('c' + seed));
        write("feed", seed,
              feed.with("teachers", place + "," + place).with("info.teacher0_sha256", sum_a).with("info.teacher1_sha256", sum_b));
        write("chain", seed, chain.with("teachers", place).with("info.teacher0_sha256", own));
        write("init", seed, init.with("init", place).with("info.init_sha256", sum_a));
        write("mhgd", seed, FinishedRun{"mhgd", "big"}.with("mha", place).with("info.mha_sha256", sum_a));
        write("graph", seed, FinishedRun{"ktg", "big"}.with("weights", "1=" + place).with("info.node1_sha256", sum_a));
    }
    for (const Group& group : groups_of(folder)) CHECK_MESSAGE(group.runs.size() == 2, group.name());
    CHECK(groups_of(folder).size() == 5);
    // The same two in the other order are other teachers; start weights that are not on file count by path.
    write("feed", 2, feed.with("info.teacher0_sha256", sum_b).with("info.teacher1_sha256", sum_a));
    write("graph", 2, FinishedRun{"ktg", "big"}.with("weights", "0=x,1=1/a").with("info.node1_sha256", sum_a));
    CHECK(groups_of(folder).size() == 7);
}

TEST_CASE("likeness: a difference to the paper only by its recipe and its images, else what differs") {
    const std::vector<PaperRow> paper = {{"p-kd", "T", "cifar100", "big", "small", "kd", "top1", 59.0, {}, "b", "kd", {{"lr", "0.05"}}}};
    const FinishedRun whole = FinishedRun{"kd", "big", "small", "cifar100", "p-kd"}
                                  .with("preset", "p-kd")
                                  .with("info.by_hand", "")
                                  .with("info.train_images", "50000")
                                  .with("info.test_images", "10000")
                                  .with("lr", "0.0500");
    const auto group = [&](const FinishedRun& run) {
        const TempFolder folder;
        run.write(folder / "r");
        return groups_of(folder, paper).at(0);
    };
    CHECK(*group(whole).difference == doctest::Approx(1));
    CHECK(group(whole).notes.empty());
    const auto refused = [&](const FinishedRun& run, const std::string& reason) {
        const Group g = group(run);
        CHECK_FALSE(g.difference);
        REQUIRE(g.notes.size() == 1);
        CHECK(g.notes[0] == reason + ": compare the gain over the student alone");
    };
    FinishedRun other = whole;
    other.options[1].second = "epochs=1 (240); lr=0.001 (0.05)";
    refused(other, "not the paper's recipe: epochs=1 (240); lr=0.001 (0.05)");
    other = whole;
    other.options[0].second = "";
    refused(other, "not trained with --preset p-kd");
    other = whole;
    other.options.erase(other.options.begin() + 1);
    refused(other, "what was given by hand beside the preset is not on file");
    other = whole;
    other.options.back().second = "0.1";
    refused(other, "trained with lr 0.1, the row has 0.05 now");
    other = whole;
    other.options[2].second = "128";
    refused(other, "not the official images: 128 for training and 10000 for testing, not 50000 and 10000");
}

TEST_CASE("likeness: a gain only over a student alone of the same recipe, else what differs") {
    const TempFolder folder;
    const FinishedRun alone = FinishedRun{}.with("nesterov", "on").with("info.data_sha256", sum_a);
    FinishedRun kd =
        FinishedRun{"kd", "big"}.with("batch", "64").with("lr", "0.05").with("nesterov", "off").with("info.data_sha256", sum_b);
    alone.write_seeds(folder / "alone", {60, 61, 62});
    kd.write_seeds(folder / "kd", {63, 64, 65});
    const std::vector<Group> unlike = groups_of(folder);
    const Group& without = by_method(unlike, "kd");
    CHECK_FALSE(without.gain_last);
    CHECK_FALSE(without.gain_best);
    CHECK_FALSE(without.above_alone);
    CHECK(without.notes.back() ==
          "no gain: tin small train, the nearest student alone, has batch 128 (here 64), lr 0.1 (here 0.05), nesterov "
          "on (here off), images of SHA-256 aaaaaaaa (here bbbbbbbb)");
    // One with the recipe, though it differs in more other options, is the one to compare with.
    FinishedRun like = FinishedRun{}.with("batch", "64").with("lr", "0.05").with("nesterov", "off").with("info.data_sha256", sum_b);
    like.with("x", "1").with("y", "1").write_seeds(folder / "like", {59, 60, 61});
    for (const char* option : {"x", "y"}) kd = kd.with(option, "2");
    kd.write_seeds(folder / "kd", {63, 64, 65});
    const std::vector<Group> alike = groups_of(folder);
    const Group& with = by_method(alike, "kd");
    CHECK(*with.gain_last == doctest::Approx(4));
    REQUIRE(with.above_alone);
    CHECK(with.above_alone->verdict == Verdict::holds);
    CHECK(with.above_alone->low == doctest::Approx(4 - 2.776445 * std::sqrt(2.0 / 3)).epsilon(1e-5));
    CHECK(test_images(with.any()) == "1000");
}

TEST_CASE("likeness: targets of graphs share start and order, too, but for ensembles and those begun from a file") {
    const auto targets = [](const Graph& graph, const char* role = "graph") {
        Group group;
        for (const char* seed : {"0", "1", "2"}) {
            Run run;
            run.seed = seed;
            run.student = "resnet8";
            run.graph = graph;
            run.config = {{"info.role", role},         {"info.start_key", "2"}, {"info.generation", "1"},
                          {"info.data_sha256", sum_a}, {"batch", "64"},         {"shuffle", "on"}};
            group.runs.push_back(run);
        }
        return group;
    };
    const Graph kd = parse_graph_line("resnet8 resnet20 | through through | cutoff through", "the test"),
                dml = parse_graph_line("resnet8 resnet8 | through through | through through", "the test");
    CHECK(share_start_and_order(targets(kd), targets(dml)));
    CHECK_FALSE(share_start_and_order(targets(kd), targets(dml, "student")));
    CHECK_FALSE(share_start_and_order(targets(kd), targets(dml, "alone")));
    Graph begun = dml, ensemble = dml;
    begun.nodes[0].weights = "w.safetensors";
    ensemble.nodes[0].members = {1};
    REQUIRE(ensemble.node(0).is_ensemble());
    for (const Graph& other : {begun, ensemble}) {
        CHECK_FALSE(share_start_and_order(targets(kd), targets(other)));
        CHECK_FALSE(share_start_and_order(targets(other), targets(kd)));
    }
    begun = dml;
    begun.nodes[1].weights = "w.safetensors";  // a helper's start is its own affair
    CHECK(share_start_and_order(targets(kd), targets(begun)));
}

TEST_CASE("likeness: only students that share start and order are paired, by what is on file of them") {
    const TempFolder folder;
    const FinishedRun kd = FinishedRun{"kd", "big"}
                               .with("info.role", "student")
                               .with("info.start_key", "2")
                               .with("info.generation", "1")
                               .with("shuffle", "on")
                               .with("info.data_sha256", sum_a);
    FinishedRun review = kd;
    review.method = "reviewkd";
    kd.write_seeds(folder / "kd", {60, 63, 57});
    review.write_seeds(folder / "review", {62, 66, 61});
    const auto pair = [&] {
        const std::vector<Group> groups = groups_of(folder);
        const Group &a = by_method(groups, "reviewkd"), &b = by_method(groups, "kd");
        CHECK(compare(a, b).paired == share_start_and_order(a, b));
        return compare(a, b);
    };
    CHECK(pair().paired);
    CHECK(pair().verdict == Verdict::holds);  // differences 2, 3, 4; Welch would not decide
    CHECK(pair().difference == doctest::Approx(3));
    const double once = pair().p;
    fs::create_directory(folder / "again");
    for (const char* name : {"kd", "review"})  // runs copied, or trained again by the same seed, are no more evidence
        fs::copy(folder / name, folder / "again" / name, fs::copy_options::recursive);
    CHECK(pair().paired);
    CHECK(pair().a.n == 3);
    CHECK(pair().p == once);
    fs::remove_all(folder / "again/kd");  // once more on one side alone
    CHECK(pair().paired);
    CHECK(pair().p == once);
    fs::remove_all(folder / "again");
    for (const auto& [option, value] : {std::pair{"info.role", "alone"},
                                        {"info.role", "graph"},
                                        {"info.start_key", "1"},
                                        {"info.generation", "0"},
                                        {"batch", "64"},
                                        {"shuffle", "off"},
                                        {"init", "x.safetensors"}}) {
        CAPTURE(option);
        FinishedRun other = review;
        for (auto& [name, now] : other.options)
            if (name == option) now = value;
        other.with(option, value).write_seeds(folder / "review", {62, 66, 61});
        CHECK_FALSE(pair().paired);
        CHECK(pair().verdict == Verdict::not_decided);
    }
    review.options.back().second = sum_b;  // other data
    review.write_seeds(folder / "review", {62, 66, 61});
    CHECK_FALSE(pair().paired);
    review.options.back().second = sum_a;
    review.write_seeds(folder / "review", {62, 66, 61});
    CHECK(pair().paired);
    review.seed = 7;
    review.write(folder / "review/s2");  // not the same seeds
    CHECK_FALSE(pair().paired);
    fs::remove_all(folder / "review/s2");
    CHECK_FALSE(pair().paired);
    FinishedRun earlier{"reviewkd", "big"};  // nothing of start and order on file
    earlier.write_seeds(folder / "review", {62, 66, 61});
    FinishedRun{"kd", "big"}.write_seeds(folder / "kd", {60, 63, 57});
    CHECK_FALSE(pair().paired);
}

TEST_CASE("likeness: pictures call every line as the table does, so that no two are called alike") {
    const TempFolder folder;
    FinishedRun run;
    run.id = "wide";
    run.write(folder / "a");
    run.id = "deep";
    run.write(folder / "b");
    run.id.clear();
    run.write(folder / "c");
    run.method = "kd", run.teacher = "big";
    run.write(folder / "d");
    const std::string page = html_page(summarize(collect_runs({folder.path()}), {}), "");
    CHECK(balanced(page));
    for (const char* name : {"trained alone, wide", "trained alone, deep", "trained alone, train", "kd from big"})
        CHECK_MESSAGE(count(page, std::string("<title>") + name + "</title>") == 2, name);  // both charts
}

TEST_CASE("likeness: names that are no UTF-8 are replaced in the page, others are not") {
    const std::string gone = "\xEF\xBF\xBD";
    CHECK(escaped("plain, ü, – and 🐟\n") == "plain, ü, – and 🐟\n");
    CHECK(escaped("a\xFF<") == "a" + gone + "&lt;");
    CHECK(escaped(std::string("\0\x1B", 2)) == gone + gone);  // characters, but none that markup may hold
    const TempFolder folder;
    FinishedRun run;
    run.id = "caf\xE9";
    run.write(folder / "r\xE9");
    const std::string page = html_page(summarize(collect_runs({folder.path()}), {}), "");
    CHECK(page == as_utf8(page));
    CHECK(count(page, "caf" + gone) > 0);
}

TEST_SUITE_END();
