#include "graph_batch_svg.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "base_error.h"
#include "base_svg.h"
#include "base_texts.h"
#include "data_png.h"

namespace distill {
namespace {

const char* const style = R"(
.ktg .edge { fill: none; stroke-width: .7; opacity: .45; } .ktg .both { stroke-width: 1.4; opacity: .85; }
.ktg .own { stroke: var(--g-through); } .ktg .own.both { stroke-width: 2.4; } .ktg .other { stroke: var(--g-linear); stroke-dasharray: 6 2; }
.ktg .takes.own { fill: var(--g-through); stroke: none; } .ktg .takes.other { fill: var(--g-linear); stroke: none; }
.ktg .frame { fill: none; stroke: var(--g-rule); }
.ktg image { image-rendering: pixelated; }
)";

constexpr double picture = 30, gap = 5, class_gap = 9, words_room = 84, words_height = 22, margin = 20, title_height = 50,
                 legend_height = 46;
constexpr double pi = 3.14159265358979;

class Drawing {
  public:
    explicit Drawing(const BatchGraphs& graphs) : graphs_(graphs), order_(graphs.images.size()) {
        std::iota(order_.begin(), order_.end(), size_t{0});
        std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return image(a).label < image(b).label; });
        double length = 0;  // of the circle
        std::vector<double> at(order_.size());
        for (size_t place = 0; place < order_.size(); ++place) {
            const bool new_class = image(order_[place]).label != image(order_[place == 0 ? order_.size() - 1 : place - 1]).label;
            length += (new_class ? class_gap : 0) + picture + gap;
            at[place] = length - (picture + gap) / 2;
        }
        radius_ = std::max(length / (2 * pi), 2 * picture);
        angles_.resize(order_.size());
        for (size_t place = 0; place < order_.size(); ++place) angles_[order_[place]] = 2 * pi * at[place] / length - pi / 2;
        side_ = 2 * (radius_ + picture + words_room);
    }

    std::string draw() const {
        std::ostringstream svg;
        const double width = 2 * side_ + 2 * margin, tall = side_ - 2 * (words_room - words_height),
                     height = title_height + tall + legend_height;
        svg << open_picture(
            width, height, text("graphs of a batch of ", graphs_.images.size(), " images: ", graphs_.left.title, ", ", graphs_.right.title),
            style);
        const GraphShares shares = graph_shares(graphs_);
        const double top = title_height + tall / 2;
        svg << panel({margin + side_ / 2, top}, graphs_.left, graphs_.right, shares.right_left);
        svg << panel({margin + 1.5 * side_, top}, graphs_.right, graphs_.left, shares.right_right);
        svg << legend(height - legend_height / 2, width, shares.overlap) << "</svg>\n";
        return svg.str();
    }

  private:
    const BatchImage& image(size_t i) const { return graphs_.images[i]; }
    Point around(Point centre, size_t i, double radius) const {
        return centre + Point{radius * std::cos(angles_[i]), radius * std::sin(angles_[i])};
    }

    std::string panel(Point centre, const BatchGraph& graph, const BatchGraph& other, double right) const {
        std::string svg =
            svg_words({centre.x, title_height / 2}, "name mid", graph.title) +
            svg_words({centre.x, title_height / 2 + 18}, "small mid", fixed(right, 1) + " % of the neighbours are of the image's class");
        for (const int layer : {0, 1, 2, 3})  // what stays within a class lies on top, there and else what both have
            for (size_t i = 0; i < order_.size(); ++i)
                for (size_t j = 0; j < order_.size(); ++j) {
                    const bool both = other.takes_from[i][j], own = image(i).label == image(j).label;
                    if (i != j && graph.takes_from[i][j] && layer == 2 * own + both) svg += edge(centre, j, i, both);
                }
        for (size_t i = 0; i < order_.size(); ++i) svg += node(centre, i);
        return svg;
    }

    std::string edge(Point centre, size_t from, size_t to, bool both) const {
        const std::string kind = image(from).label == image(to).label ? "own" : "other";
        const double reach = radius_ - picture * 0.75;
        const Point a = around(centre, from, reach), b = around(centre, to, reach), bend = centre + (a + b - centre * 2) * 0.2;
        return "<path class=\"edge " + kind + (both ? " both" : "") + "\" d=\"M" + svg_at(a) + " Q" + svg_at(bend) + " " + svg_at(b) +
               "\"/>" + svg_dot("takes " + kind, b, both ? 2 : 1.5) + "\n";
    }

    std::string node(Point centre, size_t i) const {
        const Point p = around(centre, i, radius_), corner = p - Point{picture / 2, picture / 2};
        std::string svg = "<g><title>" + escaped(text("image ", image(i).record, ", ", image(i).class_name)) + "</title>";
        svg += "<image x=\"" + svg_px(corner.x) + "\" y=\"" + svg_px(corner.y) + "\" width=\"" + svg_px(picture) + "\" height=\"" +
               svg_px(picture) + "\" href=\"" + png_uri(image(i).png) + "\"/>" + svg_box(p, picture, picture, 0, "frame") + "</g>";
        return svg + (first_of_class(i) ? class_words(centre, i) : "") + "\n";
    }

    bool first_of_class(size_t i) const {
        return std::none_of(order_.begin(), std::find(order_.begin(), order_.end(), i),
                            [&](size_t j) { return image(j).label == image(i).label; });
    }
    std::string class_words(Point centre, size_t i) const {
        constexpr size_t most = 13;
        const std::string& whole = image(i).class_name;
        const Point p = around(centre, i, radius_ + picture * 0.85);
        const double along = std::cos(angles_[i]);
        const char* anchor = along > 0.12 ? "small" : along < -0.12 ? "small end" : "small mid";
        return svg_words(p + Point{0, 4}, anchor, first_characters(whole, most) == whole ? whole : first_characters(whole, most - 1) + "…");
    }

    std::string legend(double y, double width, double overlap) const {
        Point p = {(width - 640) / 2, y};
        std::string svg;
        const auto entry = [&](const std::string& classes, const std::string& what, double room) {
            svg += svg_line(classes, p, p + Point{34, 0}) + svg_words(p + Point{42, 4}, "small", what);
            p.x += room;
        };
        entry("edge both own", "takes from its own class", 190);
        entry("edge both other", "from another class", 160);
        entry("edge own", "thin: not in the other graph; " + fixed(overlap, 1) + " % are in both", 0);
        return svg;
    }

    const BatchGraphs& graphs_;
    std::vector<size_t> order_;   ///< images, class by class
    std::vector<double> angles_;  ///< of each image
    double radius_ = 0, side_ = 0;
};

}  // namespace

GraphShares graph_shares(const BatchGraphs& g) {
    double edges[2] = {0, 0}, right[2] = {0, 0}, common = 0;
    for (size_t i = 0; i < g.images.size(); ++i)
        for (size_t j = 0; j < g.images.size(); ++j) {
            if (i == j) continue;
            const bool left = g.left.takes_from[i][j], other = g.right.takes_from[i][j], alike = g.images[i].label == g.images[j].label;
            edges[0] += left, edges[1] += other;
            right[0] += left && alike, right[1] += other && alike;
            common += left && other;
        }
    const auto share = [](double part, double whole) { return whole > 0 ? 100 * part / whole : 0; };
    return {share(right[0], edges[0]), share(right[1], edges[1]), share(common, edges[0])};
}

std::string batch_graphs_svg(const BatchGraphs& graphs) { return Drawing(graphs).draw(); }

}  // namespace distill
