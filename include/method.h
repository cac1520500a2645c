// method.h: what a method of training is: its step, what it trains, its options, and its row in the table (method_table.h).
// defines: Evaluation, StepResult, student_prefix, OtherNetwork, PretrainedNetwork, Phase, Method, Setting, StudentMethod, MethodOptions,
//          default_options, Teaching, MethodRow
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base_files.h"
#include "net_parameters.h"
#include "op_autograd.h"
#include "train_optim.h"

namespace distill {

struct Batch;       // data_loader.h
class Network;      // net.h
struct Options;     // train_options.h
class OptionTable;  // train_option_table.h
class RunFolder;    // train_run_folder.h
class Teacher;      // method_teacher.h

/// Plain cross-entropy of a network's answers to the test part, and its accuracy in %.
struct Evaluation {
    double loss = 0, accuracy = 0;
};

/// One forward pass: what is minimised, its parts as they enter the sum (in the order of loss_names), and the student's logits.
struct StepResult {
    Var loss;
    std::vector<Var> named;
    Var logits;
};

/// Where a method's parameters have the student; helper modules lie beside it.
inline const std::string student_prefix = "student.";

/// A network beside the student. `prefix`: where parameters() has it, if it is trained here; its weights then get a file of their own.
/// `network`: null for an answer that is put together from several networks' (Method::answers()).
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

/// Trains `parameters` for `epochs` on the run's batches before the student. They may be a helper's own, apart from those that are
/// trained with the student, or these themselves, which then begin their training with these values and without momentum.
struct Phase {
    int epochs = 0;  ///< 0: none
    Parameters* parameters = nullptr;
    std::string loss{};                       ///< the loss as tables and lines name it
    std::function<Var(const Batch&)> step{};  ///< returns the loss; bound by the same rules as Method::step
    std::function<double(int epoch)> rate{};  ///< learning rate of an epoch (counted from 0); none: the run's first, throughout
    std::optional<SgdOptions> sgd{};          ///< none: the run's
    std::string name = "preparation";         ///< what tables, lines and its file NAME.csv call it; of several each has its own
    bool own_draws = true;                    ///< of batches, crops and flips; else the student's of the epoch of the same number
    bool in_steps_csv = false;                ///< with --log-steps: its steps stand there before the student's, in a column of their own
    std::function<void(const RunFolder&)> keep{};  ///< called at its end: the place for a file of its own
};

/// What a paper adds to plain training. parameters() holds the student and whatever else is trained with it.
class Method {
  public:
    virtual ~Method() = default;
    virtual Parameters& parameters() = 0;
    virtual const Network& student() const = 0;
    virtual std::vector<std::string> loss_names() const = 0;
    /// What the user should know of how it takes these networks, in sentences without a full stop; told once, before the training.
    virtual std::vector<std::string> notes() const { return {}; }
    /// What is trained before begin_epoch(0), one phase after the other: by default nothing. Their parameters, where they are apart from
    /// parameters(), are saved among the helpers, and --init may set them.
    virtual std::vector<Phase> phases() { return {}; }
    /// Do parameters that the student's loss does not reach stay as they are (SgdOptions::reached_only)?
    virtual bool reached_only() const { return false; }
    /// InputError if a run that goes on in the folder is another than this method would train. Called before anything is changed there.
    virtual void require_same_run(const RunFolder& /*folder*/) const {}
    /// Called before the first step of this process, with the number of epochs done before (resumed): the place for a method's own files.
    virtual void begin_run(const RunFolder& /*folder*/, int /*epochs_done*/) {}
    /// Called before an epoch's first step: the place for weights that follow a schedule (they live in device memory).
    virtual void begin_epoch(int /*epoch*/) {}
    /// On a GPU it is called twice for each size of batch, and what it queued the second time is replayed from then on. So it reads
    /// what changes from step to step from device memory (batch.step, scheduled weights), takes the same path through the code every
    /// time, keeps no tensor that it made for a later step, and uploads and downloads nothing.
    virtual StepResult step(const Batch& batch) = 0;
    /// What of parameters() is not trained by the run's SGD, or not at its rate.
    virtual std::vector<ParameterGroup> groups(const SgdOptions& /*of_run*/) const { return {}; }
    /// Leaves the step's gradients in parameters(); bound by the same rules as step(). By default those of its loss.
    virtual void backward(Tape& tape, const StepResult& result);
    /// Called after an epoch's last step: the place for a row in a method's own table.
    virtual void end_epoch(const RunFolder& /*folder*/, int /*epoch*/) {}
    /// Networks tested at each epoch's end beside student(): epochs.csv has their accuracies as test_acc_<name>.
    virtual std::vector<OtherNetwork> others() const { return {}; }
    /// Logits of student(), then of others(), for a batch of the test part, in evaluation mode. By default each network's by itself; a pass
    /// that serves several of them is made once.
    virtual std::vector<Var> answers(const Var& images) const;
    /// Further columns of epochs.csv, and what they hold after a test of student() and of others().
    virtual std::vector<std::string> test_columns() const { return {}; }
    virtual std::vector<double> test_values(const Evaluation& /*student*/, const std::vector<Evaluation>& /*others*/) const { return {}; }
    /// config.csv has their checksums and accuracies as info.<name>_sha256 and info.<name>_accuracy; a run that goes on must find the
    /// same files.
    virtual std::vector<PretrainedNetwork> pretrained() const { return {}; }
    /// Called with what --init names, before the parameters are set from it: takes out what is none of them, and adds what a file may lack.
    /// InputError for what does not fit.
    virtual void take_start(WeightFile& /*file*/, const std::string& /*path*/) {}
    /// What the file of the helpers says of them, for take_start() to compare.
    virtual std::map<std::string, std::string> helper_metadata() const { return {}; }
    /// What a checkpoint must hold beside the parameters, by name.
    virtual std::vector<std::pair<std::string, Tensor>> state() const { return {}; }
};

/// What a method is set into: every one is made of this, the training's options and its own. All must outlive it.
struct Setting {
    Backend& backend;
    Shape image;  ///< (1,H,W,3) that the networks will be shown
    int classes;
    int64_t records;  ///< of the training set
    std::vector<const Teacher*> teachers;
    const std::vector<int32_t>* labels = nullptr;  ///< of the records; null where nobody asks
    const Teacher& teacher() const { return *teachers.front(); }
};

/// A method that trains options.student. A derived class registers its helper modules and then allocates the parameters.
class StudentMethod : public Method {
  public:
    ~StudentMethod() override;
    Parameters& parameters() final { return parameters_; }
    const Network& student() const final { return *student_; }
    std::vector<std::string> notes() const final { return notes_; }

