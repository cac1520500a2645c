// cpu_pointwise.h: 1×1 convolutions of stride 1 on the CPU as oneDNN's products of matrices, a row a pixel. Its convolutions leave the weights' gradient at a
// third of the cores' peak, groups of channels that fill no vector at less.
// defines: Pointwise
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"

namespace distill {

/// Geometries and pointers are Backend's, types float. Of x and its gradient each pixel has one answer, whatever the batch and the threads; the
/// weights' gradient, an order of sums for each number of threads.
class Pointwise {
  public:
    /// 1×1, stride 1, nothing padded, float.
    static bool fits(const Conv2dGeometry&);
    /// Of what fits, where it is the faster way forward: groups, or few channels. Backward it always is.
    static bool pays_forward(const Conv2dGeometry&);

    void forward(const Conv2dGeometry&, const float* x, const float* w, const ConvEpilogue&, float* y);
    void backward_data(const Conv2dGeometry&, const float* dy, const float* w, float* dx, bool add);
    void backward_weights(const Conv2dGeometry&, const float* x, const float* dy, float* dw);

  private:
    AlignedFloats sums_;  ///< of each thread, for the weights' gradient
};

}  // namespace distill
