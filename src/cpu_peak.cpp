#include "cpu_peak.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "core_tensor.h"
#include "cpu_simd.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

/// Work a millisecond of all threads: each times `pieces` calls of piece(number), of `work` each, and counts at the speed that nine of ten
/// do not reach.
template <class Piece>
double work_per_ms(int pieces, double work, const Piece& piece) {
    double rate = 0;
#pragma omp parallel reduction(+ : rate)
    {
        std::vector<double> ms(static_cast<size_t>(pieces));
        for (int i = 0; i < pieces; ++i) {
            const auto start = Clock::now();
            piece(i);
            ms[static_cast<size_t>(i)] = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
        }
        const auto fast = ms.begin() + pieces / 10;
        std::nth_element(ms.begin(), fast, ms.end());
        rate += work / *fast;
    }
    return rate;
}

#pragma GCC diagnostic ignored "-Wpsabi"  // no vector is passed by value
constexpr int chains = 12;  // more than latency × units (4 × 2 on today's cores) keeps every unit busy; 12 fit in 16 registers

template <class Lane>
float sum_of(const Lane (&c)[chains]) {
    float sum = 0;
    for (const Lane& chain : c)
        for (size_t i = 0; i < sizeof(Lane) / sizeof(float); ++i) sum += chain[i];
    return sum;
}

/// One thread's multiply-adds: c = step, which reads c and x. They start apart and their sum is returned, so that none can be left out. A
/// macro, because vectors that a function's instructions do not have are split up before it could be inlined into one that has them.
#define DISTILL_MULTIPLY_ADDS(name, Lane, factor, step)                            \
    float name(int64_t rounds) {                                                   \
        const auto x = factor;                                                     \
        Lane sums[chains];                                                         \
        for (int i = 0; i < chains; ++i) sums[i] = Lane{} + static_cast<float>(i); \
        for (int64_t r = 0; r < rounds; ++r) {                                     \
            _Pragma("GCC unroll 12") for (int i = 0; i < chains; ++i) {            \
                Lane& c = sums[i];                                                 \
                c = step;                                                          \
            }                                                                      \
        }                                                                          \
        return sum_of(sums);                                                       \
    }

typedef float Narrow __attribute__((vector_size(16)));
DISTILL_MULTIPLY_ADDS(multiply_adds_narrow, Narrow, Narrow{} + 0.999f, c* x + x)
#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DISTILL_MULTIPLY_ADDS(multiply_adds_avx2, __m256, _mm256_set1_ps(0.999f), _mm256_fmadd_ps(c, x, x))
    [[gnu::target("avx512f")]] DISTILL_MULTIPLY_ADDS(multiply_adds_avx512, __m512, _mm512_set1_ps(0.999f), _mm512_fmadd_ps(c, x, x))
        [[gnu::target("avx512f,avx512bf16")]] DISTILL_MULTIPLY_ADDS(multiply_adds_bf16, __m512,
                                                                    reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80)),
                                                                    _mm512_dpbf16_ps(c, x, x))  // ones, in pairs
#endif

    struct Instructions {
    float (*multiply_adds)(int64_t rounds);
    int at_once;  ///< multiply-accumulates of one
};

Instructions widest(Precision precision) {
#ifdef __x86_64__
    if (precision == Precision::bf16 && __builtin_cpu_supports("avx512bf16")) return {multiply_adds_bf16, 32};
    if (__builtin_cpu_supports("avx512f")) return {multiply_adds_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {multiply_adds_avx2, 8};
#endif
    (void)precision;
    return {multiply_adds_narrow, 4};
}

}  // namespace

double cpu_bytes_per_ms(Backend& cpu) {
    constexpr int64_t elements = int64_t{64} << 20, piece = int64_t{64} << 10;  // 256 MiB each way, 256 KiB a piece
    constexpr int passes = 8;
    const Tensor source(cpu, {1, 1, 1, elements}), target(cpu, {1, 1, 1, elements});
    float* const from = source.data();
    float* const to = target.data();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < elements; ++i) from[i] = to[i] = 1;
    const auto pieces = static_cast<int>(elements / piece / omp_get_max_threads());  // of a thread's own part
    return work_per_ms(passes * pieces, 2.0 * sizeof(float) * piece, [&](int number) {
        const int64_t first = (int64_t{omp_get_thread_num()} * pieces + number % pieces) * piece;
        for (int64_t i = first; i < first + piece; i += lanes) store_lanes(to + i, load_lanes(from + i) + 1.0f);
    });
}

double cpu_multiply_accumulates_per_ms(Precision precision) {
    constexpr int64_t rounds = 1 << 14;
    const Instructions instructions = widest(precision);
    volatile float result = 0;
    return work_per_ms(1000, static_cast<double>(rounds) * chains * instructions.at_once,
                       [&](int) { result = instructions.multiply_adds(rounds); });
}

}  // namespace distill
