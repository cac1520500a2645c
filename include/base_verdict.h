// base_verdict.h: what a few runs a side can tell: is one mean higher than another?
// defines: student_t_p, student_t_quantile, Verdict, to_string, Comparison, verdict_rule,
//          compare_independent, compare_paired
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "base_stats.h"

namespace distill {

/// P(|T| ≥ |t|) of Student's t with `freedom` > 0 degrees, not necessarily a whole number.
double student_t_p(double t, double freedom);
/// The t ≥ 0 with P(|T| ≥ t) = p, 0 < p < 1.
double student_t_quantile(double p, double freedom);

/// Of the statement "the first mean is higher than the second".
enum class Verdict { holds, does_not_hold, not_decided };
std::string to_string(Verdict verdict);  ///< "holds", "does not hold", "not decided"

/// Two means, decided at 5 %, two-sided: `holds` and `does_not_hold` (the first is lower) where 0 lies outside the 95 % interval of the
/// difference. The interval is there from two runs a side on, a decision from three on, and neither where the values of a side, or the
/// paired differences, do not spread at all: then nothing tells how far another seed would fall. Without a true difference 3.5 % of studies
/// with three runs a side are decided, up to 6.3 % where one side spreads five times as much as the other (tests/test_verdict.cpp).
struct Comparison {
    static constexpr double level = 0.05;
    static constexpr size_t fewest = 3;  ///< runs a side
    Spread a, b;
    bool paired = false;
    double difference = 0;  ///< of the means, a − b
    bool has_interval = false;
    double low = 0, high = 0, p = 1;  ///< where has_interval
    Verdict verdict = Verdict::not_decided;
    std::string undecided;         ///< why there is no decision; empty where there is one
    std::string interval() const;  ///< "+0.10 to +2.30", "–" where there is none
};

/// The rule in a sentence, for the reader of a table.
inline const char* const verdict_rule =
    "Decided where the 95 % interval of the difference leaves out 0 (Welch’s t; paired by seed between students, or targets of graphs, "
    "that share start and order), with three runs a side or more; not where a side’s runs are all equal.";

/// Welch's t test: the runs of the two sides have nothing in common.
Comparison compare_independent(const Spread& a, const Spread& b);
/// The t test on the differences: a[i] and b[i] share start and order. As many of both, at least one.
Comparison compare_paired(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace distill
