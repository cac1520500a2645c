// op_sum_partials.h: how a loss ends: one partial sum a row, then their sum in a fixed order. For .cu files.
// defines: SumPartials, sum_partials
#pragma once
#include "launch.h"
#include "op_autograd.h"

namespace distill {

struct SumPartials {
    int64_t n;
    float factor;
    const float* partials;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float* in = partials;
        const float sum = lane.sum(n, [=](int64_t i) { return in[i]; });
        if (lane.first()) *y = sum * factor;
    }
};

/// y = factor·Σ partials.
inline void sum_partials(const Tensor& partials, float factor, const Var& y) {
    for_each_row(y.backend(), 1, partials.size(), SumPartials{partials.size(), factor, partials.data(), y.data()});
}

}  // namespace distill
