// base_svg.h: what the pictures share: coordinates, words and boxes, axes, colours.
// defines: Point, svg_px, svg_at, escaped, svg_words, svg_box, svg_line, svg_dot, svg_whiskers, svg_curve, svg_mean, open_picture,
//          picture_begins, chart_style, curve_style, Axis, round_axis, accuracy_axis, svg_grid
#pragma once
#include <cmath>
#include <string>
#include <vector>

namespace distill {

struct Point {
    double x = 0, y = 0;
    Point operator+(Point o) const { return {x + o.x, y + o.y}; }
    Point operator-(Point o) const { return {x - o.x, y - o.y}; }
    Point operator*(double f) const { return {x * f, y * f}; }
    double length() const { return std::hypot(x, y); }
};

std::string svg_px(double value);  ///< a length or coordinate
std::string svg_at(Point p);       ///< "12.0 34.5", as paths have it
/// Text as XML and HTML hold it, also between quotes; what is no UTF-8 (as_utf8), or no character of theirs, is replaced.
std::string escaped(const std::string& raw);

std::string svg_words(Point p, const std::string& classes, const std::string& what);
std::string svg_box(Point centre, double width, double height, double radius, const std::string& classes);
std::string svg_line(const std::string& classes, Point a, Point b);
/// `fill`: its opacity, said where it is below 1.
std::string svg_dot(const std::string& classes, Point centre, double radius, double fill = 1);
/// Upright, as far above the mean as below; of class `whisker`.
std::string svg_whiskers(Point mean, double reach);
/// From point to point; of class `curve`.
std::string svg_curve(const std::vector<Point>& points);
/// A dot of class `mean` that shows `title` when pointed at, its figure left above it; a whole line.
std::string svg_mean(Point mean, const std::string& title, const std::string& figure);

/// The <svg> of a picture that is a file by itself or stands in an HTML page, light or dark as the reader's page is. Its rules begin with
/// `.ktg`; they have the colours var(--g-page), ink, soft, rule, card, ice, through, linear, correct, which stand in the picture as numbers,
/// the texts name, figure, small, mid, end.
std::string open_picture(double width, double height, const std::string& label, const std::string& style);
inline const char* const picture_begins = "<svg class=\"ktg\"";  ///< every such file
/// Rules for open_picture: of a chart's grid and axis (`faint`, `axis`), which come first, and of a curve of means (`curve`, `whisker`,
/// `mean`, `seed`).
extern const char* const chart_style;
extern const char* const curve_style;

/// A linear axis over round numbers: `low` and `high` are multiples of `step`.
struct Axis {
    double low, high, step;
    double from, to;  ///< pixels of low and high
    double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
    int digits() const;  ///< that its ticks need behind the point
    std::vector<double> ticks() const;
};

/// At least from `low` to `high`, in about so many intervals.
Axis round_axis(double low, double high, int intervals, double from, double to);
/// Of accuracies from `low` to `high`: nothing lies on the frame, and no less than a point is shown, which would magnify nothing.
Axis accuracy_axis(double low, double high, double from, double to);
/// A line of class `faint` from left to right (pixels) at each tick of an upright axis in percent, which stands before it.
std::string svg_grid(const Axis& upright, double left, double right);

}  // namespace distill
