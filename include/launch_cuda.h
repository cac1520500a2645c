// launch_cuda.h: the CUDA side of launch.h, seen by nvcc alone.
// defines: BlockLane, launch_elements, launch_rows
#pragma once
#include <cuda_runtime.h>

#include <algorithm>

#include "backend.h"
#include "cuda_check.h"

namespace distill {

/// A block's threads share one row; sums and maxima are reduced in a fixed order and known to every thread.
struct BlockLane {
    float* scratch;  ///< 33 floats of shared memory

    template <class G>
    __device__ void each(int64_t n, const G& g) const {
        for (int64_t j = threadIdx.x; j < n; j += blockDim.x) g(j);
        __syncthreads();  // what one lane wrote the next loop may read
    }
    template <class G>
    __device__ void grid(int m, int n, const G& g) const {
        for (int k = threadIdx.x; k < m * n; k += blockDim.x) g(k / n, k % n);
        __syncthreads();
    }
    template <class G>
    __device__ float sum(int64_t n, const G& g) const {
        float own = 0;
        for (int64_t j = threadIdx.x; j < n; j += blockDim.x) own += g(j);
        return reduce(own, [](float a, float b) { return a + b; });
    }
    template <class G>
    __device__ float max(int64_t n, const G& g) const {
        float own = g(0);
        for (int64_t j = threadIdx.x; j < n; j += blockDim.x) own = fmaxf(own, g(j));
        return reduce(own, [](float a, float b) { return fmaxf(a, b); });
    }
    template <class Fold, class Columns, class Term, class Write>
    __device__ void fold_windows(int m, int n, Span rows, const Fold& fold, const Columns& columns, const Term& term,
                                 const Write& write) const {
        for (int k = threadIdx.x; k < m * n; k += blockDim.x) {
            const int i = k / n, j = k % n;
            const Span span = columns(i);
            float value = fold.start();
            for (int r = rows.first; r < rows.end; ++r)
                for (int c = span.first; c < span.end; ++c) value = fold(value, term(i, r, c, j));
            write(i, j, value);
        }
        __syncthreads();
    }
    __device__ bool first() const { return threadIdx.x == 0; }

  private:
    template <class Op>
    __device__ float reduce(float value, Op op) const {
        for (int step = 16; step > 0; step /= 2) value = op(value, __shfl_xor_sync(0xffffffffu, value, step));
        const int warps = static_cast<int>(blockDim.x) / 32;
        if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
        __syncthreads();
        if (threadIdx.x == 0) {
            float total = scratch[0];
            for (int i = 1; i < warps; ++i) total = op(total, scratch[i]);
            scratch[32] = total;
        }
        __syncthreads();
        const float total = scratch[32];
        __syncthreads();  // scratch is free again for the next reduction
        return total;
    }
};

template <class F>
__global__ void element_kernel(int64_t n, F f) {
    const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) f(i);
}

template <class F>
__global__ void row_kernel(int64_t rows, F f) {
    __shared__ float scratch[33];
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) f(row, BlockLane{scratch});
}

template <class F>
void launch_elements(Backend& backend, int64_t n, const F& f) {
    if (n == 0) return;
    constexpr int threads = 256;
    const int64_t blocks = std::min<int64_t>((n + threads - 1) / threads, 132 * 16);  // enough to fill the largest card, then stride
    element_kernel<<<static_cast<unsigned>(blocks), threads, 0, static_cast<cudaStream_t>(backend.native_stream())>>>(n, f);
    DISTILL_CUDA_CHECK(cudaGetLastError());
}

template <class F>
void launch_rows(Backend& backend, int64_t rows, int64_t row_length, const F& f) {
    if (rows == 0) return;
    const unsigned threads = row_length <= 64 ? 32 : row_length <= 1024 ? 128 : 512;
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(rows, 1 << 20));
    row_kernel<<<blocks, threads, 0, static_cast<cudaStream_t>(backend.native_stream())>>>(rows, f);
    DISTILL_CUDA_CHECK(cudaGetLastError());
}

}  // namespace distill
