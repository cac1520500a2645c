// runs.h: the trainings of an experiment, one after another or side by side.
// defines: PlannedRun, train_runs
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "laboratory.h"
#include "run_folder.h"

namespace distill {

/// All that a training needs to know; nothing in it is shared.
struct PlannedRun {
    std::filesystem::path folder;
    std::string method;
    Options options;  ///< resolved, with the run's own seed
    Config config;    ///< what a new folder's config.csv gets; info.data_sha256 and info.teacher_sha256 must be those of an old one's
};

/// Trains each run in its folder: makes it, or with options.resume goes on where it stopped and skips a finished one. With
/// `side_by_side` above 1 so many threads each take the next run until none is left, and each run ends with the same bytes as it does
/// alone. Throws what a run alone throws. Of several, a run that fails leaves the others at work: what went wrong is thrown at the end.
/// After a signal all stop at a checkpoint (Interrupted).
void train_runs(Laboratory& lab, const std::vector<PlannedRun>& runs, int side_by_side, const MethodFactory& make);

}  // namespace distill
