#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "core_work_count.h"
#include "cpu_peak.h"
#include "device.h"
#include "launch.h"
#include "launch_kernels.h"
#include "ops.h"
#include "train_optim.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Groups = std::vector<Profiler::Group>;

const Profiler::Group& named(const Groups& groups, const std::string& name) {
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.name == name; });
    INFO(name);
    REQUIRE(found != groups.end());
    return *found;
}

/// Forward and backward of conv, BatchNorm, a product and a loss: x (2,4,4,3), w (8,3,3,3), y (2,4,4,8), then 128 -> 5.
void small_step(Backend& backend, Tape& tape) {
    const auto leaf = [&](const Shape& s) {
        const Var v(Tensor(backend, s), true);
        fill(v.value(), 0.1f);
        return v;
    };
    const Var x = leaf({2, 4, 4, 3}), w = leaf({8, 3, 3, 3}), gamma = leaf({1, 1, 1, 8}), beta = leaf({1, 1, 1, 8});
    const Var fc = leaf({5, 1, 1, 128});
    const Tensor labels = Tensor::integers(backend, {2, 1, 1, 1});
    backend.zero(labels.raw(), labels.bytes());
    Conv2dOptions same;
    same.pad_h = same.pad_w = 1;
    BatchNormOptions with_relu;
    with_relu.relu = true;
    const Recording on(&tape);
    const Var map = batchnorm(conv2d(x, w, same), gamma, beta, {}, with_relu);
    tape.backward(cross_entropy(linear(flatten(map), fc), labels));
}

/// Adds 1 to each element; a row counts as 12 bytes.
struct AddOne {
    float* x;
    int64_t moved_bytes() const { return 12; }
    DISTILL_HD void operator()(int64_t i) const { x[i] += 1; }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        if (lane.first()) x[row] += 1;
    }
};

}  // namespace

TEST_CASE("profile: every operation of a step is counted, with its bytes and multiply-accumulates") {
    const auto backend = make_cpu_backend();
    Tape tape;
    Profiler profiler(*backend);
    for (int i = 0; i < 3; ++i) profiler.measure([&] { small_step(*backend, tape); });
    CHECK(backend->profiler == nullptr);
    const Groups groups = profiler.groups();

    constexpr int64_t x = 2 * 4 * 4 * 3, w = 8 * 27, y = 2 * 4 * 4 * 8, macs = y * 27;
    const auto check = [&](const char* name, int64_t calls, int64_t bytes, int64_t computed) {
        const Profiler::Group& g = named(groups, name);
        CAPTURE(name);
        CHECK(g.calls == calls);
        CHECK(g.work.bytes == bytes);
        CHECK(g.work.multiply_accumulates == computed);
        CHECK(g.ms > 0);
    };
    check("convolution forward", 1, 4 * (x + w + y), macs);
    check("convolution backward data", 1, 4 * (x + w + y), macs);
    check("convolution backward weights", 1, 4 * (x + w + y), macs);
    check("BatchNorm forward", 1, 4 * 2 * y, 0);
    check("BatchNorm backward", 1, 4 * 3 * y, 0);  // x, which tells the mask as well, dy, dx
    check("matrix product", 3, 3 * 4 * (2 * 128 + 5 * 128 + 2 * 5), 3 * 2 * 5 * 128);
    check("CrossEntropyForward", 1, 4 * 2 * 5, 0);
    check("CrossEntropyBackward", 1, 4 * 2 * 2 * 5, 0);
    CHECK(named(groups, "Fill<float>").calls == 6);  // the leaves, and the loss's own gradient

    CHECK(groups.back().name == "whole step");
    CHECK(groups[groups.size() - 2].name == "between operations");
    int64_t calls = 0;
    for (const auto& g : groups)
        if (&g != &groups.back()) calls += g.calls;
    CHECK(groups.back().calls == calls);
    CHECK(std::is_sorted(groups.begin(), groups.end() - 2, [](const auto& a, const auto& b) { return a.ms > b.ms; }));
    CHECK(std::all_of(groups.begin(), groups.end(), [&](const auto& g) { return g.ms >= 0 && g.ms <= groups.back().ms; }));
}

