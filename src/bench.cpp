// Times whole training steps (forward, backward, update) on random images that lie in device memory, and sets two lower bounds beside:
//   bytes:      every tensor that an operation makes is written once and read once, at the bandwidth of a large copy;
//   operations: the multiply-accumulates of convolutions and products, forward and backward, at the device's peak.
#include "bench.h"

#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <future>
#include <memory>
#include <mutex>

#include "backend.h"
#include "csv.h"
#include "error.h"
#include "kernels.h"
#include "philox.h"
#include "profile.h"
#include "reviewkd.h"
#include "work_count.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
    std::string method, csv, profile_csv;
    Options training;
    int steps = 20, warmup = 3, size = 32, classes = 100, runs = 8;
    bool profile = false, augment = false;
};

/// Median milliseconds of `work`, finished on the device, after `warmup` untimed calls.
template <class Work>
double median_ms(Backend& backend, int warmup, int rounds, const Work& work) {
    std::vector<double> times;
    for (int i = 0; i < warmup + rounds; ++i) {
        const auto start = Clock::now();
        work();
        backend.synchronize();
        if (i >= warmup) times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
    return median(times);
}

DeviceSpeed speed_of(Backend& backend) {
    constexpr int64_t elements = int64_t{64} << 20;  // 256 MiB each: larger than any cache
    const Tensor a = Tensor::zeros(backend, {1, 1, 1, elements}), b = Tensor::zeros(backend, {1, 1, 1, elements});
    const double copy_ms = median_ms(backend, 1, 5, [&] { add_tensors(a, a, b); });
    return {2.0 * sizeof(float) * elements / copy_ms, backend.peak_multiply_accumulates_per_ms()};
}

/// A batch's worth of random bytes, normalised to mean 0 and deviation 1.
Dataset random_images(const BenchOptions& o) {
    Dataset d;
    d.name = "random images";
    d.height = d.width = o.size;
    d.classes = o.classes;
    d.train.records = o.training.batch;
    d.train.pixels.resize(static_cast<size_t>(o.training.batch * 3 * o.size * o.size));
    d.train.labels.resize(static_cast<size_t>(o.training.batch));
    const uint64_t key = random_key(o.training.seed, Purpose::bench);
    for (size_t i = 0; i < d.train.pixels.size(); ++i) d.train.pixels[i] = static_cast<uint8_t>(philox(key, i).v[0] >> 24);
    for (size_t i = 0; i < d.train.labels.size(); ++i)
        d.train.labels[i] = static_cast<int32_t>(philox(key, i, 1).v[0] % static_cast<uint32_t>(o.classes));
    std::fill(d.stats.mean, d.stats.mean + 3, 127.5f);
    std::fill(d.stats.std, d.stats.std + 3, 73.9f);  // of bytes that are all equally likely
    return d;
}

LoaderOptions loader_options(const BenchOptions& o, const Normalization& normalization) {
    LoaderOptions l;
    l.batch = o.training.batch;
    l.seed = o.training.seed;
    l.augmentation.crop_flip = o.augment;
    l.normalization = normalization;
    return l;
}

/// A training with random weights on random images.
class Training {
  public:
    explicit Training(const BenchOptions& o) : Training(o, random_images(o)) {}

    /// One step, operation by operation.
    void step() {
        backend_->arena().begin_step();
        queue();
    }
    /// From here on replay() is one launch, where the device can record a step: the way the trainer goes.
    void record() {
        backend_->arena().begin_step();
        replay_ = backend_->capture([&] { queue(); });
    }
    void replay() { replay_ ? replay_->run() : step(); }
    Backend& backend() { return *backend_; }
    /// Of steps whose loss is not finite the time says nothing.
    void require_finite() const {
        if (!std::isfinite(loss_.item())) failure("bench: the loss is ", loss_.item(), "; the time of such steps says nothing");
    }

  private:
    void queue() {
        StepResult r;
        {
            const Recording on(&tape_);
            r = method_->step(augment_ ? loader_.train_batch(batch_.size()) : batch_);
        }
        method_->parameters().begin_backward();
        tape_.backward(r.loss);
        sgd_step(method_->parameters(), lr_, {});
        loss_ = r.loss.value();
    }
    Training(const BenchOptions& o, const Dataset& data)
        : backend_(make_backend(o.training.device, device_options(o.training))),
          loader_(*backend_, data, loader_options(o, data.stats)),
          augment_(o.augment),
          lr_(Tensor::from_host(*backend_, {}, {0.01f})) {
        if (o.method != "train") teacher_ = std::make_unique<Teacher>(*backend_, o.training, o.classes);
        if (o.method == "train") method_ = std::make_unique<Supervised>(*backend_, o.training, o.classes);
        if (o.method == "kd") method_ = std::make_unique<KnowledgeDistillation>(*backend_, o.training, o.classes, *teacher_);
        if (o.method == "reviewkd") method_ = std::make_unique<ReviewKD>(*backend_, o.training, o.classes, *teacher_);
        loader_.begin_epoch(0);
        batch_ = loader_.train_batch(o.training.batch);
        for (int pass = 0; teacher_ && pass < 10; ++pass)  // random weights need running statistics, or their features explode
            teacher_->network().forward(batch_.images, Mode::train);
        method_->begin_epoch(o.training.kd_warmup);  // the full weight of the transfer loss
    }

    std::unique_ptr<Backend> backend_;
    Loader loader_;
    bool augment_;
    Tensor lr_, loss_;
    std::unique_ptr<Teacher> teacher_;
    std::unique_ptr<Method> method_;
    Batch batch_;
    Tape tape_;
    std::unique_ptr<Replay> replay_;
};

std::string device_name(Backend& backend) { return backend.device() == Device::cpu ? "cpu" : "cuda"; }

void require_network(const BenchOptions& o) {
    if (o.training.student.empty()) input_error("--student: no network named; there are: ", network_names());
}

void run_bench(const BenchOptions& o) {
    require_network(o);
    Training training(o);
    Backend& backend = training.backend();
    const auto step = [&] { training.step(); };
    step();
    const int64_t work_before = multiply_accumulates();
    const uint64_t bytes_before = backend.arena().requested_bytes();
    step();
    const int64_t work = multiply_accumulates() - work_before;
    const auto bytes = static_cast<int64_t>(2 * (backend.arena().requested_bytes() - bytes_before));
    training.record();
    const size_t allocations = backend.arena().system_allocations();
    const double ms = median_ms(backend, o.warmup, o.steps, [&] { training.replay(); });
    training.require_finite();
    const size_t grown = backend.arena().system_allocations() - allocations;
    const double memory = static_cast<double>(backend.arena().system_bytes()) / (1 << 20);
    const DeviceSpeed speed = speed_of(backend);
    const double bound_bytes = static_cast<double>(bytes) / speed.bytes_per_ms;
    const double bound_flops = static_cast<double>(work) / speed.multiply_accumulates_per_ms;

    const std::string name = o.method + (o.training.teacher.empty() ? " " : " " + o.training.teacher + "->") + o.training.student;
    const double images = 1000.0 * static_cast<double>(o.training.batch) / ms;
    std::printf("%s, batch %lld, %s, %s\n", name.c_str(), static_cast<long long>(o.training.batch), o.training.precision.c_str(),
                backend.description().c_str());
    std::printf("  %.2f ms/step, %.0f images/s (median of %d steps)\n", ms, images, o.steps);
    std::printf("  lower bounds: %.2f ms for %.0f MiB moved (%.1fx), %.2f ms for %.2f GMAC (%.1fx)\n", bound_bytes,
                static_cast<double>(bytes) / (1 << 20), ms / bound_bytes, bound_flops, static_cast<double>(work) * 1e-9, ms / bound_flops);
    std::printf("  memory %.0f MiB, %zu allocations during the timed steps\n", memory, grown);
    if (!o.csv.empty()) {
        CsvWriter out(o.csv, {"case", "device", "precision", "batch", "ms_per_step", "images_per_s", "bound_ms_bytes", "bound_ms_flops",
                              "memory_mib"});
        out.row({name, device_name(backend), o.training.precision, std::to_string(o.training.batch), number(ms), number(images),
                 number(bound_bytes), number(bound_flops), number(memory)});
    }
    if (!o.profile && o.profile_csv.empty()) return;
    Profiler profiler(backend);
    for (int i = 0; i < o.steps; ++i) profiler.measure(step);
    std::vector<Profiler::Group> groups = profiler.groups();
    groups.back().work = {bytes, work};
    print_profile(groups, speed);
    if (!o.profile_csv.empty()) write_profile(o.profile_csv, groups, speed);
}

/// Images a second of `runs` trainings at once, each in a thread with a backend of its own.
double images_per_second(const BenchOptions& o, int runs) {
    std::mutex preparing;  // a GPU's plans are chosen by measurement, which another training would disturb
    std::vector<std::promise<void>> ready(static_cast<size_t>(runs));
    std::promise<void> go;
    const std::shared_future<void> started = go.get_future().share();
    std::vector<std::future<Clock::time_point>> finished;
    for (int run = 0; run < runs; ++run) {
        finished.push_back(std::async(std::launch::async, [&, started, run, mine = o]() mutable {
            std::unique_ptr<Training> training;
            mine.training.seed += static_cast<uint64_t>(run);
            try {
                const std::lock_guard<std::mutex> alone(preparing);
                training = std::make_unique<Training>(mine);
                training->step();
                training->record();
                for (int i = 0; i < mine.warmup; ++i) training->replay();
                training->backend().synchronize();
            } catch (...) {
                ready[static_cast<size_t>(run)].set_value();  // the others shall not wait for this one
                throw;
            }
            ready[static_cast<size_t>(run)].set_value();
            started.wait();
            for (int i = 0; i < mine.steps; ++i) training->replay();
            training->backend().synchronize();
            const auto end = Clock::now();
            training->require_finite();
            return end;
        }));
    }
    for (auto& r : ready) r.get_future().wait();
    const auto begin = Clock::now();
    go.set_value();
    auto end = begin;
    for (auto& f : finished) end = std::max(end, f.get());
    return static_cast<double>(runs * o.steps * o.training.batch) / std::chrono::duration<double>(end - begin).count();
}

void run_several(BenchOptions o) {
    require_network(o);
    const auto backend = make_backend(o.training.device, device_options(o.training));  // sets the number of threads, too
    const int threads = omp_get_max_threads(), share = std::max(1, threads / o.runs);
    o.training.threads = threads;
    const double one = images_per_second(o, 1);
    o.training.threads = share;
    const double all = images_per_second(o, o.runs);
    std::printf("%d trainings of %s at once, batch %lld, %s, %s\n", o.runs, o.training.student.c_str(),
                static_cast<long long>(o.training.batch), o.training.precision.c_str(), backend->description().c_str());
    std::printf("  one: %.0f images/s; all: %.0f images/s, %.2f times as many (%d steps each; %d CPU threads for the one, %d for each of all)\n",
                one, all, all / one, o.steps, threads, share);
    if (o.csv.empty()) return;
    CsvWriter out(o.csv, {"case", "device", "precision", "batch", "runs", "images_per_s_one", "images_per_s", "ratio"});
    out.row({o.training.student, device_name(*backend), o.training.precision, std::to_string(o.training.batch), std::to_string(o.runs),
             number(one), number(all), number(all / one)});
}

/// A subcommand's options live as long as the program.
struct BenchCommand {
    BenchOptions options;
    OptionTable table;
    explicit BenchCommand(CLI::App& app) : table(app) {}
};

std::shared_ptr<BenchCommand> add_bench(CLI::App& bench, const std::string& name, const std::string& help, const std::string& method,
                                        CLI::App*& sub) {
    sub = bench.add_subcommand(name, help);
    auto command = std::make_shared<BenchCommand>(*sub);
    BenchOptions& o = command->options;
    OptionTable& t = command->table;
    o.method = method;
    o.training.kd_weight = 1.0;
    if (method != "train") t.add("--teacher", o.training.teacher, "teacher network, with random weights")->required();
    t.add(method == "train" ? "--student,--net" : "--student", o.training.student, "network to train")->required();
    t.add("--batch", o.training.batch, {1}, "images a step");
    t.add("--steps", o.steps, {1}, "timed steps");
    t.add("--size", o.size, {8}, "height and width of the images");
    t.add_switch("--augment", o.augment, "each step gathers, crops and flips its batch, as a training does");
    t.add("--precision", o.training.precision, {"fp32", "tf32", "bf16"}, "of convolutions and products");
    t.add_on_off("--deterministic", o.training.deterministic, "the same bits each time; off may be faster on a GPU");
    t.add("--device", o.training.device, {"auto", "cpu", "cuda"}, "where to compute");
    t.add("--threads", o.training.threads, {0}, "CPU threads (0: OMP_NUM_THREADS, or all cores)");
    t.add("--csv", o.csv, "also write the figures here");
    return command;
}

}  // namespace

void add_bench_command(CLI::App& app) {
    auto* bench = app.add_subcommand("bench", "time a training step beside the machine's lower bounds");
    bench->require_subcommand(1);
    CLI::App* sub = nullptr;
    for (const char* method : {"train", "kd", "reviewkd"}) {
        auto c = add_bench(*bench, method, std::string("a step of distill ") + method, method, sub);
        c->table.add_switch("--profile", c->options.profile, "also print the time of each kind of operation");
        c->table.add("--profile-csv", c->options.profile_csv, "write that table here");
        sub->callback([c] { run_bench(c->options); });
    }
    auto c = add_bench(*bench, "several", "trainings at once beside one alone (distill train), in images a second", "train", sub);
    c->table.add("--runs", c->options.runs, {1, 64}, "trainings at once, which share the CPU's threads");
    sub->callback([c] { run_several(c->options); });
}

}  // namespace distill
