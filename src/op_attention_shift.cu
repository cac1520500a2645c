// FFSD's shift of an attention map: what a student of a pair is to attend to instead. Targets alone: nothing here goes on a tape.
#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_norm.h"
#include "ops.h"

namespace distill {
namespace {

/// Of a sample. The k-th smallest is the largest of those that fewer than k others are below, whatever is equal to what.
struct TurnAttention {
    int64_t n, k;
    float channels;
    const float* a;
    float *turned, *lift;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* in = a + sample * n;
        float *to = turned + sample * n, *by = lift + sample * n;
        const int64_t count = n, below = k;
        const float norm = sqrtf(lane.sum(n, [=](int64_t j) { return in[j] * in[j]; }));
        const float threshold = lane.max(n, [=](int64_t j) {
            int smaller = 0;
            for (int64_t i = 0; i < count; ++i) smaller += in[i] < in[j] ? 1 : 0;
            return smaller < below ? in[j] : 0.0f;  // none is negative
        });
        const float divisor = norm_divisor(norm), half = norm / 2, per_channel = norm / channels;
        lane.each(n, [=](int64_t j) {
            const float unit = in[j] / divisor, sign = static_cast<float>(in[j] > threshold) - static_cast<float>(in[j] < threshold);
            const float t = (half - unit) * sign + half;
            to[j] = t;
            by[j] = (t - unit) * per_channel;
        });
    }
};

/// A pixel's channels are a row.
template <class T>
struct Lift {
    int64_t n;
    const T* x;
    const float* by;
    T* y;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x + sizeof *y); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const T* in = x + pixel * n;
        T* out = y + pixel * n;
        const float added = by[pixel];
        lane.each(n, [=](int64_t j) { out[j] = in[j] + added; });
    }
};

}  // namespace

TurnedAttention turn_attention(const Tensor& attention, int64_t channels) {
    const Shape s = attention.shape();
    const int64_t n = s.h * s.w, k = n / 3;
    if (s.c != 1 || k < 1)
        failure("turn_attention: found ", to_string(s), ", expected (N,H,W,1) of 3 pixels or more ---> attention_map() of a larger map");
    const TurnedAttention result{Tensor(attention.backend(), s), Tensor(attention.backend(), s)};
    for_each_row(attention.backend(), s.n, n,
                 TurnAttention{n, k, static_cast<float>(channels), attention.data(), result.turned.data(), result.lift.data()});
    return result;
}

Tensor lift_channels(const Tensor& map, const Tensor& by) {
    const Shape s = map.shape();
    if (by.shape() != Shape{s.n, s.h, s.w, 1})
        failure("lift_channels: a map ", to_string(s), " by ", to_string(by.shape()), " ---> give one number a pixel");
    const Tensor y = Tensor::like(map);
    with_type(map.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(map.backend(), s.pixels(), s.c, Lift<T>{s.c, map.as<T>(), by.data(), y.as<T>()});
    });
    return y;
}

}  // namespace distill
