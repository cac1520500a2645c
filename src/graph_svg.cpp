// A graph as a picture: cards on an ellipse, node 0 on top; edges bend to their own right, so that two that go both ways lie apart.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "base_svg.h"
#include "base_texts.h"
#include "graph_show.h"

namespace distill {
namespace {

// Colour and dash both tell a gate.
const char* const style = R"(
.ktg .card { fill: var(--g-card); stroke: var(--g-rule); stroke-width: 1.25; } .ktg .target { stroke: var(--g-ink); stroke-width: 2.5; }
.ktg .frozen { fill: var(--g-ice); stroke-dasharray: 5 4; stroke: var(--g-soft); }
.ktg .ice { stroke: var(--g-soft); stroke-width: 1.3; stroke-linecap: round; fill: none; }
.ktg .sum { stroke: var(--g-soft); stroke-width: 1.2; fill: none; } .ktg .pill { fill: var(--g-page); }
.ktg .edge { fill: none; stroke-width: 2.2; } .ktg .chip { fill: var(--g-page); stroke-width: 1.6; }
.ktg .through { stroke: var(--g-through); } .ktg .linear { stroke: var(--g-linear); stroke-dasharray: 9 5; }
.ktg .correct { stroke: var(--g-correct); stroke-dasharray: 1.5 5; stroke-linecap: round; stroke-width: 2.8; }
.ktg .head.through { fill: var(--g-through); stroke: none; } .ktg .head.linear { fill: var(--g-linear); stroke: none; }
.ktg .head.correct { fill: var(--g-correct); stroke: none; } .ktg .head.sum { fill: var(--g-soft); stroke: none; }
.ktg text.through { fill: var(--g-through); stroke: none; } .ktg text.linear { fill: var(--g-linear); stroke: none; }
.ktg text.correct { fill: var(--g-correct); stroke: none; }
)";

constexpr double card_width = 176, card_height = 62, margin = 24, chip_width = 104, chip_height = 24, chip_gap = 34;
constexpr double legend_width = 556, legend_height = 58;
constexpr size_t most_captions = 13;  // with more edges their names hide them; colour and dash remain

/// A quadratic Bézier curve.
struct Curve {
    Point a, control, b;
    Point operator()(double t) const { return a * ((1 - t) * (1 - t)) + control * (2 * t * (1 - t)) + b * (t * t); }
    Point direction(double t) const { return (control - a) * (1 - t) + (b - control) * t; }
    Curve part(double from, double to) const {
        return {(*this)(from), a * ((1 - from) * (1 - to)) + control * (from * (1 - to) + to * (1 - from)) + b * (from * to), (*this)(to)};
    }
};

bool inside(Point p, Point card, double gap) {
    return std::abs(p.x - card.x) < card_width / 2 + gap && std::abs(p.y - card.y) < card_height / 2 + gap;
}

/// Between two cards, from edge to edge, bent to its right by a share of its length.
Curve between(Point from, Point to, double bend) {
    const Point along = to - from, right = {-along.y, along.x};
    const Curve whole = {from, (from + to) * 0.5 + right * bend, to};
    constexpr int steps = 400;
    double first = 0, last = 1;
    for (int i = 0; i <= steps && inside(whole(first), from, 3); ++i) first = static_cast<double>(i) / steps;
    for (int i = steps; i >= 0 && inside(whole(last), to, 3); --i) last = static_cast<double>(i) / steps;
    return first < last ? whole.part(first, last) : whole;
}

/// The line ends where the head begins.
std::string arrow(Curve curve, const std::string& kind, const std::string& title) {
    constexpr double size = 11, half = 5;
    const double span = (curve.b - curve.a).length(), stop = std::max(0.0, 1 - 0.8 * size / std::max(span, 1.0));
    const Point tip = curve.b, towards = curve.direction(1) * (1 / std::max(curve.direction(1).length(), 1e-9));
    const Point back = tip - towards * size, side = {-towards.y * half, towards.x * half};
    const Curve line = curve.part(0, stop);
    const std::string path = "M" + svg_at(line.a) + " Q" + svg_at(line.control) + " " + svg_at(line.b);
    const std::string head = "M" + svg_at(tip) + " L" + svg_at(back + side) + " L" + svg_at(back - side) + " Z";
    return "<g><title>" + escaped(title) + "</title><path class=\"edge " + kind + "\" d=\"" + path + "\"/><path class=\"head " + kind +
           "\" d=\"" + head + "\"/></g>\n";
}

std::string snowflake(Point p) {
    std::string d;
    for (int i = 0; i < 3; ++i) {
        const double angle = 3.14159265358979 * (i / 3.0 + 0.5);
        const Point arm = {6 * std::cos(angle), 6 * std::sin(angle)};
        d += "M" + svg_at(p - arm) + " L" + svg_at(p + arm) + " ";
    }
    return "<path class=\"ice\" d=\"" + d + "\"/>";
}

class Picture {
  public:
    Picture(const Graph& graph, const GraphOutcome& outcome) : graph_(graph), outcome_(outcome) {
        const int n = graph.size();
        const double rx = n == 1 ? 0 : n == 2 ? 205 : n == 3 ? 215 : n == 4 ? 262 : 320;
        const double ry = n <= 2 ? 0 : n == 3 ? 112 : n == 4 ? 150 : 215;
        const double reach = card_height / 2 + chip_gap + chip_height + margin;
        const double side = std::max(rx + card_width / 2, legend_width / 2) + margin;
        std::vector<Point> offsets;
        for (int i = 0; i < n; ++i) {
            const double angle = 2 * 3.14159265358979 * i / n - (n == 2 ? 3.14159265358979 : 1.5707963267949);
            offsets.push_back({rx * std::cos(angle), n <= 2 ? 0 : ry * std::sin(angle)});
        }
        double top = 0, bottom = 0;  // of all that is drawn
        for (int i = 0; i < n; ++i) {
            const double y = offsets[static_cast<size_t>(i)].y;
            const double room = graph.gate(i, i) == Gate::cutoff ? card_height / 2 + margin : reach;  // with a label edge: its chip
            top = std::min(top, y - (y > 1 ? card_height / 2 : room));
            bottom = std::max(bottom, y + (y > 1 ? room : card_height / 2 + margin));
        }
        width_ = 2 * side;
        height_ = bottom - top + legend_height;
        middle_ = -top;
        for (const Point& p : offsets) centres_.push_back(Point{side, middle_} + p);
    }

