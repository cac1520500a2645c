// report_collect.h: what run folders tell.
// defines: collect_runs, read_graph_outcome
#pragma once
#include <filesystem>
#include <vector>

#include "report.h"

namespace distill {

/// Every run in these folders and below, by path. One with a CSV that is broken, lacks a column or holds an impossible number has that as
/// its `fault`, named with the place. InputError for a path that is no folder, and for no run and no search at all.
std::vector<Run> collect_runs(const std::vector<std::filesystem::path>& folders);

/// From a run folder's epochs.csv, edges.csv and config.csv, of a frozen node also from the run that trained it. InputError for a folder
/// without them.
GraphOutcome read_graph_outcome(const Graph& graph, const std::filesystem::path& run);

}  // namespace distill
