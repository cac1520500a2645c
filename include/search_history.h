// search_history.h: what a search's files tell: how each trial ended, who survived which rung, what the best chose more often than chance.
// defines: TrialRecord, SearchResult, SearchHistory, read_search, Rung, rungs_of, ranked, TargetTraining,
//          target_trainings, Choice, Preference, Preferences, preferences_of,
//          gate_choices, upper_tail, plain_candidate, count_of, search_counts, search_title, search_text, preferences_csv,
//          preferences_begins
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base_faults.h"
#include "graph.h"
#include "search_journal.h"

namespace distill {

struct TrialRecord {
    int64_t trial = 0;
    TrialEvent state = TrialEvent::started;  ///< its end: complete, stopped, failed, rejected or repeated; `started`: it is under way
    int epochs = 0;                          ///< trained
    std::optional<double> error;             ///< of the target in %, the last that it reported; never NaN
    std::map<int, double> errors;            ///< all that it reported, by epoch
    Graph graph;
    std::string reason;  ///< of a failed one
};

/// A row of search.csv: a graph trained on all the training data, over n seeds.
struct SearchResult {
    std::string name;
    std::optional<int64_t> trial;           ///< none: a known method
    std::optional<double> error;            ///< in the search, in %
    std::optional<double> mean, deviation;  ///< test accuracy in %
    int64_t n = 0;
    Graph graph;
    std::string mean_and_deviation() const;  ///< "71.20 ± 0.15", or "failed"
};

struct SearchHistory {
    std::filesystem::path folder;
    Config study;                       ///< the options that the journal is for
    std::vector<TrialRecord> trials;    ///< in the order of their end, then those under way
    std::vector<SearchResult> results;  ///< search.csv's; empty before the search has ended
    Config config;                      ///< config.csv's
    Faults faults;                      ///< of these two
};

/// From a search's folder or its journal; a torn last line is left out. InputError for what is no journal, for rows that cannot follow
/// each other, for a trial that is no graph, or one of another size than the first; what is wrong with the folder's other files is among
/// the faults.
SearchHistory read_search(const std::filesystem::path& folder_or_journal);

/// A point at which trials are stopped; `epochs` = 1, 2, 4 … below those of a complete trial, which is the last row: there `went_on` is 0.
struct Rung {
    int64_t epochs = 0, reached = 0, went_on = 0;
};
std::vector<Rung> rungs_of(const SearchHistory& history);

/// Complete and stopped trials by the last error that they reported, the lowest first, equals by number. Errors fall with training: a
/// trial that got as low in fewer epochs is no worse, and one stopped above another's error was the worse of the two already.
std::vector<const TrialRecord*> ranked(const SearchHistory& history);

/// Trials that train the target alike (graph.h), of which all but the first of `ranked` tell nothing new.
struct TargetTraining {
    const TrialRecord* first;
    Graph heard;  ///< by the target
};
std::vector<TargetTraining> target_trainings(const std::vector<const TrialRecord*>& ranked);

/// One gate of an edge, or one network of a node.
struct Choice {
    std::string name;
    int64_t among_best = 0, among_all = 0;  ///< trainings with it
    double chance = 1;                      ///< of at least `among_best` in a tenth drawn blindly: upper_tail()
};
struct Preference {
    int target = 0, source = -1;  ///< an edge; source −1: the network of node `target`
    std::vector<Choice> choices;
    int64_t best = 0, all = 0;                              ///< trainings of the best tenth, and of all, whose target hears that node
    std::string where() const;                              ///< "1 -> 0", "label -> 0", "node 1"
    std::string made_by(const TargetTraining& made) const;  ///< the name of its choice; "" where the target does not hear that node
};

/// The best tenth, ⌈n/10⌉ of the n trainings of ranked trials, beside all n: a training counts once, or one that many graphs stand for would
/// be as many witnesses for all that they have in common. Rejected, repeated and failed trials have no rank, so they are not in the
/// comparison: with them every gate that lets the target learn would seem to be preferred.
struct Preferences {
    int64_t best = 0, all = 0, trials = 0;  ///< trainings of the tenth, all, and their trials
    std::vector<Preference> of;             ///< edges by target, then source; then the nodes but the target
    int64_t tests = 0;                      ///< choices that some trials made and others did not
    static constexpr double level = 0.05;
    bool likely(const Choice& choice) const { return choice.chance <= level; }
    /// Still so if all tests are to be right at once (Bonferroni).
    bool certain(const Choice& choice) const { return choice.chance * static_cast<double>(tests) <= level; }
};
Preferences preferences_of(const SearchHistory& history);
/// The gates as tables and pictures have them; of a label's edge all but `correct`, which is `through` there.
inline const std::vector<std::string> gate_choices = {"through", "linear", "correct", "cutoff"};

/// P(X ≥ hits), X the marked ones among `drawn` of `all`, of which `marked` are marked: hypergeometric, exact.
double upper_tail(int64_t all, int64_t marked, int64_t drawn, int64_t hits);

/// The name of plain training with the graphs' batch, which separates what the transfer gives from what smaller batches give.
std::string plain_candidate(const std::string& network, const std::string& batch, const std::string& alone_batch);

int64_t count_of(const SearchHistory& history, TrialEvent state);

/// "64 of 64 trials have ended: 9 complete, 44 stopped, 0 failed, 1 rejected, 10 repeated".
std::string search_counts(const SearchHistory& history);
/// "resnet32a on cifar100, graphs of 3 nodes".
std::string search_title(const SearchHistory& history);
/// Counts, what could not be read, survivors, the best ten, what they chose, and search.csv's table. Ends with a newline.
std::string search_text(const SearchHistory& history);
/// preferences_of() as a table, a row a choice: where,choice,best_tenth,of_best,all,of_all,chance.
std::string preferences_csv(const SearchHistory& history);
inline const char* const preferences_begins = "where,choice,best_tenth,";  ///< every such file

}  // namespace distill
