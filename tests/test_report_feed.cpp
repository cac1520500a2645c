// FEED's section of the report: which runs belong together, what is claimed of them, the picture's numbers.
#include <cmath>
#include <sstream>

#include "base_files.h"
#include "complaints.h"
#include "markup.h"
#include "report_collect.h"
#include "report_feed.h"
#include "report_html.h"
#include "report_summary.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");
using Kind = FeedResult::Kind;

namespace {

struct Recipe {
    std::string method, teacher;
    int seed = 0;
    double last = 60;
    std::string options = {};  ///< further lines of config.csv
    std::string student = "small", epochs = "30";
};

void write_run(const fs::path& folder, const Recipe& r) {
    put_file(folder / "config.csv", text("option,value\nmethod,", r.method, "\ndataset,tin\nstudent,", r.student, "\nepochs,", r.epochs,
                                         "\nseed,", r.seed, '\n', r.options));
    put_file(folder / "epochs.csv", text("epoch,train_loss,test_acc\n0,2,", r.last, '\n'));
    const std::string columns = "id,dataset,teacher,student,method,seed,last,best,best_epoch,seconds,device,precision,commit\n";
    put_file(folder / "result.csv", text(columns, ",tin,", r.teacher, ',', r.student, ',', r.method, ',', r.seed, ',', r.last, ',',
                                         r.last + 1, ",0,60,cpu,fp32,abc\n"));
}

std::string times(int n, const std::string& word, const char* between) {
    std::string all;
    for (int i = 0; i < n; ++i) all += (i == 0 ? "" : between) + word;
    return all;
}

std::string named(int n) {  // the first n of t0, t1, … as config.csv has them
    std::string all = "teachers,\"t0", facts = "info.teacher0_accuracy,66\n";
    for (int i = 1; i < n; ++i) all += text(",t", i), facts += text("info.teacher", i, "_accuracy,", 66 + i, '\n');
    return all + "\"\n" + facts;
}

/// Two seeds of a method, one point apart around `mean`: a standard deviation of √½, a standard error of ½ for the mean.
void write_two(const fs::path& folder, Recipe r, double mean) {
    const double middle = mean;
    for (r.seed = 0; r.seed < 2; ++r.seed) {
        r.last = middle - 0.5 + r.seed;
        write_run(folder / text("s", r.seed), r);
    }
}

void write_parallel(const fs::path& folder, int n, double mean, const std::string& more = {}) {
    write_two(folder, {"feed", times(n, "big", "+"), 0, 0, named(n) + more}, mean);
}

Report report_on(const TempFolder& folder) { return summarize(collect_runs({folder.path()}), {}); }

const FeedResult* find(const FeedStudy& study, const std::string& name) {
    for (const FeedResult& r : study.baselines)
        if (r.name == name) return &r;
    return nullptr;
}

}  // namespace

