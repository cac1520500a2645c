// The picture of trainings in order.
#include <algorithm>
#include <sstream>

#include "base_svg.h"
#include "report_order.h"

namespace distill {
namespace {

// What was taught is blue, trained alone grey.
const char* const style = R"(
.ktg .faint { stroke: var(--g-rule); stroke-opacity: .6; fill: none; } .ktg .axis { stroke: var(--g-soft); fill: none; }
.ktg .reach { stroke: var(--g-through); stroke-width: 2.4; fill: none; stroke-linecap: round; }
.ktg .mean { fill: var(--g-through); stroke: var(--g-page); stroke-width: 1.5; } .ktg .seed { fill: var(--g-through); fill-opacity: .4; }
.ktg .alone .reach { stroke: var(--g-soft); } .ktg .alone .mean, .ktg .alone .seed { fill: var(--g-soft); }
.ktg .together { stroke: var(--g-ink); stroke-width: 2.4; fill: none; stroke-linecap: round; }
)";

constexpr double width = 860, row = 28, top = 16, left = 232, right = 662, figures = 762, bars = 784, bar_gap = 9;

/// What tells the trainings' names apart: the folders that all lie in are left out.
std::vector<std::string> short_names(const std::vector<Standing>& standings) {
    std::string common = standings.front().name;
    for (const Standing& s : standings)
        common.resize(
            static_cast<size_t>(std::mismatch(common.begin(), common.end(), s.name.begin(), s.name.end()).first - common.begin()));
    common.resize(common.rfind('/') == std::string::npos ? 0 : common.rfind('/') + 1);
    std::vector<std::string> names;
    for (const Standing& s : standings) names.push_back(s.name.substr(common.size()));
    return names;
}

/// Neighbours of which no two are told apart, each as many as can be: first and last.
std::vector<std::pair<size_t, size_t>> not_told_apart(const Pairs& pairs) {
    std::vector<std::pair<size_t, size_t>> groups;
    for (size_t first = 0; first < pairs.size(); ++first) {
        size_t end = first + 1;
        const auto fits = [&](size_t next) {
            for (size_t i = first; i < next; ++i)
                if (pairs[i][next].verdict != Verdict::not_decided) return false;
            return true;
        };
        while (end < pairs.size() && fits(end)) ++end;
        if (end - first > 1 && (groups.empty() || groups.back().second < end - 1)) groups.emplace_back(first, end - 1);
    }
    return groups;
}

}  // namespace

std::string standings_svg(const std::vector<Standing>& standings, const Pairs& pairs) {
    double low = 100, high = 0;
    for (const auto& [name, group] : standings)
        for (const Run& run : group.runs) low = std::min(low, run.last), high = std::max(high, run.last);
    const Axis x = accuracy_axis(low, high, left, right);
    const double bottom = top + row * static_cast<double>(standings.size());
    const auto height_of = [&](size_t i) { return top + row * (static_cast<double>(i) + 0.5); };
    const std::vector<std::string> names = short_names(standings);
    std::ostringstream svg;
    svg << open_picture(width, bottom + 70, "test accuracy of trainings, in order", style);
    for (const double tick : x.ticks())
        svg << svg_line("faint", {x.at(tick), top}, {x.at(tick), bottom})
            << svg_words({x.at(tick), bottom + 18}, "small mid", fixed(tick, x.digits()));
    svg << svg_line("axis", {left, bottom}, {right, bottom}) << '\n';
    for (size_t i = 0; i < standings.size(); ++i) {
        const Group& group = standings[i].group;
        const Point mean{x.at(group.last.mean), height_of(i)};
        const double reach = x.at(group.last.mean + group.last.deviation) - mean.x;
        svg << "<g" << (is_trained_alone(group.any()) ? " class=\"alone\"" : "") << "><title>"
            << escaped(group.name() + ": " + mean_and_deviation(group.last) + ", n = " + std::to_string(group.last.n)) << "</title>"
            << svg_words({left - 14, mean.y + 5}, "figure end", names[i]);
        if (reach > 0) svg << svg_line("reach", mean - Point{reach, 0}, mean + Point{reach, 0});
        for (const Run& run : group.runs) svg << svg_dot("seed", {x.at(run.last), mean.y + 8}, 2.4);
        svg << svg_dot("mean", mean, 5) << svg_words({figures, mean.y + 5}, "end", mean_and_deviation(group.last)) << "</g>\n";
    }
    std::vector<size_t> column_ends;  // bars that do not touch stand above each other
    for (const auto& [first, last] : not_told_apart(pairs)) {
        const size_t row_of = first;
        const auto free = std::find_if(column_ends.begin(), column_ends.end(), [&](size_t end) { return end < row_of; });
        const double at = bars + bar_gap * static_cast<double>(free - column_ends.begin());
        if (free == column_ends.end())
            column_ends.push_back(last);
        else
            *free = last;
        svg << svg_line("together", {at, height_of(first) - 7}, {at, height_of(last) + 7}) << '\n';
    }
    svg << svg_words({(left + right) / 2, bottom + 38}, "mid", "top-1 accuracy on the test set (%)")
        << svg_words({width - 8, bottom + 60}, "small end",
                     "mean ± standard deviation, below it the seeds; neighbours that a bar joins are not told apart")
        << "\n</svg>\n";
    return svg.str();
}

}  // namespace distill
