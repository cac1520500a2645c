#include "search_svg.h"

#include <algorithm>
#include <sstream>

#include "base_error.h"
#include "base_svg.h"
#include "base_texts.h"

namespace distill {
namespace {

// Stopped trials are blue, the fuller the further they came; what is complete is green.
const char* const style = R"(
.ktg .line { stroke: var(--g-rule); stroke-width: 1; fill: none; } .ktg .faint { stroke: var(--g-rule); stroke-opacity: .5; fill: none; }
.ktg .stop { fill: var(--g-through); stroke: var(--g-through); stroke-width: 1.1; }
.ktg .done { fill: var(--g-correct); stroke: var(--g-page); stroke-width: 1; }
.ktg .best { stroke: var(--g-correct); stroke-width: 1.8; fill: none; } .ktg text.best { fill: var(--g-correct); stroke: none; }
.ktg .fail { stroke: var(--g-linear); stroke-width: 1.8; fill: none; }
.ktg .reject { stroke: var(--g-soft); stroke-width: 1.8; fill: none; }
.ktg .reached { fill: var(--g-through); fill-opacity: .22; } .ktg .went { fill: var(--g-through); }
.ktg .complete { fill: var(--g-correct); }
.ktg .track { fill: var(--g-rule); fill-opacity: .4; } .ktg .all { stroke: var(--g-ink); stroke-width: 1.6; }
.ktg .f-through { fill: var(--g-through); } .ktg .f-linear { fill: var(--g-linear); } .ktg .f-correct { fill: var(--g-correct); }
.ktg .f-cutoff, .ktg .f-network { fill: var(--g-soft); } .ktg .weak { fill-opacity: .45; }
.ktg .chosen { fill: var(--g-card); stroke: var(--g-rule); } .ktg .head { font-size: 12.5px; font-weight: 600; }
)";

constexpr double width = 1000, margin = 28, panel_top = 116, row_height = 25;
constexpr double history_left = 66, history_right = 636, survivors_left = 690;

std::string bar(Point left, double length, double height, const std::string& classes) {
    return length <= 0 ? "" : svg_box(left + Point{length / 2, 0}, length, height, 2, classes);
}

std::string cross(Point p) {
    return "<path class=\"fail\" d=\"M" + svg_at(p - Point{3, 3}) + " L" + svg_at(p + Point{3, 3}) + " M" + svg_at(p + Point{-3, 3}) +
           " L" + svg_at(p + Point{3, -3}) + "\"/>";
}

std::string epochs_text(int64_t epochs) { return std::to_string(epochs) + (epochs == 1 ? " epoch" : " epochs"); }

double share(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

class Picture {
  public:
    explicit Picture(const SearchHistory& history) : history_(history), rungs_(rungs_of(history)), preferences_(preferences_of(history)) {
        panel_bottom_ = panel_top + std::max(240.0, row_height * static_cast<double>(rungs_.size() + 4) - 40);
    }

    std::string draw() {
        const std::string upper = trials() + survivors();  // both know where they end before the choices begin
        double y = panel_bottom_ + 96;
        const std::string lower = choices(y);
        return open_picture(width, y, "search: " + search_title(history_), style) +
               svg_words({margin, 38}, "name", search_title(history_)) + svg_words({margin, 60}, "", search_counts(history_)) + "\n" +
               upper + lower + "</svg>\n";
    }

  private:
    int64_t ended() const { return static_cast<int64_t>(history_.trials.size()) - count_of(history_, TrialEvent::started); }

    /// How full the dot of a trial is that stopped after so many epochs.
    double fullness(int64_t epochs) const {
        size_t rung = 0;
        while (rung + 1 < rungs_.size() && rungs_[rung].epochs < epochs) ++rung;
        return 0.9 * static_cast<double>(rung) / static_cast<double>(std::max<size_t>(rungs_.size() - 1, 1)) + 0.05;
    }

    // ---- accuracy over trials

    std::string trials() const {
        double low = 100, high = 0;
        for (const TrialRecord* t : ranked(history_)) low = std::min(low, 100 - *t->error), high = std::max(high, 100 - *t->error);
        std::string svg = svg_words({margin, 96}, "figure", "Accuracy of each trial, in the order of their end");
        if (low > high)
            return svg + svg_words({history_left, panel_top + 40}, "", "No trial has reported an accuracy and ended yet.") + "\n";
        const Axis y = accuracy_axis(low, high, panel_bottom_, panel_top);
        Axis x = round_axis(0, static_cast<double>(ended()), 6, history_left, history_right);
        x.high = static_cast<double>(std::max<int64_t>(ended(), 1));
        svg += svg_grid(y, history_left, history_right);
        const double floor = panel_bottom_ + 28;  // below a strip for trials without a score
        svg += svg_line("line", {history_left, floor}, {history_right, floor});
        x.step = std::max(1.0, x.step);
        for (double tick = 0; tick <= x.high; tick += x.step)
            svg += svg_line("line", {x.at(tick), floor}, {x.at(tick), floor + 4}) +
                   svg_words({x.at(tick), floor + 18}, "small mid", fixed(tick, 0));
        svg += svg_words({(history_left + history_right) / 2, floor + 36}, "small mid", "trials ended") + "\n";
        return svg + dots(x, y, floor - 12) + best_line(x, y);
    }

    std::string dots(const Axis& x, const Axis& y, double strip) const {
        const double radius = ended() > 3000 ? 1.5 : ended() > 400 ? 2.2 : ended() > 150 ? 3 : 3.8;
        std::ostringstream svg;
        double order = 0;
        for (const TrialRecord& t : history_.trials) {
            if (t.state == TrialEvent::started) break;  // they come last
            const double across = x.at(++order);
            svg << "<g><title>" << escaped(described(t)) << "</title>";
            const bool scored = t.state == TrialEvent::complete || t.state == TrialEvent::stopped;
            if (is_untrained(t.state))
                svg << svg_line("reject", {across, strip - 4}, {across, strip + 4});
            else if (!scored || !t.error)
                svg << cross({across, strip});
            else if (t.state == TrialEvent::complete)
                svg << svg_dot("done", {across, y.at(100 - *t.error)}, radius + 1.6);
            else
                svg << svg_dot("stop", {across, y.at(100 - *t.error)}, radius, fullness(t.epochs));
            svg << "</g>\n";
        }
        return svg.str();
    }

    std::string described(const TrialRecord& t) const {
        std::string all = text("trial ", t.trial, ": ", to_string(t.state));
        if (!is_untrained(t.state)) all += " after " + epochs_text(t.epochs);
        if (t.error) all += ", accuracy " + fixed(100 - *t.error) + " %";
        return t.reason.empty() ? all : all + ": " + t.reason;
    }

    std::string best_line(const Axis& x, const Axis& y) const {
        std::string path;
        double order = 0, best = 0;
        int64_t winner = 0;
        for (const TrialRecord& t : history_.trials) {
            if (t.state == TrialEvent::started) break;
            ++order;
            if (t.state != TrialEvent::complete || !t.error || (!path.empty() && 100 - *t.error <= best)) continue;
            best = 100 - *t.error;
            winner = t.trial;
            path += path.empty() ? "M" + svg_at({x.at(order), y.at(best)}) : " H" + svg_px(x.at(order)) + " V" + svg_px(y.at(best));
        }
        if (path.empty()) return "";
        return "<path class=\"best\" d=\"" + path + " H" + svg_px(history_right) + "\"/>" +
               svg_words({history_right, 96}, "small end best", text("best: trial ", winner, ", ", fixed(best), " %")) + "\n";
    }

    // ---- survivors; it is the legend of the dots too

    std::string survivors() const {
        constexpr double bars = survivors_left + 88, longest = 112;
        std::string svg = svg_words({survivors_left - 6, 96}, "figure", "Survivors by rung");
        int64_t most = 1;
        for (const Rung& rung : rungs_) most = std::max(most, rung.reached);
        double y = panel_top + 10;
        for (const Rung& rung : rungs_) {
            const bool last = &rung == &rungs_.back();
            const double reached = longest * share(rung.reached, most), went = longest * share(rung.went_on, most);
            svg += last ? svg_dot("done", {survivors_left, y}, 5.4) : svg_dot("stop", {survivors_left, y}, 3.8, fullness(rung.epochs));
            svg += svg_words({survivors_left + 12, y + 4}, "small", epochs_text(rung.epochs));
            svg += bar({bars, y}, reached, 13, last ? "complete" : "reached") + bar({bars, y}, went, 13, "went");
            svg += svg_words({bars + reached + 8, y + 4}, "small",
                             last ? text(rung.reached, " complete") : text(rung.went_on, " of ", rung.reached)) +
                   "\n";
            y += row_height;
        }
        y += 10;
        const Point mark = {survivors_left, y};
        const auto key = [&](Point p, const std::string& what) { return svg_words(p + Point{12, 4}, "small", what); };
        svg += cross(mark) + key(mark, text(count_of(history_, TrialEvent::failed), " failed"));
        const Point next = mark + Point{88, 0};
        svg +=
            svg_line("reject", next - Point{0, 4}, next + Point{0, 4}) +
            key(next, text(count_of(history_, TrialEvent::rejected), " rejected, ", count_of(history_, TrialEvent::repeated), " repeated"));
        const Point third = mark + Point{-5, row_height - 4};
        svg += svg_line("best", third, third + Point{11, 0}) + key(third + Point{5, 0}, "best complete trial so far");
        const Point notes = third + Point{0, row_height + 6};
        return svg + svg_words(notes, "small", "Dot: a trial that was stopped there.") +
               svg_words(notes + Point{0, 17}, "small", "Bar: how many came so far; dark: went on.") + "\n";
    }

    // ---- what the best tenth chose

    static constexpr double column_left = 140, column = 212, bar_length = 128;

    std::string cell(Point p, const Preference& of, const Choice& c, const std::string& kind) const {
        const double best = share(c.among_best, of.best), all = share(c.among_all, of.all);
        const bool likely = preferences_.likely(c);
        std::string svg = "<g><title>" +
                          escaped(text(c.name, ": ", c.among_best, " of the best ", of.best, ", ", c.among_all, " of all ", of.all,
                                       ", chance ", number(c.chance))) +
                          "</title>";
        if (likely) svg += svg_box(p + Point{94, 0}, 204, row_height - 3, 5, "chosen");
        svg += bar(p, bar_length, 9, "track") + bar(p, bar_length * best, 9, kind + (likely ? "" : " weak"));
        svg += svg_line("all", p + Point{bar_length * all, -7}, p + Point{bar_length * all, 7});
        return svg +
               svg_words(p + Point{bar_length + 8, 4}, likely ? "small figure" : "small",
                         fixed(100 * best, 0) + " %" +
                             (preferences_.certain(c) ? " **"
                              : likely                ? " *"
                                                      : "")) +
               "</g>";
    }

    /// Moves `y` to the picture's end.
    std::string choices(double& y) const {
        std::string svg = svg_words({margin, y}, "figure", "What the best tenth chose");
        if (preferences_.all == 0) {
            y += 50;
            return svg + svg_words({margin, y - 22}, "", "No trial is complete or stopped yet.") + "\n";
        }
        const auto head = [&](size_t i, const std::string& classes, const std::string& what) {
            return svg_words({column_left + column * static_cast<double>(i), y}, "head " + classes, what);
        };
        int target = -1;
        std::vector<std::string> networks;  // that the columns stand for
        for (const Preference& p : preferences_.of) {
            const bool edge = p.source >= 0;
            if (edge && target < 0) {
                y += 28;
                for (size_t i = 0; i < gate_choices.size(); ++i) svg += head(i, "f-" + gate_choices[i], gate_choices[i]);
            }
            if (edge && p.target != target) {
                y += 12;
                svg += svg_line("line", {margin, y}, {width - margin, y}) + "\n";
                y += row_height / 2 - 9;
                target = p.target;
            }
            for (size_t first = 0; first < p.choices.size(); first += 4) {
                const size_t last = std::min(first + 4, p.choices.size());
                std::vector<std::string> names;
                for (size_t i = first; i < last; ++i) names.push_back(p.choices[i].name);
                if (!edge && names != networks) {
                    y += 40;
                    for (size_t i = 0; i < names.size(); ++i) svg += head(i, "f-network", names[i]);
                    y += 4;
                    networks = names;
                }
                y += row_height;
                if (first == 0) svg += svg_words({margin, y - 2}, "", where(p));
                for (size_t i = first; i < last; ++i) {
                    const size_t at = edge ? static_cast<size_t>(std::find(gate_choices.begin(), gate_choices.end(), p.choices[i].name) -
                                                                 gate_choices.begin())
                                           : i - first;
                    svg += cell({column_left + column * static_cast<double>(at), y - 6}, p, p.choices[i],
                                edge ? "f-" + p.choices[i].name : "f-network");
                }
                svg += "\n";
            }
        }
        y += 20;
        for (const std::string& note : notes()) svg += svg_words({margin, y += 18}, "small", note);
        y += 24;
        return svg + "\n";
    }

    std::string where(const Preference& p) const {
        return p.source < 0 ? "node " + std::to_string(p.target)
                            : (p.source == p.target ? "label" : std::to_string(p.source)) + " → " + std::to_string(p.target);
    }

    std::vector<std::string> notes() const {
        const Preferences& p = preferences_;
        return {
            text("Bar: share of the best tenth (", p.best, " trainings) that chose it. Stroke: share of all ", p.all, " trainings of ",
                 p.trials, " complete or stopped trials, by the last error that they reported."),
            "Trials that train the target alike count once, correct on a label edge as through. Edges that the target does not hear are "
            "left out.",
            text("* As many or more among as many drawn blindly: a chance of at most ", Preferences::level,
                 " (hypergeometric). ** Still so with ", p.tests, " choices looked at (Bonferroni).")};
    }

    const SearchHistory& history_;
    std::vector<Rung> rungs_;
    Preferences preferences_;
    double panel_bottom_ = 0;
};

}  // namespace

std::string search_svg(const SearchHistory& history) { return Picture(history).draw(); }

}  // namespace distill
