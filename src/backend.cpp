#include "backend.h"

#include <omp.h>

#include "error.h"

namespace distill {

std::unique_ptr<Backend> make_backend(const std::string& name, const DeviceOptions& options) {
    if (options.threads < 0) input_error("--threads ", options.threads, ": expected a number of threads, or 0 for what the environment says");
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

}  // namespace distill
