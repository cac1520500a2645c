#include "report_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <ostream>
#include <set>
#include <tuple>

#include "base_error.h"
#include "base_nearest.h"
#include "base_numbers.h"
#include "method_table.h"
#include "report_likeness.h"
#include "train_options.h"
#include "train_recipes.h"

namespace distill {
namespace {

constexpr double nothing = 1e-9;  ///< points; numbers have two decimals

/// "1–3, 5": numbers, rising, of which neighbours are drawn together; "–" for none.
std::string ranges(const std::vector<size_t>& numbers) {
    std::vector<std::string> words;
    for (size_t first = 0; first < numbers.size();) {
        size_t last = first;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        words.push_back(std::to_string(numbers[first]));
        if (last > first) words.back() += (last == first + 1 ? ", " : "–") + std::to_string(numbers[last]);
        first = last + 1;
    }
    return words.empty() ? "–" : joined(words);
}

/// The verdict on "i is higher than j", whichever of them stands first.
Verdict verdict_of(const Pairs& pairs, size_t i, size_t j) {
    if (i < j) return pairs[i][j].verdict;
    const Verdict turned = pairs[j][i].verdict;
    return turned == Verdict::not_decided ? turned : turned == Verdict::holds ? Verdict::does_not_hold : Verdict::holds;
}

/// What by hand is other than the recipe's 0 or "off": "alpha=1 (0)" (info.by_hand); not where a 0 lets the program choose.
std::map<std::string, std::string> turned_on(const Run& run) {
    std::map<std::string, std::string> options;
    for (std::string told : split(value_of(run.config, "info.by_hand"), ';')) {
        told.erase(0, told.find_first_not_of(' '));
        const size_t equal = told.find('='), before = told.rfind(" (");
        if (equal == std::string::npos || before == std::string::npos || before < equal) continue;
        const std::string option = told.substr(0, equal), usual = told.substr(before);
        if ((usual == " (0)" && !is_left_open(option, "0")) || usual == " (off)")
            options[option] = told.substr(equal + 1, before - equal - 1);
    }
    return options;
}

/// In how many options a run agrees with a row; nothing where it was told otherwise, or is of another subcommand.
std::optional<size_t> agreement(const PaperRow& row, const Run& run) {
    if (row.method == "teacher" || row.method_name() != run.method) return {};
    static const std::set<std::string> of_the_training = {"recipe",   "student",      "normalize",     "teacher-weights",
                                                          "teachers", "teacher-nets", "train-teachers"};
    size_t agreed = 0;
    std::map<std::string, std::string> unnamed = turned_on(run);
    for (const auto& [option, value] : row.options) {
        if (of_the_training.count(option) > 0 || !has_option(run.config, option)) continue;
        if (const std::string ours = value_of(run.config, option); ours != value && !same_floats(ours, value)) return {};
        unnamed.erase(option);
        ++agreed;
    }
    return unnamed.empty() ? std::optional(agreed) : std::nullopt;
}

/// In how many choices of the row's recipe, those that do not hang on a training's length, a run was made alike: of two papers' forms of a
/// method the run's.
size_t recipe_in_common(const PaperRow& row, const Run& run) {
    const ChosenMethod method = choose(*find_method(run.method));
    const Recipe& recipe = find_recipe(has_option(row.options, "recipe") ? value_of(row.options, "recipe") : method.row->recipe);
    Options options;
    OptionTable table;
    add_training_options(table, options, true);
    method.options->add_to(table);
    set_recipe(table, options, recipe, run.method, row.id);
    size_t common = 0;
    for (const char* option : {"batch", "weight-decay", "nesterov", "drop-last", "crop-pad", "benchmark-form"})
        common += table.has(option) && value_of(run.config, option) == table.at(option).get();
    return common;
}

/// What the rows have of a training's method.
std::optional<PaperNumber> number_of(const Run& run, const std::vector<const PaperRow*>& rows, const std::vector<PaperRow>& paper) {
    std::optional<PaperNumber> its;
    std::tuple<size_t, size_t, bool> best;
    for (const PaperRow* row : rows) {
        const PaperRow* const alone = row->method == "student" ? row : student_alone(paper, *row);
        const auto agreed = agreement(*row, run);
        if (!agreed || !alone || !alone->value) continue;
        const std::tuple<size_t, size_t, bool> rank(*agreed, recipe_in_common(*row, run), row->metric == "top1");
        if (!its || rank > best) its = {*row, *row->value - *alone->value}, best = rank;
    }
    return its;
}

std::vector<std::string> known_networks(const std::vector<PaperRow>& paper) {
    std::set<std::string> names;
    for (const PaperRow& row : paper)
        if (row.value && !row.teacher.empty()) names.insert(row.dataset + ":" + row.teacher + ":" + row.student);
    return {names.begin(), names.end()};
}

struct Counts {
    size_t pairs = 0, verdicts[3] = {};
    void add(Verdict v) { ++pairs, ++verdicts[static_cast<int>(v)]; }
    std::vector<std::string> cells(const std::string& of) const {
        return {of, std::to_string(pairs), std::to_string(verdicts[0]), std::to_string(verdicts[1]), std::to_string(verdicts[2])};
    }
};

}  // namespace

bool can_be_decided(const Comparison& c) { return c.has_interval && c.a.n >= Comparison::fewest && c.b.n >= Comparison::fewest; }

bool can_be_decided(const Pairs& pairs, size_t i) {
    for (size_t j = 0; j < pairs.size(); ++j)
        if (j != i && can_be_decided(pairs[std::min(i, j)][std::max(i, j)])) return true;
    return false;
}

Pairs compare_all(const std::vector<Standing>& standings) {
    Pairs pairs(standings.size(), std::vector<Comparison>(standings.size()));
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = i + 1; j < standings.size(); ++j) pairs[i][j] = compare(standings[i].group, standings[j].group);
    return pairs;
}