TEST_CASE("profile: convolutions by Winograd are groups of their own, with the products that they make and their parts") {
    for (const bool winograd : {true, false}) {
        DeviceOptions options;
        options.winograd = winograd;
        const auto backend = make_cpu_backend(options);
        const auto step = [&] {
            const Var x(Tensor::zeros(*backend, {2, 18, 18, 16}), true), w(Tensor::zeros(*backend, {32, 3, 3, 16}), true);
            const Var five(Tensor::zeros(*backend, {32, 5, 5, 32}), true);
            Tape tape;
            const Recording on(&tape);
            const Var y = conv2d(x, w);            // (2,16,16,32): 4×4 tiles cover it, 5×5 the gradient of x
            tape.backward(mean(conv2d(y, five)));  // 5×5 taps: as written, whatever the option
        };
        Profiler profiler(*backend);
        const int64_t counted = multiply_accumulates(), saved = saved_multiply_accumulates();
        profiler.measure(step);
        profiler.measure(step);
        const Groups groups = profiler.groups();
        constexpr int64_t x = 2 * 18 * 18 * 16, y = 2 * 16 * 16 * 32, w = 32 * 9 * 16, written = y * 9 * 16,
                          five = 2 * 12 * 12 * 32 * 25 * 32;
        int64_t made = 0;
        for (const auto& g : groups) made += g.work.multiply_accumulates;
        CAPTURE(winograd);
        CHECK(multiply_accumulates() - counted == 2 * 3 * (written + five));
        CHECK(2 * made == multiply_accumulates() - counted - (saved_multiply_accumulates() - saved));
        for (const char* direction : {"convolution forward", "convolution backward data", "convolution backward weights"}) {
            CAPTURE(direction);
            const Profiler::Group& plain = named(groups, direction);
            CHECK(plain.calls == (winograd ? 1 : 2));
            CHECK(plain.work.multiply_accumulates == (winograd ? five : written + five));
            if (!winograd) continue;
            const Profiler::Group& own = named(groups, std::string(direction) + " by Winograd");
            const int64_t tiles = direction == std::string("convolution backward data") ? 5 * 5 : 4 * 4;
            CHECK(own.calls == 1);
            CHECK(own.work.bytes == 4 * (x + w + y));
            CHECK(own.work.multiply_accumulates == 2 * tiles * 36 * 16 * 32);
            const bool outputs = direction != std::string("convolution backward weights");
            REQUIRE(own.parts.size() == (outputs ? 5 : 4));
            CHECK(own.parts.front().first == "weights' transform");
            CHECK(own.parts.back().first == "waiting");
            for (const auto& [part, ms] : own.parts) {
                CHECK_MESSAGE(ms >= 0, part);
                CHECK_MESSAGE((ms > 0 || part == "waiting"), part);
                CHECK_MESSAGE(ms <= own.ms, part);
            }
        }
        if (!winograd) CHECK(made == 3 * (written + five));
    }
}

TEST_CASE("profile: what is added to is read, and a mask that the input does not tell") {
    Conv2dGeometry g;
    g.x = {2, 6, 6, 16}, g.w = {32, 3, 3, 16}, g.y = {2, 4, 4, 32};
    CHECK(backward_data_work(g, false).bytes == 4 * (g.x.size() + g.w.size() + g.y.size()));
    CHECK(backward_data_work(g, true).bytes == backward_data_work(g, false).bytes + 4 * g.x.size());

    BatchNormShape s;
    s.rows = 10, s.channels = 4, s.relu = true;
    BatchNormBackward b{};
    const float beta = 0;
    float gradient = 0;
    CHECK(work_of(s, b).bytes == 4 * 40 * 4);  // x, y, dy, dx
    b.beta = &beta;
    CHECK(work_of(s, b).bytes == 4 * 40 * 3);
    b.dresidual = &gradient;
    CHECK(work_of(s, b).bytes == 4 * 40 * 4);
}

