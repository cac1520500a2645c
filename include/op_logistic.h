// op_logistic.h: the logistic function and its integral, for one value. For .cu files.
// defines: logistic, softplus
#pragma once
#include <cmath>

#include "core_host_device.h"

namespace distill {

/// 1/(1 + e⁻ᵛ)
DISTILL_HD inline float logistic(float v) { return 1.0f / (1.0f + expf(-v)); }

/// log(1 + eᵛ)
DISTILL_HD inline float softplus(float v) { return (v > 0 ? v : 0.0f) + log1pf(expf(-fabsf(v))); }

}  // namespace distill
