// report_collect.h: what run folders tell.
// defines: read_run, collect_runs, read_graph_outcome
#pragma once
#include <filesystem>
#include <vector>

#include "report.h"

namespace distill {

/// A run's folder. Where a CSV is missing or cut off, lacks a column or holds an impossible number, that is its `fault`, named with the
/// place: whatever is wrong with one run is no reason to say nothing of the others.
Run read_run(const std::filesystem::path& folder);

/// Every run in these folders and below, by path, as read_run has it. InputError for a path that is no folder, and for no run and no search
/// at all.
std::vector<Run> collect_runs(const std::vector<std::filesystem::path>& folders);

/// From a run folder's epochs.csv, edges.csv and config.csv, of a frozen node also from the run that trained it; what cannot be read of
/// them is among the faults.
GraphOutcome read_graph_outcome(const Graph& graph, const std::filesystem::path& run);

}  // namespace distill
