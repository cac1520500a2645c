// search_halving.h: asynchronous successive halving: which trials of a search go on (docs/papers.md §2.8).
// defines: Halving
#pragma once
#include <cstddef>
#include <map>
#include <vector>

namespace distill {

/// Rungs lie at 1, 2, 4, 8 … epochs. A trial that reaches a rung goes on only if its error is among the best max(1, ⌊n/2⌋) of the n that
/// have reached it so far, itself included; a tie with the worst of those goes on too. Nobody waits for anybody: the first to reach a rung
/// always goes on. This is Optuna's SuccessiveHalvingPruner with minimum resource 1, reduction factor 2 and early-stopping rate 0.
/// Memory: eight bytes a trial and rung that it reached.
class Halving {
  public:
    static bool is_rung(int epoch) { return (epoch & (epoch - 1)) == 0; }
    static std::vector<int> rungs(int epochs);  ///< 1, 2, 4, … below the last epoch

    /// A trial's error after `epoch` epochs (from 1 on; each trial reports every epoch, once). True: it goes on. NaN at a rung stops the
    /// trial and is not counted among those that reached it.
    bool report(int epoch, double error);

    /// How many have reached each rung, by its epoch.
    std::map<int, size_t> reached() const;

  private:
    std::map<int, std::vector<double>> rungs_;  ///< errors in rising order, by epoch
};

}  // namespace distill
