// report_watch.h: trainings and searches while they go on, from their files alone.
// defines: WatchedState, Watched, watch_folders, watch_lines, watch_csv, watch_begins
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace distill {

/// stopped: no process is at it, and it is not finished. silent: a process holds its lock, and has written nothing for ten minutes and for
/// the time of three epochs. broken: its files cannot be read.
enum class WatchedState { running, silent, stopped, broken, finished };

struct Watched {
    std::filesystem::path folder;
    WatchedState state = WatchedState::stopped;
    std::string what;                     ///< "kd: resnet20 -> resnet8"; of a search, and of what cannot be read, why
    int64_t done = 0, planned = 0;        ///< epochs; of a search trials, of a reconstruction pairs
    std::optional<double> last, best;     ///< test accuracy in %; of a search the best score alone
    std::optional<double> epoch_seconds;  ///< in the mean of the last three
    std::optional<double> images_per_second;
    std::optional<double> left_seconds;  ///< until its end, at that speed
    double quiet_seconds = 0;            ///< since it last wrote something
};

/// Every run and search in these folders and below, those at work first. What a search trains on its way is its own. InputError for what is no folder,
/// and where there is none.
std::vector<Watched> watch_folders(const std::vector<std::filesystem::path>& folders, std::chrono::system_clock::time_point now);

/// A line that counts them, and a table of at most `lines` − 2 rows, each line of at most `columns` characters.
std::vector<std::string> watch_lines(const std::vector<Watched>& all, size_t lines, size_t columns);

/// The same as a table with seconds and empty cells for what is not known.
std::string watch_csv(const std::vector<Watched>& all);
inline const char* const watch_begins = "folder,state,what,";  ///< every such file

}  // namespace distill
