// report_grid.h: the papers' tables as they print them, methods by pairs, ours in each cell, and how much of them has been run.
// defines: GridCell, PaperGrid, Coverage, coverage_of, paper_grids, write_grids, grids_section
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "report.h"

namespace distill {

/// A number of data/paper, and ours.
struct GridCell {
    const PaperRow* row;
    const Group* ours = nullptr;     ///< of the same training; null: not run
    const Spread& accuracy() const;  ///< ours, of the epoch that the paper reports; only where there is ours
};

/// One table of a paper. A method that has several numbers for one pair has as many lines.
struct PaperGrid {
    std::string title;                                        ///< "reviewkd: CIFAR-100: teacher and student of one family"
    std::vector<std::string> pairs, methods;                  ///< its columns, "resnet56→resnet20", and its lines
    std::vector<std::vector<std::optional<GridCell>>> cells;  ///< [line][column]
};

struct Coverage {
    size_t cells = 0, run = 0;
    size_t otherwise = 0;      ///< run, but not with the paper's data and recipe
    size_t on_file = 0;        ///< cells that no training of this program is for
    std::string told() const;  ///< "41 of 214 cells run"
};
Coverage coverage_of(const std::vector<PaperGrid>& grids);

/// All tables of report.paper, in its order; they point into the report. A group stands in every cell of the training that its id names:
/// the one that is the paper's, else the one with the most runs.
std::vector<PaperGrid> paper_grids(const Report& report);

/// How much of all tables has been run, then those of which something has, and of each cell how, when and how long; as text and as HTML.
void write_grids(std::ostream& out, const std::vector<PaperGrid>& grids);
std::string grids_section(const std::vector<PaperGrid>& grids);

}  // namespace distill