    std::string draw() const {
        std::ostringstream svg;
        const std::string nodes = std::to_string(graph_.size()) + (graph_.size() == 1 ? " node" : " nodes");
        svg << open_picture(width_, height_, "knowledge transfer graph of " + nodes, style);
        for (int i = 0; i < graph_.size(); ++i)
            for (const int member : graph_.node(i).members)
                svg << arrow(between(centre(member), centre(i), 0), "sum", text_of(member) + " is summed into " + text_of(i));
        const std::vector<GraphEdge> edges = graph_.edges();
        for (const GraphEdge& edge : edges) svg << (edge.from_label() ? label_edge(edge) : transfer_edge(edge));
        for (const GraphEdge& edge : edges)
            if (edges.size() <= most_captions && !edge.from_label()) svg << caption(edge);
        for (int i = 0; i < graph_.size(); ++i) svg << card(i);
        svg << legend() << "</svg>\n";
        return svg.str();
    }

  private:
    Point centre(int i) const { return centres_[static_cast<size_t>(i)]; }
    std::string text_of(int i) const { return "node " + std::to_string(i) + " (" + graph_.node(i).model + ")"; }

    std::string described(const GraphEdge& edge) const {
        const std::string from = edge.from_label() ? "label" : text_of(edge.source);
        std::string all = from + " to " + text_of(edge.target) + ": " + to_string(edge.gate);
        if (const EdgeOutcome* known = outcome_.of_edge(edge.target, edge.source))
            all += ", last epoch: weight " + fixed(known->weight, 3) + ", loss " + fixed(known->loss, 4);
        return all;
    }

