// The emulation finds what it is there for: kernels that are broken on purpose, each beside one that is not.
#ifdef DISTILL_EMULATE_GPU
#include <cmath>
#include <string>
#include <vector>

#include "complaints.h"
#include "core_tensor.h"
#include "device.h"
#include "launch.h"
#include "testing.h"

using namespace distill;
using emulation::Order;
using testing::says;

namespace {

struct OrderScope {
    explicit OrderScope(Order order, uint64_t seed = 0) { emulation::set_order(order, seed); }
    ~OrderScope() { emulation::set_order(Order::alternating); }
};

/// What f() gives under each order of threads, the random one several times.
template <class F>
auto under_every_order(const F& f) {
    std::vector<decltype(f())> results;
    for (const Order order : {Order::ascending, Order::descending, Order::random, Order::random, Order::random}) {
        const OrderScope scope(order, results.size());
        results.push_back(f());
    }
    return results;
}

/// The kernel's result, or what the emulation had to say.
template <class... P, class... A>
std::string complaint(void (*kernel)(P...), int threads, const A&... arguments) {
    const auto backend = make_cpu_backend();
    try {
        launch_kernel(*backend, kernel, 2, threads, arguments...);
    } catch (const std::runtime_error& e) {
        return e.what();
    }
    return "";
}

/// y = Σ 0 … 127 by a tree in shared memory, with all its barriers or with the one of the given round left out.
__global__ void tree_sum(float* y, int missing) {
    __shared__ Shared<float[128]> sums;
    const int me = static_cast<int>(threadIdx.x);
    sums.value[me] = static_cast<float>(me);
    for (int half = 64, round = 0; half > 0; half /= 2, ++round) {
        if (round != missing) __syncthreads();
        if (me < half) sums.value[me] += sums.value[me + half];
    }
    if (me == 0) *y = sums.value[0];
}
/// The same within a warp, where nothing but the shuffle is needed.
__global__ void warp_sum(float* y, unsigned mask) {
    auto value = static_cast<float>(threadIdx.x);
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(mask, value, step);
    if (threadIdx.x == 0) *y = value;
}
/// Each thread reads what its neighbour wrote into shared memory.
__global__ void neighbour(float* y, bool barrier) {
    __shared__ Shared<float[64]> written;
    const int me = static_cast<int>(threadIdx.x);
    written.value[me] = static_cast<float>(me);
    if (barrier) __syncthreads();
    y[me] = written.value[(me + 1) % 64];
}
__global__ void early_leaver() {
    if (threadIdx.x == 5) return;
    __syncthreads();
}
__global__ void two_barriers() {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}
__global__ void barrier_and_shuffle(float* y) {
    if (threadIdx.x < 16)
        __syncthreads();
    else
        *y = __shfl_xor_sync(0xffffffffu, 1.0f, 16);
}
__global__ void wrong_partner(float* y) {
    if (threadIdx.x < 8) *y = __shfl_xor_sync(0xffu, 1.0f, 8);
}
__global__ void outside_its_mask() { __syncwarp(threadIdx.x < 16 ? 0xffffu : 0xffu); }
__global__ void unwritten(float* y) {
    __shared__ Shared<float[2]> memory;
    if (blockIdx.x == 0) memory.value[0] = 1;
    *y += memory.value[0];
}
__global__ void last_block_wins(float* y) { *y = static_cast<float>(blockIdx.x); }

struct RowSum {
    int64_t n;
    const float* x;
    float *y, *top;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float* in = x + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return in[j]; }), most = lane.max(n, [=](int64_t j) { return in[j]; });
        if (lane.first()) y[row] = sum, top[row] = most;
    }
};

}  // namespace

TEST_CASE("emulation: a reduction without one of its barriers is caught") {
    const auto backend = make_cpu_backend();
    const auto sum = [&](int missing) {
        const Tensor y(*backend, {});
        launch_kernel(*backend, tree_sum, 1, 128, y.data(), missing);
        return y.item();
    };
    for (const float found : under_every_order([&] { return sum(-1); })) CHECK(found == 127 * 64);
    for (int missing = 0; missing < 7; ++missing) {
        CAPTURE(missing);
        int wrong = 0;
        for (const float found : under_every_order([&] { return sum(missing); })) wrong += found != 127 * 64;
        CHECK(wrong > 0);
    }
}