TEST_CASE("report: a curve of FEED and what belongs beside it") {
    const TempFolder folder;
    for (const int n : {1, 3, 5}) write_parallel(folder / text("n", n), n, 60 + n, n == 1 ? "" : "teacher," + times(n, "big", "+") + "\n");
    write_two(folder / "alone", {"train", ""}, 60);
    write_two(folder / "longer", {"train", "", 0, 0, "", "small", "60"}, 70);  // not as many epochs
    write_two(folder / "other", {"train", "", 0, 0, "", "tiny"}, 71);          // another student
    write_two(folder / "kd", {"kd", "big", 0, 0, "temperature,4\n"}, 61.5);
    for (const int n : {3, 5}) write_two(folder / text("ensemble", n), {"ensemble", times(n, "big", "+")}, 61 + n);
    for (const std::string method : {"feed", "ban"})
        for (int stage = 1; stage <= 3; ++stage)
            for (int seed = 0; seed < 2; ++seed)  // each seed with a teacher of its own
                write_run(folder / method / text("s", seed, "/stage", stage),
                          {method, stage == 1 ? "big" : "small", seed + stage - 1, 59.0 + stage + seed,
                           text("teachers,", stage == 1 ? "t0" : text(method, "/s", seed), "\nstages,3\nby,", method, "\ninfo.stage,",
                                stage, '\n')});
    const Report report = report_on(folder);
    const auto studies = feed_studies(report);
    REQUIRE(studies.size() == 1);
    const FeedStudy& study = studies[0];
    CHECK(study.student == "small");
    CHECK(study.teacher == "big");
    REQUIRE(study.parallel.size() == 3);
    CHECK(study.parallel[0].teachers == 1);
    CHECK(study.parallel[2].teachers == 5);
    CHECK(study.parallel[2].accuracy.mean == doctest::Approx(65));
    CHECK(study.parallel[2].accuracy.n == 2);
    CHECK(study.baselines.size() == 6);
    REQUIRE(find(study, "student alone"));
    CHECK(find(study, "student alone")->accuracy.mean == doctest::Approx(60));
    REQUIRE(find(study, "KD, mean of 5 teachers"));
    CHECK(find(study, "KD, mean of 5 teachers")->accuracy.mean == doctest::Approx(66));
    REQUIRE(find(study, "sequential FEED, stage 3"));
    CHECK(find(study, "sequential FEED, stage 3")->accuracy.n == 2);
    CHECK(find(study, "sequential FEED, stage 3")->accuracy.mean == doctest::Approx(62.5));
    REQUIRE(find(study, "born again, stage 3"));
    REQUIRE(find(study, "the teachers’ mean"));
    CHECK(find(study, "the teachers’ mean")->accuracy.mean == doctest::Approx(68));
    CHECK(find(study, "the teachers’ mean")->accuracy.n == 5);
    CHECK_FALSE(find(study, "Factor Transfer"));

    const std::string svg = feed_svg(study);
    CHECK(balanced(svg));
    for (const char* text : {">61.00<", ">63.00<", ">65.00<", ">KD: 61.50 ± 0.71<", ">KD, mean of 5 teachers: 66.00 ± 0.71<"})
        CHECK(count(svg, text) == 1);
    CHECK(count(svg, "class=\"base ") == 6);
    CHECK(count(svg, "class=\"seed\"") == 6);
    // Where they stand: N on an axis from 0.5 to 5.5 over 62 … 540; 58 to 70 % over 370 … 24.
    const auto x = [](double n) { return 62 + (n - 0.5) / 5 * 478; };
    const auto y = [](double accuracy) { return 370 - (accuracy - 58) / 12 * 346; };
    for (const int n : {1, 3, 5}) {
        const std::string circle = text("class=\"mean\" cx=\"", fixed(x(n), 1), "\" cy=\"");
        REQUIRE(count(svg, circle) == 1);
        const size_t at = svg.find(circle) + circle.size();
        CAPTURE(n);
        CHECK(std::abs(std::stod(svg.substr(at)) - y(60 + n)) < 0.06);
    }
    const std::string page = html_page(report, "");
    CHECK(balanced(page));
    CHECK(
        says(page, {"FEED: small from big on tin, 30 epochs", "feed from 5 × big", "tin 5 × big→small feed", "feed from small, stage 3"}));
}

/// Three seeds, half a point apart around `mean`: a standard deviation of ½.
void write_three(const fs::path& folder, Recipe r, double mean) {
    for (r.seed = 0; r.seed < 3; ++r.seed) {
        r.last = mean + 0.5 * (r.seed - 1);
        write_run(folder / text("s", r.seed), r);
    }
}

TEST_CASE("report: FEED's claims against the noise") {
    const TempFolder folder;
    const auto parallel = [&](int n, double mean) {
        write_three(folder / text("n", n), {"feed", times(n, "big", "+"), 0, 0, named(n) + "batch,128\ninfo.test_images,1000\n"}, mean);
    };
    parallel(1, 62);
    parallel(2, 63);
    write_three(folder / "alone", {"train", "", 0, 0, "batch,128\n"}, 61);
    write_three(folder / "ft", {"ft", "big", 0, 0, "batch,128\n"}, 65.5);
    // Each mean has a variance of 1/12, a difference an error of √(1/6) = 0.408; at 4 degrees the interval reaches 2.776 · 0.408 = 1.133.
    const Report report = report_on(folder);
    const auto studies = feed_studies(report);
    REQUIRE(studies.size() == 1);
    const std::vector<FeedClaim>& claims = studies[0].claims;
    REQUIRE(claims.size() == 4);
    CHECK(claims[0].verdict() == "holds");
    CHECK(claims[0].comparison->difference == doctest::Approx(2));
    CHECK(claims[0].comparison->low == doctest::Approx(2 - 2.776445 * std::sqrt(1.0 / 6)).epsilon(1e-5));
    CHECK(claims[1].verdict() == "does not hold");
    CHECK(claims[1].comparison->difference == doctest::Approx(-2.5));
    CHECK(claims[2].verdict() == "not run");
    CHECK(claims[3].verdict() == "not decided");
    CHECK(claims[3].ours->teachers == 2);
    CHECK(claims[3].other->teachers == 1);
    std::ostringstream out;
    write_feed(out, studies);
    const std::string ours = "63.00 ± 0.50  N = 2, n = 3  ";
    CHECK(says(out.str(), {"FEED: small from big on tin, 30 epochs\n", verdict_rule, "Tested on 1000 images",
                           "parallel FEED beats the student alone            holds          " + ours + "61.00 ± 0.50  n = 3",
                           "+2.00  +0.87 to +3.13  Welch", "+1.00  −0.13 to +2.13  the interval holds 0",
                           "parallel FEED beats one-teacher Factor Transfer  does not hold  " + ours + "65.50 ± 0.50  n = 3",
                           "parallel FEED beats born-again networks          not run        " + ours + "–",
                           "more teachers help                               not decided    " + ours + "62.00 ± 0.50  N = 1, n = 3"}));
    // One run decides nothing, however far off; nor do runs of another recipe.
    write_run(folder / "ban", {"ban", "small", 0, 20, "batch,128\n"});
    const Report with_one = report_on(folder);
    const FeedStudy study = feed_studies(with_one).at(0);
    CHECK(study.claims[2].verdict() == "not decided");
    CHECK(study.claims[2].comparison->difference == doctest::Approx(43));
    CHECK(says(feed_section(study), {"not decided", "does not hold", "holds", "+43.00"}));
    write_run(folder / "ban", {"ban", "small", 0, 20, "batch,64\n"});
    const Report with_other = report_on(folder);
    const FeedStudy other = feed_studies(with_other).at(0);
    CHECK(other.claims[2].verdict() == "not comparable");
    CHECK(says(feed_section(other), {"other recipe: batch 64 (here 128)"}));
}

