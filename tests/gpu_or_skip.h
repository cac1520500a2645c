// gpu_or_skip.h: for the cases that need a GPU.
// defines: testing::gpu_or_skip
#pragma once
#ifdef DISTILL_CUDA
#include <memory>

#include "device.h"
#include "testing.h"

namespace distill::testing {

/// The GPU's backend, or null after the running case was recorded as skipped.
inline std::unique_ptr<Backend> gpu_or_skip(const DeviceOptions& options = {}) {
    if (cuda_device_count() > 0) return make_cuda_backend(options);
    skip("no CUDA device");
    return nullptr;
}

}  // namespace distill::testing
#endif
