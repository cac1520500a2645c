#include "report_html.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "base_error.h"
#include "base_svg.h"
#include "report_feed.h"
#include "report_grid.h"
#include "report_ktg.h"
#include "report_likeness.h"

namespace distill {
namespace {

// Okabe and Ito's palette, which the common colour blindnesses keep apart, darkened on white and lightened on black until
// lines have contrast; the student alone is grey. Colours repeat dashed when a panel has more than six lines, then dotted, and so on.
const char* const style = R"(
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --soft: #5b6570; --rule: #d9dee3; --grid: #e9edf0; --wash: #f5f7f9;
  --base: #6b7580; --c0: #0072b2; --c1: #d55e00; --c2: #008a64; --c3: #b4588f; --c4: #b07800; --c5: #2f8fc4; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --ink: #e8ebee; --soft: #9aa5b0; --rule: #343b43; --grid: #262c33;
  --wash: #1c2127; --base: #9aa5b0; --c0: #4aa8e0; --c1: #ff8a45; --c2: #2cc295; --c3: #e09ac4; --c4: #eab13a; --c5: #8bd0f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2.5rem 2rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.9rem; font-weight: 650; letter-spacing: -.015em; line-height: 1.2; }
h2 { margin: 3rem 0 .35rem; font-size: 1.25rem; font-weight: 650; letter-spacing: -.01em; }
h3 { margin: 0 0 .2rem; font-size: .95rem; font-weight: 600; }
p { margin: .35rem 0; max-width: 52rem; } .soft, .notes, figcaption { color: var(--soft); font-size: .875rem; }
dl.facts { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 1.4rem 0 0; padding: 1rem 0; border: solid var(--rule);
  border-width: 1px 0; }
.facts dt { color: var(--soft); font-size: .75rem; letter-spacing: .04em; text-transform: uppercase; }
.facts dd { margin: 0; font-weight: 550; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: .45rem .55rem; text-align: right; white-space: nowrap; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .78rem; font-weight: 550; line-height: 1.3; vertical-align: bottom;
  border-bottom: 1.5px solid var(--ink); }
tbody td { border-bottom: 1px solid var(--grid); } .results tbody th { padding: 1.1rem 0 .3rem; font-weight: 650; }
.results tbody:last-child tr:last-child td { border-bottom: 1.5px solid var(--ink); }
th.text, td.text, tbody th { text-align: left; } .files td.text { white-space: normal; overflow-wrap: anywhere; }
.id { display: block; color: var(--soft); font-size: .78rem; } .pm { color: var(--soft); } .room { visibility: hidden; }
.key { font-weight: 650; } sup { padding-left: .3em; color: var(--soft); line-height: 0; }
.notes { margin: .8rem 0 0; padding: 0; list-style: none; } .notes sup { padding: 0 .4em 0 0; }
.swatch { display: inline-block; width: 22px; height: 10px; margin-right: .5em; vertical-align: baseline; }
.dots td { padding-top: .15rem; padding-bottom: .15rem; border: 0; vertical-align: middle; }
.dots td.plot { width: 62%; min-width: 34rem; padding: 0 .5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 2rem; margin-top: 1.6rem; }
figure { margin: 0; break-inside: avoid; } svg { display: block; width: 100%; height: auto; overflow: visible; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: 0 0 .4rem; padding: 0; list-style: none; font-size: .82rem; }
svg text { fill: var(--soft); font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; } .grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.found { margin: 1.6rem 0 0; width: auto; min-width: 60%; } .graphs svg { max-width: 40rem; } .search { margin: 0 -2rem; }
.papers { margin: .4rem 0 2rem; width: auto; } .papers .id { color: var(--ink); } .feed { margin-top: 1rem; } .feed svg { max-width: 60rem; }
.mean { fill: none; stroke-width: 2; stroke-linejoin: round; } .seed { fill: none; stroke-width: 1; stroke-opacity: .28; }
details { border-bottom: 1px solid var(--grid); padding: .5rem 0; } summary { cursor: pointer; font-weight: 550; }
.config { columns: 17rem; column-gap: 2.5rem; margin: .6rem 0; }
.config div { break-inside: avoid; display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0;
  border-bottom: 1px dotted var(--rule);
  font-size: .85rem; } .config dt { color: var(--soft); } .config dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 9.5pt; } h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  .wide { overflow: visible; }
  :root { color-scheme: light; --page: #fff; --ink: #000; --soft: #4a545e; --rule: #c4cad0; --grid: #e3e7ea; --base: #6b7580; --c0: #0072b2;
  --c1: #d55e00; --c2: #008a64; --c3: #b4588f; --c4: #b07800; --c5: #2f8fc4; } }
)";

/// "71.80 ± 0.12"; `key`: the number that is set against the paper's.
std::string measured(const Spread& s, bool key) {
    std::string html = key ? "<span class=\"key\">" + fixed(s.mean) + "</span>" : fixed(s.mean);
    // One run alone leaves the deviation's room free, so that the means stand below each other.
    return html + (s.n > 1 ? " <span class=\"pm\">± " : " <span class=\"room\">± ") + fixed(s.deviation) + "</span>";
}

// ---- panels: what belongs into one picture

/// One experiment's look in its panel.
struct Line {
    const Group* group;
    std::string colour;  ///< a CSS variable
    size_t round;        ///< how often the colour has been used before: a dash each
    std::string name;    ///< unlike every other of the panel
    std::string stroke() const {
        constexpr const char* dashes[] = {"", "5 3", "1.5 3", "9 3 2 3", "9 3", "9 3 2 3 2 3"};
        const char* const dash = dashes[std::min(round, std::size(dashes) - 1)];
        return "stroke=\"" + colour + "\"" + (*dash ? std::string(" stroke-dasharray=\"") + dash + "\"" : "");
    }
};

/// All experiments with one student on one data set.
struct Panel {
    std::string dataset, student;
    std::vector<Line> lines;
};

std::string label_with_options(const Group& group) { return label(group.any()) + (group.options.empty() ? "" : ", " + group.options); }

/// Each line's name in its panel's pictures: what tells two of the same label apart in the table stands behind it.
void name_lines(Panel& panel) {
    std::map<std::string, int> alike;
    for (const Line& line : panel.lines) ++alike[label_with_options(*line.group)];
    std::set<std::string> names;
    for (Line& line : panel.lines) {
        const Run& run = line.group->any();
        line.name = label_with_options(*line.group);
        if (alike[line.name] > 1) line.name += ", " + (run.id.empty() ? run.method : run.id);
        if (!names.insert(line.name).second) line.name += ", " + run.folder.string();
    }
}

std::vector<Panel> panels_of(const Report& report) {
    std::vector<Panel> panels;
    size_t next = 0;
    for (const Group& group : report.groups) {
        const Run& run = group.any();
        if (panels.empty() || panels.back().dataset != run.dataset || panels.back().student != run.student) {
            panels.push_back({run.dataset, run.student, {}});
            next = 0;
        }
        std::vector<Line>& lines = panels.back().lines;
        const bool base = std::none_of(lines.begin(), lines.end(), [](const Line& line) { return is_trained_alone(line.group->any()); });
        if (base && is_trained_alone(run)) {
            lines.push_back({&group, "var(--base)", 0, ""});
        } else {
            lines.push_back({&group, "var(--c" + std::to_string(next % 6) + ")", next / 6, ""});
            ++next;
        }
    }
    for (Panel& panel : panels) name_lines(panel);
    return panels;
}

// ---- accuracies

/// Last epoch (dot, whisker of one deviation, a tick for each seed), best epoch (ring), the paper's (diamond).
std::string dot_row(const Line& line, const Axis& x) {
    const Group& g = *line.group;
    const double y = 15, mean = x.at(g.last.mean), reach = x.at(g.last.mean + g.last.deviation) - mean;
    std::ostringstream svg;
    svg << "<svg viewBox=\"0 0 720 30\" role=\"img\" aria-label=\"" << escaped(line.name) << ": last epoch " << fixed(g.last.mean)
        << " %, best " << fixed(g.best.mean) << " %\">";
    for (double tick : x.ticks())
        svg << "<line class=\"grid\" x1=\"" << svg_px(x.at(tick)) << "\" x2=\"" << svg_px(x.at(tick)) << "\" y1=\"0\" y2=\"30\"/>";
    svg << "<g stroke=\"" << line.colour << "\" stroke-width=\"2\">";
    if (g.last.n > 1) {
        svg << "<line x1=\"" << svg_px(mean - reach) << "\" x2=\"" << svg_px(mean + reach) << "\" y1=\"15\" y2=\"15\"/>";
        for (double end : {mean - reach, mean + reach})
            svg << "<line x1=\"" << svg_px(end) << "\" x2=\"" << svg_px(end) << "\" y1=\"11\" y2=\"19\"/>";
        for (const Run& run : g.runs)
            svg << "<line stroke-opacity=\".45\" stroke-width=\"1.5\" x1=\"" << svg_px(x.at(run.last)) << "\" x2=\""
                << svg_px(x.at(run.last)) << "\" y1=\"22\" y2=\"28\"/>";
    }
    svg << "<circle cx=\"" << svg_px(x.at(g.best.mean)) << "\" cy=\"15\" r=\"4.5\" fill=\"var(--page)\"/><circle cx=\"" << svg_px(mean)
        << "\" cy=\"15\" r=\"4.5\" fill=\"" << line.colour << "\"/></g>";
    if (g.difference) {
        const double p = x.at(*g.paper->value);
        svg << "<path d=\"M" << svg_px(p) << ' ' << svg_px(y - 7) << 'L' << svg_px(p + 6) << ' ' << svg_px(y) << 'L' << svg_px(p) << ' '
            << svg_px(y + 7) << 'L' << svg_px(p - 6) << ' ' << svg_px(y)
            << "Z\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1.5\"/>";
    }
    svg << "</svg>";
    return svg.str();
}

std::string swatch(const Line& line) {
    return "<svg class=\"swatch\" viewBox=\"0 0 22 10\" aria-hidden=\"true\"><line x1=\"0\" x2=\"22\" y1=\"5\" y2=\"5\" "
           "stroke-width=\"3\" " +
           line.stroke() + "/></svg>";
}

std::string dot_plot(const Panel& panel) {
    double low = 100, high = 0;
    for (const Line& line : panel.lines) {
        const Group& g = *line.group;
        std::vector<double> shown = {g.last.mean - g.last.deviation, g.last.mean + g.last.deviation, g.best.mean};
        for (const Run& run : g.runs) shown.push_back(run.last);
        if (g.difference) shown.push_back(*g.paper->value);
        low = std::min(low, *std::min_element(shown.begin(), shown.end()));
        high = std::max(high, *std::max_element(shown.begin(), shown.end()));
    }
    const double widen = std::max(0.0, 1 - (high - low)) / 2;  // at least one point, so that the axis does not magnify nothing
    const Axis x = round_axis(low - widen, high + widen, 5, 16, 704);
    bool several = false, paper = false;
    std::ostringstream html;
    html << "<figure><h3>Test accuracy</h3><div class=\"wide\"><table class=\"dots\"><tbody>";
    for (const Line& line : panel.lines) {
        html << "<tr><td class=\"text\">" << swatch(line) << escaped(line.name) << "</td><td class=\"plot\">" << dot_row(line, x)
             << "</td><td>" << measured(line.group->last, false) << "</td></tr>\n";
        several |= line.group->last.n > 1;
        paper |= line.group->difference.has_value();
    }
    html << "<tr><td></td><td class=\"plot\"><svg viewBox=\"0 0 720 34\" aria-hidden=\"true\"><line class=\"axis\" x1=\"16\" x2=\"704\" "
            "y1=\"0.5\" y2=\"0.5\"/>";
    for (double tick : x.ticks())
        html << "<text x=\"" << svg_px(x.at(tick)) << "\" y=\"15\" text-anchor=\"middle\">" << fixed(tick, x.digits()) << "</text>";
    html << "<text x=\"360\" y=\"31\" text-anchor=\"middle\">top-1 accuracy on the test set (%)</text></svg></td><td></td></tr>"
            "</tbody></table></div><figcaption>Filled dot: last epoch, mean"
         << (several ? " ± standard deviation over the seeds; short ticks: single seeds" : "")
         << ". Ring: best epoch, chosen on the test set." << (paper ? " Diamond: the paper." : "") << "</figcaption></figure>\n";
    return html.str();
}

// ---- curves

using Curve = std::vector<double>;  ///< one value an epoch

/// Breaks where a value is not finite, so that a run that diverged shows the gap. A value alone is a short line.
std::string path_of(const Curve& curve, const Axis& x, const Axis& y) {
    std::string path;
    const auto finite = [&](size_t e) { return e < curve.size() && std::isfinite(curve[e]); };
    for (size_t e = 0; e < curve.size(); ++e) {
        if (!finite(e)) continue;
        const bool begins = e == 0 || !finite(e - 1);
        const double across = x.at(static_cast<double>(e)), reach = begins && !finite(e + 1) ? 4 : 0;
        const std::string height = svg_px(y.at(curve[e]));
        path += (begins ? "M" : "L") + svg_px(across - reach) + " " + height;
        if (reach > 0) path += "L" + svg_px(across + reach) + " " + height;
    }
    return path;
}

Curve mean_of(const std::vector<Curve>& curves) {
    Curve mean;
    for (size_t e = 0;; ++e) {
        std::vector<double> values;
        for (const Curve& curve : curves)
            if (e < curve.size()) values.push_back(curve[e]);
        if (values.empty()) return mean;
        mean.push_back(spread(values).mean);
    }
}

/// One line a group, the mean over its seeds, with each seed behind it. Empty if no run has epochs.
std::string curve_chart(const Panel& panel, const std::string& title, const std::string& y_label, double Epoch::*field, bool from_zero,
                        const std::string& caption) {
    std::vector<std::vector<Curve>> seeds;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    size_t epochs = 0;
    for (const Line& line : panel.lines) {
        seeds.emplace_back();
        for (const Run& run : line.group->runs) {
            Curve curve;
            for (const Epoch& epoch : run.epochs) {
                curve.push_back(epoch.*field);
                if (std::isfinite(curve.back())) low = std::min(low, curve.back()), high = std::max(high, curve.back());
            }
            epochs = std::max(epochs, curve.size());
            seeds.back().push_back(std::move(curve));
        }
    }
    if (!(low <= high)) return "";
    const Axis y = from_zero ? round_axis(std::min(0.0, low), std::max(high, low + 1e-3), 5, 292, 10) : accuracy_axis(low, high, 292, 10);
    const double last_epoch = static_cast<double>(std::max<size_t>(epochs, 2) - 1);
    Axis x = round_axis(0, last_epoch, 6, 56, 548);
    x.step = std::max(1.0, x.step);
    x.high = last_epoch;

    std::ostringstream html;
    html << "<figure><h3>" << title << "</h3><ul class=\"legend\">";
    for (const Line& line : panel.lines) html << "<li>" << swatch(line) << escaped(line.name) << "</li>";
    html << "</ul><svg viewBox=\"0 0 560 340\" role=\"img\" aria-label=\"" << title << " over the epochs\">";
    for (double tick : y.ticks())
        html << "<line class=\"grid\" x1=\"56\" x2=\"548\" y1=\"" << svg_px(y.at(tick)) << "\" y2=\"" << svg_px(y.at(tick))
             << "\"/><text x=\"49\" y=\"" << svg_px(y.at(tick) + 4) << "\" text-anchor=\"end\">" << fixed(tick, y.digits()) << "</text>";
    for (double tick = 0; tick <= x.high; tick += x.step)
        html << "<line class=\"axis\" x1=\"" << svg_px(x.at(tick)) << "\" x2=\"" << svg_px(x.at(tick))
             << "\" y1=\"292\" y2=\"296\"/><text x=\"" << svg_px(x.at(tick)) << "\" y=\"311\" text-anchor=\"middle\">" << fixed(tick, 0)
             << "</text>";
    html << "<line class=\"axis\" x1=\"56\" x2=\"548\" y1=\"292\" y2=\"292\"/><text x=\"302\" y=\"332\" text-anchor=\"middle\">epoch</text>"
         << "<text transform=\"translate(11 151) rotate(-90)\" text-anchor=\"middle\">" << y_label << "</text>";
    for (size_t i = 0; i < panel.lines.size(); ++i)
        for (size_t s = 0; seeds[i].size() > 1 && s < seeds[i].size(); ++s)
            html << "<path class=\"seed\" " << panel.lines[i].stroke() << " d=\"" << path_of(seeds[i][s], x, y) << "\"/>";
    for (size_t i = 0; i < panel.lines.size(); ++i)
        html << "<path class=\"mean\" " << panel.lines[i].stroke() << " d=\"" << path_of(mean_of(seeds[i]), x, y) << "\"><title>"
             << escaped(panel.lines[i].name) << "</title></path>\n";
    html << "</svg><figcaption>" << caption << "</figcaption></figure>\n";
    return html.str();
}

std::string panel_section(const Panel& panel) {
    const bool several = std::any_of(panel.lines.begin(), panel.lines.end(), [](const Line& line) { return line.group->runs.size() > 1; });
    const std::string accuracy = curve_chart(panel, "Learning curves", "test accuracy (%)", &Epoch::test_acc, false,
                                             std::string("Top-1 accuracy on the test set after each epoch, counted from 0") +
                                                 (several ? "; bold the mean, faint the single seeds." : "."));
    const std::string loss = curve_chart(panel, "Training loss", "training loss", &Epoch::train_loss, true,
                                         std::string("The loss as the method minimises it, mean over the epoch") +
                                             (panel.lines.size() > 1 ? "; methods add different terms, so heights do not compare." : "."));
    std::vector<const Group*> groups;
    for (const Line& line : panel.lines) groups.push_back(line.group);
    return "<section><h2>" + escaped(panel.student) + " on " + escaped(panel.dataset) + "</h2>\n" + dot_plot(panel) +
           "<div class=\"charts\">" + accuracy + loss + "</div>" + graph_figures(groups) + "</section>\n";
}

// ---- tables

std::string results_table(const std::vector<Panel>& panels) {
    std::vector<std::string> notes;
    std::ostringstream html;
    html << "<div class=\"wide\"><table class=\"results\"><thead><tr><th class=\"text\">Experiment</th><th>Epochs</th><th>Paper</th>"
            "<th>Last epoch</th><th>Best epoch<br>(on test)</th><th>n</th><th>Difference<br>to the paper</th><th>Gain,<br>last</th>"
            "<th class=\"text\">Above the<br>student alone</th><th>Gain,<br>best</th><th>Paper’s<br>gain</th>"
            "<th>Time<br>h:mm:ss</th><th class=\"text\">Device</th></tr></thead>\n";
    for (const Panel& panel : panels) {
        html << "<tbody><tr><th colspan=\"13\">" << escaped(panel.student) << " on " << escaped(panel.dataset) << "</th></tr>\n";
        for (const Line& line : panel.lines) {
            const Group& g = *line.group;
            html << "<tr><td class=\"text\">" << escaped(label_with_options(g));
            for (const std::string& note : g.notes) {
                auto at = std::find(notes.begin(), notes.end(), note);
                if (at == notes.end()) at = notes.insert(at, note);
                html << "<sup>" << at - notes.begin() + 1 << "</sup>";
            }
            if (!g.any().id.empty()) html << "<span class=\"id\">" << escaped(g.any().id) << "</span>";
            const auto cell = [&](const std::string& content) { html << "</td><td>" << content; };
            cell(escaped(g.epochs()));
            const bool on_file = g.paper && g.paper->value;
            cell(!on_file ? "–" : g.paper->std ? measured({*g.paper->value, *g.paper->std, 2}, false) : fixed(*g.paper->value));
            cell(measured(g.last, !g.compared_by_best()));
            cell(measured(g.best, g.compared_by_best()));
            cell(std::to_string(g.last.n));
            cell(format_points(g.difference)), cell(format_points(g.gain_last));
            html << "</td><td class=\"text\">" << (g.above_alone ? to_string(g.above_alone->verdict) : "–");
            if (g.above_alone && g.above_alone->has_interval) html << "<span class=\"id\">" << g.above_alone->interval() << "</span>";
            cell(format_points(g.gain_best)), cell(format_points(g.paper_gain));
            cell(format_hours(g.hours));
            html << "</td><td class=\"text\">" << escaped(g.devices) << "</td></tr>\n";
        }
        html << "</tbody>\n";
    }
    html << "</table></div>\n<ul class=\"notes\"><li>Top-1 accuracy on the test set in %, mean ± sample standard deviation of n runs. "
            "Difference and gain in points; the number in bold is the one that is set against the paper’s. Gain: over the same student "
            "trained alone, ours over ours, the paper’s over the paper’s. Time: one run.</li>"
            "<li>Above the student alone: is the gain of the last epoch more than noise? "
         << verdict_rule << "</li>";
    for (size_t i = 0; i < notes.size(); ++i) html << "<li><sup>" << i + 1 << "</sup>" << escaped(notes[i]) << ".</li>";
    html << "</ul>\n";
    return html.str();
}

std::string unfinished_table(const std::vector<Run>& runs) {
    if (runs.empty()) return "";
    std::ostringstream html;
    html << "<section><h2>Unfinished runs</h2><p class=\"soft\">Not in the numbers above.</p><div class=\"wide\"><table class=\"files\">"
            "<thead><tr><th class=\"text\">Run</th><th class=\"text\">Experiment</th><th>Last epoch</th><th>Test accuracy there</th></tr>"
            "</thead><tbody>\n";
    for (const Run& run : runs)
        html << "<tr><td class=\"text\">" << escaped(run.folder.string()) << "</td><td class=\"text\">"
             << escaped(run.dataset + ": " + run.student + ", " + label(run)) << "</td><td>"
             << (run.epochs.empty() ? "–" : std::to_string(run.epochs.size() - 1)) << "</td><td>"
             << (run.epochs.empty() ? "–" : fixed(run.epochs.back().test_acc)) << "</td></tr>\n";
    html << "</tbody></table></div></section>\n";
    return html.str();
}

std::string faults_table(const std::vector<Fault>& faults) {
    if (faults.empty()) return "";
    std::ostringstream html;
    html << "<section><h2>Cannot be read</h2><p class=\"soft\">Left out of everything above.</p><div class=\"wide\"><table class=\"files\">"
            "<thead><tr><th class=\"text\">Folder</th><th class=\"text\">Why</th></tr></thead><tbody>\n";
    for (const Fault& fault : faults)
        html << "<tr><td class=\"text\">" << escaped(fault.folder.string()) << "</td><td class=\"text\">" << escaped(fault.reason)
             << "</td></tr>\n";
    html << "</tbody></table></div></section>\n";
    return html.str();
}

std::string configurations(const Report& report) {
    std::ostringstream html;
    html << "<section><h2>Configurations</h2><p class=\"soft\">Every resolved option of each experiment’s first run, "
            "those left empty aside.</p>\n";
    for (const Group& g : report.groups) {
        html << "<details><summary>" << escaped(g.name()) << "</summary><p class=\"soft\">";
        for (const Run& run : g.runs)
            html << "seed " << escaped(run.seed) << ": last " << fixed(run.last) << ", best " << fixed(run.best) << ", "
                 << escaped(run.folder.string()) << "<br>";
        if (!test_images(g.any()).empty()) html << "tested on " << escaped(test_images(g.any())) << " images, ";
        html << "commit " << escaped(g.commits) << ", " << escaped(g.any().precision);
        if (g.gain_last) html << "; gain over " << escaped(g.student_alone);
        if (g.paper) html << "; paper’s number: " << escaped(g.paper->table) << ", source: " << escaped(g.paper->source);
        html << "</p><dl class=\"config\">";
        for (const auto& [option, value] : g.any().config)
            if (!value.empty()) html << "<div><dt>" << escaped(option) << "</dt><dd>" << escaped(value) << "</dd></div>";
        html << "</dl></details>\n";
    }
    html << "</section>\n";
    return html.str();
}

std::string facts(const Report& report, const std::string& date) {
    std::set<std::string> commits, machines, precisions;
    size_t runs = 0;
    double hours = 0;
    for (const Group& g : report.groups)
        for (const Run& run : g.runs) {
            const std::string machine = value_of(run.config, "info.machine");
            machines.insert(machine.empty() ? run.device : machine);
            commits.insert(run.commit), precisions.insert(run.precision);
            hours += run.seconds / 3600;
            ++runs;
        }
    const auto fact = [](const std::string& name, const std::string& value) {
        return "<div><dt>" + name + "</dt><dd>" + (value.empty() ? "–" : escaped(value)) + "</dd></div>";
    };
    const auto all = [](const std::set<std::string>& values, const char* between = ", ") {
        std::string joined;
        for (const std::string& value : values) joined += (joined.empty() ? "" : between) + value;
        return joined;
    };
    return "<dl class=\"facts\">" + fact("Date", date) + fact("Experiments", std::to_string(report.groups.size())) +
           fact("Runs", std::to_string(runs) + (report.unfinished.empty() ? "" : text(", ", report.unfinished.size(), " unfinished")) +
                            (report.faults.empty() ? "" : text(", ", report.faults.size(), " that cannot be read"))) +
           fact("Computing time", format_hours(hours) + " h") + fact("Precision", all(precisions)) + fact("Commit", all(commits)) +
           fact("Machine", all(machines, "; ")) + "</dl>\n";
}

}  // namespace

std::string html_page(const Report& report, const std::string& date) {
    const std::vector<Panel> panels = panels_of(report);
    std::string page = html_begins +
                       std::string(
                           "<meta name=\"viewport\" "
                           "content=\"width=device-width, initial-scale=1\"><title>distill: results beside the papers’</title><style>") +
                       style + "</style></head>\n<body>\n<header><h1>Knowledge transfer: our results beside the papers’</h1>\n" +
                       facts(report, date) + "</header>\n<main>\n";
    if (!report.groups.empty()) page += "<section><h2>Results</h2>\n" + results_table(panels) + "</section>\n";
    for (const Panel& panel : panels) page += panel_section(panel);
    page += grids_section(paper_grids(report));
    for (const FeedStudy& study : feed_studies(report)) page += feed_section(study);
    for (const SearchHistory& search : report.searches) page += search_section(search, report.paper);
    page += unfinished_table(report.unfinished) + faults_table(report.faults);
    if (!report.groups.empty()) page += configurations(report);
    return page + "</main>\n</body>\n</html>\n";
}

}  // namespace distill
