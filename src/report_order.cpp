#include "report_order.h"

#include <algorithm>
#include <ostream>
#include <set>

#include "base_error.h"
#include "base_nearest.h"
#include "report_likeness.h"

namespace distill {
namespace {

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

/// How many of a row's own options the run agrees with; nothing where it was told otherwise, or is of another subcommand.
std::optional<size_t> agreement(const PaperRow& row, const Run& run) {
    if (row.method == "teacher" || row.method_name() != run.method) return {};
    static const std::set<std::string> not_its_own = {"recipe",   "student",      "normalize",     "teacher-weights",
                                                      "teachers", "teacher-nets", "train-teachers"};
    size_t agreed = 0;
    for (const auto& [option, value] : row.options) {
        if (not_its_own.count(option) > 0 || !has_option(run.config, option)) continue;
        if (value_of(run.config, option) != value) return {};
        ++agreed;
    }
    return agreed;
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

Pairs compare_all(const std::vector<Standing>& standings) {
    Pairs pairs(standings.size(), std::vector<Comparison>(standings.size()));
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = i + 1; j < standings.size(); ++j) pairs[i][j] = compare(standings[i].group, standings[j].group);
    return pairs;
}

void write_standings(std::ostream& out, const std::vector<Standing>& standings, const Pairs& pairs) {
    std::vector<std::vector<std::string>> rows = {{"", "runs", "experiment", "n", "test accuracy", "higher than", "not decided beside"}};
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
    const size_t all = standings.size() * (standings.size() - 1) / 2;
    out << all << " pairs, each tested by itself: if nothing differed, " << fixed(static_cast<double>(all) * Comparison::level, 1)
        << " of them would be decided by chance\n";
}

PaperOrder paper_order(const std::string& networks, const std::vector<Standing>& standings, const std::vector<PaperRow>& paper) {
    std::vector<std::string> parts = split(networks, ':');
    if (parts.size() == 2) parts.insert(parts.begin(), standings.front().group.any().dataset);
    PaperOrder order;
    if (parts.size() == 3) order.dataset = parts[0], order.teacher = parts[1], order.student = parts[2];
    std::vector<const PaperRow*> of_pair;
    for (const PaperRow& row : paper)
        if (row.value && row.dataset == order.dataset && row.student == order.student && row.teacher == order.teacher)
            of_pair.push_back(&row);
    if (of_pair.empty())
        input_error("--order ", networks, ": no number of data/paper is of these, expected TEACHER:STUDENT on ",
                    standings.front().group.any().dataset,
                    " or DATASET:TEACHER:STUDENT; the nearest: ", joined(nearest(joined(parts, ":"), known_networks(paper), 5)));
    for (const Standing& standing : standings) {
        const PaperRow* its = nullptr;
        size_t most = 0;
        for (const PaperRow* row : of_pair) {
            const auto agreed = agreement(*row, standing.group.any());
            if (agreed && (!its || *agreed > most)) its = row, most = *agreed;
        }
        for (size_t i = 0; its && i < order.rows.size(); ++i)
            if (order.rows[i] && order.rows[i]->id == its->id)
                input_error("--order ", networks, ": ", standings[i].name, " and ", standing.name, " are both the papers' ", its->method,
                            " (", its->id, "); leave one of them out");
        order.rows.push_back(its ? std::optional(*its) : std::nullopt);
    }
    for (size_t i = 0; i < standings.size(); ++i)
        for (size_t j = 0; j < standings.size(); ++j)
            if (order.rows[i] && order.rows[j] && *order.rows[i]->value > *order.rows[j]->value)
                order.pairs.push_back(
                    {i, j, *order.rows[i]->value - *order.rows[j]->value, compare(standings[i].group, standings[j].group)});
    if (order.pairs.empty()) input_error("--order ", networks, ": data/paper has no two different numbers of these trainings' methods");
    std::stable_sort(order.pairs.begin(), order.pairs.end(), [](const PaperPair& a, const PaperPair& b) { return a.apart > b.apart; });
    return order;
}

void write_paper_order(std::ostream& out, const PaperOrder& order, const std::vector<Standing>& standings) {
    constexpr double clearly = 0.5 - 1e-9;  // points; numbers have two decimals
    Counts all, clear;
    std::vector<std::vector<std::string>> contrary = {{"by the papers", "their numbers", "here", "95 % interval"}};
    for (const PaperPair& pair : order.pairs) {
        all.add(pair.ours.verdict);
        if (pair.apart >= clearly) clear.add(pair.ours.verdict);
        if (pair.ours.verdict != Verdict::does_not_hold) continue;
        contrary.push_back({standings[pair.higher].name + " above " + standings[pair.lower].name,
                            fixed(*order.rows[pair.higher]->value) + ", " + fixed(*order.rows[pair.lower]->value),
                            signed_fixed(pair.ours.difference), pair.ours.interval()});
    }
    std::vector<std::string> without;
    for (size_t i = 0; i < standings.size(); ++i)
        if (!order.rows[i]) without.push_back(standings[i].name);
    out << "\nThe papers' order, " << (order.teacher.empty() ? "" : order.teacher + "→") << order.student << " on " << order.dataset
        << " (data/paper; as each reports it, the last epoch or the best):\n"
        << aligned({{"", "pairs", "hold", "do not hold", "not decided"}, all.cells("all"), clear.cells("half a point or more apart")},
                   {1, 2, 3, 4});
    if (contrary.size() > 1) out << aligned(contrary, {2});
    if (!without.empty()) out << "no number on file: " << joined(without) << '\n';
}

}  // namespace distill
