// report_folders.h: the walk through folders of runs and searches.
// defines: is_search, folders_below
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

namespace distill {

/// Is it a graph search's folder, or a transfer's, begun or ended? By its files; while it has none yet, by its config.csv.
bool is_search(const std::filesystem::path& folder);

/// Of these folders and those below the `wanted`, each once, by canonical path. Passed over is what is being made, what nobody may read, and
/// what a search trained on its way (trials, pretrained, teachers), which is its journal's. InputError for what is no folder.
std::vector<std::filesystem::path> folders_below(const std::vector<std::filesystem::path>& folders,
                                                 const std::function<bool(const std::filesystem::path&)>& wanted);

}  // namespace distill
