// launch_kernels.h: plain elementwise work on tensors, outside any graph.
// defines: fill, add_tensors, convert, accumulate_scalar
#pragma once
#include "core_tensor.h"

namespace distill {

void fill(const Tensor& y, float value);
/// y = a + b, added in float; y may be a or b. Same sizes and types.
void add_tensors(const Tensor& a, const Tensor& b, const Tensor& y);
/// y = x, rounded where y is bfloat16 and x float. Same sizes.
void convert(const Tensor& x, const Tensor& y);
/// total[0] += weight·x[0]: running sums that the host reads once an epoch.
void accumulate_scalar(const Tensor& total, const Tensor& x, float weight);

}  // namespace distill
