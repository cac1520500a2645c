// cuda_emulated_backend.h: the backend of `make test-emulated` (gpu_emulation.h).
// defines: EmulatedGpu
#pragma once
#include "cpu_backend.h"

namespace distill {

/// The CPU's backend with the GPU's kernels: convolutions and products stay the libraries', all else is launched.
class EmulatedGpu final : public CpuBackend {
  public:
    explicit EmulatedGpu(const DeviceOptions& options);
    std::string description() const override;
    bool launches_kernels() const override { return true; }
    void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) override;
    void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) override;

  private:
    void* batchnorm_scratch_;
};

}  // namespace distill
