// cpu_direct.h: convolutions on the CPU as they are written, with any filter, stride, groups and number of channels; for what neither minimal
// filtering (cpu_winograd.h) nor oneDNN's kernels take.
// defines: DirectConv
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"

namespace distill {

/// Geometries and pointers are Backend's, fp32 only. A block of places gathers what each of them sees, one row beside the other in the cache,
/// and one product with the filters gives all of their sums. On the way back to the data a stride of s splits the places into s·s classes, each
/// with the taps that reach it. Sums have one order, whatever the threads; the weights' gradient, an order for each number of threads.
class DirectConv {
  public:
    /// fp32, and groups that are no depthwise ones.
    static bool fits(const Conv2dGeometry&);
    void forward(const Conv2dGeometry&, const float* x, const float* w, const ConvEpilogue&, float* y);
    void backward_data(const Conv2dGeometry&, const float* dy, const float* w, float* dx);
    void backward_weights(const Conv2dGeometry&, const float* x, const float* dy, float* dw);

  private:
    AlignedFloats weights_, scratch_;  ///< the filters by panels, or sums for their gradient; each thread's block. Grown once.
};

}  // namespace distill