std::vector<double> holm(const std::vector<double>& p) {
    std::vector<size_t> order(p.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] < p[j]; });
    std::vector<double> corrected(p.size());
    double least = 0;
    for (size_t rank = 0; rank < order.size(); ++rank) {
        least = std::max(least, p[order[rank]] * static_cast<double>(p.size() - rank));
        corrected[order[rank]] = std::min(least, 1.0);
    }
    return corrected;
}

std::vector<std::vector<double>> judged_together(const Pairs& pairs) {
    std::vector<double> p;
    const auto each = [&](auto&& use) {
        for (size_t i = 0; i < pairs.size(); ++i)
            for (size_t j = i + 1; j < pairs.size(); ++j)
                if (can_be_decided(pairs[i][j])) use(i, j);
    };
    each([&](size_t i, size_t j) { p.push_back(pairs[i][j].p); });
    std::vector<std::vector<double>> corrected(pairs.size(), std::vector<double>(pairs.size(), 1));
    size_t next = 0;
    each([&, together = holm(p)](size_t i, size_t j) { corrected[i][j] = together[next++]; });
    return corrected;
}

void write_standings(std::ostream& out, const std::vector<Standing>& standings, const Pairs& pairs) {
    std::vector<std::vector<std::string>> rows = {{"", "runs", "experiment", "n", "test accuracy", "higher than", "not told from"}};
    for (size_t i = 0; i < standings.size(); ++i) {
        std::vector<size_t> lower, undecided;
        for (size_t j = 0; j < standings.size(); ++j) {
            if (i == j) continue;
            const Verdict v = verdict_of(pairs, i, j);
            if (v == Verdict::holds) lower.push_back(j + 1);
            if (v == Verdict::not_decided) undecided.push_back(j + 1);
        }
        const auto& [name, group] = standings[i];
        rows.push_back({std::to_string(i + 1), name, group.name(), std::to_string(group.last.n), mean_and_deviation(group.last),
                        ranges(lower), ranges(undecided)});
    }
    out << aligned(rows, {0, 3});
    size_t decidable = 0, decided = 0, together = 0;
    const std::vector<std::vector<double>> corrected = judged_together(pairs);
    std::vector<std::string> none;
    for (size_t i = 0; i < standings.size(); ++i) {
        for (size_t j = i + 1; j < standings.size(); ++j) {
            decidable += can_be_decided(pairs[i][j]);
            decided += pairs[i][j].verdict != Verdict::not_decided;
            together += corrected[i][j] <= Comparison::level;
        }
        if (!can_be_decided(pairs, i)) none.push_back(standings[i].name);
    }
    if (!none.empty()) out << "nothing can be told of " << joined(none) << ": fewer than " << Comparison::fewest << " runs, or all alike\n";
    if (decidable > 1)
        out << decidable << " pairs can be decided, each by itself: if nothing differed, about "
            << fixed(static_cast<double>(decidable) * Comparison::level, 1) << " of them would be by chance; judged all at once (Holm), "
            << together << " of the " << decided << " decided still are\n";
}

