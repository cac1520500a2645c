// launch.h: elementwise and row operations, written once as functors and run by either backend.
// A file that launches functors ends in .cu: nvcc compiles it where CUDA is found, g++ (as C++) where not.
// defines: for_each_element, for_each_row, Span, SumOf, SerialLane, DISTILL_KERNELS, parallel_threshold, run_elements, run_rows
#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core_backend.h"
#include "core_host_device.h"
#include "core_profile.h"

namespace distill {

/// The indices first … end − 1.
struct Span {
    int first, end;
};

/// What a lane adds up the numbers of g in.
template <class G>
using SumOf = std::conditional_t<std::is_same_v<decltype(std::declval<G>()(int64_t{0})), double>, double, float>;

}  // namespace distill

#if defined(__CUDACC__) || defined(DISTILL_EMULATE_GPU)
#define DISTILL_KERNELS 1
#include "launch_cuda.h"
#endif

namespace distill {

/// Below this many elements a second thread costs more than it saves (an OpenMP region takes about 2 µs).
constexpr int64_t parallel_threshold = 8192;

/// The lane of a CPU thread: a whole row is its own. Functors over rows write their loops through it, so that on a GPU the threads
/// of a group share the row: lane.each(n, [=](int64_t j) {…}), lane.sum(n, f) and lane.max(n, f), both known to every thread.
/// Functions come by value: g++ then sees that their pointers never change and loads vectors, where it gathered (8 times slower).
struct SerialLane {
    /// Elements of a row that a task had best take at once, in arrays of its own: as many as fill vectors here, one for a GPU's thread.
    static constexpr int width = 16;

    template <class G>
    DISTILL_HD void each(int64_t n, const G g) const {
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) g(j);
    }
    /// g(i, j) for i < m, j < n; the last index is the one next to each other in memory.
    template <class G>
    DISTILL_HD void grid(int m, int n, const G g) const {
        for (int i = 0; i < m; ++i) {
#pragma omp simd
            for (int j = 0; j < n; ++j) g(i, j);
        }
    }
    /// g(t) for t < n, each with loops of its own for the compiler to make vectors of.
    template <class G>
    DISTILL_HD void tasks(int n, const G g) const {
        for (int t = 0; t < n; ++t) g(t);
    }
    /// In double if g gives double.
    template <class G>
    DISTILL_HD SumOf<G> sum(int64_t n, const G g) const {
        SumOf<G> total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < n; ++j) total += g(j);
        return total;
    }
    /// m sums at once, in double: write(i, Σ_j g(i, j)) for i < m, j < n.
    template <class G, class Write>
    DISTILL_HD void sums(int m, int n, const G g, const Write write) const {
        for (int i = 0; i < m; ++i) {
            double total = 0;
#pragma omp simd reduction(+ : total)
            for (int j = 0; j < n; ++j) total += g(i, j);
            write(i, total);
        }
    }
    /// Likewise over the first index: write(j, Σ_i g(i, j)) for j < n, i < m.
    template <class G, class Write>
    DISTILL_HD void column_sums(int m, int n, const G g, const Write write) const {
        int j = 0;
        for (; j + width <= n; j += width) {
            double total[width] = {};
            for (int i = 0; i < m; ++i)
#pragma omp simd
                for (int k = 0; k < width; ++k) total[k] += g(i, j + k);
#pragma omp simd
            for (int k = 0; k < width; ++k) write(j + k, total[k]);
        }
        for (; j < n; ++j) {
            double total = 0;
            for (int i = 0; i < m; ++i) total += g(i, j);
            write(j, total);
        }
    }
    template <class G>
    DISTILL_HD float max(int64_t n, const G g) const {
        float top = g(0);
#pragma omp simd reduction(max : top)
        for (int64_t j = 1; j < n; ++j) {
            const float v = g(j);
            top = v > top ? v : top;
        }
        return top;
    }
    /// What pooling is made of: write(i, j, v) for i < m and channels j < n, where v folds term(i, r, c, j) over the window's rows r
    /// and its columns c in columns(i), from fold.start() on. Sixteen channels at a time stay in registers.
    template <class Fold, class Columns, class Term, class Write>
    DISTILL_HD void fold_windows(int m, int n, Span rows, const Fold fold, const Columns columns, const Term term,
                                 const Write write) const {
        for (int i = 0; i < m; ++i) {
            const Span span = columns(i);
            int j = 0;
            for (; j + width <= n; j += width) {
                float value[width];
                for (int k = 0; k < width; ++k) value[k] = fold.start();
                for (int r = rows.first; r < rows.end; ++r)
                    for (int c = span.first; c < span.end; ++c)
#pragma omp simd
                        for (int k = 0; k < width; ++k) value[k] = fold(value[k], term(i, r, c, j + k));
#pragma omp simd
                for (int k = 0; k < width; ++k) write(i, j + k, value[k]);
            }
            for (; j < n; ++j) {
                float value = fold.start();
                for (int r = rows.first; r < rows.end; ++r)
                    for (int c = span.first; c < span.end; ++c) value = fold(value, term(i, r, c, j));
                write(i, j, value);
            }
        }
    }
    /// True in one thread of the row: it writes the row's single results.
    DISTILL_HD bool first() const { return true; }
};

template <class F>
void run_elements(int64_t n, const F& f) {
#pragma omp parallel for simd schedule(static) firstprivate(f) if (n > parallel_threshold)
    for (int64_t i = 0; i < n; ++i) f(i);
}
template <class F>
void run_rows(int64_t rows, int64_t row_length, const F& f) {
#pragma omp parallel for schedule(static) if (rows * row_length > parallel_threshold)
    for (int64_t row = 0; row < rows; ++row) f(row, SerialLane{});
}

/// Calls f(i) for i in [0, n), in any order and at once. Each thread has its own copy of f, for the reason given at SerialLane.
template <class F>
void for_each_element(Backend& backend, int64_t n, const F& f) {
    const Profiled timed(backend, typeid(F).name(), work_of(f, n));
#ifdef DISTILL_KERNELS
    if (backend.launches_kernels()) return launch_elements(backend, n, f);
#endif
    if (!backend.immediate()) return backend.enqueue([n, f] { run_elements(n, f); });
    run_elements(n, f);
}

/// Calls f(row, lane) for every row; `row_length` says how much work a row is. On the CPU it changes no result, on a GPU the order of sums.
template <class F>
void for_each_row(Backend& backend, int64_t rows, int64_t row_length, const F& f) {
    const Profiled timed(backend, typeid(F).name(), work_of(f, rows));
#ifdef DISTILL_KERNELS
    if (backend.launches_kernels()) return launch_rows(backend, rows, row_length, f);
#endif
    if (!backend.immediate()) return backend.enqueue([rows, row_length, f] { run_rows(rows, row_length, f); });
    run_rows(rows, row_length, f);
}

}  // namespace distill
