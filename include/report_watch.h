// report_watch.h: trainings and searches while they go on, from their files alone.
// defines: watch_folders, watch_lines, watch_csv, watch_begins
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "report_watch_look.h"

namespace distill {

/// Every run and search in these folders and below, those at work first. What a search trains on its way is its own. InputError for what is no folder,
/// and where there is none.
std::vector<Watched> watch_folders(const std::vector<std::filesystem::path>& folders, WatchTime now);

/// A line that counts them, and a table of at most `lines` − 2 rows, each line of at most `columns` characters.
std::vector<std::string> watch_lines(const std::vector<Watched>& all, size_t lines, size_t columns);

/// The same as a table with seconds and empty cells for what is not known.
std::string watch_csv(const std::vector<Watched>& all);
inline const char* const watch_begins = "folder,state,what,";  ///< every such file

}  // namespace distill
