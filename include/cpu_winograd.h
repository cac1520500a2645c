// cpu_winograd.h: 3×3 convolutions of stride 1 on the CPU by minimal filtering (cpu_winograd_transforms.h), all three directions: four
// products where the direct form has sixteen.
// defines: Winograd
#pragma once
#include "core_backend.h"
#include "cpu_aligned_floats.h"
#include "cpu_stage_clock.h"

namespace distill {

/// Geometries and pointers are Backend's. Sums have one order, whatever the threads; the weights' gradient, an order for each number of
/// threads.
class Winograd {
  public:
    /// 3×3, stride 1, one group, at most 2 rows of padding, channels that fill vectors.
    static bool fits(const Conv2dGeometry&);
    /// Of what fits: maps that fill most of their tiles. The number of images has no say, so that each has one answer in any batch.
    static bool pays(const Conv2dGeometry&);

    /// Multiply-accumulates of its products, where the 4×4 tiles cover `written`: y, or x in the backward pass to the data.
    static int64_t multiply_accumulates(const Conv2dGeometry&, const Shape& written);

    void forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y);
    void backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add = false);
    void backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw);

    enum Stage : size_t { stage_weights, stage_inputs, stage_products, stage_outputs };
    static constexpr const char* stage_names[] = {"weights' transform", "inputs' transform", "products", "outputs' transform"};
    StageTimes* stage_times = nullptr;  ///< where calls add their threads' time; of backward_weights the outputs' gradient is an input

  private:
    AlignedFloats weights_, scratch_;  ///< transformed weights, or sums for their gradient; each thread's tiles. Grown once.
};

}  // namespace distill
