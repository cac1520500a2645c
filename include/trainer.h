// trainer.h: a method's whole training: its phases and its student through the loop (train_loop.h), the tests, and the run's files.
// defines: evaluate, evaluate_together, TrainingResult, AfterEpoch, MayChange, Trainer
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data_loader.h"
#include "method.h"
#include "net.h"
#include "train_options.h"
#include "train_phase.h"
#include "train_run_folder.h"

namespace distill {

/// The network over the test part, in evaluation mode unless told otherwise. `look`, if given, sees the logits of each batch, in the order
/// of the test part.
Evaluation evaluate(Backend& backend, const Loader& loader, const Network& network, Mode mode = Mode::evaluate,
                    const std::function<void(const Tensor&)>& look = {});

/// Several answers to each batch of the test part: `answers` gives the logits of all `count`.
std::vector<Evaluation> evaluate_together(Backend& backend, const Loader& loader, size_t count,
                                          const std::function<std::vector<Var>(const Var& images)>& answers);

struct TrainingResult {
    double last = 0, best = 0;  ///< test accuracy in %
    int best_epoch = 0;
    double seconds = 0;
    std::vector<double> others;  ///< of Method::others(), after the last epoch
};

/// Called after each epoch (its checkpoint is written) with the number of finished epochs and the test accuracy in %; false ends the run
/// there. A run that goes on reports its last finished epoch again.
using AfterEpoch = std::function<bool(int epochs, double accuracy)>;

/// Of a row of config.csv: may it have another value there than in the checkpoint that a run goes on from?
using MayChange = std::function<bool(const std::string& row)>;

/// Trains `method` as `options` say and keeps the run's files. With options.resume it goes on from the checkpoint, to the bit.
/// Throws Interrupted after a signal or --time-limit (interruption(); a checkpoint is written), TrainingFailed for a loss, the test's too,
/// or a weight that is not finite.
class Trainer {
  public:
    /// `name` (of one run among several at work) stands before each line of progress; without `may_change` no row may.
    Trainer(Backend& backend, Loader& loader, Method& method, const Options& options, const RunFolder& folder, std::string name = "",
            MayChange may_change = {});
    TrainingResult run(const AfterEpoch& goes_on = {});

  private:
    void resume();
    void write_checkpoint() const;
    void open_tables(bool resuming);
    void log_session(bool resuming);
    void train_student(const AfterEpoch& goes_on);
    void finish_epoch(class Progress& progress);
    void log_steps(const TrainingLoop::Table& table);
    void log_phase(size_t phase, int64_t first, double rate, const std::vector<float>& losses);
    TrainingResult result() const;
    bool told_to_stop(const AfterEpoch& goes_on) const;

    Backend& backend_;
    Loader& loader_;
    Method& method_;
    const Options& options_;
    const RunFolder& folder_;
    std::string name_;
    MayChange may_change_;
    std::vector<std::unique_ptr<PhaseTraining>> phases_;
    TrainingLoop student_;
    std::vector<size_t> logged_phases_;  ///< with a column of their own in steps.csv
    std::optional<CsvWriter> epochs_csv_, steps_csv_;
    // The state that a checkpoint holds beside the loops'.
    int rows_written_ = 0;
    TrainingResult result_;
};

}  // namespace distill
