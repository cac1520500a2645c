// gpu.h: what kernels are written with: CUDA C++ from nvcc, or its imitation for g++ (gpu_emulation.h, `make test-emulated`).
// defines: Shared, launches_kernels, launch_kernel
#pragma once
#include "core_backend.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include "cuda_check.h"

namespace distill {

/// `__shared__ Shared<float[32]> sums;` in a kernel (not in a function that kernels share): one for all threads of a block, uninitialised.
template <class T>
struct Shared {
    T value;
};

/// Elementwise and row operations on this backend's memory are kernels, not loops.
inline bool launches_kernels(const Backend& backend) { return backend.device() == Device::cuda; }

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
