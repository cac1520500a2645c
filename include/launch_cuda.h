// launch_cuda.h: the CUDA side of launch.h, seen by nvcc and by the emulation.
// defines: GroupLane, element_kernel, row_kernel, launch_elements, threads_of_row, launch_rows
#pragma once
#include <algorithm>
#include <cmath>

#include "gpu.h"

namespace distill {

/// The lane of a thread on the GPU: `count` threads share a row, 2ⁿ neighbours in a warp or, where there are more than 32, a block. Sums
/// and maxima are reduced in an order that depends on `count` alone, and known to every thread.
struct GroupLane {
    int index, count;  ///< this thread among those of its row
    unsigned mask;     ///< those of its row in its warp
    double* scratch;   ///< a number of shared memory for each warp of the block
    static constexpr int width = 1;

    template <class G>
    __device__ void each(int64_t n, const G& g) const {
        for (int64_t j = index; j < n; j += count) g(j);
        meet();  // what one thread wrote the next loop may read
    }
    template <class G>
    __device__ void grid(int m, int n, const G& g) const {
        for (int k = index; k < m * n; k += count) g(k / n, k % n);
        meet();
    }
    template <class G>
    __device__ void tasks(int n, const G& g) const {
        for (int t = index; t < n; t += count) g(t);
        meet();
    }
    template <class G>
    __device__ SumOf<G> sum(int64_t n, const G& g) const {
        SumOf<G> own = 0;
        for (int64_t j = index; j < n; j += count) own += g(j);
        return reduce(own, [](SumOf<G> a, SumOf<G> b) { return a + b; });
    }
    /// A warp a sum, so that threads meet once for all of them.
    template <class G, class Write>
    __device__ void sums(int m, int n, const G& g, const Write& write) const {
        const int threads = count < 32 ? count : 32;
        for (int i = index / threads; i < m; i += count / threads) {
            double own = 0;
            for (int j = index % threads; j < n; j += threads) own += g(i, j);
            own = reduce_warp(own, [](double a, double b) { return a + b; });
            if (index % threads == 0) write(i, own);
        }
        meet();
    }
    template <class G>
    __device__ float max(int64_t n, const G& g) const {
        float own = g(0);
        for (int64_t j = index; j < n; j += count) own = fmaxf(own, g(j));
        return reduce(own, [](float a, float b) { return fmaxf(a, b); });
    }
    template <class G, class Write>
    __device__ void column_sums(int m, int n, const G& g, const Write& write) const {
        for (int j = index; j < n; j += count) {
            double total = 0;
            for (int i = 0; i < m; ++i) total += g(i, j);
            write(j, total);
        }
        meet();
    }
    template <class Fold, class Columns, class Term, class Write>
    __device__ void fold_windows(int m, int n, Span rows, const Fold& fold, const Columns& columns, const Term& term,
                                 const Write& write) const {
        for (int k = index; k < m * n; k += count) {
            const int i = k / n, j = k % n;
            const Span span = columns(i);
            float value = fold.start();
            for (int r = rows.first; r < rows.end; ++r)
                for (int c = span.first; c < span.end; ++c) value = fold(value, term(i, r, c, j));
            write(i, j, value);
        }
        meet();
    }
    __device__ bool first() const { return index == 0; }

  private:
    __device__ void meet() const { count > 32 ? __syncthreads() : __syncwarp(mask); }

    template <class T, class Op>
    __device__ T reduce_warp(T value, Op op) const {
        for (int step = (count < 32 ? count : 32) / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(mask, value, step));
        return value;
    }
    template <class T, class Op>
    __device__ T reduce(T value, Op op) const {
        value = reduce_warp(value, op);
        if (count <= 32) return value;
        T* shared = reinterpret_cast<T*>(scratch);
        if (index % 32 == 0) shared[index / 32] = value;
        __syncthreads();
        T total = shared[0];
        for (int i = 1; i < count / 32; ++i) total = op(total, shared[i]);
        __syncthreads();  // scratch is free again for the next reduction
        return total;
    }
};

template <class F>
__global__ void element_kernel(int64_t n, F f) {
    const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) f(i);
}

/// `count` threads a row; a block that is larger takes several rows at once.
template <class F>
__global__ void row_kernel(int64_t rows, int count, F f) {
    __shared__ Shared<double[32]> scratch;
    const int thread = static_cast<int>(threadIdx.x), groups = static_cast<int>(blockDim.x) / count;
    const unsigned all = 0xffffffffu, mask = count < 32 ? (all >> (32 - count)) << (thread % 32 / count * count) : all;
    const GroupLane lane{thread % count, count, mask, scratch.value};
    const int64_t stride = static_cast<int64_t>(gridDim.x) * groups;
    for (int64_t row = static_cast<int64_t>(blockIdx.x) * groups + thread / count; row < rows; row += stride) f(row, lane);
}

template <class F>
void launch_elements(Backend& backend, int64_t n, const F& f) {
    if (n == 0) return;
    constexpr int threads = 256;
    const int64_t blocks = std::min<int64_t>((n + threads - 1) / threads, 132 * 16);  // enough to fill the largest card, then stride
    launch_kernel(backend, element_kernel<F>, static_cast<unsigned>(blocks), threads, n, f);
}

/// The threads that a row of this length keeps busy: of a short one, 2ⁿ ≥ its elements; of one up to 512, a warp, which meets without
/// a barrier of the block; of a longer one, a block.
inline int threads_of_row(int64_t row_length) {
    if (row_length > 4096) return 512;
    if (row_length > 512) return 128;
    int threads = 1;
    while (threads < 32 && threads < row_length) threads *= 2;
    return threads;
}

template <class F>
void launch_rows(Backend& backend, int64_t rows, int64_t row_length, const F& f) {
    if (rows == 0) return;
    static const int most = most_threads(row_kernel<F>);  // its registers, on whatever device, are the same
    int count = threads_of_row(row_length);
    while (count > most) count /= 2;
    const int threads = count > 32 ? count : 256, groups = threads / count;
    const int64_t blocks = std::min<int64_t>((rows + groups - 1) / groups, 1 << 20);
    launch_kernel(backend, row_kernel<F>, static_cast<unsigned>(blocks), threads, rows, count, f);
}

}  // namespace distill