TEST_CASE("emulation: a neighbour's value without a barrier is caught in every order") {
    const auto backend = make_cpu_backend();
    std::vector<float> expected(64);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>((i + 1) % 64);
    const auto values = [&](bool barrier) {
        const Tensor y(*backend, {1, 1, 1, 64});
        launch_kernel(*backend, neighbour, 1, 64, y.data(), barrier);
        return y.to_host();
    };
    for (const std::vector<float>& found : under_every_order([&] { return values(true); })) CHECK(found == expected);
    for (const std::vector<float>& found : under_every_order([&] { return values(false); })) CHECK(found != expected);
}

TEST_CASE("emulation: threads that do not meet are named") {
    const auto backend = make_cpu_backend();
    const Tensor y(*backend, {});
    for (const std::string& message : under_every_order([] { return complaint(early_leaver, 64); })) {
        CAPTURE(message);
        CHECK(says(message, {"thread 5 never comes: it has finished", "test_gpu_emulation.cpp:"}));
    }
    for (const std::string& message : under_every_order([] { return complaint(two_barriers, 64); })) CHECK(says(message, {"waits at"}));
    for (const std::string& message : under_every_order([&] { return complaint(barrier_and_shuffle, 32, y.data()); }))
        CHECK(says(message, {"never comes"}));
    CHECK(says(complaint(wrong_partner, 32, y.data()), {"lane"}));
    CHECK(says(complaint(outside_its_mask, 32), {"not in its own mask"}));
    CHECK(complaint(warp_sum, 32, y.data(), 0xffffffffu).empty());  // and it goes on after all that
    CHECK(y.item() == 31 * 16);
}

TEST_CASE("emulation: memory that nobody wrote is NaN, shared memory in every block") {
    const auto backend = make_cpu_backend();
    Tensor y(*backend, {});
    CHECK(std::isnan(y.item()));
    y.zero();
    launch_kernel(*backend, unwritten, 2, 1, y.data());
    CHECK(std::isnan(y.item()));
}

TEST_CASE("emulation: what depends on the order of blocks shows") {
    const auto backend = make_cpu_backend();
    const Tensor y(*backend, {});
    const OrderScope scope(Order::ascending, 1);
    std::vector<float> seen;
    for (int i = 0; i < 5; ++i) {
        launch_kernel(*backend, last_block_wins, 100, 1, y.data());
        seen.push_back(y.item());
    }
    CHECK(seen != std::vector<float>(5, seen[0]));
}

/// How many threads its block has.
struct ThreadsOfBlock {
    float* y;
    template <class Lane>
    void operator()(int64_t, const Lane& lane) const {
        if (lane.first()) *y = static_cast<float>(blockDim.x);
    }
};

TEST_CASE("emulation: a kernel whose registers do not leave a block 512 threads works with fewer") {
    const auto backend = make_cpu_backend();
    const Tensor y(*backend, {});
    emulation::threads_that_fit = 256;
    for_each_row(*backend, 3, 5000, ThreadsOfBlock{y.data()});
    emulation::threads_that_fit = 1024;
    CHECK(y.item() == 256);
}

TEST_CASE("emulation: rows of every length, by parts of a warp, warps and blocks, with the same bits in every order") {
    const auto backend = make_cpu_backend();
    for (const int64_t n : {1, 2, 3, 10, 16, 17, 33, 100, 512, 513, 4096, 5000})
        for (const int64_t rows : {1, 7, 300}) {
            CAPTURE(n);
            CAPTURE(rows);
            std::vector<float> x(static_cast<size_t>(rows * n)), sums, tops;
            for (size_t i = 0; i < x.size(); ++i) x[i] = 2 * std::sin(0.7f * static_cast<float>(i + 1));
            const Tensor in = Tensor::from_host(*backend, {rows, 1, 1, n}, x);
            const auto results = under_every_order([&] {
                const Tensor y(*backend, {rows, 1, 1, 2});
                for_each_row(*backend, rows, n, RowSum{n, in.data(), y.data(), y.data() + rows});
                return y.to_host();
            });
            for (const std::vector<float>& found : results) CHECK(found == results[0]);
            double worst = 0;
            for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
                double sum = 0, size = 0;
                float top = x[row * static_cast<size_t>(n)];
                for (size_t j = row * static_cast<size_t>(n); j < (row + 1) * static_cast<size_t>(n); ++j) {
                    sum += static_cast<double>(x[j]);
                    size += std::fabs(static_cast<double>(x[j]));
                    top = std::max(top, x[j]);
                }
                worst = testing::worse(worst, std::fabs(static_cast<double>(results[0][row]) - sum) / size);
                CHECK(results[0][row + static_cast<size_t>(rows)] == top);
            }
            CHECK(worst <= 1e-6);
        }
}
#endif
