// The rule by which means over seeds are told apart: against tables, by hand, and by simulation.
#include <algorithm>
#include <cmath>
#include <random>

#include "base_verdict.h"
#include "testing.h"

using namespace distill;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("verdict: Student's t as the tables have it") {
    // Two-sided quantiles at 5 % and 1 %, from printed tables; at one degree tan(π/2·(1 − p)), at two √(2/(p(2 − p)) − 2).
    struct Row {
        double freedom, five, one;
    };
    for (const Row& r : {Row{1, 12.7062, 63.6567},
                         {2, 4.30265, 9.92484},
                         {3, 3.18245, 5.84091},
                         {4, 2.77645, 4.60409},
                         {10, 2.22814, 3.16927},
                         {30, 2.04227, 2.75000},
                         {120, 1.97993, 2.61742}}) {
        CAPTURE(r.freedom);
        CHECK(student_t_quantile(0.05, r.freedom) == doctest::Approx(r.five).epsilon(5e-6));
        CHECK(student_t_quantile(0.01, r.freedom) == doctest::Approx(r.one).epsilon(5e-6));
        CHECK(student_t_p(r.five, r.freedom) == doctest::Approx(0.05).epsilon(2e-5));
    }
    for (const double p : {0.001, 0.05, 0.3, 0.9}) {
        CHECK(student_t_quantile(p, 1) == doctest::Approx(1 / std::tan(std::acos(-1.0) / 2 * p)).epsilon(1e-10));
        CHECK(student_t_quantile(p, 2) == doctest::Approx(std::sqrt(2 / (p * (2 - p)) - 2)).epsilon(1e-10));
    }
    CHECK(student_t_quantile(0.05, 1e7) == doctest::Approx(1.959964).epsilon(1e-6));  // the normal distribution's
    CHECK(student_t_p(0, 3) == doctest::Approx(1));
    CHECK(student_t_p(-2.5, 3.7) == doctest::Approx(student_t_p(2.5, 3.7)));
    // Between whole degrees, between its neighbours.
    CHECK(student_t_quantile(0.05, 2.2) < student_t_quantile(0.05, 2));
    CHECK(student_t_quantile(0.05, 2.2) > student_t_quantile(0.05, 3));
}

TEST_CASE("verdict: Welch's test by hand") {
    // Means 5 and 2, variances 1 and 4, n 3 and 4: error √(1/3 + 1) = 1.154701, freedom (4/3)² / (1/18 + 1/3) = 32/7 = 4.571429.
    const Comparison c = compare_independent({5, 1, 3}, {2, 2, 4});
    CHECK(c.difference == doctest::Approx(3));
    const double reach = student_t_quantile(0.05, 32.0 / 7) * std::sqrt(4.0 / 3);
    CHECK(c.low == doctest::Approx(3 - reach));
    CHECK(c.high == doctest::Approx(3 + reach));
    CHECK(c.p == doctest::Approx(student_t_p(3 / std::sqrt(4.0 / 3), 32.0 / 7)));
    CHECK_FALSE(c.paired);
    CHECK(c.verdict == Verdict::not_decided);  // t = 2.598, the quantile 2.645
    CHECK(c.undecided == "the interval holds 0");
    CHECK(compare_independent({5.2, 1, 3}, {2, 2, 4}).verdict == Verdict::holds);
    CHECK(compare_independent({2, 2, 4}, {5.2, 1, 3}).verdict == Verdict::does_not_hold);
    CHECK(compare_independent({2, 2, 4}, {5.2, 1, 3}).undecided.empty());
    CHECK(compare_independent({1, 1, 3}, {0, 1, 3}).interval() == "−1.27 to +3.27");
}

TEST_CASE("verdict: the paired test by hand") {
    // Differences 1, 2, 3: mean 2, deviation 1, error 1/√3; at two degrees the quantile is 4.302653.
    const Comparison c = compare_paired({61, 65, 60}, {60, 63, 57});
    CHECK(c.paired);
    CHECK(c.difference == doctest::Approx(2));
    CHECK(c.low == doctest::Approx(2 - 4.302653 / std::sqrt(3)).epsilon(1e-6));
    CHECK(c.verdict == Verdict::not_decided);
    CHECK(compare_paired({62, 66, 61}, {60, 63, 57}).verdict == Verdict::holds);  // differences 2, 3, 4
    CHECK(compare_paired({60, 63, 57}, {62, 66, 61}).verdict == Verdict::does_not_hold);
    CHECK(compare_independent(spread({62, 66, 61}), spread({60, 63, 57})).verdict == Verdict::not_decided);
}

