// What a search's files tell, on a journal small enough to count by hand: ends, rungs, the best tenth, text and picture.
#include "search_history.h"

#include <cmath>

#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "markup.h"
#include "search_space.h"
#include "search_svg.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const Config study{{"dataset", "s"}, {"target", "resnet8"}, {"trials", "27"}, {"epochs", "4"}, {"score", "validation"}, {"val", "48"}};

/// Trials 0 … 19 rank by their number: 0 is complete, 1 stopped after 2 epochs, the others after 1. No two of them train alike: 0 … 4 have a
/// linear label edge into node 0, 0 … 2 a correct one from 1 to 0 and the others linear, through in turns of two, 0 and 1 a linear one from 0 to
/// 1, every other a linear label edge into 1; node 1 is another network every four.
std::string graph_of_trial(int i) {
    const char* const networks[] = {"resnet8", "wrn-10-1", "resnet14", "vgg8", "resnet20"};
    return text("resnet8 ", networks[i / 4], " | ", i < 5 ? "linear " : "through ",
                i < 3       ? "correct"
                : i / 2 % 2 ? "linear"
                            : "through",
                " | ", i < 2 ? "linear" : "through", i % 2 ? " linear" : " through");
}

double error_of(int i) { return 50 + i; }

/// Beside them: 20 rejected, 21 failed after an epoch and a lost worker, 22 stopped without a number, 23 under way after two epochs. 24 trains
/// its target as trial 0 does, with an open label edge that is correct instead of through; 25 and 26 as each other, since their targets do
/// not hear node 1.
fs::path write_search(const fs::path& folder) {
    fs::create_directories(folder);
    Journal journal(folder / "journal.csv", study, false);
    const auto row = [&](int64_t trial, TrialEvent event, int epoch, std::optional<double> error = {}, const std::string& detail = "") {
        journal.append({trial, event, epoch, error, detail});
    };
    for (const int i : {0, 1, 23}) row(i, TrialEvent::started, 0, {}, graph_of_trial(i));
    for (const int i : {0, 1, 23}) row(i, TrialEvent::running, 1, 90 - i);
    row(20, TrialEvent::rejected, 0, {}, "resnet8 resnet8 | cutoff cutoff | through through");
    row(23, TrialEvent::running, 2, 30);  // the lowest of all, but it has not ended
    row(1, TrialEvent::stopped, 2, error_of(1));
    for (int i = 19; i > 1; --i) {
        row(i, TrialEvent::started, 0, {}, graph_of_trial(i));
        row(i, TrialEvent::stopped, 1, error_of(i));
    }
    row(21, TrialEvent::started, 0, {}, graph_of_trial(7));
    row(21, TrialEvent::running, 1, 20);
    row(21, TrialEvent::lost, 1, {}, "worker 0 ended by signal 9");
    row(21, TrialEvent::failed, 1, {}, "the loss is <nan>");
    row(22, TrialEvent::started, 0, {}, graph_of_trial(8));
    row(22, TrialEvent::stopped, 1, std::nan(""));
    const char* const again[] = {"resnet8 resnet8 | linear correct | linear correct", "resnet8 vgg8 | through cutoff | through through",
                                 "resnet8 resnet8 | correct cutoff | linear cutoff"};
    for (const int i : {24, 25, 26}) {
        row(i, TrialEvent::started, 0, {}, again[i - 24]);
        row(i, TrialEvent::stopped, 1, error_of(i));
    }
    row(0, TrialEvent::running, 2, 60);
    row(0, TrialEvent::running, 3, 55);
    row(0, TrialEvent::complete, 4, error_of(0));
    return folder;
}

const Choice& find(const Preferences& preferences, const std::string& where, const std::string& name) {
    for (const Preference& p : preferences.of)
        for (const Choice& c : p.choices)
            if (p.where() == where && c.name == name) return c;
    FAIL("no choice " << name << " of " << where);
    throw std::logic_error("not reached");
}

}  // namespace

TEST_CASE("search history: the hypergeometric tail") {
    CHECK(upper_tail(20, 5, 2, 2) == doctest::Approx(10.0 / 190));  // C(5,2) / C(20,2)
    CHECK(upper_tail(20, 10, 2, 1) == doctest::Approx(1 - 45.0 / 190));
    CHECK(upper_tail(10, 4, 3, 2) == doctest::Approx((6.0 * 6 + 4) / 120));
    CHECK(upper_tail(20, 5, 2, 0) == 1);
    CHECK(upper_tail(20, 20, 2, 2) == 1);  // all have it
    CHECK(upper_tail(5, 4, 3, 2) == 1);    // at least two of three must
    CHECK(upper_tail(20, 0, 2, 1) == 0);
    CHECK(upper_tail(10000, 2500, 1000, 1000) < 1e-300);
}

