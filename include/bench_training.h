// bench_training.h: what `distill bench` times: a training with random weights on random images that lie in device memory.
// defines: BenchOptions, read_bench_graph, BenchTraining, time_ms, median_ms, ms_in_turns, device_name, require_csv, put_csv
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base_stats.h"
#include "core_backend.h"
#include "core_profile.h"
#include "data_loader.h"
#include "method_table.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

struct BenchOptions {
    std::string method;                  ///< a method's, or "teacher": no training, the teachers' forward passes alone
    std::shared_ptr<MethodOptions> own;  ///< the method's; none: its defaults
    std::string csv, profile_csv;
    Options training;
    int steps = 20, warmup = 3, size = 32, classes = 100, runs = 8, teachers = 1;  ///< teachers: of feed and teacher, all of one network
    int64_t records = 0;                                                           ///< of the training set; 0: a batch
    bool profile = false, augment = false;
};

struct KtgOptions;

/// The graph that --graph and --models name; weights that it names are not wanted here.
void read_bench_graph(KtgOptions& own);

/// Each has a backend of its own.
class BenchTraining {
  public:
    explicit BenchTraining(const BenchOptions& options);

    /// One step, operation by operation.
    void step();
    /// From here on replay() is one launch, where the device can record a step: the way the trainer goes.
    void record();
    void replay() { replay_ ? replay_->run() : step(); }
    Backend& backend() { return *backend_; }
    int phases_epochs() const;  ///< of what is trained before the student
    /// Throws std::runtime_error if the last loss is not finite: of such steps the time says nothing.
    void require_finite() const;

  private:
    BenchTraining(const BenchOptions& options, const Dataset& data);
    void queue();

    std::unique_ptr<Backend> backend_;
    Loader loader_;
    bool augment_;
    std::optional<Optimizer> optimizer_;  ///< of the method
    Tensor loss_;
    Teachers teachers_;
    std::unique_ptr<Method> method_;
    Batch batch_;
    Tape tape_;
    std::unique_ptr<Replay> replay_;
};

/// Milliseconds of `work`, finished on the device.
template <class Work>
double time_ms(Backend& backend, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    backend.synchronize();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// The median of `rounds` times, after `warmup` calls that do not count.
template <class Work>
double median_ms(Backend& backend, int warmup, int rounds, const Work& work) {
    for (int i = 0; i < warmup; ++i) time_ms(backend, work);
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) times.push_back(time_ms(backend, work));
    return median(times);
}

/// Steps of trainings, taken in turns so that a busy machine is busy for all: the median of each.
std::vector<double> ms_in_turns(const std::vector<std::unique_ptr<BenchTraining>>& timed, int warmup, int steps);

inline std::string device_name(const Backend& backend) { return backend.device() == Device::cpu ? "cpu" : "cuda"; }

/// A benchmark's --csv (empty: none). Before the work: InputError unless it can be written and replaces nothing but a table of these columns.
void require_csv(const std::string& path, const std::vector<std::string>& columns);
void put_csv(const std::string& path, const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows);

}  // namespace distill
