// Times whole training steps (forward, backward, update) on random images that lie in device memory, and sets two lower bounds beside:
//   bytes:      every tensor that an operation makes is written once and read once, at the bandwidth of a large copy (an operation whose
//               maps still lie in a cache may be faster than that);
//   operations: the multiply-accumulates that convolutions and products make, forward and backward, at the device's peak; of a convolution
//               by Winograd's minimal filtering those of its products, without its transforms.
#include "bench.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <mutex>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_output_file.h"
#include "base_texts.h"
#include "bench_costs.h"
#include "bench_feed.h"
#include "bench_svd.h"
#include "bench_training.h"
#include "core_profile.h"
#include "core_work_count.h"
#include "cpu_peak.h"
#include "device.h"
#include "launch_kernels.h"
#include "method_ktg.h"
#include "method_mhgd.h"
#include "net_table.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

/// Of a device that does nothing else yet, in memory that is given back: the training's own is counted.
DeviceSpeed measure_speed(const BenchOptions& o) {
    const auto backend = make_backend(o.training.device, device_options(o.training));
    const double multiply_accumulates_per_ms = backend->peak_multiply_accumulates_per_ms();
    if (backend->device() == Device::cpu) return {cpu_bytes_per_ms(*backend), multiply_accumulates_per_ms};
    constexpr int64_t elements = int64_t{64} << 20;  // 256 MiB each: larger than any cache
    const Tensor a = Tensor::zeros(*backend, {1, 1, 1, elements}), b = Tensor::zeros(*backend, {1, 1, 1, elements});
    const double copy_ms = median_ms(*backend, 1, 5, [&] { add_tensors(a, a, b); });
    return {2.0 * sizeof(float) * elements / copy_ms, multiply_accumulates_per_ms};
}

void require_network(const BenchOptions& o) {
    if (o.training.student.empty()) input_error("--student: no network named; there are: ", network_names());
}

using Cells = std::vector<std::string>;

void require_profile_csv(const BenchOptions& o) {
    require_output("--profile-csv", o.profile_csv, profile_begins, "profile");
    if (one_output(o.csv, o.profile_csv)) input_error("--profile-csv ", o.profile_csv, ": is --csv's file, too; name another");
}

