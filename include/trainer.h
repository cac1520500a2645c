// trainer.h: the training loop that every method shares.
// defines: StepResult, OtherNetwork, PretrainedNetwork, Method, StudentMethod, student_prefix, Evaluation, evaluate, TrainingResult,
//          AfterEpoch, Trainer
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base_files.h"
#include "data_loader.h"
#include "net.h"
#include "train_optim.h"
#include "train_options.h"
#include "train_preparation.h"
#include "train_run_folder.h"
#include "train_step_replay.h"

namespace distill {

/// One forward pass: what is minimised, its parts as they enter the sum (in the order of loss_names), and the student's logits.
struct StepResult {
    Var loss;
    std::vector<Var> named;
    Var logits;
};

/// Where a method's parameters have the student; helper modules lie beside it.
inline const std::string student_prefix = "student.";

/// A network beside the student. `prefix`: where parameters() has it, if it is trained here; its weights then get a file of their own.
struct OtherNetwork {
    std::string name;
    const Network* network;
    std::string prefix;
};

/// A trained network from a file, which stays as it is: tested once, before the training.
struct PretrainedNetwork {
    std::string name;
    const Network& network;
    fs::path file;
    const std::map<std::string, std::string>& metadata;
};

/// What a paper adds to plain training. parameters() holds the student and whatever else is trained with it.
class Method {
  public:
    virtual ~Method() = default;
    virtual Parameters& parameters() = 0;
    virtual const Network& student() const = 0;
    virtual std::vector<std::string> loss_names() const = 0;
    /// What is trained first, before begin_epoch(0): by default nothing. Its parameters, where they are apart from parameters(), are saved
    /// among the helpers, and --init may set them.
    virtual Preparation preparation() { return {}; }
    /// Called before the first step of this process, with the number of epochs done before (resumed): the place for a method's own files.
    virtual void begin_run(const RunFolder& /*folder*/, int /*epochs_done*/) {}
    /// Called before an epoch's first step: the place for weights that follow a schedule (they live in device memory).
    virtual void begin_epoch(int /*epoch*/) {}
    /// On a GPU it is called twice for each size of batch, and what it queued the second time is replayed from then on. So it reads
    /// what changes from step to step from device memory (batch.step, scheduled weights), takes the same path through the code every
    /// time, keeps no tensor that it made for a later step, and uploads and downloads nothing.
    virtual StepResult step(const Batch& batch) = 0;
    /// Leaves the step's gradients in parameters(); bound by the same rules as step(). By default those of its loss.
    virtual void backward(Tape& tape, const StepResult& result) {
        parameters().begin_backward();
        tape.backward(result.loss);
    }
    /// Called after an epoch's last step: the place for a row in a method's own table.
    virtual void end_epoch(const RunFolder& /*folder*/, int /*epoch*/) {}
    /// Networks tested at each epoch's end beside student(): epochs.csv has their accuracies as test_acc_<name>.
    virtual std::vector<OtherNetwork> others() const { return {}; }
    /// config.csv has their checksums and accuracies as info.<name>_sha256 and info.<name>_accuracy; a run that goes on must find the
    /// same files.
    virtual std::vector<PretrainedNetwork> pretrained() const { return {}; }
    /// What a checkpoint must hold beside the parameters, by name.
    virtual std::vector<std::pair<std::string, Tensor>> state() const { return {}; }
};

/// A method that trains options.student. A derived class registers its helper modules and then allocates the parameters.
class StudentMethod : public Method {
  public:
    Parameters& parameters() final { return parameters_; }
    const Network& student() const final { return *student_; }

  protected:
    StudentMethod(Backend& backend, const Options& options, int classes);
    /// parameters(), allocated: for members that are made of their memory.
    Parameters& allocated(uint64_t start) {
        parameters_.allocate(start);
        return parameters_;
    }
    Parameters parameters_;
    std::unique_ptr<Network> student_;
};

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