TEST_CASE("profile: a way and parts are of the running operation alone") {
    const auto backend = make_cpu_backend();
    Profiler profiler(*backend);
    profiler.measure([&] {
        profiler.take_way("by air", 1);  // nothing runs
        for (const bool flies : {true, false, true}) {
            const Profiled trip(*backend, "trip", {10, 7});
            if (!flies) continue;
            profiler.take_way("by air", 3);
            for (const double ms : {1.0, 2.0}) profiler.add_part("climb", ms);
        }
        profiler.add_part("climb", 100);  // nothing runs
    });
    const Groups groups = profiler.groups();
    CHECK(groups.size() == 4);
    CHECK(named(groups, "trip").calls == 1);
    CHECK(named(groups, "trip").work.multiply_accumulates == 7);
    CHECK(named(groups, "trip").parts.empty());
    CHECK(named(groups, "trip by air").calls == 2);
    REQUIRE(named(groups, "trip by air").parts.size() == 2);
    CHECK(named(groups, "trip by air").parts.front() == std::pair<std::string, double>("climb", 6.0));
    CHECK(named(groups, "trip by air").work.bytes == 20);
    CHECK(named(groups, "trip by air").work.multiply_accumulates == 6);
}

TEST_CASE("bench: the processor's speed is measured alike beside busy neighbours") {
    const auto backend = make_cpu_backend();
    // Other programs only slow it down.
    const auto best_of_three = [](const auto& measure) { return std::max({measure(), measure(), measure()}); };
    const auto multiplied = [&] { return backend->peak_multiply_accumulates_per_ms(); };
    const auto moved = [&] { return cpu_bytes_per_ms(*backend); };
    const double alone = best_of_three(multiplied);
    std::atomic<bool> busy{true};
    std::vector<std::thread> neighbours;
    for (unsigned i = 0; i < 2 * std::max(1u, std::thread::hardware_concurrency()); ++i)
        neighbours.emplace_back([&] {
            while (busy) continue;
        });
    const double beside = best_of_three(multiplied), bytes_beside = best_of_three(moved);
    busy = false;
    for (std::thread& t : neighbours) t.join();
    CHECK(beside > 0.7 * alone);  // a third of the time is ours: measured by the clock it would be at most a half
    CHECK(beside < 1.5 * alone);
    CHECK(bytes_beside > 0.5 * moved());
    CHECK(alone > cpu_multiply_accumulates_per_ms(Precision::fp32) * 0.7);
}

