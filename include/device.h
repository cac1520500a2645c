// device.h: backends by name.
// defines: make_backend, make_cpu_backend, make_cuda_backend, cuda_device_count
#pragma once
#include <memory>
#include <string>

#include "core_backend.h"

namespace distill {

/// "cpu", "cuda" or "auto" (cuda where there is a GPU, else cpu). InputError: unknown name; cuda without a GPU or without
/// CUDA in the build.
std::unique_ptr<Backend> make_backend(const std::string& name, const DeviceOptions& options = {});
std::unique_ptr<Backend> make_cpu_backend(const DeviceOptions& options = {});
#ifdef DISTILL_CUDA
std::unique_ptr<Backend> make_cuda_backend(const DeviceOptions& options = {});
int cuda_device_count();  ///< 0 where there is no driver or no GPU
#endif

}  // namespace distill