PaperOrder paper_order(const std::string& networks, const std::vector<Standing>& standings, const std::vector<PaperRow>& paper) {
    const std::string& own = standings.front().group.any().dataset;
    std::vector<std::string> parts = split(networks, ':');
    if (parts.size() == 2) parts.insert(parts.begin(), own);
    std::vector<const PaperRow*> rows;
    PaperOrder order;
    if (parts.size() == 3 && !parts[1].empty()) {
        order.dataset = parts[0], order.teacher = parts[1], order.student = parts[2];
        for (const PaperRow& row : paper)
            if (row.value && row.dataset == order.dataset && row.teacher == order.teacher && row.student == order.student)
                rows.push_back(&row);
    }
    if (rows.empty())
        input_error("--order ", networks, ": no number of data/paper is of these, expected TEACHER:STUDENT on ", own,
                    " or DATASET:TEACHER:STUDENT; the nearest: ", joined(nearest(joined(parts, ":"), known_networks(paper), 5)));
    for (const Standing& standing : standings) {
        const auto its = number_of(standing.group.any(), rows, paper);
        for (size_t i = 0; its && i < order.numbers.size(); ++i)
            if (order.numbers[i] && order.numbers[i]->row.id == its->row.id)
                input_error("--order ", networks, ": ", standings[i].name, " and ", standing.name, " are both the papers' ",
                            its->row.method, " (", its->row.id, "); leave one of them out");
        order.numbers.push_back(its);
    }
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = 0; j < standings.size(); ++j) {
            if (!order.numbers[i] || !order.numbers[j]) continue;
            const double apart = order.numbers[i]->gain - order.numbers[j]->gain;
            if (apart > nothing) order.pairs.push_back({i, j, apart, compare(standings[i].group, standings[j].group)});
        }
    if (order.pairs.empty())
        input_error("--order ", networks, ": data/paper has no two different numbers of these trainings' methods and options; name others");
    std::stable_sort(order.pairs.begin(), order.pairs.end(), [](const PaperPair& a, const PaperPair& b) { return a.apart > b.apart; });
    return order;
}

void write_paper_order(std::ostream& out, const PaperOrder& order, const std::vector<Standing>& standings) {
    std::vector<std::vector<std::string>> numbers = {{"", "data/paper", "test accuracy", "epoch", "above alone"}};
    std::vector<std::string> without;
    for (size_t i = 0; i < standings.size(); ++i) {
        if (!order.numbers[i]) {
            without.push_back(standings[i].name);
            continue;
        }
        const auto& [row, gain] = *order.numbers[i];
        numbers.push_back({standings[i].name, row.id, fixed(*row.value), row.metric == "top1_best" ? "best" : "last", signed_fixed(gain)});
    }
    Counts all, clear;
    std::vector<std::vector<std::string>> contrary = {{"do not hold", "apart there", "here", "95 % interval"}};
    for (const PaperPair& pair : order.pairs) {
        all.add(pair.ours.verdict);
        if (pair.apart >= 0.5 - nothing) clear.add(pair.ours.verdict);
        if (pair.ours.verdict == Verdict::does_not_hold)
            contrary.push_back({standings[pair.higher].name + " above " + standings[pair.lower].name, signed_fixed(pair.apart),
                                signed_fixed(pair.ours.difference), pair.ours.interval()});
    }
    out << "\nThe papers' order, " << order.teacher << "→" << order.student << " on " << order.dataset
        << ", by the gain over each table's student alone:\n"
        << aligned(numbers, {2, 4}) << '\n'
        << aligned({{"", "pairs", "hold", "do not hold", "not decided"}, all.cells("all"), clear.cells("half a point or more apart")},
                   {1, 2, 3, 4});
    if (contrary.size() > 1) out << '\n' << aligned(contrary, {1, 2});
    if (!without.empty()) out << "no number on file of the method with these options: " << joined(without) << '\n';
    out << '\n';
}

}  // namespace distill
