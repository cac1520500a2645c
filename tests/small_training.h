// small_training.h: trainings of a few steps, run to the end or cut short, and what is left of them.
// defines: testing::Make, testing::supervised, testing::kd, testing::reviewkd, testing::Disturbed, testing::DisturbedPreparation,
//          testing::PowerCut, testing::Outcome, testing::SmallTraining
#pragma once
#include <omp.h>

#include <csignal>
#include <functional>

#include "base_csv.h"
#include "core_backend.h"
#include "data_synth.h"
#include "device.h"
#include "forwarding_method.h"
#include "method_kd.h"
#include "method_reviewkd.h"
#include "method_supervised.h"
#include "method_teacher.h"
#include "testing.h"
#include "train_interruption.h"
#include "trainer.h"

namespace distill::testing {

using Make = std::function<std::unique_ptr<Method>(const Setting&, const Options&)>;

inline std::unique_ptr<Method> supervised(const Setting& s, const Options& o) { return std::make_unique<Supervised>(s, o); }
inline std::unique_ptr<Method> kd(const Setting& s, const Options& o) { return std::make_unique<KnowledgeDistillation>(s, o, KdOptions()); }
inline std::unique_ptr<Method> reviewkd(const Setting& s, const Options& o) {
    ReviewOptions own;
    own.kd_warmup = 2;
    own.kd_weight = 1.0;
    return std::make_unique<ReviewKD>(s, o, own);
}

/// Runs another method and does something at one of its steps (counted from 0).
class Disturbed final : public Forwarding {
  public:
    Disturbed(std::unique_ptr<Method> inner, int64_t at, std::function<void(StepResult&)> disturb)
        : Forwarding(std::move(inner)), at_(at), disturb_(std::move(disturb)) {}
    StepResult step(const Batch& batch) override {
        StepResult r = Forwarding::step(batch);
        if (at_-- == 0) disturb_(r);
        return r;
    }

  private:
    int64_t at_;
    std::function<void(StepResult&)> disturb_;
};

/// Runs another method and does something at a step (counted from 0) of one of its phases.
class DisturbedPreparation final : public Forwarding {
  public:
    DisturbedPreparation(std::unique_ptr<Method> inner, int at, std::function<void()> what, size_t phase = 0)
        : Forwarding(std::move(inner)), at_(at), what_(std::move(what)), phase_(phase) {}
    std::vector<Phase> phases() override {
        std::vector<Phase> all = Forwarding::phases();
        Phase& p = all[phase_];
        p.step = [this, step = p.step](const Batch& batch) {
            if (at_-- == 0) what_();
            return step(batch);
        };
        return all;
    }

  private:
    int at_;
    std::function<void()> what_;
    size_t phase_;
};

struct PowerCut {};  // ends a training like kill -9 does: nothing is written on the way out

/// What is left of a training, seconds aside.
struct Outcome {
    std::vector<float> values, buffers, momenta;
    TrainingResult result;
    CsvTable epochs;
    bool operator==(const Outcome& o) const {
        return values == o.values && buffers == o.buffers && momenta == o.momenta && epochs.columns == o.epochs.columns &&
               epochs.rows == o.epochs.rows && result.last == o.result.last && result.best == o.result.best &&
               result.best_epoch == o.result.best_epoch;
    }
};

/// A data set of four textures, 16x16 and 100 for training unless said otherwise, 40 to test on, batches of 32, so 4 steps an epoch, the
/// last with 4 images. One thread: what is tested here does not hang on their number, and busy cores make several slow.
class SmallTraining {
  public:
    SmallTraining() : SmallTraining(nullptr) {}
    /// On another backend than the CPU's.
    explicit SmallTraining(std::unique_ptr<Backend> backend, int side = 16, int images = 100)
        : threads_(omp_get_max_threads()), backend_(std::move(backend)) {
        omp_set_num_threads(1);
        if (!backend_) backend_ = make_backend("cpu", {1});
        synthesize(folder_ / "data", {"synth", 4, side, images, 40});
        data_ = load_dataset(folder_ / "data", "synth");
        options.student = options.teacher = "resnet8";
        options.epochs = 3;
        options.batch = 32;
        options.lr = 0.05;
        options.lr_steps = "2";
        options.seed = 1;
        options.quiet = true;
        options.log_steps = true;
        teacher_ = std::make_unique<Teacher>(*backend_, options, 4);
    }
    ~SmallTraining() {
        omp_set_num_threads(threads_);
        std::signal(SIGINT, SIG_DFL);
        std::signal(SIGTERM, SIG_DFL);
        std::signal(SIGHUP, SIG_DFL);
    }

    fs::path path(const std::string& run) const { return folder_ / run; }
    Backend& backend() { return *backend_; }
    const Dataset& data() const { return data_; }
    const Teacher& teacher() const { return *teacher_; }
    Setting setting() const { return setting(*teacher_); }
    Setting setting(const Teacher& teacher) const {
        return {*backend_, {1, data_.height, data_.width, 3}, 4, data_.train.records, {&teacher}, &data_.train.labels};
    }
    /// Running statistics for a teacher's random weights: without them its maps are huge.
    void settle(const Teacher& teacher) {
        Loader l = loader();
        l.begin_epoch(0);
        const Batch batch = l.train_batch(options.batch);
        for (int pass = 0; pass < 10; ++pass) teacher.network().forward(batch.images, Mode::train);
    }
    Loader loader() {
        LoaderOptions l;
        l.batch = options.batch;
        l.start = options.start();
        l.shuffle = options.shuffle;
        l.augmentation.crop_flip = options.augment == "crop-flip";
        l.normalization = data_.stats;
        return Loader(*backend_, data_, l);
    }
    Config config() const { return {{"method", "test"}, {"seed", std::to_string(options.seed)}}; }

    /// Trains in the run's folder, made if it is not there.
    TrainingResult train(const std::string& run, Method& method, bool resume = false) {
        Options o = options;
        o.resume = resume;
        Loader l = loader();
        const RunFolder folder = fs::exists(path(run)) ? RunFolder::reopen(path(run)) : RunFolder::create(path(run), config());
        catch_interruption();
        return Trainer(*backend_, l, method, o, folder).run();
    }
    Outcome outcome(const std::string& run, const Make& make, bool resume = false) {
        const auto method = make(setting(), options);
        const TrainingResult result = train(run, *method, resume);
        const Parameters& p = method->parameters();
        CsvTable epochs = read_csv(path(run) / "epochs.csv");
        for (auto& row : epochs.rows) row[epochs.column("seconds")] = "";
        return {p.values().to_host(), p.buffers().to_host(), p.momenta().to_host(), result, epochs};
    }
    /// Trains until `disturb` at that step of this process.
    void disturbed(const std::string& run, const Make& make, int64_t at, const std::function<void(StepResult&)>& disturb,
                   bool resume = false) {
        Disturbed method(make(setting(), options), at, disturb);
        train(run, method, resume);
    }

    Options options;

  private:
    TempFolder folder_;
    int threads_;
    std::unique_ptr<Backend> backend_;
    Dataset data_;
    std::unique_ptr<Teacher> teacher_;
};

}  // namespace distill::testing
