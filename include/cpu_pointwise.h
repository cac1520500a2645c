// cpu_pointwise.h: 1×1 convolutions of stride 1 on the CPU as oneDNN's products of matrices, a row a pixel. oneDNN's convolutions leave the
// weights' gradient at a third of the cores' peak, groups whose channels fill no vector at less (measured on two cores: docs/speed.md).
// defines: Pointwise
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"

namespace distill {

/// Geometries and pointers are Backend's, types float. Sums have an order for each size of batch and number of threads.
class Pointwise {
  public:
    /// 1×1, stride 1, nothing padded, float.
    static bool fits(const Conv2dGeometry&);
    /// Of what fits, where it is the way forward, too: groups, or few channels. Backward it is for all.
    static bool pays_forward(const Conv2dGeometry&);

    void forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y);
    void backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add = false);
    void backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw);

  private:
    AlignedFloats sums_;  ///< of each thread, for the weights' gradient
};

}  // namespace distill
