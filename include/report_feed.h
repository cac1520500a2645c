// report_feed.h: FEED in the report: accuracy over the number of teachers beside the baselines, and what of the paper's claims holds.
// defines: FeedResult, FeedClaim, FeedStudy, feed_studies, write_feed, feed_svg, feed_section
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "report.h"

namespace distill {

/// A line of a study's table: test accuracy in % after the last epoch.
struct FeedResult {
    enum class Kind { parallel, alone, one_teacher, ensemble, sequential, teachers };
    Kind kind;
    std::string name;  ///< "Factor Transfer"
    int teachers = 0;  ///< that taught it; of Kind::teachers, how many they are
    Spread accuracy;
    const Group* group = nullptr;  ///< in the report, which must outlive this; null for the teachers themselves
};

/// "`ours` is better than `other`".
struct FeedClaim {
    std::string text;
    std::optional<FeedResult> ours, other;
    std::optional<Comparison> comparison;  ///< none where one of the two was not run, or not by the same recipe
    std::string unlike;                    ///< in what the recipes differ
    std::string verdict() const;           ///< "holds", "does not hold", "not decided", "not run", "not comparable"
};

/// Parallel FEED with several numbers of teachers, alike in all but these, and what was trained beside it: the same data set and student,
/// --epochs, --max-steps and --val. Of several baselines of one kind it has the one whose options are nearest.
struct FeedStudy {
    std::string dataset, student, epochs, teacher;  ///< teacher: a network, or several joined by +
    std::vector<FeedResult> parallel;               ///< by number of teachers, rising; never empty
    std::vector<FeedResult> baselines;
    std::vector<FeedClaim> claims;
};

/// The claims of the paper (docs/papers.md §3.6): parallel FEED, with the most teachers that were run, is better than the student alone,
/// Factor Transfer from one teacher, and born-again networks; more teachers help: the most against the fewest. Decided by base_verdict.h's
/// rule.
std::vector<FeedStudy> feed_studies(const Report& report);

void write_feed(std::ostream& out, const std::vector<FeedStudy>& studies);  ///< both tables of each, as text
std::string feed_svg(const FeedStudy& study);                               ///< the curve with the baselines as lines
std::string feed_section(const FeedStudy& study);                           ///< picture and tables, as HTML

}  // namespace distill
