// Times whole training steps (forward, backward, update) on random images that lie in device memory, and sets two lower bounds beside:
//   bytes:      every tensor that an operation makes is written once and read once, at the bandwidth of a large copy;
//   operations: the multiply-accumulates of convolutions and products, forward and backward, at the device's fp32 peak.
#include "bench.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "backend.h"
#include "csv.h"
#include "error.h"
#include "kernels.h"
#include "philox.h"
#include "reviewkd.h"
#include "work_count.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
    std::string method, csv;
    Options training;
    int steps = 20, warmup = 3, size = 32, classes = 100;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

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

double bytes_per_ms(Backend& backend) {
    constexpr int64_t elements = int64_t{64} << 20;  // 256 MiB each: larger than any cache
    const Tensor a = Tensor::zeros(backend, {1, 1, 1, elements}), b = Tensor::zeros(backend, {1, 1, 1, elements});
    return 2.0 * sizeof(float) * elements / median_ms(backend, 1, 5, [&] { add_tensors(a, a, b); });
}

Batch random_batch(Backend& backend, const BenchOptions& o) {
    const Shape shape{o.training.batch, o.size, o.size, 3};
    std::vector<float> pixels(static_cast<size_t>(shape.size()));
    std::vector<int32_t> labels(static_cast<size_t>(o.training.batch));
    const uint64_t key = random_key(o.training.seed, Purpose::bench);
    for (size_t i = 0; i < pixels.size(); ++i) {
        const Random4 r = philox(key, i);
        pixels[i] = normal(r.v[0], r.v[1]);
    }
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(philox(key, i, 1).v[0] % static_cast<uint32_t>(o.classes));
    Batch batch{Var(Tensor::from_host(backend, shape, pixels)), Tensor::integers(backend, {o.training.batch, 1, 1, 1})};
    batch.labels.upload(labels.data());
    return batch;
}

std::unique_ptr<Method> make_method(Backend& backend, const BenchOptions& o, std::unique_ptr<Teacher>& teacher) {
    if (o.method == "train") return std::make_unique<Supervised>(backend, o.training, o.classes);
    teacher = std::make_unique<Teacher>(backend, o.training, o.classes);
    if (o.method == "kd") return std::make_unique<KnowledgeDistillation>(backend, o.training, o.classes, *teacher);
    return std::make_unique<ReviewKD>(backend, o.training, o.classes, *teacher);
}

void run_bench(BenchOptions o) {
    if (o.training.student.empty()) input_error("--student: no network named; there are: ", network_names());
    if (o.training.batch < 1 || o.steps < 1) input_error("bench: --batch and --steps must be at least 1");
    if (o.size < 8) input_error("bench: --size ", o.size, ": expected at least 8 pixels");
    const auto backend = make_backend(o.training.device, device_options(o.training));
    std::unique_ptr<Teacher> teacher;
    const std::unique_ptr<Method> method = make_method(*backend, o, teacher);
    const Batch batch = random_batch(*backend, o);
    for (int pass = 0; teacher && pass < 10; ++pass)  // random weights need running statistics, or their features explode
        teacher->network().forward(batch.images, Mode::train);
    const Tensor lr = Tensor::from_host(*backend, {}, {0.01f});
    Tape tape;
    method->begin_epoch(o.training.kd_warmup);  // the full weight of the transfer loss
    Tensor loss;
    const auto step = [&] {
        backend->arena().begin_step();
        StepResult r;
        {
            const Recording on(&tape);
            r = method->step(batch);
        }
        method->parameters().begin_backward();
        tape.backward(r.loss);
        sgd_step(method->parameters(), lr, {});
        loss = r.loss.value();
    };
    step();
    const int64_t work_before = multiply_accumulates();
    const uint64_t bytes_before = backend->arena().requested_bytes();
    step();
    const auto work = static_cast<double>(multiply_accumulates() - work_before);
    const double bytes = 2.0 * static_cast<double>(backend->arena().requested_bytes() - bytes_before);
    const size_t allocations = backend->arena().system_allocations();
    const double ms = median_ms(*backend, o.warmup, o.steps, step);
    if (!std::isfinite(loss.item())) failure("bench: the loss is ", loss.item(), "; the time of such steps says nothing");
    const size_t grown = backend->arena().system_allocations() - allocations;
    const double memory = static_cast<double>(backend->arena().system_bytes()) / (1 << 20);
    const double bound_bytes = bytes / bytes_per_ms(*backend), bound_flops = work / backend->peak_multiply_accumulates_per_ms();

    const std::string name = o.method + (teacher ? " " + o.training.teacher + "->" : " ") + o.training.student;
    const std::string device = backend->device() == Device::cpu ? "cpu" : "cuda";
    const double images = 1000.0 * static_cast<double>(o.training.batch) / ms;
    std::printf("%s, batch %lld, %s\n", name.c_str(), static_cast<long long>(o.training.batch), backend->description().c_str());
    std::printf("  %.2f ms/step, %.0f images/s (median of %d steps)\n", ms, images, o.steps);
    std::printf("  lower bounds: %.2f ms for %.0f MiB moved (%.1fx), %.2f ms for %.2f GMAC (%.1fx)\n", bound_bytes, bytes / (1 << 20),
                ms / bound_bytes, bound_flops, work * 1e-9, ms / bound_flops);
    std::printf("  memory %.0f MiB, %zu allocations during the timed steps\n", memory, grown);
    if (o.csv.empty()) return;
    CsvWriter out(o.csv, {"case", "device", "precision", "batch", "ms_per_step", "images_per_s", "bound_ms_bytes", "bound_ms_flops"});
    out.row({name, device, o.training.precision, std::to_string(o.training.batch), number(ms), number(images), number(bound_bytes),
             number(bound_flops)});
}

}  // namespace

void add_bench_command(CLI::App& app) {
    auto* bench = app.add_subcommand("bench", "time a training step beside the machine's lower bounds");
    bench->require_subcommand(1);
    for (const char* method : {"train", "kd", "reviewkd"}) {
        auto* sub = bench->add_subcommand(method, std::string("a step of distill ") + method);
        auto o = std::make_shared<BenchOptions>();
        o->method = method;
        o->training.kd_weight = 1.0;
        if (o->method != "train") sub->add_option("--teacher", o->training.teacher, "teacher network, with random weights")->required();
        sub->add_option(o->method == "train" ? "--student,--net" : "--student", o->training.student, "network to train")->required();
        sub->add_option("--batch", o->training.batch, "images a step")->capture_default_str();
        sub->add_option("--steps", o->steps, "timed steps")->capture_default_str();
        sub->add_option("--size", o->size, "height and width of the images")->capture_default_str();
        sub->add_option("--device", o->training.device, "auto, cpu or cuda")->capture_default_str();
        sub->add_option("--threads", o->training.threads, "CPU threads (0: OMP_NUM_THREADS, or all cores)")->capture_default_str();
        sub->add_option("--csv", o->csv, "also write the figures here");
        sub->callback([o] { run_bench(*o); });
    }
}

}  // namespace distill
