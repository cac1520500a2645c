// search_pool.h: those who train for a search: slots that each take the folder of a run, and report epoch by epoch.
// defines: PoolMessage, WorkerPool, Probe, max_losses, lost_too_often, machine_failure, FailedRun, train_all
#pragma once
#include <cstdint>
#include <functional>
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

/// A folder, made anew for what `number` stands for, of a training that any sound machine can do and that is over in a step.
using Probe = std::function<std::string(int64_t number)>;

/// A run that is blamed for its worker's death this often is given up as what kills it, if a probe in its slot then shows that the machine
/// trains; else the machine is to blame (a GPU whose memory others hold, a driver that has failed), and no run.
constexpr int max_losses = 2;

/// Why such a run is given up; `last`: its last loss's detail.
std::string lost_too_often(const std::string& last);

/// Throws std::runtime_error: `run` was lost so often, and the probe was lost after it (`last`: its detail).
[[noreturn]] void machine_failure(const std::string& run, const std::string& last);

/// A run that was given up, and why.
struct FailedRun {
    std::string folder, reason;
};

/// Trains all these runs to their ends, each in the next slot that is free; prints a line for each unless `quiet`. Probes are numbered by
/// the runs' places in the list. Throws machine_failure's.
std::vector<FailedRun> train_all(WorkerPool& pool, const std::vector<std::string>& folders, const Probe& probe, bool quiet);

}  // namespace distill
