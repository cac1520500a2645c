// What stopping would have done to a search without it, on nine trials whose chances are counted by hand.
#include "search_early.h"

#include <cmath>

#include "base_csv.h"
#include "command.h"
#include "complaints.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Four epochs each; the trials rank by their number, 7 and 8 alike. 0, 1 and 2 have a linear label edge into node 0, and come last after an
/// epoch, 2 behind 0 behind 1; 3 and 4 change places there. After two epochs all stand as they end.
fs::path write_whole_search(const fs::path& folder, const std::string& stopping) {
    fs::create_directories(folder);
    const Config study{{"dataset", "s"}, {"target", "resnet8"}, {"trials", "10"}, {"epochs", "4"}, {"stopping", stopping}};
    Journal journal(folder / "journal.csv", study, false);
    const char* const networks[] = {"resnet8", "resnet14", "resnet20", "resnet26", "resnet32", "wrn-10-1", "wrn-16-1", "wrn-16-2", "vgg8"};
    const double first[] = {92, 91, 93, 54, 53, 55, 56, 57, 58};
    for (int i = 0; i < 9; ++i) {
        const double end = i == 8 ? 17 : 10 + i;
        const std::string graph = text("resnet8 ", networks[i], " | ", i < 3 ? "linear" : "through", " through | cutoff through");
        journal.append({i, TrialEvent::started, 0, {}, graph});
        journal.append({i, TrialEvent::running, 1, first[i], ""});
        journal.append({i, TrialEvent::running, 2, end + 20, ""});
        journal.append({i, TrialEvent::running, 3, 99, ""});  // no rung
        journal.append({i, TrialEvent::complete, 4, end, ""});
    }
    journal.append({9, TrialEvent::rejected, 0, {}, "resnet8 resnet8 | cutoff cutoff | through through"});
    return folder;
}

}  // namespace

TEST_CASE("search early: what is lost, and what looks worse early than it ends") {
    const TempFolder folder;
    const auto early = early_stopping(read_search(write_whole_search(folder / "run", "off")));
    REQUIRE(early);
    CHECK(early->trials == 9);
    CHECK(early->best == 1);
    CHECK(early->rungs == std::vector<int>{1, 2});
    // The best goes on from epoch 1 if it comes first (1/9), or second behind trial 2, the only one behind it there (1/72).
    REQUIRE(early->lost.size() == 2);
    CHECK(early->lost[0] == doctest::Approx(0.875).epsilon(0.04));
    CHECK(early->lost[1] == 0);
    CHECK(early->best_error == 10);
    CHECK(std::fabs(early->best_left - 12.3) < 0.5);  // 12.30 in 40,000 orders
    CHECK(std::fabs(early->epochs - 0.518) < 0.03);   // 0.518; with the worst trial left 14.44, with whole epochs for the stopped 0.635

    REQUIRE(early->choices.size() == 2);  // what all or none chose is left out
    const EarlyChoice& linear = early->choices[1];
    CHECK(early->choices[0].name == "through");
    CHECK(linear.where == "label -> 0");
    CHECK(linear.name == "linear");
    REQUIRE(linear.gained.size() == 2);
    CHECK(linear.gained[0].a.n == 3);
    CHECK(linear.gained[0].a.mean == doctest::Approx(6));   // 8, 7, 9 become 1, 2, 3
    CHECK(linear.gained[0].b.mean == doctest::Approx(-3));  // 2, 1, 3, 4, 5, 6 become 4, 5, 6, 7 and twice 8.5
    CHECK(linear.gained[0].difference == doctest::Approx(9));
    CHECK(linear.gained[0].verdict == Verdict::holds);
    CHECK(linear.gained[1].difference == 0);
    CHECK(linear.gained[1].verdict == Verdict::not_decided);
    CHECK(early->choices[0].gained[0].difference == doctest::Approx(-9));
}

TEST_CASE("search early: ktg show says it of a search without stopping, and writes what was chosen") {
    const TempFolder folder;
    write_whole_search(folder / "run", "off");
    const Ended end = run(folder, "ktg show run --csv chosen.csv");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {early_text(*early_stopping(read_search(folder / "run"))), "stopped at 1, 2 epochs", "of the best tenth, 1 of 9",
                         "label -> 0  linear           3", "+9.00 *"}));
    const CsvTable chosen = read_csv(folder / "chosen.csv");
    CHECK(chosen.rows.size() == 8 + 6 + 9);  // four gates on each of two edges, three on the labels', nine networks
    CHECK(chosen.rows.at(1) == std::vector<std::string>{"label -> 0", "linear", "1", "1", "3", "9", number(3.0 / 9)});

    write_whole_search(folder / "stopped", "on");
    CHECK_FALSE(early_stopping(read_search(folder / "stopped")));
    CHECK(output_of(folder, "ktg show stopped").find("would train") == std::string::npos);
    check_rejected(folder, "ktg show kd --csv x.csv", {"--csv x.csv", "name a search's folder"});
    check_rejected(folder, "ktg show --csv x.csv", {"--csv x.csv", "of which search"});
}

TEST_CASE("search early: trials without the error of every epoch are left out; few whole ones, or of one epoch, tell nothing") {
    const TempFolder folder;
    /// Nine trials, the first `whole` of them with errors of all `epochs`, then one each that lacks the first, ends early, has none.
    const auto early_of = [&](int whole, int epochs) {
        fs::remove_all(folder / "run");
        fs::create_directories(folder / "run");
        const Config study{
            {"dataset", "s"}, {"target", "resnet8"}, {"trials", "9"}, {"epochs", std::to_string(epochs)}, {"stopping", "off"}};
        Journal journal(folder / "run/journal.csv", study, false);
        for (int i = 0; i < 9; ++i) {
            journal.append({i, TrialEvent::started, 0, {}, "resnet8 resnet8 | through through | cutoff through"});
            const int first = i < whole ? 1 : i == whole ? 2 : i == whole + 1 ? 1 : epochs;
            const int last = i == whole + 1 ? std::max(1, epochs / 2) : epochs;
            for (int epoch = first; epoch < last; ++epoch) journal.append({i, TrialEvent::running, epoch, 50, ""});
            journal.append({i, TrialEvent::complete, last, 40.0 + i, ""});
        }
        const SearchHistory history = read_search(folder / "run");
        CHECK(search_text(history).find("label -> 0") == std::string::npos);  // all chose the same
        return early_stopping(history);
    };
    CHECK_FALSE(early_of(5, 4));
    CHECK_FALSE(early_of(9, 1));
    const auto six = early_of(6, 4);
    REQUIRE(six);
    CHECK(six->trials == 6);
    CHECK(six->choices.empty());  // all are one graph
    CHECK(early_text(*six).find("choice") == std::string::npos);
}

TEST_SUITE_END();
