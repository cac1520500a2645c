// report_watch_look.h: how far a run or a search is, and how fast, by its files.
// defines: Watched, look_at, epochs_in, look_at_search
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base_csv.h"
#include "report_watch_life.h"
#include "train_run_folder.h"

namespace distill {

struct Watched {
    std::filesystem::path folder;
    WatchedState state = WatchedState::stopped;
    std::string what;   ///< "kd: resnet20 -> resnet8"; of a search, and of what cannot be read, why
    std::string phase;  ///< what it is at before its own training ("preparation", "pretraining"), or after ("retraining"); else empty
    int64_t done = 0, planned = 0;        ///< epochs, of the phase if there is one; of a search trials, of its phases and of a transfer
                                          ///< trainings, of a reconstruction pairs
    std::optional<double> last, best;     ///< test accuracy in %; of a search the best score alone
    std::optional<double> epoch_seconds;  ///< in the mean of the last three; of a search of all that its trainings have made
    std::optional<double> images_per_second;
    std::optional<double> left_seconds;  ///< until its end, or the phase's, at that speed; of a search until its trials'
    double quiet_seconds = 0;            ///< since it last wrote something
};

/// The run or search in a folder that has a config.csv. What cannot be read is broken; nothing, where the folder has gone meanwhile.
std::optional<Watched> look_at(const std::filesystem::path& folder, WatchTime now);

/// A run's table with a row an epoch; an empty one where it is not begun. A last line that is being written is left out.
CsvTable epochs_in(const std::filesystem::path& file);

/// Of a search or a transfer all but the state.
void look_at_search(Watched& watched, const Config& config);

}  // namespace distill