  protected:
    StudentMethod(const Setting& setting, const Options& options);
    /// parameters(), allocated: for members that are made of their memory.
    Parameters& allocated(uint64_t start) {
        parameters_.allocate(start);
        return parameters_;
    }
    Parameters parameters_;
    std::unique_ptr<Network> student_;
    std::vector<std::string> notes_;
};

/// A method's own options, with the defaults of its paper.
struct MethodOptions {
    virtual ~MethodOptions() = default;
    virtual void add_to(OptionTable&) {}
    /// Called once all options are final (a resumed run's are the ones it was started with), before anything is opened: InputError for
    /// what cannot be; sets what follows, here and in the training's.
    virtual void settle(Options&) {}
    /// Files that the method reads, by name: config.csv has their checksums as info.<name>_sha256. None is empty.
    virtual std::vector<std::pair<std::string, std::string>> files() const { return {}; }
    /// InputError if the networks or the data do not fit. Called by several threads at once.
    virtual std::unique_ptr<Method> make(const Setting&, const Options&) const = 0;
};

/// Own's defaults, for a row.
template <class Own>
std::unique_ptr<MethodOptions> default_options() {
    return std::make_unique<Own>();
}

/// How many trained networks a method learns from.
enum class Teaching { none, one, several };

/// A method as a value. Each method_*.cpp ends with its own.
struct MethodRow {
    const char* name;    ///< in config.csv, data/paper and --method, and the subcommand
    const char* title;   ///< for --help
    const char* source;  ///< its id at arXiv, or where it was published
    Teaching teachers;
    const char* recipe;  ///< by which it trains unless told otherwise (train_recipes.h)
    std::unique_ptr<MethodOptions> (*options)();
};

}  // namespace distill
