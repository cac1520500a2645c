// preparation.h: what a method trains before the student: a helper network, by itself, from the same batches.
// defines: Preparation, StepReplay, PreparationPhase
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "backend.h"
#include "checkpoint.h"
#include "loader.h"
#include "options.h"
#include "parameters.h"
#include "run_folder.h"

namespace distill {

/// `epochs` passes of SGD at the run's constant first rate, momentum and weight decay; 0: none. The parameters are the method's, apart
/// from those that it trains with the student.
struct Preparation {
    int epochs = 0;
    Parameters* parameters = nullptr;
    std::string loss;                         ///< the column of preparation.csv
    std::function<Var(const Batch&)> step{};  ///< returns the loss; bound by the same rules as Method::step
};

/// Runs steps of one kind. The first step of a size runs as it is, the second is recorded, and from then on it is one launch. Where
/// nothing is recorded, each runs as it is.
class StepReplay {
  public:
    void run(Backend& backend, int64_t size, const std::function<void()>& step);

  private:
    struct Recorded {       ///< the step of one size of batch
        bool warm = false;  ///< it has run once, so that libraries have chosen their algorithms
        std::unique_ptr<Replay> replay;
    };
    std::map<int64_t, Recorded> recorded_;
};

/// Trains a Preparation and keeps preparation.csv: epoch, lr, the mean loss, seconds. --max-steps holds for it by itself.
class PreparationPhase {
  public:
    PreparationPhase(Backend& backend, Loader& loader, Preparation preparation, const Options& options, std::string name);
    /// Goes on to its end; nothing if it is there. Calls `save_checkpoint` after each epoch, every two minutes, and on a signal, before it
    /// throws Interrupted. std::runtime_error for a loss that is not finite.
    void run(const RunFolder& folder, const std::function<void()>& save_checkpoint);
    void keep_in(Checkpoint& checkpoint) const;
    void take_from(const Checkpoint& checkpoint, const std::filesystem::path& path);
    double seconds() const { return seconds_; }

  private:
    bool ended() const;
    void queue_step(int64_t images);
    double mean_loss() const;

    Backend& backend_;
    Loader& loader_;
    Preparation preparation_;
    const Options& options_;
    std::string name_;
    Tape tape_;
    StepReplay replay_;
    Tensor lr_, sum_;  ///< one float each; the sum of loss times images over an epoch so far
    int64_t epoch_ = 0, step_ = 0, steps_made_ = 0;
    double seconds_ = 0, seconds_before_epoch_ = 0;
};

}  // namespace distill