TEST_CASE("profile: times are what passed, an operation within another is part of it, the median is over steps") {
    const auto backend = make_cpu_backend();
    Profiler profiler(*backend);
    const auto sleep = [](int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
    const Tensor x = Tensor::zeros(*backend, {1, 1, 1, 10});
    for (const int ms : {4, 400, 4}) {
        profiler.measure([&] {
            const Profiled outer(*backend, "outer", {100, 7});
            sleep(ms);
            const Profiled inner(*backend, "inner", {1, 1});
            for_each_element(*backend, 10, AddOne{x.data()});
        });
    }
    const Groups groups = profiler.groups();
    REQUIRE(groups.size() == 3);
    CHECK(groups[0].name == "outer");
    CHECK(groups[0].calls == 1);
    CHECK(groups[0].work.bytes == 100);
    CHECK(groups[0].work.multiply_accumulates == 7);
    CHECK(groups[0].ms >= 4);
    CHECK(groups[0].ms < 400);
    CHECK(x.to_host() == std::vector<float>(10, 3.0f));
}

TEST_CASE("profile: functors go by their own name, and by the bytes they declare") {
    const auto backend = make_cpu_backend();
    const Tensor x = Tensor::zeros(*backend, {1, 1, 1, 10});
    for_each_row(*backend, 10, 1, AddOne{x.data()});  // before and after, nobody listens
    Profiler profiler(*backend);
    profiler.measure([&] {
        for_each_row(*backend, 10, 1, AddOne{x.data()});
        for_each_element(*backend, 5, AddOne{x.data()});
        relu(Var(x));
    });
    for_each_row(*backend, 10, 1, AddOne{x.data()});
    const Groups groups = profiler.groups();
    CHECK(named(groups, "AddOne").calls == 2);
    CHECK(named(groups, "AddOne").work.bytes == 12 * (10 + 5));
    CHECK(named(groups, "UnaryForward<Relu, float>").work.bytes == 0);  // declares nothing: not known
    CHECK(groups.back().calls == 3);
}

TEST_CASE("profile: a step that throws leaves the backend unprofiled") {
    const auto backend = make_cpu_backend();
    Profiler profiler(*backend);
    CHECK_THROWS_AS(profiler.measure([] { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK(backend->profiler == nullptr);
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("command line: bench replaces no file but a table of its own, and says so before the work") {
    const TempFolder folder;
    put_file(folder / "mine.csv", "my,own\n1,2\n");
    const std::string one = " --student resnet8", two = " --teacher resnet14" + one;
    for (const std::string& bench :
         {"train" + one, "mhgd" + two, "several" + one, "costs" + two, "feed" + two, std::string("svd"), std::string("ktg --graph dml")}) {
        const Ended end = run(folder, "bench " + bench + " --csv mine.csv");
        CAPTURE(bench);
        CHECK(end.code == 2);
        CHECK(end.out.empty());
        CHECK(says(end.err, {"--csv mine.csv: is there and is no table of this benchmark"}));
        check_rejected(folder, "bench " + bench + " --csv gone/b.csv", {"--csv gone/b.csv: the folder", "is not there; make it first"});
    }
    check_rejected(folder, "bench train --net resnet8 --profile-csv mine.csv", {"--profile-csv mine.csv: is there and is no profile"});
    check_rejected(folder, "bench train --net resnet8 --csv b.csv --profile-csv ./b.csv", {"--profile-csv ./b.csv: is --csv's file, too"});
    CHECK(read_file(folder / "mine.csv") == "my,own\n1,2\n");
}

TEST_CASE("command line: bench prints and writes the profile") {
    const TempFolder folder;
    put_file(folder / "p.csv", "group,calls,ms,share,bytes,macs,bound_ms_bytes,bound_ms_flops\nolder,,,,,,,\n");  // is replaced
    put_file(folder / "b.csv", "case,device,precision,batch,ms_per_step,images_per_s,bound_ms_bytes,bound_ms_flops,memory_mib\n");
    const Ended end = run(folder,
                          "bench reviewkd --teacher resnet14 --student resnet8 --batch 4 --size 16 --steps 2 --threads 1 --augment "
                          "--profile --profile-csv p.csv --csv b.csv");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"GMAC", "which do what", "as written", "GB/s", "GMAC/s"}));
    CHECK(says(end.out, {"convolution forward", "convolution backward data by Winograd", "inputs' transform", "BatchNorm backward", "Sgd",
                         "GatherLine", "DifferenceForward<SquaredDifference, float>", "between operations", "whole step", "100.0%"}));
    const CsvTable table = read_csv(folder / "p.csv"), bench = read_csv(folder / "b.csv");
    CHECK(table.columns == std::vector<std::string>{"group", "calls", "ms", "share", "bytes", "macs", "bound_ms_bytes", "bound_ms_flops"});
    const size_t last = table.rows.size() - 1;
    double macs = 0;
    int parts = 0;
    for (size_t row = 0; row < last; ++row) {
        CHECK(std::abs(table.cell_number(row, "share") - table.cell_number(row, "ms") / table.cell_number(last, "ms")) < 1e-6);
        if (!table.cell(row, "macs").empty()) macs += table.cell_number(row, "macs");
        CHECK(table.cell(row, "bytes").empty() == table.cell(row, "bound_ms_bytes").empty());
        CHECK(table.cell(row, "macs").empty() == table.cell(row, "bound_ms_flops").empty());
        if (table.cell(row, "group") == "convolution forward by Winograd: products") parts += table.cell(row, "calls").empty();
#ifndef __SANITIZE_ADDRESS__  // which keeps the multiply-adds that the bound is measured by out of registers
        if (!table.cell(row, "macs").empty()) CHECK(table.cell_number(row, "ms") > table.cell_number(row, "bound_ms_flops"));
#endif
    }
    CHECK(parts == 1);
    CHECK(macs == table.cell_number(last, "macs"));  // nothing escaped: the tape's own count is the groups' sum
    CHECK(std::abs(table.cell_number(last, "bound_ms_bytes") / bench.cell_number(0, "bound_ms_bytes") - 1) < 1e-6);
    CHECK(bench.cell(0, "precision") == "fp32");
    CHECK(bench.cell_number(0, "memory_mib") > 0);
}

TEST_CASE("command line: bench several, trainings at once beside one") {
    const TempFolder folder;
    const Ended end = run(folder, "bench several --net resnet8 --runs 3 --batch 4 --size 16 --steps 2 --threads 2 --csv s.csv");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"3 trainings of resnet8 at once, batch 4, fp32", "times as many", "2 CPU threads for the one, 1 for each"}));
    const CsvTable table = read_csv(folder / "s.csv");
    REQUIRE(table.rows.size() == 1);
    CHECK(table.cell(0, "case") == "resnet8");
    CHECK(table.cell_number(0, "runs") == 3);
    const double ratio = table.cell_number(0, "images_per_s") / table.cell_number(0, "images_per_s_one");
    CHECK(std::abs(ratio / table.cell_number(0, "ratio") - 1) < 1e-6);

    check_rejected(folder, "bench several --net resnet9", {"resnet9"});  // found while three threads wait for each other
    check_rejected(folder, "bench several --net resnet8 --runs 0", {"--runs: found '0', expected a whole number from 1 to 64"});
}

