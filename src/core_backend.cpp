#include "core_backend.h"

#include <omp.h>

#include "base_error.h"

namespace distill {

void Backend::use_stream(int stream) {
    if (stream < 0) failure("Backend: stream ", stream, "; streams count from 0");
    if (stream_ == 0 && stream != 0) ++turn_;
    select_stream(stream);
    stream_ = stream;
}

void Backend::fork(int side) {
    if (side < 1) failure("Backend::fork: stream ", side, "; side streams count from 1");
    if (side != stream_) use_stream(side);
    forked_.insert(side);
    if (const auto [last, first_time] = waited_.try_emplace(side, turn_); first_time || last->second != turn_) {
        last->second = turn_;
        wait(0);
    }
}

void Backend::join() {
    if (stream_ != 0) use_stream(0);
    for (const int side : forked_) wait(side);
    forked_.clear();
    arena().joined();
}

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
