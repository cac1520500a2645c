// launch.h: elementwise and row operations, written once as functors and run by either backend.
// A file that launches functors ends in .cu: nvcc compiles it where CUDA is found, g++ (as C++) where not.
// defines: DISTILL_HD, for_each_element, for_each_row, SerialLane
#pragma once
#include <cstdint>

#include "backend.h"

#ifdef __CUDACC__
#define DISTILL_HD __host__ __device__
#include "launch_cuda.h"
#else
#define DISTILL_HD
#endif

namespace distill {

/// Below this many elements a second thread costs more than it saves (an OpenMP region takes about 2 µs).
constexpr int64_t parallel_threshold = 8192;

/// The lane of a CPU thread: a whole row is its own. Functors over rows write their loops through it, so that on a GPU the threads
/// of a block share the row: lane.each(n, [=](int64_t j) {…}), lane.sum(n, f) and lane.max(n, f), both known to every thread.
struct SerialLane {
    template <class G>
    void each(int64_t n, const G& g) const {
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) g(j);
    }
    template <class G>
    float sum(int64_t n, const G& g) const {
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < n; ++j) total += g(j);
        return total;
    }
    template <class G>
    float max(int64_t n, const G& g) const {
        float top = g(0);
#pragma omp simd reduction(max : top)
        for (int64_t j = 1; j < n; ++j) {
            const float v = g(j);
            top = v > top ? v : top;
        }
        return top;
    }
    /// True in one thread of the row: it writes the row's single results.
    bool first() const { return true; }
};

/// Calls f(i) for i in [0, n), in any order and at once.
template <class F>
void for_each_element(Backend& backend, int64_t n, const F& f) {
#ifdef __CUDACC__
    if (backend.device() == Device::cuda) return launch_elements(backend, n, f);
#endif
    (void)backend;
#pragma omp parallel for simd schedule(static) if (n > parallel_threshold)
    for (int64_t i = 0; i < n; ++i) f(i);
}

/// Calls f(row, lane) for every row; `row_length` says how much work a row is, and changes no result.
template <class F>
void for_each_row(Backend& backend, int64_t rows, int64_t row_length, const F& f) {
#ifdef __CUDACC__
    if (backend.device() == Device::cuda) return launch_rows(backend, rows, row_length, f);
#endif
    (void)backend;
#pragma omp parallel for schedule(static) if (rows * row_length > parallel_threshold)
    for (int64_t row = 0; row < rows; ++row) f(row, SerialLane{});
}

}  // namespace distill
