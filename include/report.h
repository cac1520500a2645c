// report.h: runs beside the papers' numbers, as data, and how all tables name them.
// defines: Epoch, Sitting, Run, Fault, Group, Report, is_trained_alone, counted, format_points, format_hours, label
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base_texts.h"
#include "base_verdict.h"
#include "graph_show.h"
#include "paper.h"
#include "search_history.h"
#include "train_run_folder.h"

namespace distill {

/// One row of epochs.csv; the accuracy in % of the test set.
struct Epoch {
    double train_loss, test_acc;
};

/// One row of sessions.csv: a process that trained the run.
struct Sitting {
    std::string began, machine;  ///< "2026-11-29 06:30:00", UTC
};

/// One run folder. An unfinished one (epochs.csv, but no result.csv) has what its config.csv and epochs.csv tell.
struct Run {
    std::filesystem::path folder;
    bool finished = false;
    std::string id, dataset, teacher, student, method, seed, device, precision, commit;
    double last = 0, best = 0;  ///< top-1 in % on the test set: of the last epoch, of the best one
    double seconds = 0;
    Config config;
    std::vector<Epoch> epochs;
    std::vector<Sitting> sittings;  ///< none where the run was begun before there was that table
    std::optional<Graph> graph;     ///< of a ktg run
    GraphOutcome outcome;
    std::string graph_name;
    std::string stage;             ///< "2": of a chain (`feed sequential`), from 1; else empty
    int64_t stage_number() const;  ///< 0: of no chain
    std::string fault;             ///< why the folder cannot be read; then nothing else but `folder` is to be believed
};

/// A run or a search that cannot be read, and why.
struct Fault {
    std::filesystem::path folder;
    std::string reason;
};

/// Finished runs that differ in nothing but the seed, the folder and the machine; teachers and data are the same by content, wherever they
/// lie. Accuracies in %, differences in points.
struct Group {
    std::vector<Run> runs;  ///< ordered by seed; never empty
    std::string options;    ///< "lr=0.05, batch=64": what tells it from the other groups of its experiment; often empty
    Spread last, best;
    double hours = 0;  ///< a run's, in the mean
    std::string devices, commits;
    std::optional<PaperRow> paper;               ///< the row with the runs' id
    bool is_the_papers = false;                  ///< the data, the networks and the recipe are that row's own
    std::optional<double> difference;            ///< ours − the paper's, where the data, the networks and the recipe are the row's own
    std::optional<double> gain_last, gain_best;  ///< over our student alone: same data, student and recipe, no teacher
    std::optional<Comparison> above_alone;       ///< is gain_last more than noise?
    std::optional<double> paper_gain;            ///< the same within the paper's table
    std::string student_alone;                   ///< name() of the group that the gains are over
    std::vector<std::string> notes;

    const Run& any() const { return runs.front(); }
    /// The paper reports the best epoch, so ours is compared by the best; else by the last.
    bool compared_by_best() const { return paper && paper->metric == "top1_best"; }
    /// The id, or what was run; with the data set if that is not the paper's and with `options`.
    std::string name() const;
    /// How many the first run was trained for; where its curve is not on file, was to be.
    std::string epochs() const;
};

struct Report {
    std::vector<Group> groups;  ///< by data set, student, teacher (none first), method
    std::vector<Run> unfinished;
    std::vector<SearchHistory> searches;
    std::vector<Fault> faults;    ///< left out of all the others
    std::vector<PaperRow> paper;  ///< all that is on file
};

bool is_trained_alone(const Run& run);  ///< method `train`, no teacher; or a graph of one node

std::string format_points(const std::optional<double>& difference);  ///< "+1.20", "−0.31", "–" if there is none
std::string format_hours(double hours);                              ///< "1:02:03", hours first
/// "net+net+net" as "3 × net"; different ones stay as they are.
std::string counted(const std::string& teachers);
/// What was done to the student: "trained alone", "kd from resnet56", "feed from 3 × resnet56", "graph dml with resnet20".
std::string label(const Run& run);

}  // namespace distill
