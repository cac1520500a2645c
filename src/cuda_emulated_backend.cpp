#include "cuda_emulated_backend.h"

#include "cuda_batchnorm.h"

namespace distill {

EmulatedGpu::EmulatedGpu(const DeviceOptions& options)
    : CpuBackend(options), batchnorm_scratch_(arena().obtain(batchnorm_scratch_bytes())->memory) {
    zero(batchnorm_scratch_, batchnorm_scratch_bytes());
}

std::string EmulatedGpu::description() const { return CpuBackend::description() + ", emulating a GPU's kernels"; }

void EmulatedGpu::batchnorm_forward(const BatchNormShape& s, const BatchNormForward& t) {
    launch_batchnorm_forward(*this, batchnorm_scratch_, s, t);
}
void EmulatedGpu::batchnorm_backward(const BatchNormShape& s, const BatchNormBackward& t) {
    launch_batchnorm_backward(*this, batchnorm_scratch_, s, t);
}

}  // namespace distill