TEST_CASE("command line: bench svd, beside LAPACK's") {
    const TempFolder folder;
    put_file(folder / "v.csv", "case,device,batch,count,ms_forward,ms_both,ms_lapack,ratio\n");
    const Ended end = run(folder, "bench svd --count 2 --batch 2 --steps 1 --threads 1 --csv v.csv");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"2 right singular vectors of each of 2 maps", "32x32x64", "4x4x512", "LAPACK's full SVD"}));
    const CsvTable table = read_csv(folder / "v.csv");
    REQUIRE(table.rows.size() == 4);
    CHECK(table.cell(0, "case") == "svd 32x32x64");
    CHECK(std::abs(table.cell_number(0, "ms_lapack") / table.cell_number(0, "ms_forward") / table.cell_number(0, "ratio") - 1) < 1e-6);
    check_rejected(folder, "bench svd --count 0", {"--count: found '0', expected a whole number from 1 to 64"});
}

TEST_CASE("command line: bench ktg, a graph's step beside its nodes alone") {
    const TempFolder folder;
    // Node 1 teaches as it is, node 2 nobody hears, node 3 has weights that a bench does not need.
    write_file_atomically(folder / "g.csv",
                          "node,model,weights,gate_0,gate_1,gate_2,gate_3\n"
                          "0,resnet8,,through,linear,cutoff,correct\n"
                          "1,resnet14,,cutoff,cutoff,cutoff,cutoff\n"
                          "2,resnet14,,cutoff,cutoff,cutoff,cutoff\n"
                          "3,resnet8,gone.safetensors,through,cutoff,cutoff,through\n");
    const std::string small = " --batch 4 --size 16 --steps 2 --threads 1";
    const Ended end = run(folder, "bench ktg --graph g.csv --models 3=resnet14a --csv k.csv" + small);
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out,
               {"ktg g resnet8+resnet14+resnet14+resnet14a, batch 4, fp32", "its nodes alone, in turns with it", " forward + ", "ratio"}));
    const CsvTable table = read_csv(folder / "k.csv");
    CHECK(table.columns ==
          std::vector<std::string>{"case", "device", "precision", "batch", "ms_per_step", "images_per_s", "ms_nodes_alone", "ratio"});
    REQUIRE(table.rows.size() == 1);
    CHECK(table.cell(0, "case") == "ktg g resnet8+resnet14+resnet14+resnet14a");
    CHECK(table.cell_number(0, "batch") == 4);
    const double ms = table.cell_number(0, "ms_per_step");
    CHECK(std::abs(table.cell_number(0, "images_per_s") * ms / 4000 - 1) < 1e-6);
    CHECK(std::abs(ms / table.cell_number(0, "ms_nodes_alone") / table.cell_number(0, "ratio") - 1) < 1e-6);

    const Ended ensemble = run(folder, "bench ktg --graph ensemble --models 1=resnet8,2=resnet8" + small);
    CAPTURE(ensemble.err);
    CHECK(ensemble.code == 0);
    check_rejected(folder, "bench ktg", {"--graph"});
    check_rejected(folder, "bench ktg --graph dmll", {"dmll", "dml"});
    check_rejected(folder, "bench ktg --graph dml --models 2=resnet8", {"--models", "expected NODE=VALUE with a node from 0 to 1"});
}

