// report_summary.h: runs to groups, beside the papers' rows and the student alone.
// defines: summarize, tell_apart
#pragma once
#include <vector>

#include "report.h"

namespace distill {

/// Groups the runs and joins each group with its paper row and its student alone.
Report summarize(std::vector<Run> runs, const std::vector<PaperRow>& paper);

/// Says in their `options` what tells groups of one experiment apart.
void tell_apart(const std::vector<Group*>& groups);

}  // namespace distill