    /// Straight where nothing goes the other way.
    Curve curve_of(const GraphEdge& edge) const {
        const std::vector<int>& members = graph_.node(edge.source).members;
        const bool both_ways = graph_.gate(edge.source, edge.target) != Gate::cutoff ||
                               std::find(members.begin(), members.end(), edge.target) != members.end();
        return between(centre(edge.source), centre(edge.target), both_ways ? 0.1 : 0);
    }
    std::string transfer_edge(const GraphEdge& edge) const { return arrow(curve_of(edge), to_string(edge.gate), described(edge)); }

    std::string caption(const GraphEdge& edge) const {
        const std::string name = to_string(edge.gate);
        const Point p = curve_of(edge)(graph_.size() < 4 ? 0.42 : 0.3);  // not in the middle, where edges cross
        const double width = 8.0 + 6.6 * static_cast<double>(name.size());
        return svg_box(p, width, 17, 8, "pill") + svg_words(p + Point{0, 4}, "small mid " + name, name) + "\n";
    }

    /// From a chip above the card, or below it in the lower half.
    std::string label_edge(const GraphEdge& edge) const {
        const Point card = centre(edge.target);
        const double up = card.y > middle_ + 1 ? 1 : -1;
        const Point chip = card + Point{0, up * (card_height / 2 + chip_gap + chip_height / 2)};
        const Point from = chip - Point{0, up * chip_height / 2}, to = card + Point{0, up * (card_height / 2 + 3)};
        const std::string gate = to_string(edge.gate);
        return arrow({from, (from + to) * 0.5, to}, gate, described(edge)) +
               svg_box(chip, chip_width, chip_height, chip_height / 2, "chip " + gate) +
               svg_words(chip + Point{0, 4}, "small mid " + gate, "label · " + gate) + "\n";
    }

    std::string card(int i) const {
        const GraphNode& node = graph_.node(i);
        const Point c = centre(i), left = c - Point{card_width / 2, 0}, right = c + Point{card_width / 2, 0};
        const bool frozen = graph_.is_frozen(i);
        std::string kind = i == 0 ? "target" : frozen ? "frozen" : node.is_ensemble() ? "ensemble" : "trained";
        if (i == 0 && node.is_ensemble()) kind = "target, ensemble";
        const std::string classes = std::string("card") + (i == 0 ? " target" : "") + (frozen ? " frozen" : "");
        std::string svg = "<g>";
        if (node.is_ensemble()) svg += svg_box(c + Point{5, 5}, card_width, card_height, 10, classes);  // a stack of cards
        svg += svg_box(c, card_width, card_height, 10, classes);
        svg += svg_words(left + Point{14, -5}, "name", node.model) + svg_words(right + Point{-14, -5}, "end", std::to_string(i));
        svg += svg_words(left + Point{frozen ? 31.0 : 14.0, 18}, "small", kind);
        if (frozen) svg += snowflake(left + Point{20, 14});
        if (outcome_.of_node(i)) svg += svg_words(right + Point{-14, 18}, "figure end", fixed(*outcome_.of_node(i)) + " %");
        return svg + "</g>\n";
    }

    std::string legend() const {
        const double y = height_ - margin - 4;
        Point p = {(width_ - legend_width) / 2, y};
        std::string svg = "<path class=\"card\" d=\"M" + svg_at({margin, y - 26}) + " H" + svg_px(width_ - margin) + "\"/>";
        const auto entry = [&](const std::string& kind, const std::string& what, double width) {
            svg += arrow({p, p + Point{17, 0}, p + Point{34, 0}}, kind, what) + svg_words(p + Point{42, 4}, "small", what);
            p.x += width;
        };
        entry("through", "through: the whole loss", 186);
        entry("linear", "linear: weight rises 0 to 1", 200);
        entry("correct", "correct: source is right", 0);
        return svg;
    }

    const Graph& graph_;
    const GraphOutcome& outcome_;
    std::vector<Point> centres_;
    double width_ = 0, height_ = 0, middle_ = 0;  ///< middle_: the cards' centre line
};

}  // namespace

std::string graph_svg(const Graph& graph, const GraphOutcome& outcome) { return Picture(graph, outcome).draw(); }

}  // namespace distill
