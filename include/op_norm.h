// op_norm.h: what a vector is divided by to have length 1, the same in all operations. For .cu files.
// defines: smallest_norm, norm_divisor
#pragma once
#include "launch.h"

namespace distill {

constexpr float smallest_norm = 1e-12f;  ///< shorter vectors stay shorter than 1

DISTILL_HD inline float norm_divisor(float norm) { return norm > smallest_norm ? norm : smallest_norm; }

}  // namespace distill
