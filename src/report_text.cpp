#include "report_text.h"

#include <algorithm>
#include <ostream>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "report_likeness.h"

namespace distill {
namespace {

using Cells = std::vector<std::string>;

std::string number_or_empty(const std::optional<double>& value) { return value ? number(*value) : ""; }

void write_unfinished(std::ostream& out, const std::vector<Run>& runs) {
    std::vector<Cells> rows = {{"unfinished run", "epochs", "of", "test accuracy"}};
    for (const Run& run : runs) {
        const bool begun = !run.epochs.empty();
        rows.push_back({run.folder.string(), std::to_string(run.epochs.size()), value_of(run.config, "epochs"),
                        begun ? fixed(run.epochs.back().test_acc) : "–"});
    }
    out << aligned(rows, {1, 2, 3});
}

void write_faults(std::ostream& out, const std::vector<Fault>& faults) {
    std::vector<Cells> rows = {{"cannot be read, left out", "why"}};
    for (const Fault& fault : faults) rows.push_back({fault.folder.string(), fault.reason});
    out << aligned(rows);
}

}  // namespace

void write_text(std::ostream& out, const Report& report) {
    std::vector<Cells> rows = {{"experiment", "epochs", "paper", "last", "best on test", "n", "compared", "difference", "gain last",
                                "95 % interval", "above alone", "gain best", "paper's gain", "test images", "time", "device", "note"}};
    std::vector<std::string> notes;
    for (const Group& g : report.groups) {
        std::string marks;
        for (const std::string& note : g.notes) {
            auto at = std::find(notes.begin(), notes.end(), note);
            if (at == notes.end()) at = notes.insert(at, note);
            marks += (marks.empty() ? "" : ",") + std::to_string(at - notes.begin() + 1);
        }
        const bool on_file = g.paper && g.paper->value;
        const std::string paper = on_file ? mean_and_deviation({*g.paper->value, g.paper->std.value_or(0), g.paper->std ? 2u : 1u}) : "–";
        rows.push_back({g.name(), g.epochs(), paper, mean_and_deviation(g.last), mean_and_deviation(g.best), std::to_string(g.last.n),
                        g.difference ? (g.compared_by_best() ? "best" : "last") : "–", format_points(g.difference),
                        format_points(g.gain_last), g.above_alone ? g.above_alone->interval() : "–",
                        g.above_alone ? to_string(g.above_alone->verdict) : "–", format_points(g.gain_best), format_points(g.paper_gain),
                        test_images(g.any()).empty() ? "–" : test_images(g.any()), format_hours(g.hours), g.devices, marks});
    }
    if (!report.groups.empty()) {
        out << aligned(rows, {1, 5, 7, 8, 9, 11, 12, 13, 14});
        out << "\nTop-1 accuracy on the test set in %, mean ± sample standard deviation of n runs; differences and gains (over the "
               "student alone) in points; time of one run, h:mm:ss. Above alone: "
            << verdict_rule << '\n';
    }
    for (size_t i = 0; i < notes.size(); ++i) out << i + 1 << "  " << printable(notes[i]) << '\n';
    const char* apart = report.groups.empty() ? "" : "\n";
    if (!report.unfinished.empty()) out << apart, write_unfinished(out, report.unfinished), apart = "\n";
    if (!report.faults.empty()) out << apart, write_faults(out, report.faults);
}

void write_csv(const fs::path& file, const Report& report) {
    const Cells columns = {"experiment", "status",     "id",        "dataset",      "teacher",    "student",       "method",     "options",
                           "epochs",     "paper",      "paper_std", "paper_metric", "last_mean",  "last_std",      "best_mean",  "best_std",
                           "n",          "difference", "gain_last", "gain_best",    "paper_gain", "student_alone", "hours",      "device",
                           "precision",  "commit",     "note",      "above_alone",  "gain_low",   "gain_high",     "test_images"};
    std::vector<Cells> rows;
    for (const Group& g : report.groups) {
        const Run& run = g.any();
        const auto& c = g.above_alone;
        rows.push_back({g.name(),
                        "finished",
                        run.id,
                        run.dataset,
                        run.teacher,
                        run.student,
                        run.method,
                        g.options,
                        g.epochs(),
                        g.paper ? number_or_empty(g.paper->value) : "",
                        g.paper ? number_or_empty(g.paper->std) : "",
                        g.paper ? g.paper->metric : "",
                        number(g.last.mean),
                        deviation_cell(g.last),
                        number(g.best.mean),
                        deviation_cell(g.best),
                        std::to_string(g.last.n),
                        number_or_empty(g.difference),
                        number_or_empty(g.gain_last),
                        number_or_empty(g.gain_best),
                        number_or_empty(g.paper_gain),
                        g.student_alone,
                        number(g.hours),
                        g.devices,
                        run.precision,
                        g.commits,
                        joined(g.notes, "; "),
                        c ? to_string(c->verdict) : "",
                        c && c->has_interval ? number(c->low) : "",
                        c && c->has_interval ? number(c->high) : "",
                        test_images(run)});
    }
    for (const Run& run : report.unfinished) {
        rows.push_back({run.folder.string(), "unfinished", run.id, run.dataset, run.teacher, run.student, run.method, "",
                        std::to_string(run.epochs.size())});
        rows.back().resize(columns.size());
    }
    const auto note = static_cast<size_t>(std::find(columns.begin(), columns.end(), "note") - columns.begin());
    for (const Fault& fault : report.faults) {
        rows.push_back({fault.folder.string(), "cannot be read"});
        rows.back().resize(columns.size());
        rows.back()[note] = fault.reason;
    }
    write_file_atomically(file, csv_text(columns, printable(rows)));
}

}  // namespace distill
