// gpu.h: what kernels are written with: CUDA C++ from nvcc, or its imitation for g++ (gpu_emulation.h, `make test-emulated`).
// defines: Shared, most_threads, launch_kernel
#pragma once
#include "core_backend.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include "gpu_status.h"

namespace distill {

/// `__shared__ Shared<float[32]> sums;` in a kernel (not in a function that kernels share): one for all threads of a block, uninitialised.
template <class T>
struct Shared {
    T value;
};

/// How many threads a block of this kernel may have on the current device: fewer where it needs many registers.
template <class... Parameters>
int most_threads(void (*kernel)(Parameters...)) {
    cudaFuncAttributes attributes;
    DISTILL_CUDA_CHECK(cudaFuncGetAttributes(&attributes, kernel));
    return attributes.maxThreadsPerBlock;
}

/// Queues a kernel on the backend's current stream: `blocks` blocks of `threads` threads.
template <class... Parameters, class... Arguments>
void launch_kernel(Backend& backend, void (*kernel)(Parameters...), dim3 blocks, int threads, const Arguments&... arguments) {
    kernel<<<blocks, static_cast<unsigned>(threads), 0, static_cast<cudaStream_t>(backend.native_stream())>>>(arguments...);
    DISTILL_CUDA_CHECK(cudaGetLastError());
}

}  // namespace distill
#else
#include "gpu_emulation.h"
#endif
