// run_many.h: the trainings of an experiment, one after another or side by side.
// defines: PlannedRun, train_runs, train_in_folder, epochs_of, require_same_input
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "run_session.h"
#include "train_run_folder.h"
#include "trainer.h"

namespace distill {

/// All that a training needs to know; nothing in it is shared.
struct PlannedRun {
    std::filesystem::path folder;
    std::string method;
    Options options;  ///< resolved, with the run's own seed
    Config config;    ///< what a new folder's config.csv gets; its info.…_sha256, role and generation must be those of an old one's
};

/// Trains each run in its folder: makes it, or with options.resume goes on where it stopped and skips a finished one. With
/// `side_by_side` above 1 so many threads each take the next run until none is left, and each run ends with the same bytes as it does
/// alone. Throws what a run alone throws. Of several, which share a folder, a run that fails leaves the others to be trained: what went
/// wrong is thrown at the end. After a signal all stop at a checkpoint (Interrupted).
void train_runs(Session& session, const std::vector<PlannedRun>& runs, int side_by_side, const MethodFactory& make);

/// One training in its folder, to its end (its weights and result.csv are written then) or to where `goes_on` stops it (nothing is
/// returned). `name`: of the run among several at work, else empty.
std::optional<TrainingResult> train_in_folder(const std::string& method_name, Session& session, Loader& loader, const Options& options,
                                              RunFolder& folder, const MethodFactory& make_method, const AfterEpoch& goes_on = {},
                                              const std::string& name = "");

int epochs_of(const RunFolder& folder);  ///< as its config.csv has them

/// InputError if a run that goes on does not find the data and trained networks that it began with: `config` has what is there now.
void require_same_input(const RunFolder& folder, const Config& config);

}  // namespace distill
