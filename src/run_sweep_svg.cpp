// The picture of a sweep: accuracy over an option's values.
#include <algorithm>
#include <sstream>

#include "base_stats.h"
#include "base_svg.h"
#include "base_texts.h"
#include "run_sweep.h"

namespace distill {
namespace {

constexpr double height = 380, left = 62, top = 24, bottom = 320, step = 96;

Axis axis_of(const std::vector<SweptValue>& values) {
    double low = 100, high = 0;
    for (const SweptValue& v : values) {
        const Spread s = spread(v.last);
        low = std::min({low, s.mean - s.deviation, *std::min_element(v.last.begin(), v.last.end())});
        high = std::max({high, s.mean + s.deviation, *std::max_element(v.last.begin(), v.last.end())});
    }
    return accuracy_axis(low, high, bottom, top);
}

}  // namespace

std::string sweep_svg(const std::string& option, const std::vector<SweptValue>& values) {
    const Axis y = axis_of(values);
    const double right = left + step * static_cast<double>(values.size());
    std::ostringstream svg;
    svg << open_picture(right + 24, height, "test accuracy over " + option, std::string(chart_style) + curve_style);
    svg << svg_grid(y, left, right) << svg_line("axis", {left, bottom}, {right, bottom})
        << svg_words({(left + right) / 2, bottom + 44}, "mid", "--" + option) << '\n';
    std::vector<Point> curve;
    std::string marks;
    for (size_t i = 0; i < values.size(); ++i) {
        const Spread s = spread(values[i].last);
        const Point mean{left + step * (static_cast<double>(i) + 0.5), y.at(s.mean)};
        svg << svg_words({mean.x, bottom + 20}, "small mid", values[i].value);
        curve.push_back(mean);
        if (s.n > 1) {
            const double reach = mean.y - y.at(s.mean + s.deviation);
            svg << svg_whiskers(mean, reach);
            for (const double last : values[i].last) svg << svg_dot("seed", {mean.x + 12, y.at(last)}, 2.6);
        }
        marks += svg_mean(mean, option + " " + values[i].value + ": " + mean_and_deviation(s), fixed(s.mean));
    }
    svg << svg_curve(curve) << '\n' << marks << "</svg>\n";
    return svg.str();
}

}  // namespace distill
