// report_order.h: several trainings by accuracy: which are higher than which, and which of the papers' orders they keep.
// defines: Standing, Pairs, compare_all, write_standings, standings_svg, PaperPair, PaperOrder, paper_order, write_paper_order
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "report.h"

namespace distill {

/// A training as the user names it.
struct Standing {
    std::string name;
    Group group;
};

/// pairs[i][j] of trainings i < j: is the first higher? (compare(), report_likeness.h.) Several pairs are no one test: of those without a
/// difference some are decided, too, one in twenty at most by the rule's making.
using Pairs = std::vector<std::vector<Comparison>>;
Pairs compare_all(const std::vector<Standing>& standings);

/// A line a training, as they stand: those that it is higher than, and those beside which it is not decided, by number.
void write_standings(std::ostream& out, const std::vector<Standing>& standings, const Pairs& pairs);
/// A picture: means, deviations and seeds, and bars that join neighbours of which no two are told apart.
std::string standings_svg(const std::vector<Standing>& standings, const Pairs& pairs);

/// Two trainings that a paper's numbers put in an order.
struct PaperPair {
    size_t higher, lower;  ///< by the paper; of the standings
    double apart;          ///< its numbers, in points
    Comparison ours;       ///< is the paper's higher one higher here?
};

/// Numbers of data/paper for one pair of networks, of whatever table, and what became of their order.
struct PaperOrder {
    std::string dataset, teacher, student;
    std::vector<std::optional<PaperRow>> rows;  ///< of each training; none: no number of this method is on file
    std::vector<PaperPair> pairs;               ///< of different numbers, the furthest apart first
};

/// `networks`: "resnet56:resnet20", on the trainings' own data set, or "cifar100:resnet56:resnet20". A training has the first row of its
/// subcommand whose options say nothing else than it did, and of these the one that says most; schedules, normalisation and teachers do
/// not count, nor do its own networks. InputError for networks without two such numbers, naming those that have, or for two trainings of
/// one row.
PaperOrder paper_order(const std::string& networks, const std::vector<Standing>& standings, const std::vector<PaperRow>& paper);

/// How many of the order's pairs hold, do not hold and are not decided, of all and of those half a point or more apart, which is more than
/// one seed's ± 0.2 to 0.3; then those that do not hold.
void write_paper_order(std::ostream& out, const PaperOrder& order, const std::vector<Standing>& standings);

}  // namespace distill
