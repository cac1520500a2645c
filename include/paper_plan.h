// paper_plan.h: rows of data/paper as command lines, each after what must exist before it.
// defines: TrainedBy, PlanOptions, PlannedLine, plan_rows
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "paper.h"

namespace distill {

/// What only the program knows of a row's subcommand.
struct TrainedBy {
    bool preset = true;         ///< it takes --preset; else the line names data set and options
    bool once = false;          ///< its seeds are its own: one line, whatever is asked for
    std::string further = "";   ///< behind the line
    std::string obstacle = "";  ///< why the row cannot be run; empty if it can
};

struct PlanOptions {
    std::string program = "distill";  ///< as the lines call it
    std::string runs = "runs/paper";  ///< a run's folder is RUNS/<id>/s<seed>
    int seeds = 1;                    ///< runs of a row; teachers have as many as are needed, at least one
    std::function<TrainedBy(const PaperRow&)> trained_by = [](const PaperRow&) { return TrainedBy(); };
};

/// One run of a row, or why there is none.
struct PlannedLine {
    const PaperRow* row;
    int seed = 0;
    int step = 0;                    ///< from 1: all lines of one step may run at once, after those of the steps before; 0: none
    std::vector<std::string> needs;  ///< ids of rows
    std::string command;             ///< to be copied into a shell; starts the run, goes on with it, or leaves it, if it is finished
    std::string reason;              ///< in place of the command
};

/// The rows `asked` for, and those that they need: ids, or files ("mhgd"); all rows if empty. By steps, and in the order of the
/// files. Of rows that are one training the first has the command. InputError for an unknown id, for a row that needs one that is not there
/// or, over others, itself.
std::vector<PlannedLine> plan_rows(const std::vector<PaperRow>& rows, const std::vector<std::string>& asked, const PlanOptions& options);

}  // namespace distill