TEST_CASE("report: a curve of FEED goes through teachers of several networks, each number's the first of the largest's") {
    const TempFolder folder;
    const auto parallel = [&](const char* name, const std::string& networks, const std::string& teachers, double mean) {
        write_three(folder / name, {"feed", networks, 0, 0, "teachers,\"" + teachers + "\"\nbatch,128\n"}, mean);
    };
    parallel("n1", "big", "t0", 62);
    parallel("n2", "big+wide", "t0,t1", 64);
    parallel("n3", "big+wide+big", "t0,t1,t2", 65);
    parallel("second", "wide", "t1", 50);        // the curve's second teacher alone
    parallel("third", "big+deep", "t0,t9", 63);  // which t0 alone leads to, too
    const Report report = report_on(folder);
    const auto studies = feed_studies(report);
    REQUIRE(studies.size() == 3);
    CHECK(studies[0].teacher == "big+wide");
    REQUIRE(studies[0].parallel.size() == 3);
    for (const size_t i : {0, 1, 2}) CHECK(studies[0].parallel[i].accuracy.mean == doctest::Approx(i == 0 ? 62 : i == 1 ? 64 : 65));
    CHECK(studies[0].claims[3].verdict() == "holds");  // 3 ± 1.13, as above
    CHECK(studies[0].claims[3].other->teachers == 1);
    const bool third_first = studies[1].parallel.size() == 2;
    const FeedStudy &third = third_first ? studies[1] : studies[2], &second = third_first ? studies[2] : studies[1];
    CHECK(third.teacher == "big+deep");
    REQUIRE(third.parallel.size() == 2);
    CHECK(third.parallel[0].accuracy.mean == doctest::Approx(62));
    CHECK(second.teacher == "wide");
    CHECK(second.parallel.size() == 1);
    CHECK(second.claims[3].verdict() == "not run");
}

TEST_CASE("report: stages of born-again networks stand beside their row, a chain of FEED's command") {
    const TempFolder folder;
    for (const std::string method : {"ban", "feed"}) {
        write_run(folder / method, {method, "small", 0, 60, "by," + method + "\ninfo.stage,1\npreset,born\ninfo.by_hand,\n"});
        std::string result = read_file(folder / method / "result.csv");
        result.replace(result.find("\n,tin"), 1, "\nborn");
        put_file(folder / method / "result.csv", result);
    }
    const PaperRow row{"born", "T", "tin", "small", "small", "ban", "top1", {}, {}, "s", "feed sequential", {{"by", "ban"}}};
    const Report report = summarize(collect_runs({folder.path()}), {row});
    REQUIRE(report.groups.size() == 2);
    for (const Group& group : report.groups) CHECK(group.is_the_papers == (group.any().method == "ban"));
}

TEST_CASE("report: other options of FEED are another curve; without FEED there is none") {
    const TempFolder folder;
    write_two(folder / "alone", {"train", ""}, 61);
    CHECK(feed_studies(report_on(folder)).empty());
    write_run(folder / "chain/stage1", {"feed", "big", 0, 60, "teachers,t0\ninfo.stage,1\n"});
    CHECK(feed_studies(report_on(folder)).empty());  // a chain alone has no number of teachers
    write_parallel(folder / "a", 1, 62, "beta,500\n");
    write_parallel(folder / "b", 1, 63, "beta,100\n");
    write_two(folder / "c", {"feed", "big", 0, 0, "teachers,t7\nbeta,500\n"}, 50);  // the same number, but not of the curve's teachers
    write_parallel(folder / "d", 2, 64, "beta,500\n");
    const Report report = report_on(folder);
    const auto studies = feed_studies(report);
    REQUIRE(studies.size() == 2);
    const FeedStudy& curve = studies[0].parallel.size() == 2 ? studies[0] : studies[1];
    REQUIRE(curve.parallel.size() == 2);
    CHECK(curve.parallel[0].accuracy.mean == doctest::Approx(62));
    CHECK(curve.parallel[1].accuracy.mean == doctest::Approx(64));
    std::ostringstream out;
    write_feed(out, {});
    CHECK(out.str().empty());
}

TEST_SUITE_END();