#ifdef DISTILL_CUDA
TEST_CASE("cuda: the profiler's times are the device's, on every stream") {
    if (cuda_device_count() == 0) return skip("no CUDA device");
    const auto gpu = make_cuda_backend();
    constexpr int64_t elements = int64_t{64} << 20;
    const Shape shape{1, 1, 1, elements};
    const Tensor a = Tensor::zeros(*gpu, shape), b = Tensor::zeros(*gpu, shape), c = Tensor::zeros(*gpu, shape);
    Profiler profiler(*gpu);
    for (int i = 0; i < 3; ++i) {
        profiler.measure([&] {
            add_tensors(a, b, c);
            gpu->use_stream(1);
            fill(a, 1);
            gpu->use_stream(0);
            gpu->wait(1);
        });
    }
    const Groups groups = profiler.groups();
    const double sum = named(groups, "Sum<float>").ms, filled = named(groups, "Fill<float>").ms;
    CHECK(sum > 2 * filled);  // twelve bytes an element against four, one after the other
    CHECK(groups.back().ms >= sum + filled);
    CHECK(groups.back().ms < 30);  // not the moment by which the device starts late
}
#endif

TEST_CASE("command line: bench feed, teachers in time and memory beside what they must cost") {
    const TempFolder folder;
    const Ended end = run(folder,
                          "bench feed --teacher resnet14 --student resnet8 --teachers-count 2 --batch 8 --size 16 --steps 2 "
                          "--threads 1 --csv f.csv");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"feed 2 x resnet14->resnet8, batch 8, fp32", "in turns with it: student plain",
                         "ratio to teachers + 1.15 plain + layers", "a teacher adds", "it may add"}));
    const CsvTable table = read_csv(folder / "f.csv");
    REQUIRE(table.rows.size() == 1);
    const auto value = [&](const char* column) { return table.cell_number(0, column); };
    const double bound = value("ms_teachers") + 1.15 * value("ms_plain") + value("ms_layers");
    CHECK(std::abs(value("ratio") * bound / value("ms_per_step") - 1) < 1e-6);
    CHECK(value("mib_per_teacher") > 0);
    CHECK(value("mib_per_teacher") <= value("mib_allowed"));
    CHECK(value("memory_mib") > value("mib_per_teacher"));
    check_rejected(folder, "bench feed --teacher resnet14 --student resnet8 --teachers-count 0", {"--teachers-count: found '0'"});
}

TEST_CASE("bench costs: a row for each method, beside the student and the teacher alone") {
    const TempFolder folder;
    const std::string costs = "bench costs --teacher resnet14 --student resnet8 --size 16 --batch 4 --steps 1 --threads 1 ";
    succeed(folder, costs + "--methods at,crd --records 100 --csv c.csv", {"at", "crd"});
    const CsvTable table = read_csv(folder / "c.csv");
    REQUIRE(table.rows.size() == 2);
    CHECK(table.cell(0, "method") == "at");
    CHECK(table.cell(1, "method") == "crd");
    for (size_t row = 0; row < 2; ++row) {
        const double bound = table.cell_number(row, "ms_plain") + table.cell_number(row, "ms_teacher");
        CHECK(std::abs(table.cell_number(row, "ratio") * bound / table.cell_number(row, "ms_per_step") - 1) < 1e-6);
    }
    check_rejected(folder, costs + "--methods feed", {"--methods: found 'feed'", "expected methods of one teacher: "});
}

TEST_SUITE_END();