TEST_CASE("search history: ends, rungs and ranks are the journal's") {
    const TempFolder folder;
    const SearchHistory history = read_search(write_search(folder / "run"));
    REQUIRE(history.trials.size() == 27);
    std::vector<int64_t> order;
    for (const TrialRecord& t : history.trials) order.push_back(t.trial);
    CHECK(order[0] == 20);
    CHECK(order[1] == 1);
    CHECK(order[2] == 19);
    CHECK(order[25] == 0);
    CHECK(order[26] == 23);  // under way
    CHECK(history.trials[0].state == TrialEvent::rejected);
    CHECK(history.trials[1].epochs == 2);
    CHECK(*history.trials[1].error == 51);
    CHECK(history.trials[20].reason == "the loss is <nan>");
    CHECK_FALSE(history.trials[21].error);
    CHECK(history.trials[25].epochs == 4);
    CHECK(search_counts(history) == "26 of 27 trials have ended: 1 complete, 23 stopped, 1 failed, 1 rejected, 0 repeated; 1 under way");
    CHECK(search_title(history) == "resnet8 on s, graphs of 2 nodes");

    const std::vector<Rung> rungs = rungs_of(history);
    REQUIRE(rungs.size() == 3);
    const std::vector<std::vector<int64_t>> expected = {{1, 26, 4}, {2, 3, 2}, {4, 1, 0}};  // 0, 1, 21, 23 went on from 1; 0, 23 from 2
    for (size_t i = 0; i < 3; ++i) CHECK(std::vector<int64_t>{rungs[i].epochs, rungs[i].reached, rungs[i].went_on} == expected[i]);

    const std::vector<const TrialRecord*> best = ranked(history);
    REQUIRE(best.size() == 23);
    for (int i = 0; i < 20; ++i) CHECK(best[static_cast<size_t>(i)]->trial == i);
    const std::vector<TargetTraining> trainings = target_trainings(best);
    REQUIRE(trainings.size() == 21);
    CHECK(trainings[0].first->trial == 0);
    CHECK(trainings[20].first->trial == 25);
    CHECK(graph_line(trainings[20].heard) == "resnet8  | through cutoff | cutoff cutoff");
}

TEST_CASE("search history: what the best tenth chose, by hand") {
    const TempFolder folder;
    const Preferences p = preferences_of(read_search(write_search(folder / "run")));
    CHECK(p.trials == 23);
    CHECK(p.all == 21);
    CHECK(p.best == 3);
    REQUIRE(p.of.size() == 5);  // four edges, one network
    CHECK(p.tests == 15);       // label -> 0: two gates; 1 -> 0: four; 0 -> 1 and label -> 1: two; five networks
    const auto check = [&](const char* where, const char* name, int64_t best, int64_t all, double chance, bool likely, bool certain) {
        CAPTURE(where);
        CAPTURE(name);
        const Choice& c = find(p, where, name);
        CHECK(c.among_best == best);
        CHECK(c.among_all == all);
        CHECK(c.chance == doctest::Approx(chance));
        CHECK(p.likely(c) == likely);
        CHECK(p.certain(c) == certain);
    };
    // Trials 0, 1 and 2 of 21 trainings; of those that hear node 1, of 20. 1330 and 1140 are the ways to draw three.
    check("label -> 0", "linear", 3, 5, 10.0 / 1330, true, false);
    check("label -> 0", "through", 0, 16, 1, false, false);
    check("1 -> 0", "correct", 3, 3, 1.0 / 1330, true, true);  // 15 / 1330 = 0.011
    check("1 -> 0", "cutoff", 0, 1, 1, false, false);
    check("0 -> 1", "linear", 2, 2, 18.0 / 1140, true, false);
    check("label -> 1", "through", 2, 10, 570.0 / 1140, false, false);
    check("label -> 1", "cutoff", 0, 0, 1, false, false);
    check("node 1", "resnet8", 3, 4, 4.0 / 1140, true, false);  // 15 · 4 / 1140 = 0.053
    for (const Preference& of : p.of) CHECK((of.best == 3 && of.all == (of.target == 1 ? 20 : 21)));
}

