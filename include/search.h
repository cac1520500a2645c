// search.h: the scheduler of a search: which trial runs where, which goes on. It knows trials by number; what they are is the plan's.
// defines: Proposal, SearchPlan, TrialScore, SearchTally, Search
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "search_halving.h"
#include "search_journal.h"
#include "search_pool.h"

namespace distill {

/// What a trial would be, as the journal has it; if it cannot be trained, why; and what its training depends on ("": itself alone): of two
/// trials where that is equal the second would be the first again, and is not trained.
struct Proposal {
    std::string description, rejection, training;
};

struct SearchPlan {
    int64_t trials = 0;                                 ///< of the whole study, rejected, repeated and failed ones included
    int epochs = 1;                                     ///< of a trial that nothing stops
    bool stops = true;                                  ///< bad ones at rungs (Halving); else every trial runs to its end
    int keep = 1;                                       ///< of so many best trials the weights stay
    std::function<Proposal(int64_t trial)> propose;     ///< depends on the number alone
    std::function<std::string(int64_t trial)> prepare;  ///< its folder, ready for a WorkerPool; called again for a trial that goes on
    Probe probe;                                        ///< numbered by the trial that is given up if it ends
    /// It has ended and needs its checkpoint no more, nor its weights unless it is among the best. May be called again.
    std::function<void(int64_t trial, bool keep_weights)> tidy;
};

struct TrialScore {
    int64_t trial = 0;
    double error = 0;  ///< of the target after the last epoch, in %
};

struct SearchTally {
    int64_t complete = 0, stopped = 0, rejected = 0, repeated = 0, failed = 0;
    int64_t ended() const { return complete + stopped + rejected + repeated + failed; }
    std::string words() const;  ///< "9 complete, 54 stopped, 1 rejected, 0 repeated, 0 failed"
};

/// Runs `plan.trials` trials in the pool's slots. A trial reports its error every epoch and may be stopped at a rung by Halving; one that fails
/// is recorded with its reason; one whose worker died runs again, and fails the second time, if the probe shows that the machine trains.
/// Everything is in the journal before it has an effect, so replay() of its rows goes on where it ended: with one slot to the same trials,
/// rungs and winner.
/// Memory: Halving's, the trials under way, the best, and what each training depends on.
class Search {
  public:
    /// `quiet`: prints nothing; else a line (a terminal: one that changes) for each trial that ends.
    Search(SearchPlan plan, Journal& journal, WorkerPool& pool, bool quiet);
    /// What happened before. InputError naming the row where the rows cannot have happened.
    void replay(const std::vector<JournalRow>& rows);
    void run();  ///< throws, beside what the pool throws, machine_failure's; the trial has not failed then

    const std::vector<TrialScore>& best() const { return best_; }  ///< complete trials, the best `plan.keep`, best first
    const SearchTally& tally() const { return tally_; }
    double seconds() const { return seconds_; }                  ///< of run()
    double bookkeeping_seconds() const { return bookkeeping_; }  ///< of those, not spent waiting for the pool

  private:
    struct Trial {  ///< under way
        int epochs = 0, losses = 0;
    };
    void record(const JournalRow& row);
    void apply(const JournalRow& row);
    void apply_end(const JournalRow& row);
    bool start_next(int slot);
    void handle(const PoolMessage& message);
    void handle_epoch(int64_t trial, const PoolMessage& message);
    void handle_lost(int64_t trial, const PoolMessage& message);
    void handle_probe(const PoolMessage& message);
    void end(int slot, const JournalRow& row);
    void rank(const TrialScore& score);
    void show(const std::string& what);

    SearchPlan plan_;
    Journal& journal_;
    WorkerPool& pool_;
    bool quiet_, terminal_;
    Halving halving_;
    int64_t next_ = 0;                          ///< trials 0 … next_ − 1 have begun or were rejected
    std::map<std::string, int64_t> trainings_;  ///< what they depend on, and the first trial of each that did not fail
    std::map<int64_t, Trial> under_way_;
    std::deque<int64_t> waiting_;  ///< under way, without a slot
    std::map<int, int64_t> slot_trial_;
    std::map<int, JournalRow> probing_;  ///< by slot, where a probe is under way: how its trial ends if that does
    std::map<int, double> last_error_;   ///< by slot: of a trial that has reported its last epoch and has not ended yet
    std::vector<TrialScore> best_;
    SearchTally tally_;
    std::chrono::steady_clock::time_point started_;
    int64_t ended_before_ = 0;
    double seconds_ = 0, bookkeeping_ = 0;
};

}  // namespace distill
