// How fast the CPU's threads multiply and add when nothing else is asked of them: the operations' lower bound of `distill bench`.
#include <algorithm>
#include <chrono>

#include "cpu_backend.h"

namespace distill {
namespace {

#pragma GCC diagnostic ignored "-Wpsabi"  // Lane never leaves this file
typedef float Lane __attribute__((vector_size(64)));
constexpr int chains = 12;  // more than latency × units (4 × 2 on today's cores) keeps every unit busy; 12 fit in the registers

/// One thread's multiply-adds; the result is returned so that none can be left out.
float run_chains(int64_t rounds, float seed) {
    Lane c[chains], factor, addend;
    for (int j = 0; j < 16; ++j) factor[j] = 0.999f, addend[j] = seed + static_cast<float>(j);
    for (Lane& chain : c) chain = addend;
    for (int64_t r = 0; r < rounds; ++r)
        for (Lane& chain : c) chain = chain * factor + addend;
    float total = 0;
    for (const Lane& chain : c)
        for (int j = 0; j < 16; ++j) total += chain[j];
    return total;
}

}  // namespace

double CpuBackend::peak_multiply_accumulates_per_ms() {
    constexpr int64_t rounds = 1 << 22;
    double best = 0;
    for (int trial = 0; trial < 3; ++trial) {
        int threads = 0;
        float sum = 0;
        const auto start = std::chrono::steady_clock::now();
#pragma omp parallel reduction(+ : threads, sum)
        {
            threads += 1;
            sum += run_chains(rounds, static_cast<float>(trial));
        }
        const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        if (sum > 0) best = std::max(best, static_cast<double>(rounds) * chains * 16 * threads / ms);
    }
    return best;
}

}  // namespace distill
