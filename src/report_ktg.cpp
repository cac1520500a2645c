#include "report_ktg.h"

#include <ostream>
#include <sstream>

#include "base_error.h"
#include "base_files.h"
#include "base_svg.h"
#include "report_collect.h"
#include "report_folders.h"
#include "report_likeness.h"
#include "report_summary.h"
#include "search_space.h"
#include "search_svg.h"

namespace distill {
namespace {

/// The runs that a row is the mean of; none where they are not all there.
std::optional<Group> retrained(const SearchHistory& search, const SearchResult& r) {
    try {
        const Report found = summarize(collect_runs({search.folder / "retrained" / r.name}), {});
        if (found.groups.size() == 1 && found.groups.front().last.n == static_cast<size_t>(r.n)) return found.groups.front();
    } catch (const std::exception&) {  // search.csv was kept without them
    }
    return std::nullopt;
}

/// Plain training of node 0's network as the graphs train, with their batch: its row, null where it was not trained so, and its runs.
struct Plain {
    const SearchResult* result = nullptr;
    std::optional<Group> runs;
};
Plain plain_of(const SearchHistory& search) {
    const std::string batch = value_of(search.study, "batch"), alone_batch = value_of(search.study, "alone-batch");
    for (const SearchResult& r : search.results)
        if (r.graph.size() == 1 && r.name == plain_candidate(r.graph.node(0).model, batch, alone_batch)) return {&r, retrained(search, r)};
    return {};
}

/// Null where there is nothing to compare with, or nothing to compare. Without the runs all that is known are means and deviations.
std::optional<Comparison> above_plain(const SearchHistory& search, const Plain& plain, const SearchResult& r) {
    if (!plain.result || r.graph.size() == 1 || !plain.result->mean || !r.mean) return std::nullopt;
    if (const auto ours = plain.runs ? retrained(search, r) : std::nullopt) return compare(*ours, *plain.runs);
    const auto spread_of = [](const SearchResult& s) { return Spread{*s.mean, s.deviation.value_or(0), static_cast<size_t>(s.n)}; };
    return compare_independent(spread_of(r), spread_of(*plain.result));
}

/// Gain over plain training, its interval, and whether it is more than noise.
std::vector<std::string> gain_cells(const SearchHistory& search, const Plain& plain, const SearchResult& r) {
    const auto c = above_plain(search, plain, r);
    return {format_points(c ? std::optional(c->difference) : std::nullopt), c ? c->interval() : "–", c ? to_string(c->verdict) : "–"};
}

/// What the gains are over, and why there may be none.
std::string about(const SearchHistory& search, const Plain& plain) {
    const std::string batch = value_of(search.study, "batch");
    if (!plain.result)
        return "No gain over plain training: none is there with the graphs’ batch" + (batch.empty() ? "." : ", " + batch + ".");
    const std::string images = value_of(search.config, "info.test_images"), &name = plain.result->name;
    return "Gain over " + name + ", of the graphs’ batch" + (images.empty() ? "" : "; tested on " + images + " images") + ". " +
           verdict_rule + (plain.runs ? "" : " Not all runs of " + name + " are there: all are compared by Welch’s t.");
}

/// The best complete trial: what the search found.
const TrialRecord* winner(const SearchHistory& search) {
    for (const TrialRecord* t : ranked(search))
        if (t->state == TrialEvent::complete) return t;
    return nullptr;
}

/// The means over the runs of what is there for each of them.
GraphOutcome mean_outcome(const std::vector<Run>& runs) {
    GraphOutcome mean;
    mean.accuracy.resize(runs.front().graph->nodes.size());
    for (size_t i = 0; i < mean.accuracy.size(); ++i) {
        std::vector<double> values;
        for (const Run& run : runs)
            if (const auto accuracy = run.outcome.of_node(static_cast<int>(i))) values.push_back(*accuracy);
        if (!values.empty()) mean.accuracy[i] = spread(values).mean;
    }
    for (const GraphEdge& edge : runs.front().graph->edges()) {
        std::vector<double> weights, losses;
        for (const Run& run : runs)
            if (const EdgeOutcome* o = run.outcome.of_edge(edge.target, edge.source))
                weights.push_back(o->weight), losses.push_back(o->loss);
        if (!weights.empty()) mean.edges.push_back({edge.target, edge.source, spread(weights).mean, spread(losses).mean, 0, 0, 0, 0});
    }
    return mean;
}

std::string figure(const std::string& title, const std::string& picture, const std::string& caption) {
    return "<figure><h3>" + escaped(title) + "</h3>" + picture + "<figcaption>" + escaped(caption) + "</figcaption></figure>\n";
}

std::string results_table(const SearchHistory& search, const std::vector<PaperRow>& paper) {
    std::ostringstream html;
    html << "<div class=\"wide\"><table class=\"found\"><thead><tr><th class=\"text\">On all training data</th><th>Trial</th>"
            "<th>Accuracy in<br>the search</th><th>Test accuracy</th><th>n</th><th>Gain over<br>plain</th>"
            "<th>95 % interval</th><th>Above plain</th></tr></thead><tbody>\n";
    const auto row = [&](const std::string& name, const std::string& below, const std::vector<std::string>& cells) {
        html << "<tr><td class=\"text\">" << escaped(name) << "<span class=\"id\">" << escaped(below) << "</span></td>";
        for (const std::string& cell : cells) html << "<td>" << cell << "</td>";
        html << "</tr>\n";
    };
    const Plain plain = plain_of(search);
    for (const SearchResult& r : search.results) {
        std::vector<std::string> cells = {r.trial ? std::to_string(*r.trial) : "–", r.error ? fixed(100 - *r.error) : "–",
                                          r.mean_and_deviation(), std::to_string(r.n)};
        for (std::string& cell : gain_cells(search, plain, r)) cells.push_back(std::move(cell));
        row(r.name, graph_line(r.graph), cells);
    }
    for (const PaperRow& on_file : paper)
        if (on_file.method == "ktg-search" && on_file.dataset == value_of(search.study, "dataset") && on_file.value &&
            (on_file.student.empty() || on_file.student == value_of(search.study, "target")))
            row(on_file.id, on_file.source, {"–", "–", fixed(*on_file.value), "–", "–", "–", "–"});
    html << "</tbody></table></div>\n<p class=\"soft\">" << escaped(about(search, plain)) << "</p>\n";
    return html.str();
}

}  // namespace

std::vector<SearchHistory> collect_searches(const std::vector<fs::path>& folders, std::vector<Fault>& faults) {
    std::vector<SearchHistory> searches;
    for (const fs::path& folder : folders_below(folders, has_journal)) try {
            searches.push_back(read_search(folder));
            for (const auto& [file, why] : searches.back().faults) faults.push_back({file, why});
        } catch (const std::exception& e) {
            faults.push_back({folder, e.what()});
        }
    return searches;
}

void write_searches(std::ostream& out, const std::vector<SearchHistory>& searches) {
    for (const SearchHistory& search : searches) {
        out << "\nsearch " << printable(search.folder.string()) << ": " << search_title(search) << ", " << search.trials.size()
            << " trials";
        if (const TrialRecord* best = winner(search))
            out << "; the best, trial " << best->trial << ", has an error of " << fixed(*best->error) << " %";
        out << '\n';
        if (search.results.empty()) continue;
        std::vector<std::vector<std::string>> rows = {
            {"on all training data", "test accuracy", "n", "gain over plain", "95 % interval", "above plain"}};
        const Plain plain = plain_of(search);
        for (const SearchResult& r : search.results) {
            rows.push_back({r.name, r.mean_and_deviation(), std::to_string(r.n)});
            for (std::string& cell : gain_cells(search, plain, r)) rows.back().push_back(std::move(cell));
        }
        out << aligned(rows, {2, 3}) << printable(about(search, plain)) << '\n';
    }
}

std::string graph_figures(const std::vector<const Group*>& groups) {
    std::string figures;
    for (const Group* group : groups) {
        const Run& run = group->any();
        if (!run.graph || run.graph->size() < 2) continue;
        const size_t n = group->runs.size();
        figures += figure(run.graph_name, graph_svg(*run.graph, mean_outcome(group->runs)),
                          "Test accuracy of each node after the last epoch" + (n > 1 ? text(", mean of ", n, " runs") : ""));
    }
    return figures.empty() ? "" : "<div class=\"charts graphs\">" + figures + "</div>";
}

std::string search_section(const SearchHistory& search, const std::vector<PaperRow>& paper) {
    const bool on_test = value_of(search.study, "score") == "test";
    std::string html = "<section><h2>Search " + escaped(search.folder.string()) + "</h2>\n<p class=\"soft\">Trials are scored on " +
                       (on_test ? "the test set, as the authors do: the best was chosen by the images that it is tested on."
                                : escaped(value_of(search.study, "val")) + " images held out of the training set.") +
                       "</p>\n<div class=\"search\">" + search_svg(search) + "</div>\n";
    if (!search.results.empty()) html += results_table(search, paper);
    if (const TrialRecord* best = winner(search))
        html += "<div class=\"charts graphs\">" +
                figure(text("The best graph: trial ", best->trial), graph_svg(best->graph),
                       "Accuracy " + fixed(100 - *best->error) + " % in the search, with the networks and gates drawn for it.") +
                "</div>";
    return html + "</section>\n";
}

}  // namespace distill
