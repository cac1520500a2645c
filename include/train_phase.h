// train_phase.h: what is trained before the student: a helper of the method, or the student itself on another loss.
// defines: PhaseTraining
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "train_loop.h"
#include "train_run_folder.h"

namespace distill {

/// Trains a Phase and keeps NAME.csv: epoch, lr, the mean loss, seconds.
class PhaseTraining {
  public:
    /// `run_name` (of one run among several at work) stands before each line of progress.
    PhaseTraining(Backend& backend, Loader& loader, const Phase& phase, const Options& options, std::string run_name = "");
    /// Called after an epoch with the number of its first step (from 0 in the whole phase), its rate and the loss of each step.
    using LogSteps = std::function<void(int64_t first, double rate, const std::vector<float>& losses)>;
    /// Goes on to its end; nothing if it is there. Calls `save` after each epoch and as TrainingLoop does.
    void run(const RunFolder& folder, const TrainingLoop::Save& save, const LogSteps& log_steps = {});
    const Phase& phase() const { return phase_; }
    int64_t logged_steps() const { return loop_.steps() - loop_.step(); }  ///< of the epochs that are done
    void keep_in(Checkpoint& checkpoint) const;
    void take_from(const Checkpoint& checkpoint, const std::filesystem::path& path);
    double seconds() const { return loop_.seconds(); }
    double last_loss() const { return last_loss_; }  ///< the mean of the last finished epoch; NaN before

  private:
    const Phase phase_;
    const Options& options_;
    std::string run_name_;
    TrainingLoop loop_;
    double last_loss_;
};

}  // namespace distill
