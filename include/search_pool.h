// search_pool.h: those who train for a search: slots that each take the folder of a run, and report epoch by epoch.
// defines: PoolMessage, WorkerPool, max_losses, lost_too_often, slot_failure, FailedRun, train_all
#pragma once
#include <string>
#include <vector>

namespace distill {

/// What a slot reports. epoch: it has trained `epoch` epochs (from 1 on), reached `accuracy` in %, and waits for an answer. The others
/// leave the slot free: ended (as told, or the run is finished and its files are written), failed (`detail`: why), lost (its worker died:
/// the run is to be trained again).
struct PoolMessage {
    enum class Kind { epoch, ended, failed, lost } kind = Kind::ended;
    int slot = 0;
    int epoch = 0;
    double accuracy = 0;
    std::string detail;
    bool blamed = true;  ///< of a lost one: it may be what killed the worker
};

class WorkerPool {
  public:
    virtual ~WorkerPool() = default;
    virtual int slots() const = 0;
    /// A free slot begins with the run in this folder, or goes on with it from its checkpoint. The last finished epoch of a run that goes
    /// on is reported again: its report may have been lost.
    virtual void train(int slot, const std::string& folder) = 0;
    /// The next message of any slot. Interrupted after SIGINT or SIGTERM, when all that is under way has a checkpoint; InputError where
    /// a run stumbles over its input (a data set that is gone), WriteError where over what it writes to (a full disk).
    virtual PoolMessage wait() = 0;
    virtual void answer(int slot, bool goes_on) = 0;
};

/// A run that is blamed for its worker's death this often is doubted: it is what kills it, once another has trained in its slot.
constexpr int max_losses = 2;

/// Why such a run is given up; `last`: its last loss's detail.
std::string lost_too_often(const std::string& last);

/// Throws std::runtime_error: `before` and `now` were both lost too often in one slot, where nothing trained between them, so that the
/// machine (a GPU whose memory others hold, a driver that has failed) is to blame and not the runs.
[[noreturn]] void slot_failure(const std::string& before, const std::string& now, const std::string& last);

/// A run that was given up, and why.
struct FailedRun {
    std::string folder, reason;
    bool doubted = false;  ///< nothing trained after it in its slot: it may be the machine's fault
};

/// Trains all these runs to their ends, each in the next slot that is free; prints a line for each unless `quiet`. Throws slot_failure's.
std::vector<FailedRun> train_all(WorkerPool& pool, const std::vector<std::string>& folders, bool quiet);

}  // namespace distill
