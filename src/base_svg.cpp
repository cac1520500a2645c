#include "base_svg.h"

#include <algorithm>

#include "base_texts.h"

namespace distill {
namespace {

struct Colour {
    const char *name, *light, *dark, *print;
};
// Okabe and Ito's palette, as in the report's pages.
const Colour palette[] = {{"page", "#fff", "#14171b", "#fff"},          {"ink", "#1b1f24", "#e8ebee", "#000"},
                          {"soft", "#5b6570", "#9aa5b0", "#4a545e"},    {"rule", "#c4cbd2", "#4a535d", "#c4cbd2"},
                          {"card", "#f7f9fb", "#1c2127", "#f7f9fb"},    {"ice", "#eaf3fa", "#1b2a36", "#eaf3fa"},
                          {"through", "#0072b2", "#4aa8e0", "#0072b2"}, {"linear", "#d55e00", "#ff8a45", "#d55e00"},
                          {"correct", "#008a64", "#2cc295", "#008a64"}};

const char* const common_style = R"(
.ktg { background: var(--g-page); }
.ktg text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--g-soft);
  font-variant-numeric: tabular-nums; }
.ktg .name { font-size: 15px; font-weight: 650; fill: var(--g-ink); } .ktg .figure { font-weight: 600; fill: var(--g-ink); }
.ktg .small { font-size: 11.5px; } .ktg .mid { text-anchor: middle; } .ktg .end { text-anchor: end; }
)";

/// The rules with each var(--g-NAME) as that colour of the palette: programs that show pictures, but are no browsers, know no variables.
std::string coloured(std::string rules, const char* Colour::*scheme) {
    for (const Colour& colour : palette) {
        const std::string variable = std::string("var(--g-") + colour.name + ")";
        for (size_t at = rules.find(variable); at != std::string::npos; at = rules.find(variable, at))
            rules.replace(at, variable.size(), colour.*scheme);
    }
    return rules;
}

}  // namespace

const char* const chart_style = R"(
.ktg .faint { stroke: var(--g-rule); stroke-opacity: .6; fill: none; } .ktg .axis { stroke: var(--g-soft); fill: none; }
)";

const char* const curve_style = R"(.ktg .curve { stroke: var(--g-through); stroke-width: 2.4; fill: none; stroke-linejoin: round; }
.ktg .whisker { stroke: var(--g-through); stroke-width: 1.4; fill: none; }
.ktg .mean { fill: var(--g-through); stroke: var(--g-page); stroke-width: 1.5; } .ktg .seed { fill: var(--g-through); fill-opacity: .35; }
)";

std::string svg_px(double value) { return fixed(value, 1); }
std::string svg_at(Point p) { return svg_px(p.x) + " " + svg_px(p.y); }

std::string escaped(const std::string& raw) {
    std::string out, text = as_utf8(raw);
    for (const char* none : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"})  // U+FFFE and U+FFFF, which XML does not take
        for (size_t at; (at = text.find(none)) != std::string::npos;) text.replace(at, 3, "\uFFFD");
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else if (const auto u = static_cast<unsigned char>(c); u == 0x7F || (u < 0x20 && c != '\t' && c != '\n' && c != '\r'))
            out += "\uFFFD";
        else
            out += c;
    }
    return out;
}

std::string svg_words(Point p, const std::string& classes, const std::string& what) {
    return "<text class=\"" + classes + "\" x=\"" + svg_px(p.x) + "\" y=\"" + svg_px(p.y) + "\">" + escaped(what) + "</text>";
}

std::string svg_box(Point centre, double width, double height, double radius, const std::string& classes) {
    const Point corner = centre - Point{width / 2, height / 2};
    return "<rect class=\"" + classes + "\" x=\"" + svg_px(corner.x) + "\" y=\"" + svg_px(corner.y) + "\" width=\"" + svg_px(width) +
           "\" height=\"" + svg_px(height) + "\" rx=\"" + svg_px(radius) + "\"/>";
}

std::string svg_line(const std::string& classes, Point a, Point b) {
    return "<path class=\"" + classes + "\" d=\"M" + svg_at(a) + " L" + svg_at(b) + "\"/>";
}

std::string svg_dot(const std::string& classes, Point p, double radius, double fill) {
    return "<circle class=\"" + classes + "\" cx=\"" + svg_px(p.x) + "\" cy=\"" + svg_px(p.y) + "\" r=\"" + svg_px(radius) + "\"" +
           (fill < 1 ? " fill-opacity=\"" + fixed(fill) + "\"" : "") + "/>";
}

std::string svg_whiskers(Point mean, double reach) {
    std::string all;
    for (const double end : {-reach, reach})
        all += svg_line("whisker", mean, mean + Point{0, end}) + svg_line("whisker", mean + Point{-6, end}, mean + Point{6, end});
    return all;
}

std::string svg_curve(const std::vector<Point>& points) {
    std::string path;
    for (const Point p : points) path += (path.empty() ? "M" : " L") + svg_at(p);
    return "<path class=\"curve\" d=\"" + path + "\"/>";
}

std::string svg_mean(Point mean, const std::string& title, const std::string& figure) {
    return "<g><title>" + escaped(title) + "</title>" + svg_dot("mean", mean, 5) + "</g>" +
           svg_words(mean + Point{-10, -9}, "figure end", figure) + "\n";
}

std::string open_picture(double width, double height, const std::string& label, const std::string& style) {
    const std::string rules = common_style + style;
    return "<svg class=\"ktg\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + svg_px(width) + ' ' + svg_px(height) + "\" width=\"" +
           svg_px(width) + "\" height=\"" + svg_px(height) + "\" role=\"img\" aria-label=\"" + escaped(label) + "\"><style>" +
           coloured(rules, &Colour::light) + "@media (prefers-color-scheme: dark) {" + coloured(rules, &Colour::dark) +
           "}\n@media print {" + coloured(rules, &Colour::print) + "}\n</style>\n";
}

int Axis::digits() const { return std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9))); }

std::vector<double> Axis::ticks() const {
    std::vector<double> all;
    for (double i = std::round(low / step); i <= std::round(high / step); ++i) all.push_back(i * step);
    return all;
}

Axis round_axis(double low, double high, int intervals, double from, double to) {
    const double raw = std::max(high - low, 1e-6) / intervals, power = std::pow(10, std::floor(std::log10(raw)));
    const double step = power * (raw <= power ? 1 : raw <= 2 * power ? 2 : raw <= 5 * power ? 5 : 10);
    low = std::floor(low / step + 1e-9) * step;
    return {low, std::max(std::ceil(high / step - 1e-9) * step, low + step), step, from, to};
}

Axis accuracy_axis(double low, double high, double from, double to) {
    const double widen = std::max(0.05 * (high - low), (1 - (high - low)) / 2);
    return round_axis(low - widen, high + widen, 6, from, to);
}

std::string svg_grid(const Axis& upright, double left, double right) {
    std::string all;
    for (const double tick : upright.ticks())
        all += svg_line("faint", {left, upright.at(tick)}, {right, upright.at(tick)}) +
               svg_words({left - 8, upright.at(tick) + 4}, "small end", fixed(tick, upright.digits()) + " %");
    return all;
}

}  // namespace distill