TEST_CASE("search history: text and picture") {
    const TempFolder folder;
    write_search(folder / "run");
    put_file(folder / "run/search.csv",
             "id,trial,search_error,test_mean,test_std,n,graph\n"
             "best1,0,50,61.5,0.25,2,\"resnet8 resnet8 | linear correct | linear through\"\n"
             "plain-resnet8,,,60,,1,resnet8 | through\n"
             "kd-resnet8,,,,,0,\"resnet8 resnet8 | through through | cutoff cutoff\"\n");
    const Ended end = run(folder, "ktg show run --svg s.svg");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const SearchHistory history = read_search(folder / "run");
    CHECK(end.out == search_text(history));
    CHECK(says(end.out, {"resnet8 on s, graphs of 2 nodes\n26 of 27 trials have ended",
                         "epochs  reached   went on\n     1       26         4\n     2        3         2\n     4        1  complete\n",
                         "   1      0  complete       4    50.00  resnet8 resnet8 | linear correct | linear through\n",
                         "  10      9  stopped        1    59.00", "the best tenth, 3 of 21 different trainings (of 23 trials,",
                         "with 15 choices looked at", "0 -> 1      linear         67 %  10 %  0.016 *\n",
                         "1 -> 0      correct       100 %  14 %  0.00075 **\n",
                         "best1                 61.50 ± 0.25     2  resnet8 resnet8 |", "kd-resnet8            failed           0"}));

    const std::string svg = search_svg(history);
    CHECK(read_file(folder / "s.svg") == svg);
    CHECK(svg.rfind("<svg ", 0) == 0);
    CHECK(balanced(svg));
    for (const char* outside : {"http://", "https://", "url(", "<image", "<script", "href", "nan\"", "inf"})
        CHECK_MESSAGE(count(svg, outside) == (std::string(outside) == "http://" ? 1 : 0), outside);  // the namespace
    CHECK(count(svg, "<circle class=\"stop\"") == 22 + 2);  // trials 1 … 19 and 24 … 26, and in the legend the rungs 1 and 2
    CHECK(count(svg, "<circle class=\"done\"") == 1 + 1);
    CHECK(count(svg, "<path class=\"fail\"") == 2 + 1);  // 21, 22
    CHECK(count(svg, "<path class=\"reject\"") == 1 + 1);
    CHECK(count(svg, "<rect class=\"chosen\"") == 4);
    CHECK(says(svg, {">best: trial 0, 50.00 %<", ">4 of 26<", ">2 of 3<", ">1 complete<", ">100 % **<", ">100 % *<", ">label → 0<",
                     ">0 → 1<", ">wrn-10-1<", "the loss is &lt;nan&gt;", "trial 1: stopped after 2 epochs, accuracy 49.00 %"}));

    // The journal alone, and one in which nothing has ended, or begun.
    CHECK(run(folder, "ktg show run/journal.csv").code == 0);
    const std::string whole = read_file(folder / "run/journal.csv");
    for (const size_t lines : {2, 3, 6}) {
        size_t end_of_lines = 0;
        for (size_t i = 0; i < lines; ++i) end_of_lines = whole.find('\n', end_of_lines) + 1;
        put_file(folder / "early/journal.csv", whole.substr(0, end_of_lines) + "5,runn");
        const SearchHistory early = read_search(folder / "early");
        CHECK(early.trials.size() == (lines == 2 ? 0u : lines == 3 ? 1u : 3u));
        CHECK(balanced(search_svg(early)));
        CHECK(says(search_svg(early), {"No trial has reported an accuracy and ended yet", "0 of 27 trials have ended"}));
        CHECK(says(search_text(early), {"0 of 27 trials have ended"}));
    }
}

TEST_CASE("search history: seven nodes and many networks have room") {
    const TempFolder folder;
    fs::create_directories(folder / "run");
    {
        Journal journal(folder / "run/journal.csv", study, false);
        const char* const gates[] = {"through", "linear", "correct", "cutoff"};
        for (int trial = 0; trial < 30; ++trial) {
            std::string line;
            for (int i = 0; i < 7; ++i) line += text(i ? " " : "", "resnet", 8 + 6 * (trial % 6));
            for (int i = 0; i < 49; ++i) line += text(i % 7 ? " " : " | ", gates[(trial + i) % 4]);
            journal.append({trial, TrialEvent::started, 0, {}, line});
            journal.append({trial, TrialEvent::stopped, 1, 100, ""});
        }
    }
    const std::string svg = search_svg(read_search(folder / "run"));
    CHECK(balanced(svg));
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(count(svg, ">resnet38<") >= 1);
    CHECK(count(svg, " of the best 2, ") == 42 * 4 + 7 * 3 + 6 * 6);  // a tenth of 12 trainings; a label edge has three gates
}

TEST_CASE("search history: a broken journal is refused with its place") {
    const TempFolder folder;
    write_search(folder / "run");
    const std::string whole = read_file(folder / "run/journal.csv");
    const auto refused = [&](const std::string& more, const std::vector<std::string>& parts) {
        put_file(folder / "run/journal.csv", whole + more);
        check_rejected(folder, "ktg show run --svg x.svg", parts);
    };
    refused("0,running,5,40,\n", {"run/journal.csv: row 62", "trial 0 'running' cannot follow"});
    refused("99,complete,4,40,\n", {"trial 99 'complete' cannot follow"});
    refused("23,started,0,,resnet8 resnet8 | through through | through through\n", {"trial 23 'started' cannot follow"});
    refused("30,started,0,,resnet8 resnet8\n", {"row 62", "found 'resnet8 resnet8'", "expected a graph"});
    refused("30,started,0,,resnet8 | through\n", {"row 62", "a graph of 1 nodes, expected 2"});
    refused("30,begun,0,,\n", {"row 62", "'begun'"});
    put_file(folder / "run/journal.csv", "epoch,lr\n1,2\n");
    check_rejected(folder, "ktg show run", {"run/journal.csv", "no search's journal"});
}

TEST_SUITE_END();
