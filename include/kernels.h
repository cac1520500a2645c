// kernels.h: plain elementwise work on tensors, outside any graph.
// defines: fill, add_tensors, accumulate_scalar
#pragma once
#include "tensor.h"

namespace distill {

void fill(const Tensor& y, float value);
/// y = a + b; y may be a or b. Same sizes.
void add_tensors(const Tensor& a, const Tensor& b, const Tensor& y);
/// total[0] += x[0]: running sums that the host reads once an epoch.
void accumulate_scalar(const Tensor& total, const Tensor& x, float weight);

}  // namespace distill
