// gpu_emulation.h: CUDA C++ for g++: kernels run on the CPU, every thread of a block a fiber. Seen where DISTILL_EMULATE_GPU is
// defined (`make test-emulated`): there the CPU's backend launches the GPU's kernels, and every test of an operation tests them.
// defines: __global__, __device__, __shared__, __launch_bounds__, dim3, threadIdx, blockIdx, blockDim, gridDim, emulation, Shared,
//          __syncthreads, __syncwarp, __shfl_xor_sync, __threadfence, atomicAdd, most_threads, launch_kernel
//
// What it finds: threads of a block (or of a shuffle's mask) that do not all come to the same barrier; sums that depend on the order
// of blocks or threads; shared memory and fresh tensors read before they are written, both filled with NaN; and a missing barrier,
// because the threads between two barriers run one after another, from the first, from the last, or interleaved at random.
// What it cannot find: a thread is left only where it waits, so a race inside a stretch without barriers shows only if the order of
// whole stretches matters; blocks run one after another, so what only blocks at the same time get wrong (a barrier missing before a
// block counts as arrived) does not show; and what the CPU's memory forgives: missing fences, atomics that are none, misaligned
// vector loads. `make SANITIZE=address test-emulated` adds accesses outside of memory, in steps of the arena's size classes.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>

#include "core_backend.h"

#define __global__
#define __device__
#define __shared__ static  // blocks run one after another, so that one is enough
#define __launch_bounds__(threads)

namespace distill {

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs now; one launch at a time

namespace emulation {

/// Which of the threads that can go on goes on: the first, the last, any; or each of these in turn, launch by launch.
enum class Order { ascending, descending, random, alternating };
void set_order(Order order, uint64_t seed = 0);

inline int threads_that_fit = 1024;  ///< in a block; a kernel of many registers has fewer on a GPU
void run(const void* kernel, dim3 blocks, int threads, const std::function<void()>& thread);
/// Fills with NaN now, and again before each block of the kernel that runs.
void register_shared(void* memory, size_t bytes);
/// Waits for the threads of the block, or those of the warp in `mask` if it is not 0.
void wait(unsigned mask, const char* file, int line);
/// Waits likewise, then returns what lane `from` brought along.
uint64_t exchange(unsigned mask, uint64_t value, int from, const char* file, int line);
int lane();

}  // namespace emulation

template <class T>
struct Shared {
    Shared() { emulation::register_shared(this, sizeof *this); }
    T value;
};

// The place of the call tells one barrier from another.
inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { emulation::wait(0, file, line); }
inline void __syncwarp(unsigned mask, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulation::wait(mask, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int step, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulation::exchange(mask, bits, emulation::lane() ^ step, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline void __threadfence() {}
inline unsigned atomicAdd(unsigned* counter, unsigned value) {
    const unsigned before = *counter;
    *counter += value;
    return before;
}

template <class... Parameters>
int most_threads(void (* /*kernel*/)(Parameters...)) {
    return emulation::threads_that_fit;
}

template <class... Parameters, class... Arguments>
void launch_kernel(Backend&, void (*kernel)(Parameters...), dim3 blocks, int threads, const Arguments&... arguments) {
    emulation::run(reinterpret_cast<const void*>(kernel), blocks, threads, [&] { kernel(arguments...); });
}

}  // namespace distill