void run_bench(const BenchOptions& o) {
    require_network(o);
    const Cells columns{"case",         "device",         "precision",      "batch",     "ms_per_step",
                        "images_per_s", "bound_ms_bytes", "bound_ms_flops", "memory_mib"};
    require_csv(o.csv, columns);
    require_profile_csv(o);
    const DeviceSpeed speed = measure_speed(o);
    BenchTraining training(o);
    Backend& backend = training.backend();
    const auto step = [&] { training.step(); };
    step();
    const int64_t work_before = multiply_accumulates(), saved_before = saved_multiply_accumulates();
    const uint64_t bytes_before = backend.arena().requested_bytes();
    step();
    const int64_t as_written = multiply_accumulates() - work_before, work = as_written - (saved_multiply_accumulates() - saved_before);
    const auto bytes = static_cast<int64_t>(2 * (backend.arena().requested_bytes() - bytes_before));
    training.record();
    const size_t allocations = backend.arena().system_allocations();
    const double ms = median_ms(backend, o.warmup, o.steps, [&] { training.replay(); });
    training.require_finite();
    const size_t grown = backend.arena().system_allocations() - allocations;
    const double memory = static_cast<double>(backend.arena().system_bytes()) / (1 << 20);
    const double bound_bytes = static_cast<double>(bytes) / speed.bytes_per_ms;
    const double bound_flops = static_cast<double>(work) / speed.multiply_accumulates_per_ms;

    const std::string name = o.method + (o.training.teacher.empty() ? " " : " " + o.training.teacher + "->") + o.training.student;
    const double images = 1000.0 * static_cast<double>(o.training.batch) / ms;
    std::printf("%s, batch %lld, %s, %s\n", name.c_str(), static_cast<long long>(o.training.batch), o.training.precision.c_str(),
                backend.description().c_str());
    std::printf("  %.2f ms/step, %.0f images/s (median of %d steps)\n", ms, images, o.steps);
    std::printf("  lower bounds: %.2f ms for %.0f MiB moved (%.1fx), %.2f ms for %.2f GMAC (%.1fx)", bound_bytes,
                static_cast<double>(bytes) / (1 << 20), ms / bound_bytes, bound_flops, static_cast<double>(work) * 1e-9, ms / bound_flops);
    if (work < as_written) std::printf(", which do what %.2f do as written", static_cast<double>(as_written) * 1e-9);
    std::printf("\n  by the device's %.1f GB/s of memory (what lies in a cache comes faster) and %.1f GMAC/s\n", speed.bytes_per_ms * 1e-6,
                speed.multiply_accumulates_per_ms * 1e-6);
    std::printf("  memory %.0f MiB, %zu allocations during the timed steps\n", memory, grown);
    put_csv(o.csv, columns,
            {{name, device_name(backend), o.training.precision, std::to_string(o.training.batch), number(ms), number(images),
              number(bound_bytes), number(bound_flops), number(memory)}});
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
            std::unique_ptr<BenchTraining> training;
            mine.training.seed += static_cast<uint64_t>(run);
            try {
                const std::lock_guard<std::mutex> alone(preparing);
                training = std::make_unique<BenchTraining>(mine);
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
    const Cells columns{"case", "device", "precision", "batch", "runs", "images_per_s_one", "images_per_s", "ratio"};
    require_csv(o.csv, columns);
    const auto backend = make_backend(o.training.device, device_options(o.training));  // sets the number of threads, too
    const int threads = omp_get_max_threads(), share = std::max(1, threads / o.runs);
    o.training.threads = threads;
    const double one = images_per_second(o, 1);
    o.training.threads = share;
    const double all = images_per_second(o, o.runs);
    std::printf("%d trainings of %s at once, batch %lld, %s, %s\n", o.runs, o.training.student.c_str(),
                static_cast<long long>(o.training.batch), o.training.precision.c_str(), backend->description().c_str());
    std::printf(
        "  one: %.0f images/s; all: %.0f images/s, %.2f times as many (%d steps each; %d CPU threads for the one, %d for each of all)\n",
        one, all, all / one, o.steps, threads, share);
    put_csv(o.csv, columns,
            {{o.training.student, device_name(*backend), o.training.precision, std::to_string(o.training.batch), std::to_string(o.runs),
              number(one), number(all), number(all / one)}});
}

/// What a node costs where there is no graph: a training of its own, of a frozen one the forward pass. Ensembles and nodes that nobody
/// uses cost nothing.
std::vector<BenchOptions> nodes_alone(const BenchOptions& o, const Graph& graph) {
    std::vector<BenchOptions> alone;
    for (int i = 0; i < graph.size(); ++i) {
        if (graph.node(i).is_ensemble() || !graph.is_needed(i)) continue;
        alone.push_back(o);
        const bool trained = graph.is_trained(i);
        alone.back().method = trained ? "train" : "teacher";
        alone.back().own = nullptr;
        (trained ? alone.back().training.student : alone.back().training.teacher) = graph.node(i).model;
    }
    return alone;
}

/// A graph's step beside the sum of its nodes' single ones, taken in turns.
void run_ktg(const BenchOptions& o) {
    const Cells columns{"case", "device", "precision", "batch", "ms_per_step", "images_per_s", "ms_nodes_alone", "ratio"};
    require_csv(o.csv, columns);
    auto& own = static_cast<KtgOptions&>(*o.own);
    read_bench_graph(own);
    std::vector<std::unique_ptr<BenchTraining>> timed;  // the graph, then its nodes
    timed.push_back(std::make_unique<BenchTraining>(o));
    std::vector<std::string> names;
    for (const GraphNode& node : own.graph.nodes) names.push_back(node.model);
    const std::vector<BenchOptions> alone = nodes_alone(o, own.graph);
    for (const BenchOptions& node : alone) timed.push_back(std::make_unique<BenchTraining>(node));
    const std::vector<double> times = ms_in_turns(timed, o.warmup, o.steps);

    Backend& backend = timed.front()->backend();
    const std::string name = "ktg " + std::filesystem::path(own.file).stem().string() + " " + joined(names, "+");
    const double ms = times.front(), images = 1000.0 * static_cast<double>(o.training.batch) / ms;
    double sum = 0;
    std::string addends;
    for (size_t i = 0; i < alone.size(); ++i) {
        char shown[40];
        const double node_ms = times[i + 1];
        std::snprintf(shown, sizeof shown, "%s%.2f%s", i ? " + " : "", node_ms, alone[i].method == "train" ? "" : " forward");
        sum += node_ms;
        addends += shown;
    }
    std::printf("%s, batch %lld, %s, %s\n", name.c_str(), static_cast<long long>(o.training.batch), o.training.precision.c_str(),
                backend.description().c_str());
    std::printf("  %.2f ms/step, %.0f images/s (median of %d steps)\n", ms, images, o.steps);
    std::printf("  its nodes alone, in turns with it: %.2f ms (%s); ratio %.3f\n", sum, addends.c_str(), ms / sum);
    put_csv(o.csv, columns,
            {{name, device_name(backend), o.training.precision, std::to_string(o.training.batch), number(ms), number(images), number(sum),
              number(ms / sum)}});
}

/// MHGD's step beside what it adds to: plain training of its student, and its teacher's forward pass; and KD's step.
void run_mhgd(const BenchOptions& o) {
    run_bench(o);
    std::vector<std::unique_ptr<BenchTraining>> timed;
    for (const char* method : {"mhgd", "train", "teacher", "kd"}) {
        BenchOptions one = o;
        one.method = method;
        if (one.method != o.method) one.own = nullptr;
        if (one.method == "train") one.training.teacher.clear();
        timed.push_back(std::make_unique<BenchTraining>(one));
    }
    const std::vector<double> ms = ms_in_turns(timed, o.warmup, o.steps);
    std::printf(
        "  in turns: %.2f ms; the student's plain training %.2f + the teacher's forward pass %.2f, ratio %.3f; KD %.2f, ratio %.3f\n",
        ms[0], ms[1], ms[2], ms[0] / (ms[1] + ms[2]), ms[3], ms[0] / ms[3]);
}

/// A subcommand's options live as long as the program.
struct BenchCommand {
    Subcommand sub;
    BenchOptions options;
    OptionTable table;
};

std::shared_ptr<BenchCommand> add_bench(Subcommand bench, const std::string& name, const std::string& help, const std::string& method) {
    auto command = std::make_shared<BenchCommand>(BenchCommand{bench.add_subcommand(name, help), {}, {}});
    BenchOptions& o = command->options;
    OptionTable& t = command->table;
    o.method = method;
    const MethodRow& row = *find_method(method);
    o.own = choose(row).options;
    OptionTable of_method;
    o.own->add_to(of_method);
    if (of_method.has("kd-weight")) of_method.set("kd-weight", "1", "bench");  // which random weights stay finite with
    if (method == "ktg") {
        auto& own = static_cast<KtgOptions&>(*o.own);
        t.add("--graph", own.file, "the graph: a shipped one's name, or a .csv file; frozen nodes get random weights")
            .required()
            .place(Places::or_shipped);
        t.add_network("--models", own.models, "other networks on its nodes: 0=resnet20,1=wrn-16-2");
    } else {
        if (row.teachers != Teaching::none)
            t.add_network("--teacher", o.training.teacher, "teacher network, with random weights").required();
        t.add_network(row.teachers == Teaching::none ? "--student,--net" : "--student", o.training.student, "network to train").required();
    }
    t.add("--batch", o.training.batch, {1}, "images a step");
    t.add("--records", o.records, {0}, "training images that lie in memory, for methods that keep a row of each (0: a batch of them)");
    t.add("--steps", o.steps, {1}, "timed steps");
    t.add("--size", o.size, {8}, "height and width of the images");
    t.add_switch("--augment", o.augment, "each step gathers, crops and flips its batch, as a training does");
    t.add("--precision", o.training.precision, {"fp32", "tf32", "bf16"}, "of convolutions and products");
    t.add_on_off("--deterministic", o.training.deterministic, "the same bits each time; off may be faster on a GPU");
    t.add_on_off("--winograd", o.training.winograd, "CPU: 3x3 convolutions with fewer products; off: every product as it is written");
    add_machine_options(t, o.training);
    t.add("--csv", o.csv, "also write the figures here");
    return command;
}

}  // namespace

