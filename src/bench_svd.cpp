// Times right_singular_vectors, forward and with its gradient, and LAPACK's sgesdd of every sample (on the CPU, as many threads), in turns.
#include "bench_svd.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "bench_training.h"
#include "core_philox.h"
#include "device.h"
#include "ops.h"

extern "C" void sgesdd_(const char* job, const int* m, const int* n, float* a, const int* row_a, float* s, float* u, const int* row_u,
                        float* vt, const int* row_vt, float* work, const int* work_size, int* integers, int* info);

namespace distill {
namespace {

struct SvdBench {
    Options training;
    std::string csv;
    int count = 4, steps = 20, warmup = 2;
};

/// What one thread needs for a sample's SVD.
class Lapack {
  public:
    Lapack(int rows, int columns) : m_(columns), n_(rows), least_(std::min(rows, columns)) {  // stored by columns: the map's transpose
        const auto size = [](int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); };
        a_.resize(size(m_, n_));
        s_.resize(size(least_, 1));
        u_.resize(size(m_, least_));
        vt_.resize(size(least_, n_));
        integers_.resize(size(8, least_));
        float best_size = 0;
        call(&best_size, -1);
        work_.resize(static_cast<size_t>(best_size));
    }
    /// LAPACK's `info`: 0 if it succeeded.
    int operator()(const float* map) {
        std::copy(map, map + a_.size(), a_.begin());
        return call(work_.data(), static_cast<int>(work_.size()));
    }

  private:
    int call(float* work, int size) {
        int info = 0;
        sgesdd_("S", &m_, &n_, a_.data(), &m_, s_.data(), u_.data(), &m_, vt_.data(), &least_, work, &size, integers_.data(), &info);
        return info;
    }
    int m_, n_, least_;
    std::vector<float> a_, s_, u_, vt_, work_;
    std::vector<int> integers_;
};

void lapack_svd(const std::vector<float>& maps, const Shape& s) {
    const int64_t size = s.per_sample();
    int info = 0;
#pragma omp parallel reduction(max : info)
    {
        Lapack svd(static_cast<int>(s.h * s.w), static_cast<int>(s.c));
#pragma omp for
        for (int64_t n = 0; n < s.n; ++n) info = std::max(info, std::abs(svd(maps.data() + n * size)));
    }
    if (info != 0) failure("sgesdd of a map ", to_string(s), ": info ", info);
}

/// As a stage leaves them: no value below 0.
std::vector<float> random_maps(const Shape& s) {
    const uint64_t key = random_key(0, Purpose::bench, static_cast<uint64_t>(s.c));
    std::vector<float> maps(static_cast<size_t>(s.size()));
    for (size_t i = 0; i < maps.size(); ++i) {
        const Random4 bits = philox(key, i);
        maps[i] = std::max(0.0f, normal(bits.v[0], bits.v[1]));
    }
    return maps;
}

void run_svd(const SvdBench& o) {
    const std::vector<std::string> columns{"case", "device", "batch", "count", "ms_forward", "ms_both", "ms_lapack", "ratio"};
    require_csv(o.csv, columns);
    const auto backend = make_backend(o.training.device, device_options(o.training));
    std::printf("%d right singular vectors of each of %lld maps, %s; median ms of %d rounds\n", o.count,
                static_cast<long long>(o.training.batch), backend->description().c_str(), o.steps);
    std::printf("  %-12s %10s %22s %22s %8s\n", "map", "forward", "forward and backward", "LAPACK's full SVD, CPU", "ratio");
    std::optional<CsvWriter> out;
    if (!o.csv.empty()) out.emplace(o.csv, columns);
    for (const auto& [side, channels] : {std::pair<int64_t, int64_t>{32, 64}, {16, 128}, {8, 256}, {4, 512}}) {
        const Shape s{o.training.batch, side, side, channels};
        const std::vector<float> maps = random_maps(s);
        const Tensor map = Tensor::from_host(*backend, s, maps);
        const Tensor weights = Tensor::from_host(*backend, {s.n, 1, o.count, s.c}, random_maps({s.n, 1, o.count, s.c}));
        Tape tape;
        const auto forward = [&] { right_singular_vectors(Var(map), o.count); };
        const auto both = [&] {
            const Var x(map, true);
            const Recording recording(&tape);
            tape.backward(mean(mul(right_singular_vectors(x, o.count), Var(weights))));
        };
        std::vector<double> ms_forward, ms_both, ms_lapack;
        for (int round = -o.warmup; round < o.steps; ++round) {
            const double times[] = {time_ms(*backend, forward), time_ms(*backend, both), time_ms(*backend, [&] { lapack_svd(maps, s); })};
            if (round < 0) continue;
            ms_forward.push_back(times[0]);
            ms_both.push_back(times[1]);
            ms_lapack.push_back(times[2]);
        }
        const std::string name = text(side, "x", side, "x", channels);
        const double one = median(ms_forward), two = median(ms_both), lapack = median(ms_lapack);
        std::printf("  %-12s %10.2f %22.2f %22.2f %7.1fx\n", name.c_str(), one, two, lapack, lapack / one);
        if (out)
            out->row({"svd " + name, device_name(*backend), std::to_string(s.n), std::to_string(o.count), number(one), number(two),
                      number(lapack), number(lapack / one)});
    }
}

/// Its options live as long as the program.
struct SvdCommand {
    SvdBench options;
    OptionTable table;
};

}  // namespace

void add_bench_svd(Subcommand bench) {
    const Subcommand sub = bench.add_subcommand("svd", "leading singular vectors of maps beside LAPACK's full SVD");
    const auto command = std::make_shared<SvdCommand>();
    SvdBench& o = command->options;
    OptionTable& t = command->table;
    t.add("--count", o.count, {1, 64}, "vectors of each map");
    t.add("--batch", o.training.batch, {1}, "maps at once");
    t.add("--steps", o.steps, {1}, "timed rounds");
    add_machine_options(t, o.training);
    t.add("--csv", o.csv, "also write the figures here");
    t.attach(sub);
    sub.callback([command] { run_svd(command->options); });
}

}  // namespace distill
