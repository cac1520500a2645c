// workers.h: a crew of processes: each a copy of this program (`distill ktg worker`) that holds the data set and trains in its slots.
// defines: WorkerPlan, WorkerCrew
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crew.h"
#include "subprocess.h"

namespace distill {

struct WorkerPlan {
    std::string program;  ///< this one
    int slots_each = 1;
    /// A worker each: what its environment has beside ours (CUDA_VISIBLE_DEVICES=1).
    std::vector<std::vector<std::string>> environments;
};

/// The protocol, a line each. To a worker: `SLOT train FOLDER`, then after each report `SLOT go` or `SLOT stop`; `end`: write checkpoints
/// and end. From it: `ready`, `SLOT epoch N ACCURACY`, `SLOT ended`, `SLOT failed WHY`, `SLOT input WHY`.
/// A worker whose socket closes ends at once, so none outlives its parent; one that ends unasked is replaced.
class WorkerCrew final : public Crew {
  public:
    explicit WorkerCrew(WorkerPlan plan);
    ~WorkerCrew() override;  ///< what is under way gets a checkpoint
    int slots() const override { return static_cast<int>(workers_.size()) * plan_.slots_each; }
    void train(int slot, const std::string& folder) override;
    CrewMessage wait() override;
    void answer(int slot, bool goes_on) override;

  private:
    struct Worker {
        std::unique_ptr<Subprocess> process;
        bool ready = false;
        std::map<int, bool> busy;  ///< by slot of the worker
    };
    void start(size_t worker);
    void listen();
    void hear(size_t worker, const std::string& line);
    void bury(size_t worker);
    void end_all();
    WorkerPlan plan_;
    std::vector<Worker> workers_;
    std::deque<CrewMessage> messages_;
};

}  // namespace distill
