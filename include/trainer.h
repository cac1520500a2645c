// trainer.h: the training loop that every method shares.
// defines: Evaluation, evaluate, TrainingResult, AfterEpoch, Trainer
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data_loader.h"
#include "method.h"
#include "net.h"
#include "train_options.h"
#include "train_preparation.h"
#include "train_run_folder.h"
#include "train_step_replay.h"

namespace distill {

/// Plain cross-entropy of the network in evaluation mode over the test part, and its accuracy in %.
struct Evaluation {
    double loss = 0, accuracy = 0;
};
/// `look`, if given, sees the logits of each batch, in the order of the test part.
Evaluation evaluate(Backend& backend, const Loader& loader, const Network& network, Mode mode = Mode::evaluate,
                    const std::function<void(const Tensor&)>& look = {});

struct TrainingResult {
    double last = 0, best = 0;  ///< test accuracy in %
    int best_epoch = 0;
    double seconds = 0;
    std::vector<double> others;  ///< of Method::others(), after the last epoch
};

/// Called after each epoch (its checkpoint is written) with the number of finished epochs and the test accuracy in %; false ends the run
/// there. A run that goes on reports its last finished epoch again.
using AfterEpoch = std::function<bool(int epochs, double accuracy)>;

/// Trains `method` as `options` say and keeps the run's files. With options.resume it goes on from the checkpoint, to the bit.
/// Throws Interrupted after SIGINT or SIGTERM (a checkpoint is written), std::runtime_error for a loss that is not finite.
class Trainer {
  public:
    /// `name` (of one run among several at work) stands before each line of progress.
    Trainer(Backend& backend, Loader& loader, Method& method, const Options& options, const RunFolder& folder, std::string name = "");
    TrainingResult run(const AfterEpoch& goes_on = {});

  private:
    struct Totals {  ///< of an epoch so far
        double loss = 0, accuracy = 0;
        std::vector<double> named;
    };
    using Table = std::vector<float>;  ///< an epoch's rows so far, in host memory
    void resume();
    void write_checkpoint() const;
    void train_epoch(class Progress& progress);
    void finish_epoch(class Progress& progress);
    void queue_step(int64_t images);
    Totals totals(const Table& table) const;
    void require_finite(const float* row, int64_t step) const;
    void require_finite_weights(const std::vector<float>& values, const std::vector<float>& buffers) const;
    void log_steps(const Table& table);
    void log_preparation(int64_t first, double rate, const std::vector<float>& losses);
    [[noreturn]] void fail_not_finite(int64_t step, const std::string& what) const;
    std::string last_good() const;  ///< for complaints: what a user can go back to
    bool out_of_steps() const { return options_.max_steps > 0 && global_step_ >= options_.max_steps; }
    int64_t planned_steps() const;

    Backend& backend_;
    Loader& loader_;
    Method& method_;
    const Options& options_;
    const RunFolder& folder_;
    std::string name_;
    SgdOptions sgd_;
    std::vector<int> lr_steps_;
    Tape tape_;
    Tensor lr_;     ///< one float
    Tensor table_;  ///< an epoch's steps × (loss, named losses…, correct, images), read by the host once an epoch
    int64_t columns_;
    StepReplay replay_;
    PreparationPhase preparation_;
    bool preparation_column_ = false;  ///< in steps.csv
    double rate_ = 0;
    std::optional<CsvWriter> epochs_csv_, steps_csv_;
    // The state that a checkpoint holds beside the weights.
    int epoch_ = 0, rows_written_ = 0;
    int64_t step_ = 0, global_step_ = 0;
    TrainingResult result_;
    double seconds_before_epoch_ = 0;
};

}  // namespace distill
