// train_loop.h: the one loop that trains: a method's phases and then its student go through it, each with a plan of its own.
// defines: sgd_options, TrainingPlan, EpochMeans, TrainingLoop
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data_loader.h"
#include "method.h"
#include "train_checkpoint.h"
#include "train_options.h"
#include "train_step_replay.h"

namespace distill {

class Progress;  // train_progress.h

/// The SGD that --momentum, --weight-decay and --nesterov ask for.
SgdOptions sgd_options(const Options& options);

/// What is trained, and how.
struct TrainingPlan {
    std::string name;        ///< "preparation"; the student's training has none
    bool own_draws = false;  ///< of batches, crops and flips, by its name
    int epochs = 0;
    Parameters* parameters = nullptr;
    SgdOptions sgd;
    std::vector<ParameterGroup> groups;            ///< what is not trained by that, or not at that rate
    std::function<double(int epoch)> rate;         ///< learning rate of an epoch, from 0
    std::string loss;                              ///< as lines and complaints call the whole
    std::vector<std::string> parts;                ///< names of what it is the sum of
    bool classifies = true;                        ///< a step's result has logits
    std::function<void(int epoch)> begin_epoch;    ///< before an epoch's first step in this process
    std::function<StepResult(const Batch&)> step;  ///< recorded and replayed: Method::step() says what that asks for
    std::function<void(Tape&, const StepResult&)> backward;
};

/// Of the training images of an epoch, or of what was made of it.
struct EpochMeans {
    double loss = 0, accuracy = 0;  ///< accuracy in %, where the plan classifies
    std::vector<double> parts;
};

/// Trains epoch by epoch. Its counters, the plan's parameters and the losses of the epoch so far are what a checkpoint needs.
/// --max-steps holds for each loop by itself.
class TrainingLoop {
  public:
    using Save = std::function<void()>;
    using Table = std::vector<float>;  ///< a row a step: the loss, its parts, and where the plan classifies the right and all images

    TrainingLoop(Backend& backend, Loader& loader, const Options& options, TrainingPlan plan);

    bool ended() const { return epoch_ >= plan_.epochs || (out_of_steps() && step_ == 0); }
    /// Goes on to the epoch's end, or to --max-steps. Calls `save` every two minutes, and on a signal, before it throws Interrupted.
    /// TrainingFailed for a loss that is not finite, where the host sees it at once: before it reaches the weights.
    void train_epoch(const std::filesystem::path& run, Progress& progress, const Save& save);
    /// What the epoch came to. TrainingFailed for a loss, or a weight, that is not finite.
    EpochMeans means(Table& table) const;
    void next_epoch();  ///< the time from here on is the next epoch's
    [[noreturn]] void fail_not_finite(int64_t step, const std::string& what) const;
    void forget_recordings() { replay_ = {}; }  ///< and the memory that they hold

    int epoch() const { return epoch_; }
    int64_t step() const { return step_; }  ///< of the epoch: so many are made
    int64_t steps() const { return steps_; }
    int64_t planned_steps() const;
    double rate() const { return plan_.rate(epoch_); }
    double seconds() const { return seconds_; }
    double epoch_seconds() const { return seconds_ - seconds_before_epoch_; }
    /// Counts what `work` takes as training.
    void timed(const std::function<void()>& work);
    const TrainingPlan& plan() const { return plan_; }
    int64_t columns() const { return columns_; }

    void keep_in(Checkpoint& checkpoint) const;  ///< TrainingFailed instead for weights that are not finite, unless it has ended
    void take_from(const Checkpoint& checkpoint, const std::filesystem::path& path);

  private:
    void queue_step(int64_t images);
    void require_finite(const float* row, int64_t step) const;
    void require_finite_weights(const std::vector<float>& values, const std::vector<float>& buffers) const;
    void show(Progress& progress, int64_t images) const;
    bool out_of_steps() const { return options_.max_steps > 0 && steps_ >= options_.max_steps; }
    std::string entry(const char* name) const { return (plan_.name.empty() ? "" : plan_.name + ".") + name; }

    Backend& backend_;
    Loader& loader_;
    const Options& options_;
    const TrainingPlan plan_;
    const int64_t columns_;
    Tape tape_;
    StepReplay replay_;
    Optimizer optimizer_;
    Tensor table_;  ///< an epoch's steps × columns, read by the host once an epoch
    std::filesystem::path run_;
    int epoch_ = 0;
    int64_t step_ = 0, steps_ = 0;
    double seconds_ = 0, seconds_before_epoch_ = 0;
};

}  // namespace distill
