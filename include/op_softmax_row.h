// op_softmax_row.h: softmax of one row, shifted by its maximum so that no logit is too large. For row functors (launch.h).
// defines: SoftmaxRow
#pragma once
#include <cmath>

#include "launch.h"

namespace distill {

/// log softmax(factor·x) over x[0 … n−1]; made by all threads of the lane together.
struct SoftmaxRow {
    const float* x;
    float factor, top, log_sum;

    template <class Lane>
    DISTILL_HD SoftmaxRow(const Lane& lane, const float* x_, int64_t n, float factor_ = 1) : x(x_), factor(factor_) {
        const float* in = x_;
        const float scale = factor_, largest = lane.max(n, [=](int64_t j) { return in[j]; });
        top = largest;
        log_sum = logf(lane.sum(n, [=](int64_t j) { return expf(scale * (in[j] - largest)); }));
    }
    DISTILL_HD float log_probability(int64_t j) const { return factor * (x[j] - top) - log_sum; }
    DISTILL_HD float probability(int64_t j) const { return expf(log_probability(j)); }
};

}  // namespace distill
