// The picture of FEED's accuracy over the number of teachers.
#include <algorithm>
#include <sstream>

#include "base_svg.h"
#include "report_feed.h"

namespace distill {
namespace {

using Kind = FeedResult::Kind;

// FEED is blue, what one teacher taught orange, an ensemble's logits green; the student alone and the teachers are grey.
const char* const style = R"(.ktg .base { stroke-width: 1.6; fill: none; } .ktg .lead { stroke: var(--g-rule); fill: none; }
.ktg .alone { stroke: var(--g-ink); } .ktg .teachers { stroke: var(--g-soft); stroke-dasharray: 1.5 4; stroke-linecap: round; }
.ktg .one { stroke: var(--g-linear); stroke-dasharray: 7 4; } .ktg .ensemble { stroke: var(--g-correct); stroke-dasharray: 7 4; }
.ktg .sequential { stroke: var(--g-through); stroke-dasharray: 3 3; }
)";

constexpr double width = 860, height = 430, left = 62, right = 540, top = 24, bottom = 370, label_left = 566, label_gap = 18;

const char* class_of(Kind kind) {
    switch (kind) {
        case Kind::alone: return "alone";
        case Kind::one_teacher: return "one";
        case Kind::ensemble: return "ensemble";
        case Kind::sequential: return "sequential";
        default: return "teachers";
    }
}

/// Moves heights, given from the top down, apart by at least `label_gap`, within the picture.
void spread_out(std::vector<double>& heights) {
    for (size_t i = 1; i < heights.size(); ++i) heights[i] = std::max(heights[i], heights[i - 1] + label_gap);
    double limit = bottom;
    for (size_t i = heights.size(); i-- > 0; limit = heights[i] - label_gap) heights[i] = std::min(heights[i], limit);
}

Axis axis_of(const FeedStudy& study) {
    double low = 100, high = 0;
    const auto include = [&](double value) { low = std::min(low, value), high = std::max(high, value); };
    for (const FeedResult& r : study.parallel) {
        include(r.accuracy.mean - r.accuracy.deviation), include(r.accuracy.mean + r.accuracy.deviation);
        for (const Run& run : r.group->runs) include(run.last);
    }
    for (const FeedResult& r : study.baselines) include(r.accuracy.mean);
    return accuracy_axis(low, high, bottom, top);
}

std::string baselines(const FeedStudy& study, const Axis& y) {
    std::vector<FeedResult> lines = study.baselines;
    std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.accuracy.mean > b.accuracy.mean; });
    std::vector<double> labels;
    for (const FeedResult& r : lines) labels.push_back(y.at(r.accuracy.mean));
    spread_out(labels);
    std::string svg;
    for (size_t i = 0; i < lines.size(); ++i) {
        const double level = y.at(lines[i].accuracy.mean);
        svg += svg_line(std::string("base ") + class_of(lines[i].kind), {left, level}, {right, level}) +
               svg_line("lead", {right + 2, level}, {label_left - 6, labels[i]}) +
               svg_words({label_left, labels[i] + 4}, "", lines[i].name + ": " + mean_and_deviation(lines[i].accuracy)) + "\n";
    }
    return svg;
}

}  // namespace

std::string feed_svg(const FeedStudy& study) {
    const Axis y = axis_of(study);
    const double most = study.parallel.back().teachers;
    const Axis x{0.5, most + 0.5, 1, left, right};
    std::ostringstream svg;
    svg << open_picture(width, height, "test accuracy of " + study.student + " over the number of teachers",
                        std::string(chart_style) + curve_style + style);
    svg << svg_grid(y, left, right) << svg_line("axis", {left, bottom}, {right, bottom}) << '\n';
    for (double n = 1; n <= most; ++n)
        svg << svg_line("axis", {x.at(n), bottom}, {x.at(n), bottom + 4}) << svg_words({x.at(n), bottom + 20}, "small mid", fixed(n, 0));
    svg << svg_words({(left + right) / 2, bottom + 44}, "mid", "teachers of parallel FEED") << '\n' << baselines(study, y);

    std::vector<Point> curve;
    for (const FeedResult& r : study.parallel) {
        const Point mean{x.at(r.teachers), y.at(r.accuracy.mean)};
        const double reach = mean.y - y.at(r.accuracy.mean + r.accuracy.deviation);
        curve.push_back(mean);
        if (r.accuracy.n < 2) continue;
        svg << svg_whiskers(mean, reach);
        for (const Run& run : r.group->runs) svg << svg_dot("seed", {mean.x + 12, y.at(run.last)}, 2.6);
    }
    svg << svg_curve(curve) << '\n';
    for (const FeedResult& r : study.parallel)
        svg << svg_mean({x.at(r.teachers), y.at(r.accuracy.mean)},
                        r.name + ", " + std::to_string(r.teachers) + ": " + mean_and_deviation(r.accuracy), fixed(r.accuracy.mean));
    svg << "</svg>\n";
    return svg.str();
}

}  // namespace distill
