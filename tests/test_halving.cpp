// Successive halving by hand and against Optuna's decisions (tests/golden/make_halving_fixtures.py).
#include <limits>
#include <map>
#include <string>

#include "base_csv.h"
#include "search_halving.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("halving: rungs are the powers of two") {
    for (const int epoch : {1, 2, 4, 8, 16, 128}) CHECK(Halving::is_rung(epoch));
    for (const int epoch : {3, 5, 6, 7, 9, 12, 200}) CHECK_FALSE(Halving::is_rung(epoch));
}

TEST_CASE("halving: the best half of those that reached a rung goes on, worked by hand") {
    Halving halving;
    CHECK(halving.report(1, 50));        // n = 1: the best 1
    CHECK_FALSE(halving.report(1, 60));  // n = 2, best 1: 50
    CHECK(halving.report(1, 40));        // n = 3, best 1: 40
    CHECK(halving.report(1, 45));        // n = 4, best 2: 40 45
    CHECK_FALSE(halving.report(1, 50));  // n = 5, best 2: 40 45
    CHECK_FALSE(halving.report(1, 51));  // n = 6, best 3: 40 45 50
    CHECK(halving.report(1, 50));        // n = 7, best 3: 40 45 50, a tie with the worst of them
    // Epochs between rungs decide nothing; each rung counts for itself.
    CHECK(halving.report(3, 1000));
    CHECK(halving.report(2, 1000));
    CHECK_FALSE(halving.report(2, 1001));
    CHECK(halving.reached() == std::map<int, size_t>{{1, 7}, {2, 2}});
}

TEST_CASE("halving: NaN stops at a rung and counts for nobody") {
    Halving halving;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(halving.report(1, nan));
    CHECK(halving.report(3, nan));
    CHECK(halving.report(1, 70));
    CHECK_FALSE(halving.report(1, 80));  // n = 2; had NaN counted, n = 3 would still promote one
    CHECK(halving.report(1, 70));        // n = 3, best 1: a tie
    CHECK(halving.report(1, std::numeric_limits<double>::infinity()) == false);
    CHECK(halving.reached() == std::map<int, size_t>{{1, 4}});
}

TEST_CASE("halving: decides as Optuna does, trials side by side, ties, NaN and failed trials included") {
    const CsvTable reports = read_csv(golden("halving.csv"));
    std::map<std::string, Halving> studies;
    std::map<std::string, size_t> stopped;
    REQUIRE(reports.rows.size() > 900);
    for (size_t row = 0; row < reports.rows.size(); ++row) {
        const std::string& study = reports.cell(row, "study");
        const bool nan = reports.cell(row, "value").empty();
        const double value = nan ? std::numeric_limits<double>::quiet_NaN() : reports.cell_number(row, "value");
        const bool goes_on = studies[study].report(static_cast<int>(reports.cell_number(row, "epoch")), value);
        CHECK_MESSAGE(goes_on == (reports.cell(row, "goes_on") == "1"), "row " << row + 1 << ", study " << study);
        stopped[study] += goes_on ? 0 : 1;
    }
    CHECK(studies.size() == 5);
    for (const auto& [study, count] : stopped) CHECK_MESSAGE(count > 20, study);
}

TEST_SUITE_END();