void add_bench_command(Subcommand app) {
    const Subcommand bench = app.add_subcommand("bench", "time a training step beside the machine's lower bounds");
    bench.require_subcommand();
    for (const MethodRow* row : methods()) {
        const std::string method = row->name;
        if (method == "feed" || method == "mhgd" || method == "ktg") continue;  // those come with their parts, below
        auto c = add_bench(bench, method, "a step of distill " + method, method);
        c->options.own->add_to(c->table);
        c->table.add_switch("--profile", c->options.profile, "also print the time of each kind of operation");
        c->table.add("--profile-csv", c->options.profile_csv, "write that table here");
        c->table.attach(c->sub);
        c->sub.callback([c] { run_bench(c->options); });
    }
    auto feed = add_bench(bench, "feed", "a step with several teachers beside its parts, and what each adds to the memory", "feed");
    feed->table.add("--teachers-count", feed->options.teachers, {1, 64}, "teachers, all of one network");
    feed->table.attach(feed->sub);
    feed->sub.callback([feed] { bench_feed(feed->options); });
    auto mhgd = add_bench(bench, "mhgd", "a step of distill mhgd beside its student's plain step and its teacher's forward pass", "mhgd");
    mhgd->table.add("--heads", static_cast<MhgdOptions&>(*mhgd->options.own).heads, {1}, "attention heads");
    mhgd->table.add_switch("--profile", mhgd->options.profile, "also print the time of each kind of operation");
    mhgd->table.attach(mhgd->sub);
    mhgd->sub.callback([mhgd] { run_mhgd(mhgd->options); });
    auto graph = add_bench(bench, "ktg", "a step of a graph beside the sum of its nodes' single steps", "ktg");
    graph->table.attach(graph->sub);
    graph->sub.callback([graph] { run_ktg(graph->options); });
    auto c = add_bench(bench, "several", "trainings at once beside one alone (distill train), in images a second", "train");
    c->table.add("--runs", c->options.runs, {1, 64}, "trainings at once, which share the CPU's threads");
    c->table.attach(c->sub);
    c->sub.callback([c] { run_several(c->options); });
    add_bench_costs(bench);
    add_bench_svd(bench);
}

}  // namespace distill
