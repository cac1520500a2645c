// cpu_depthwise.h: the weights' gradient of depthwise 3×3 convolutions on the CPU. For maps of 2×2 oneDNN 2.6.3 takes no depthwise kernel,
// but one that takes eleven times as long.
// defines: DepthwiseWeights
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"

namespace distill {

/// Geometries and pointers are Backend's. The bits are the same for any number of threads.
class DepthwiseWeights {
  public:
    /// A filter of 3×3 for each channel, padding 1, both strides 1 or both 2, float.
    static bool fits(const Conv2dGeometry&);
    void backward(const Conv2dGeometry&, const void* x, const void* dy, float* dw);

  private:
    AlignedFloats sums_;  ///< of each chunk of rows
};

}  // namespace distill
