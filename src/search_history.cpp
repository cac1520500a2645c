#include "search_history.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_stats.h"
#include "base_texts.h"
#include "graph_show.h"
#include "search_halving.h"
#include "search_space.h"

namespace distill {
namespace {

std::vector<TrialRecord> trials_of(const JournalFile& journal, const fs::path& path) {
    std::map<int64_t, TrialRecord> under_way;
    std::set<int64_t> ended;
    std::vector<TrialRecord> trials;
    int nodes = 0;
    for (size_t i = 0; i < journal.rows.size(); ++i) {
        const JournalRow& r = journal.rows[i];
        const std::string place = text(path.string(), ": row ", i + 2);
        if (begins(r.event) == (under_way.count(r.trial) > 0) || ended.count(r.trial) > 0)
            input_error(place, ": trial ", r.trial, " '", to_string(r.event), "' cannot follow the rows before it; was it edited?");
        TrialRecord& trial = under_way[r.trial];
        if (begins(r.event)) {
            trial.trial = r.trial;
            trial.graph = parse_graph_line(r.detail, place);
            if (nodes == 0) nodes = trial.graph.size();
            if (trial.graph.size() != nodes)
                input_error(place, ": found a graph of ", trial.graph.size(), " nodes, expected ", nodes, " as in the first trial's");
        }
        trial.epochs = std::max(trial.epochs, r.epoch);
        if (r.error) trial.error = std::isnan(*r.error) ? std::nullopt : r.error;
        if (trial.error && r.error) trial.errors[r.epoch] = *trial.error;
        if (!is_end(r.event)) continue;
        trial.state = r.event;
        if (r.event == TrialEvent::failed) trial.reason = r.detail;
        trials.push_back(std::move(trial));
        under_way.erase(r.trial);
        ended.insert(r.trial);
    }
    for (auto& [number, trial] : under_way) trials.push_back(std::move(trial));
    return trials;
}

std::vector<SearchResult> read_results(const fs::path& file) {
    std::vector<SearchResult> results;
    const CsvTable table = read_csv(file, ReadCsv::whole);
    table.require_columns({"id", "trial", "search_error", "test_mean", "test_std", "n", "graph"});
    for (size_t row = 0; row < table.rows.size(); ++row) {
        const auto value = [&](const char* column) {
            return table.cell(row, column).empty() ? std::nullopt : std::optional<double>(table.cell_number(row, column));
        };
        SearchResult r;
        r.name = table.cell(row, "id");
        if (!table.cell(row, "trial").empty()) r.trial = table.cell_whole(row, "trial");
        r.error = value("search_error");
        r.mean = value("test_mean");
        r.deviation = value("test_std");
        r.n = table.cell_whole(row, "n");
        r.graph = parse_graph_line(table.cell(row, "graph"), text(file.string(), ": row ", row + 1));
        results.push_back(std::move(r));
    }
    return results;
}

/// Counts what the first `best` of all trainings and all of them chose, by the choice's name.
Preference preference(int target, int source, const std::vector<TargetTraining>& all, size_t best, const std::vector<std::string>& names) {
    Preference p{target, source, {}, 0, 0};
    for (const std::string& name : names) p.choices.push_back({name, 0, 0, 1});
    for (size_t i = 0; i < all.size(); ++i) {
        const std::string made = p.made_by(all[i]);
        if (made.empty()) continue;
        ++p.all;
        p.best += i < best;
        for (Choice& choice : p.choices)
            if (choice.name == made) ++choice.among_all, choice.among_best += i < best;
    }
    for (Choice& choice : p.choices) choice.chance = upper_tail(p.all, choice.among_all, p.best, choice.among_best);
    return p;
}

std::string percent(int64_t part, int64_t whole) {
    return fixed(100 * static_cast<double>(part) / static_cast<double>(std::max<int64_t>(whole, 1)), 0) + " %";
}

}  // namespace

SearchHistory read_search(const fs::path& folder_or_journal) {
    const bool folder = fs::is_directory(folder_or_journal);
    const fs::path path = folder ? folder_or_journal / "journal.csv" : folder_or_journal;
    const JournalFile journal = read_journal(path);
    SearchHistory history{path.parent_path(), journal.study, trials_of(journal, path), {}, {}, {}};
    const auto take = [&](const char* name, auto& what, auto read) {
        if (const fs::path file = path.parent_path() / name; folder && fs::exists(file))
            read_or_note(history.faults, file, [&](const fs::path& f) { what = read(f); });
    };
    take("search.csv", history.results, read_results);
    take("config.csv", history.config, read_config);
    return history;
}

std::vector<Rung> rungs_of(const SearchHistory& history) {
    int64_t last = 0;
    for (const TrialRecord& t : history.trials) last = std::max<int64_t>(last, t.epochs);
    last = std::max<int64_t>(last, std::atoi(value_of(history.study, "epochs").c_str()));
    std::vector<Rung> rungs;
    for (const int epoch : Halving::rungs(static_cast<int>(last))) rungs.push_back({epoch, 0, 0});
    rungs.push_back({last, 0, 0});
    for (Rung& rung : rungs)
        for (const TrialRecord& t : history.trials) {
            const bool here = t.epochs == rung.epochs, ended_here = here && t.state == TrialEvent::stopped;
            rung.reached += rung.epochs == last ? t.state == TrialEvent::complete : t.epochs >= rung.epochs;
            rung.went_on += rung.epochs != last && t.epochs >= rung.epochs && !ended_here;
        }
    return rungs;
}

std::vector<const TrialRecord*> ranked(const SearchHistory& history) {
    std::vector<const TrialRecord*> all;
    for (const TrialRecord& t : history.trials)
        if (t.error && (t.state == TrialEvent::complete || t.state == TrialEvent::stopped)) all.push_back(&t);
    std::sort(all.begin(), all.end(), [](const TrialRecord* a, const TrialRecord* b) {
        return *a->error != *b->error ? *a->error < *b->error : a->trial < b->trial;
    });
    return all;
}

std::vector<TargetTraining> target_trainings(const std::vector<const TrialRecord*>& ranked) {
    std::vector<TargetTraining> trainings;
    std::set<std::string> seen;
    for (const TrialRecord* trial : ranked) {
        Graph heard = heard_by_target(trial->graph);
        if (seen.insert(graph_line(heard)).second) trainings.push_back({trial, std::move(heard)});
    }
    return trainings;
}

double upper_tail(int64_t all, int64_t marked, int64_t drawn, int64_t hits) {
    if (hits <= std::max<int64_t>(0, drawn + marked - all)) return 1;
    const auto log_ways = [](int64_t from, int64_t n) {
        return std::lgamma(static_cast<double>(from + 1)) - std::lgamma(static_cast<double>(n + 1)) -
               std::lgamma(static_cast<double>(from - n + 1));
    };
    double sum = 0;
    for (int64_t x = hits; x <= std::min(drawn, marked); ++x)
        sum += std::exp(log_ways(marked, x) + log_ways(all - marked, drawn - x) - log_ways(all, drawn));
    return std::min(sum, 1.0);
}

std::string SearchResult::mean_and_deviation() const {
    return mean ? distill::mean_and_deviation({*mean, deviation.value_or(0), deviation ? 2u : 1u}) : "failed";
}

std::string Preference::where() const { return source < 0 ? "node " + std::to_string(target) : edge_name(target, source); }

std::string Preference::made_by(const TargetTraining& made) const {
    const std::string& network = made.heard.node(target).model;
    return source < 0 || network.empty() ? network : std::string(to_string(made.heard.gate(target, source)));
}

Preferences preferences_of(const SearchHistory& history) {
    const std::vector<const TrialRecord*> trials = ranked(history);
    const std::vector<TargetTraining> all = target_trainings(trials);
    Preferences p;
    p.trials = static_cast<int64_t>(trials.size());
    p.all = static_cast<int64_t>(all.size());
    p.best = (p.all + 9) / 10;
    if (all.empty()) return p;
    const int n = all[0].heard.size();
    for (int target = 0; target < n; ++target)
        for (int source = 0; source < n; ++source) {
            std::vector<std::string> gates = gate_choices;
            if (source == target) gates.erase(std::find(gates.begin(), gates.end(), "correct"));
            p.of.push_back(preference(target, source, all, static_cast<size_t>(p.best), gates));
        }
    for (int node = 1; node < n; ++node) {
        std::set<std::string> networks;
        for (const TrialRecord* t : trials) networks.insert(t->graph.node(node).model);
        p.of.push_back(preference(node, -1, all, static_cast<size_t>(p.best), {networks.begin(), networks.end()}));
    }
    for (const Preference& preference : p.of)
        for (const Choice& choice : preference.choices) p.tests += choice.among_all > 0 && choice.among_all < preference.all;
    return p;
}

std::string search_title(const SearchHistory& history) {
    std::string title = value_of(history.study, "target") + " on " + value_of(history.study, "dataset");
    if (!history.trials.empty()) title += ", graphs of " + std::to_string(history.trials[0].graph.size()) + " nodes";
    return printable(title);
}

std::string plain_candidate(const std::string& network, const std::string& batch, const std::string& alone_batch) {
    return "plain-" + network + (batch == alone_batch ? "" : "-batch" + batch);
}

int64_t count_of(const SearchHistory& history, TrialEvent state) {
    return std::count_if(history.trials.begin(), history.trials.end(), [&](const TrialRecord& t) { return t.state == state; });
}

std::string search_counts(const SearchHistory& history) {
    const int64_t under_way = count_of(history, TrialEvent::started);
    const int64_t ended = static_cast<int64_t>(history.trials.size()) - under_way;
    std::string all = text(ended, " of ", printable(value_of(history.study, "trials")), " trials have ended: ");
    for (const TrialEvent end : {TrialEvent::complete, TrialEvent::stopped, TrialEvent::failed, TrialEvent::rejected, TrialEvent::repeated})
        all += text(end == TrialEvent::complete ? "" : ", ", count_of(history, end), " ", to_string(end));
    return under_way > 0 ? all + text("; ", under_way, " under way") : all;
}

std::string preferences_csv(const SearchHistory& history) {
    const Preferences p = preferences_of(history);
    std::vector<std::vector<std::string>> rows;
    for (const Preference& preference : p.of)
        for (const Choice& c : preference.choices)
            rows.push_back({preference.where(), c.name, std::to_string(c.among_best), std::to_string(preference.best),
                            std::to_string(c.among_all), std::to_string(preference.all), number(c.chance)});
    return csv_text({"where", "choice", "best_tenth", "of_best", "all", "of_all", "chance"}, rows);
}

std::string search_text(const SearchHistory& history) {
    std::string all = search_title(history) + "\n" + search_counts(history) + "\n";
    all += fault_lines(history.faults);
    std::vector<std::vector<std::string>> rows = {{"epochs", "reached", "went on"}};
    for (const Rung& rung : rungs_of(history))
        rows.push_back({std::to_string(rung.epochs), std::to_string(rung.reached), std::to_string(rung.went_on)});
    rows.back()[2] = "complete";
    all += "\n" + aligned(rows, {0, 1, 2});

    const std::vector<const TrialRecord*> best = ranked(history);
    if (best.empty()) return all;
    rows = {{"best", "trial", "state", "epochs", "error %", "graph"}};
    for (size_t i = 0; i < std::min<size_t>(10, best.size()); ++i)
        rows.push_back({std::to_string(i + 1), std::to_string(best[i]->trial), to_string(best[i]->state), std::to_string(best[i]->epochs),
                        fixed(*best[i]->error), graph_line(best[i]->graph)});
    all += "\nby the last error reported, complete or stopped:\n" + aligned(rows, {0, 1, 3, 4});

    const Preferences p = preferences_of(history);
    rows = {{"", "choice", "best tenth", "all", "chance"}};
    for (const Preference& preference : p.of)
        for (const Choice& c : preference.choices)
            if (p.likely(c))
                rows.push_back({preference.where(), c.name, percent(c.among_best, preference.best), percent(c.among_all, preference.all),
                                text(std::setprecision(2), c.chance, p.certain(c) ? " **" : " *")});
    all += text("\nthe best tenth, ", p.best, " of ", p.all, " different trainings (of ", p.trials,
                " trials, complete or stopped), chose more often than chance ");
    if (rows.size() == 1) all += text("(", Preferences::level, "): nothing\n");
    if (rows.size() > 1)
        all += text("(* at most ", Preferences::level, "; ** still so with ", p.tests, " choices looked at):\n") + aligned(rows, {2, 3});

    if (history.results.empty()) return all;
    rows = {{"on all training data", "test accuracy %", "n", "graph"}};
    for (const SearchResult& r : history.results)
        rows.push_back({r.name, r.mean_and_deviation(), std::to_string(r.n), graph_line(r.graph)});
    return all + "\n" + aligned(rows, {2});
}

}  // namespace distill
