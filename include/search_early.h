// search_early.h: what stopping trials early would do to a search that let all run to their end: which are lost, and which choices look
// worse early than they end.
// defines: EarlyChoice, EarlyStopping, early_stopping, early_text
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base_verdict.h"
#include "search_history.h"

namespace distill {

/// One gate of an edge, or one network of a node.
struct EarlyChoice {
    std::string where, name;
    /// At each rung, the places that trainings gain from there to the end, those with the choice (a) beside those without (b). Places go from
    /// 1, the lowest error, ties in the middle of theirs; a gain above 0 is a graph that was taken for worse than it is.
    std::vector<Comparison> gained;
};

/// Every trial that completed has an error at every rung, so Halving can be asked what it would have done, in any order of the trials.
struct EarlyStopping {
    int64_t trials = 0, best = 0;        ///< complete ones, and their best tenth, ⌈n/10⌉, by the last error
    std::vector<int> rungs;              ///< 1, 2, 4 … epochs, the last epoch left out
    std::vector<double> lost;            ///< of the best tenth the share that each rung stops, in the mean over `orders`
    double epochs = 0;                   ///< trained, as a share of all trials' epochs
    double best_error = 0;               ///< % of the best trial
    double best_left = 0;                ///< of the best that is not stopped, in the mean
    std::vector<EarlyChoice> choices;    ///< those that three different trainings or more made, and three did not
    static constexpr int orders = 1000;  ///< of the trials, drawn blindly, the same each time
};

/// Nothing where trials were stopped (--stopping on), or are of one epoch, or fewer than six ran to their end with an error of each epoch.
std::optional<EarlyStopping> early_stopping(const SearchHistory& history);

/// Two sentences and a table. Ends with a newline.
std::string early_text(const EarlyStopping& early);

}  // namespace distill
