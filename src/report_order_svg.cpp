// The picture of trainings in order.
#include <algorithm>
#include <sstream>

#include "base_svg.h"
#include "report_order.h"

namespace distill {
namespace {

// What was taught is blue, trained alone grey; hollow: too few runs to tell anything of.
const char* const style = R"(.ktg .reach { stroke: var(--g-through); stroke-width: 2.4; fill: none; stroke-linecap: round; }
.ktg .mean { fill: var(--g-through); stroke: var(--g-page); stroke-width: 1.5; } .ktg .seed { fill: var(--g-through); fill-opacity: .4; }
.ktg .alone .reach { stroke: var(--g-soft); } .ktg .alone .mean, .ktg .alone .seed { fill: var(--g-soft); }
.ktg .hollow .mean { fill: var(--g-page); stroke: var(--g-through); stroke-width: 2; } .ktg .hollow.alone .mean { stroke: var(--g-soft); }
.ktg .together { stroke: var(--g-ink); stroke-width: 2.4; fill: none; stroke-linecap: round; }
)";

constexpr double row = 28, top = 16, left = 250, right = 680, figures = 784, counts = 824, bars = 844, bar_gap = 9;
constexpr size_t longest_name = 30;

/// What tells the trainings' names apart: the folders that all lie in are left out, and the beginning of what is too long.
std::vector<std::string> short_names(const std::vector<Standing>& standings) {
    std::string common = standings.front().name;
    for (const Standing& s : standings)
        common.resize(
            static_cast<size_t>(std::mismatch(common.begin(), common.end(), s.name.begin(), s.name.end()).first - common.begin()));
    common.resize(common.rfind('/') == std::string::npos ? 0 : common.rfind('/') + 1);
    std::vector<std::string> names;
    for (const Standing& s : standings) {
        const std::string name = s.name.substr(common.size());
        size_t cut = name.size() - std::min(name.size(), longest_name);
        while (cut < name.size() && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) ++cut;  // within a letter
        names.push_back(cut == 0 ? name : "…" + as_utf8(name.substr(cut)));
    }
    return names;
}

struct Bar {
    size_t first, last, column;
};
/// Neighbours of which no two are told apart, each as many as can be; bars that do not touch share a column.
std::vector<Bar> not_told_apart(const Pairs& pairs) {
    std::vector<Bar> all;
    std::vector<size_t> ends;  // of each column
    for (size_t first = 0; first < pairs.size(); ++first) {
        const auto fits = [&](size_t next) {
            for (size_t i = first; i < next; ++i)
                if (!can_be_decided(pairs[i][next]) || pairs[i][next].verdict != Verdict::not_decided) return false;
            return true;
        };
        size_t end = first + 1;
        while (end < pairs.size() && fits(end)) ++end;
        if (end - first == 1 || (!all.empty() && all.back().last >= end - 1)) continue;
        const auto free = std::find_if(ends.begin(), ends.end(), [&](size_t last) { return last < first; });
        all.push_back({first, end - 1, static_cast<size_t>(free - ends.begin())});
        if (free == ends.end())
            ends.push_back(end - 1);
        else
            *free = end - 1;
    }
    return all;
}

Axis axis_of(const std::vector<Standing>& standings) {
    double low = 100, high = 0;
    for (const auto& [name, group] : standings) {
        std::vector<double> shown = {group.last.mean - group.last.deviation, group.last.mean + group.last.deviation};
        for (const Run& run : group.runs) shown.push_back(run.last);
        low = std::min(low, *std::min_element(shown.begin(), shown.end()));
        high = std::max(high, *std::max_element(shown.begin(), shown.end()));
    }
    return accuracy_axis(low, high, left, right);
}

}  // namespace

std::string standings_svg(const std::vector<Standing>& standings, const Pairs& pairs) {
    const Axis x = axis_of(standings);
    const double bottom = top + row * static_cast<double>(standings.size());
    const auto height_of = [&](size_t i) { return top + row * (static_cast<double>(i) + 0.5); };
    const std::vector<std::string> names = short_names(standings);
    const std::vector<Bar> together = not_told_apart(pairs);
    size_t columns = 1;
    for (const Bar& bar : together) columns = std::max(columns, bar.column + 1);
    const double width = bars + bar_gap * static_cast<double>(columns) + 8;
    std::ostringstream svg;
    svg << open_picture(width, bottom + 88, "test accuracy of trainings, in order", std::string(chart_style) + style);
    for (const double tick : x.ticks())
        svg << svg_line("faint", {x.at(tick), top}, {x.at(tick), bottom})
            << svg_words({x.at(tick), bottom + 18}, "small mid", fixed(tick, x.digits()));
    svg << svg_line("axis", {left, bottom}, {right, bottom}) << '\n';
    for (size_t i = 0; i < standings.size(); ++i) {
        const Group& group = standings[i].group;
        const Point mean{x.at(group.last.mean), height_of(i)};
        const double reach = x.at(group.last.mean + group.last.deviation) - mean.x;
        svg << "<g class=\"row" << (is_trained_alone(group.any()) ? " alone" : "") << (can_be_decided(pairs, i) ? "" : " hollow")
            << "\"><title>" << escaped(standings[i].name + ": " + group.name()) << "</title>"
            << svg_words({left - 14, mean.y + 5}, "figure end", names[i]);
        if (reach > 0) svg << svg_line("reach", mean - Point{reach, 0}, mean + Point{reach, 0});
        for (const Run& run : group.runs) svg << svg_dot("seed", {x.at(run.last), mean.y + 8}, 2.4);
        svg << svg_dot("mean", mean, 5) << svg_words({figures, mean.y + 5}, "end", mean_and_deviation(group.last))
            << svg_words({counts, mean.y + 5}, "small end", "n " + std::to_string(group.last.n)) << "</g>\n";
    }
    for (const Bar& bar : together) {
        const double at = bars + bar_gap * static_cast<double>(bar.column);
        svg << svg_line("together", {at, height_of(bar.first) - 7}, {at, height_of(bar.last) + 7}) << '\n';
    }
    svg << svg_words({(left + right) / 2, bottom + 38}, "mid", "top-1 accuracy on the test set (%)")
        << svg_words(
               {width - 8, bottom + 60}, "small end",
               "mean ± standard deviation, below it the seeds; a bar joins neighbours that are not told apart, the table has all pairs")
        << svg_words({width - 8, bottom + 78}, "small end", "grey: trained alone; hollow: too few runs to tell, or all alike")
        << "\n</svg>\n";
    return svg.str();
}

}  // namespace distill
