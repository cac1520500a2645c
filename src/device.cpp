#include "device.h"

#include <omp.h>

#include <cstdlib>

#include "base_error.h"
#include "cpu_backend.h"
#ifdef DISTILL_EMULATE_GPU
#include "cuda_emulated_backend.h"
#endif
#ifdef DISTILL_CUDA
#include "cuda_backend.h"
#endif

namespace distill {
#ifdef DISTILL_CUDA
namespace {

/// Asks for queues enough for trainings side by side, which share some of the usual 8; CUDA looks when it starts.
void ask_for_queues() { ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0); }

}  // namespace
#endif

std::unique_ptr<Backend> make_backend(const std::string& name, const DeviceOptions& options) {
    if (options.threads < 0)
        input_error("--threads ", options.threads, ": expected a number of threads, or 0 for what the environment says");
    if (options.threads > 0) omp_set_num_threads(options.threads);

#ifdef DISTILL_CUDA
    if (name == "auto" && cuda_device_count() > 0) return make_cuda_backend(options);
#endif
    if (name == "cpu" || name == "auto") return make_cpu_backend(options);
    if (name != "cuda") input_error("--device ", name, ": no such device; valid are auto, cpu, cuda");
#ifdef DISTILL_CUDA
    return make_cuda_backend(options);
#else
    input_error("--device cuda: this program was built without CUDA; run with --device cpu, or build again where nvcc is found");
#endif
}

std::unique_ptr<Backend> make_cpu_backend(const DeviceOptions& options) {
#ifdef DISTILL_EMULATE_GPU
    return std::make_unique<EmulatedGpu>(options);
#else
    return std::make_unique<CpuBackend>(options);
#endif
}

#ifdef DISTILL_CUDA
int cuda_device_count() {
    ask_for_queues();
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<Backend> make_cuda_backend(const DeviceOptions& options) {
    ask_for_queues();
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver || status == cudaErrorStubLibrary)
        input_error("--device cuda: no GPU here (", error_words(status), "); use --device cpu");
    DISTILL_CUDA_CHECK(status);  // the driver's failure, perhaps in the middle of a search
    if (options.index < 0 || options.index >= count)
        input_error("--device cuda: GPU ", options.index, " was asked for, there are ", count, ", counted from 0");
    return std::make_unique<CudaBackend>(options);
}
#endif

}  // namespace distill
