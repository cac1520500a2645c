// cpu_depthwise.h: the weights' gradient of depthwise 3×3 convolutions on the CPU. For maps of 2×2 oneDNN 2.6.3 takes no depthwise kernel,
// but one that takes eleven times as long.
// defines: fits_depthwise_weights, depthwise_backward_weights
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"

namespace distill {

/// A filter of 3×3 for each channel, padding 1, both strides 1 or both 2, fp32.
bool fits_depthwise_weights(const Conv2dGeometry&);

/// Pointers are Backend's. The bits are the same for any number of threads. `scratch`: grows to what partial sums need, from call to call.
void depthwise_backward_weights(const Conv2dGeometry&, const float* x, const float* dy, float* dw, AlignedFloats& scratch);

}  // namespace distill