TEST_CASE("verdict: too few runs and runs that do not spread decide nothing, however far apart") {
    const auto undecided = [](const Comparison& c, const char* reason) {
        CHECK(c.verdict == Verdict::not_decided);
        CHECK(c.undecided == reason);
        CHECK(c.difference == doctest::Approx(40));
    };
    const char *few = "fewer than 3 runs a side", *equal = "the runs of a side are all equal";
    undecided(compare_independent(spread({90}), spread({50})), few);
    undecided(compare_independent(spread({90, 91, 89}), spread({50})), few);
    undecided(compare_independent(spread({90, 90.1}), spread({50, 50.1})), few);
    CHECK(compare_independent(spread({90, 90.1}), spread({50, 50.1})).has_interval);
    undecided(compare_independent(spread({90, 90, 90}), spread({50, 51, 49})), equal);
    undecided(compare_independent(spread({90, 91, 89}), spread({50, 50, 50})), equal);
    undecided(compare_paired({90}, {50}), few);
    undecided(compare_paired({90.5, 91.5}, {50, 52}), few);
    undecided(compare_paired({90.1, 90.2, 90.3}, {50.1, 50.2, 50.3}), "the differences are all equal");
    undecided(compare_paired({90, 91, 89}, {50, 50, 50}), equal);
    CHECK(compare_paired({90, 91, 89}, {50, 50, 50}).interval() == "–");
    CHECK(compare_independent(spread({90, 91, 89}), spread({50, 51, 49})).verdict == Verdict::holds);
}

TEST_CASE("verdict: equal decimal fractions do not spread, whatever their sums round to") {
    for (const size_t n : {3, 5, 10}) {
        CAPTURE(n);
        const std::vector<double> low(n, 50.05), high(n, 89.97);
        CHECK(spread(low).mean == 50.05);
        CHECK(spread(low).deviation == 0);
        CHECK(spread(low).n == n);
        for (const Comparison& c : {compare_independent(spread(high), spread(low)), compare_paired(high, low)}) {
            CHECK(c.verdict == Verdict::not_decided);
            CHECK(c.undecided == "the runs of a side are all equal");
            CHECK_FALSE(c.has_interval);
        }
        std::vector<double> by_one_image = low;
        by_one_image.back() = 50.06;
        CHECK(compare_paired(high, by_one_image).undecided == "the runs of a side are all equal");
        CHECK(spread(by_one_image).deviation == doctest::Approx(0.01 / std::sqrt(static_cast<double>(n))));
    }
}

namespace {

/// Of 10,000 studies with n runs a side, the part that is decided. `rounded`: to what so many test images can tell apart; 0: not at all.
struct Study {
    size_t n;
    double deviation_a, deviation_b, shared = 0;  ///< of what runs with one seed have in common
    double images = 0;
    double truth = 0;  ///< the difference that there is
};
double decided(const Study& s, bool paired) {
    std::mt19937_64 bits(20261128);
    std::normal_distribution<double> normal;
    constexpr int studies = 10000;
    int decisions = 0;
    for (int k = 0; k < studies; ++k) {
        std::vector<double> a, b;
        const auto measured = [&](double value) { return s.images > 0 ? std::round(value * s.images / 100) * 100 / s.images : value; };
        for (size_t i = 0; i < s.n; ++i) {
            const double common = s.shared * normal(bits);
            a.push_back(measured(65 + s.truth + common + s.deviation_a * normal(bits)));
            b.push_back(measured(65 + common + s.deviation_b * normal(bits)));
        }
        decisions += (paired ? compare_paired(a, b) : compare_independent(spread(a), spread(b))).verdict != Verdict::not_decided;
    }
    return static_cast<double>(decisions) / studies;
}

}  // namespace

TEST_CASE("verdict: without a true difference at most 5.5 % of 10,000 studies are decided; with a great one most are") {
    for (const double other : {0.6, 1.2}) {  // as much spread on both sides; twice as much on one
        CAPTURE(other);
        CHECK(decided({3, 0.6, other}, false) <= 0.055);
        CHECK(decided({3, 0.6, other, 1.0}, true) <= 0.055);
    }
    CHECK(decided({10, 0.6, 0.6}, false) <= 0.055);
    // Where one side spreads several times as much, Welch's degrees of freedom are a little too many.
    for (const double other : {2.4, 3.0, 4.8, 12.0}) CHECK(decided({3, 0.6, other}, false) <= 0.065);
    for (const double images : {1000.0, 10000.0}) {  // accuracies are whole images
        CHECK(decided({3, 0.6, 0.6, 0, images}, false) <= 0.055);
        CHECK(decided({3, 0.3, 0.3, 0.8, images}, true) <= 0.055);
    }
    CHECK(decided({2, 0.6, 0.6}, false) == 0);
    CHECK(decided({3, 0.6, 0.6, 0, 0, 4}, false) > 0.9);
    CHECK(decided({3, 0.6, 0.6, 0, 0, 4}, true) > 0.75);
    // What is shared costs the paired test nothing, and Welch's all.
    CHECK(decided({5, 0.3, 0.3, 2, 0, 1}, true) > 0.9);
    CHECK(decided({5, 0.3, 0.3, 2, 0, 1}, false) < 0.2);
}

TEST_SUITE_END();
