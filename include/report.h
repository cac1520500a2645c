// report.h: runs beside the papers' numbers: collect run folders, join, summarise, print.
// defines: Epoch, Run, Spread, Group, Report, collect_runs, spread, mean_and_deviation, summarize, nearest_group, write_text, write_csv,
//          add_report_command, is_trained_alone, points, clock_time, label
#pragma once
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph_show.h"
#include "paper.h"
#include "run_folder.h"
#include "search_history.h"
#include "texts.h"

namespace CLI {
class App;
}

namespace distill {

/// One row of epochs.csv; the accuracy in % of the test set.
struct Epoch {
    double train_loss, test_acc;
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
    std::optional<Graph> graph;  ///< of a ktg run (report_ktg.h)
    GraphOutcome outcome;
    std::string graph_name;
    std::string stage;  ///< "2": of a chain (`feed sequential`), from 1; else empty
};

/// Mean and sample standard deviation (divisor n − 1; 0 for n = 1) of n ≥ 1 values.
struct Spread {
    double mean = 0, deviation = 0;
    size_t n = 0;
};
Spread spread(const std::vector<double>& values);

/// "71.80 ± 0.12", of one value without the deviation.
std::string mean_and_deviation(const Spread& s);

/// Finished runs that differ in nothing but the seed, the folder and the machine. Accuracies in %, differences in points.
struct Group {
    std::vector<Run> runs;  ///< ordered by seed; never empty
    std::string options;    ///< "lr=0.05, batch=64": what tells it from the other groups of its experiment; often empty
    Spread last, best;
    double hours = 0;  ///< a run's, in the mean
    std::string devices, commits;
    std::optional<PaperRow> paper;     ///< the row with the runs' id
    std::optional<double> difference;  ///< ours − the paper's, where the data set and the networks are the row's own
    std::optional<double> gain_last, gain_best;  ///< over our student alone: same data set and student, no teacher
    std::optional<double> paper_gain;            ///< the same within the paper's table
    std::string student_alone;                   ///< name() of the group that the gains are over
    std::vector<std::string> notes;

    const Run& any() const { return runs.front(); }
    /// The paper reports the best epoch, so ours is compared by the best; else by the last.
    bool compared_by_best() const { return paper && paper->metric == "top1_best"; }
    /// The id, or what was run; with the data set if that is not the paper's and with `options`.
    std::string name() const;
};

struct Report {
    std::vector<Group> groups;  ///< by data set, student, teacher (none first), method
    std::vector<Run> unfinished;
    std::vector<SearchHistory> searches;
    std::vector<PaperRow> paper;  ///< all that is on file
};

/// Every run in these folders and below, by path. InputError for a path that is no folder, for no run and no search at
/// all, and for a CSV that is broken, lacks a column or holds an impossible number (named with the place).
std::vector<Run> collect_runs(const std::vector<std::filesystem::path>& folders);

/// Groups the runs and joins each group with its paper row and its student alone.
Report summarize(std::vector<Run> runs, const std::vector<PaperRow>& paper);

/// Of the groups that `fits` takes, the one whose options are nearest to the group's; null if there is none.
const Group* nearest_group(const std::vector<Group>& groups, const Group& group, const std::function<bool(const Run&)>& fits);

/// An aligned table, the notes below it, then the unfinished runs.
void write_text(std::ostream& out, const Report& report);

/// The same columns as raw numbers, one row a group and one an unfinished run; appears whole or not at all.
void write_csv(const std::filesystem::path& file, const Report& report);

/// `distill report RUNS… [--csv F] [--html F] [--paper DIR]`.
void add_report_command(CLI::App& app);

bool is_trained_alone(const Run& run);  ///< method `train`, no teacher; or a graph of one node

// How both tables print.
std::string points(const std::optional<double>& difference);  ///< "+1.20", "−0.31", "–" if there is none
std::string clock_time(double hours);                         ///< "1:02:03", hours first
/// What was done to the student: "trained alone", "kd from resnet56", "feed from 3 × resnet56", "graph dml with resnet20".
std::string label(const Run& run);

}  // namespace distill
