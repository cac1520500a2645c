// report_order.h: several trainings by accuracy: which are higher than which, and which of the papers' orders they keep.
// defines: Standing, Pairs, compare_all, holm, judged_together, can_be_decided, write_standings, standings_svg, PaperNumber,
//          PaperPair, PaperOrder, paper_order, write_paper_order
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

/// pairs[i][j] of trainings i < j: is the first higher? (compare(), report_likeness.h.) What stands elsewhere says nothing. Each pair is
/// tested by itself: where there is no difference about one in twenty is decided all the same.
using Pairs = std::vector<std::vector<Comparison>>;
Pairs compare_all(const std::vector<Standing>& standings);

/// Holm's correction ("A simple sequentially rejective multiple test procedure", 1979): p values such that those of at most 5 % are all
/// right at once in 95 % of studies, in the order of those given.
std::vector<double> holm(const std::vector<double>& p);
/// Of each pair that can be decided, its p value corrected for all of them; 1 for the others.
std::vector<std::vector<double>> judged_together(const Pairs& pairs);

/// Is there an answer to be had: do both sides have the runs, and do these spread?
bool can_be_decided(const Comparison& c);
/// Of training i beside any other?
bool can_be_decided(const Pairs& pairs, size_t i);

/// A line a training, as they stand: those that it is higher than, and those that it is not told from, by number.
void write_standings(std::ostream& out, const std::vector<Standing>& standings, const Pairs& pairs);
/// A picture of one training or more, the highest first: means, deviations and seeds, and bars that join neighbours of which no two are
/// told apart. Trainings that nothing can be told of are hollow and have no bar.
std::string standings_svg(const std::vector<Standing>& standings, const Pairs& pairs);

/// What a table of data/paper has of a training's method.
struct PaperNumber {
    PaperRow row;
    double gain;  ///< points above the student alone of the same paper
};

/// Two trainings that their papers' gains put in an order.
struct PaperPair {
    size_t higher, lower;  ///< by the papers; of the standings
    double apart;          ///< their gains, in points
    Comparison ours;       ///< is the papers' higher one higher here?
};

/// What became of the order of data/paper's gains for one pair of networks. Gains, since papers differ in what their student reaches alone.
struct PaperOrder {
    std::string dataset, teacher, student;
    std::vector<std::optional<PaperNumber>> numbers;  ///< of each training; none: nothing on file is of its method and options
    std::vector<PaperPair> pairs;                     ///< of different gains, the furthest apart first
};

/// `networks`: "resnet56:resnet20", teacher and student, on the trainings' own data set, or "cifar100:resnet56:resnet20". A training has
/// the first row of its subcommand that it agrees with in all the options that the row names, and that names what the run turned on by hand;
/// of these the one that names most, and of the last epoch, as ours are, sooner than of the best. Recipe, normalisation, networks and
/// teachers do not count. InputError for networks without numbers, naming the nearest that have some, for two trainings of one row, and
/// where no two trainings have different gains.
PaperOrder paper_order(const std::string& networks, const std::vector<Standing>& standings, const std::vector<PaperRow>& paper);

/// The numbers; how many of the order's pairs hold, do not hold and are not decided, of all and of those half a point or more apart (the
/// benchmark's numbers are means of three or five runs, which spread by 0.2 to 0.3); then those that do not hold.
void write_paper_order(std::ostream& out, const PaperOrder& order, const std::vector<Standing>& standings);

}  // namespace distill
