// cuda_batchnorm.h: training batch normalisation as kernels (see Backend::batchnorm_forward and _backward).
// defines: batchnorm_scratch_bytes, launch_batchnorm_forward, launch_batchnorm_backward
#pragma once
#include "core_backend.h"

namespace distill {

/// What the kernels of one stream need at a fixed address, for any shape; zeroed once, before the first launch.
size_t batchnorm_scratch_bytes();

/// Two launches on the backend's current stream. The same bits for any order of blocks, and on any GPU. Failure: more than 16384
/// channels, elements that are neither float nor bfloat16.
void launch_batchnorm_forward(Backend& backend, void* scratch, const BatchNormShape&, const BatchNormForward&);
void launch_batchnorm_backward(Backend& backend, void* scratch, const BatchNormShape&, const BatchNormBackward&);

}  // namespace distill
