// train_preparation.h: what is trained by itself, on the run's batches: a method's helper before the student, or the student on another
// loss.
// defines: sgd_options, PreparationPhase
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data_loader.h"
#include "method.h"
#include "train_checkpoint.h"
#include "train_options.h"
#include "train_run_folder.h"
#include "train_step_replay.h"

namespace distill {

/// The SGD that --momentum, --weight-decay and --nesterov ask for.
SgdOptions sgd_options(const Options& options);

/// Trains a Preparation and keeps NAME.csv: epoch, lr, the mean loss, seconds. --max-steps holds for it by itself.
class PreparationPhase {
  public:
    /// `run_name` (of one run among several at work) stands before each line of progress.
    PreparationPhase(Backend& backend, Loader& loader, Preparation preparation, const Options& options, std::string run_name = "");
    /// Called after an epoch with the number of its first step (from 0 in the whole phase), its rate and the loss of each step.
    using LogSteps = std::function<void(int64_t first, double rate, const std::vector<float>& losses)>;
    /// Goes on to its end; nothing if it is there. Calls `save_checkpoint` after each epoch, every two minutes, and on a signal, before it
    /// throws Interrupted. TrainingFailed for a loss that is not finite: on the CPU before it reaches the weights, elsewhere at the
    /// epoch's end.
    void run(const RunFolder& folder, const std::function<void()>& save_checkpoint, const LogSteps& log_steps = {});
    int64_t logged_steps() const { return steps_made_ - step_; }  ///< of the epochs that are done
    void keep_in(Checkpoint& checkpoint) const;                   ///< TrainingFailed instead for weights that are not finite
    void take_from(const Checkpoint& checkpoint, const std::filesystem::path& path);
    double seconds() const { return seconds_; }
    double last_loss() const { return last_loss_; }  ///< the mean of the last finished epoch; NaN before

  private:
    bool ended() const;
    double rate() const;
    int64_t planned_steps() const;
    void train_epoch(const RunFolder& folder, class Progress& progress, const std::function<void()>& save_checkpoint);
    void queue_step(int64_t images);
    double mean_of(const std::vector<float>& losses) const;
    void require_finite_weights(const std::vector<float>& values) const;
    [[noreturn]] void fail_not_finite(int64_t step, const std::string& what) const;

    Backend& backend_;
    Loader& loader_;
    Preparation preparation_;
    const Options& options_;
    std::string run_name_;
    SgdOptions sgd_;
    Tape tape_;
    StepReplay replay_;
    Tensor lr_, losses_;   ///< one float; the loss of each step of an epoch so far
    std::string figures_;  ///< of the last step, where the host sees them at once
    int64_t epoch_ = 0, step_ = 0, steps_made_ = 0;
    double seconds_ = 0, seconds_before_epoch_ = 0, last_loss_;
};

}  // namespace distill
