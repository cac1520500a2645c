// ktg_workers.h: a pool of processes: each a copy of this program (`distill ktg worker`) that holds the data set and trains in its slots.
// defines: WorkerPlan, WorkerProcesses
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base_subprocess.h"
#include "search_pool.h"

namespace distill {

struct WorkerPlan {
    struct Process {
        int slots = 1;
        std::vector<std::string> environment;  ///< beside ours (CUDA_VISIBLE_DEVICES=1)
    };
    std::string program;  ///< this one
    std::vector<Process> processes;
};

/// The protocol, a line each. To a worker: `SLOT train FOLDER`, then after each report `SLOT go` or `SLOT stop`; `end`: write checkpoints
/// and end. From it: `ready`, `SLOT epoch N ACCURACY`, `SLOT ended`, `SLOT failed WHY`, `SLOT input WHY`, `SLOT disk WHY` (what cannot be
/// written); `broken WHY`: it is no good any more and ends. A worker whose socket closes ends at once, so none outlives its parent.
///
/// One that ends unasked is replaced, and its runs are reported lost. Blamed is a run that was alone in it. Of several, nobody knows
/// which it was: each then trains alone in its worker, others wait, until it has ended or is the one to blame. A worker that ends by a
/// signal meant for all (exit code 3), or before it could begin, is no run's fault; std::runtime_error if it cannot begin three times.
class WorkerProcesses final : public WorkerPool {
  public:
    explicit WorkerProcesses(WorkerPlan plan);
    ~WorkerProcesses() override;  ///< what is under way gets a checkpoint
    int slots() const override { return static_cast<int>(seats_.size()); }
    void train(int slot, const std::string& folder) override;
    PoolMessage wait() override;
    void answer(int slot, bool goes_on) override;

  private:
    struct Worker {
        std::unique_ptr<Subprocess> process;
        bool ready = false;
        int first_slot = 0, early_ends = 0;               ///< early: before it was ready, one after another
        std::map<int, std::string> busy;                  ///< folder by own slot
        std::deque<std::pair<int, std::string>> waiting;  ///< for those to end: own slot and folder
        std::string last_words;
    };
    struct Seat {
        size_t worker;
        int own;  ///< slot of the worker
    };
    void start(size_t worker);
    void advance(Worker& worker);
    void listen();
    void hear(size_t worker, const std::string& line);
    void bury(size_t worker);
    void end_all();
    WorkerPlan plan_;
    std::vector<Worker> workers_;
    std::vector<Seat> seats_;         ///< by slot
    std::set<std::string> suspects_;  ///< folders that were under way, not alone, in a worker that died
    std::deque<PoolMessage> messages_;
};

}  // namespace distill
