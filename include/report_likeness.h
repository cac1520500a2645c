// report_likeness.h: which runs may be set beside each other: what a run is by content, in what two recipes differ, who shares start and
// order.
// defines: RecipeDifference, substance_of, teacher_contents, start_file, test_images, recipe_differences, told, nearest_group, by_seed,
//          told_of_repeats, share_start_and_order, compare
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base_verdict.h"
#include "report.h"

namespace distill {

/// What a run is, sorted: its options but for circumstances and empty ones, its roundings (precision, and on a CPU --winograd off), and the
/// SHA-256 of its data and of its teachers' files, which stand for the paths where they are on file. Of a chain's later stages the teachers
/// do not count: each seed has its own.
Config substance_of(const Run& run);

/// SHA-256 of each teacher's file, in order; the paths where these are not on file.
std::vector<std::string> teacher_contents(const Run& run);

/// SHA-256 of the file that the student, or a graph's target, began from; the path where that is not on file; empty if it began afresh.
std::string start_file(const Run& run);

/// How many images a run was tested on; empty where that is not on file.
std::string test_images(const Run& run);

/// An option of the training itself, whatever the method, the images, or the one teacher.
struct RecipeDifference {
    std::string option, ours, theirs;
};
/// In what both runs have on file.
std::vector<RecipeDifference> recipe_differences(const Run& ours, const Run& theirs);
/// "batch 128 (here 64), lr 0.1 (here 0.05)".
std::string told(const std::vector<RecipeDifference>& differences);

/// Of the groups that `fits` takes, the one whose recipe, then whose other options are nearest to the group's; null if there is none.
const Group* nearest_group(const std::vector<Group>& groups, const Group& group, const std::function<bool(const Run&)>& fits);

/// A figure of runs that are ordered by seed, for each seed: of several, which are not independent, the mean.
std::vector<double> by_seed(const std::vector<Run>& runs, double Run::*figure);

/// "10 runs of 5 seeds: …"; empty where each seed is there once.
std::string told_of_repeats(const Group& group);

/// Do runs of equal seed of the two groups begin with the same weights and see the same batches? So it is for distilled students, or
/// targets of graphs (neither an ensemble nor begun from a file), of the same network, data, batch, generation and key of the start
/// (info.start_key, info.role, info.generation), and the same seeds.
bool share_start_and_order(const Group& a, const Group& b);

/// Of the accuracies after the last epoch; paired by seed where share_start_and_order() says so, which is known before any result.
Comparison compare(const Group& a, const Group& b);

}  // namespace distill
