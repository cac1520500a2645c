// y = x/m, m = max(‖x‖, ε) + a, for each sample, and back: dx = (dy − y·⟨y, dy⟩·m/‖x‖) / m, or dy/m where ε was the larger.
#include <cmath>

#include "launch.h"
#include "op_norm.h"
#include "ops.h"

namespace distill {
namespace {

template <class T>
struct NormalizeForward {
    int64_t n;
    float added;
    const T* x;
    T* y;
    float* norm;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const T* in = x + sample * n;
        T* out = y + sample * n;
        const float length = sqrtf(lane.sum(n, [=](int64_t j) { return in[j] * in[j]; }));
        const float inverse = 1.0f / (norm_divisor(length) + added);
        lane.each(n, [=](int64_t j) { out[j] = in[j] * inverse; });
        if (lane.first()) norm[sample] = length;
    }
};
template <class T>
struct NormalizeBackward {
    int64_t n;
    float added;
    const T *y, *dy;
    const float* norm;
    T* dx;  ///< may be dy
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const T *out = y + sample * n, *dout = dy + sample * n;
        T* din = dx + sample * n;
        const bool free = norm[sample] > smallest_norm;
        const float divisor = norm_divisor(norm[sample]) + added, inverse = 1.0f / divisor;
        const float along = free ? lane.sum(n, [=](int64_t j) { return out[j] * dout[j]; }) * (divisor / norm[sample]) : 0.0f;
        lane.each(n, [=](int64_t j) { din[j] = (dout[j] - out[j] * along) * inverse; });
    }
};

}  // namespace

Var l2_normalize(const Var& x, float added) {
    const int64_t samples = x.shape().n, n = x.shape().per_sample();
    Var y = result_of(Tensor::like(x.value()), x);
    const Tensor norm(x.backend(), {samples, 1, 1, 1});
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), samples, n, NormalizeForward<T>{n, added, x.as<T>(), y.as<T>(), norm.data()});
    });
    record(y, [x, y, norm, samples, n, added] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_row(x.backend(), samples, n, NormalizeBackward<T>{n, added, y.as<T>(), dy.as<T>(), norm.data(), dx.as<T>()});
        });
    });
    return y;
}

}  // namespace distill
