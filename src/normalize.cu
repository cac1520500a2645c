// y = x / max(‖x‖, ε) for each sample, and back: dx = (dy − y·⟨y, dy⟩) / ‖x‖, or dy/ε where ε was the larger.
#include <cmath>

#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

constexpr float smallest_norm = 1e-12f;

struct NormalizeForward {
    int64_t n;
    const float* x;
    float *y, *norm;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* in = x + sample * n;
        float* out = y + sample * n;
        const float length = sqrtf(lane.sum(n, [=](int64_t j) { return in[j] * in[j]; }));
        const float inverse = 1.0f / (length > smallest_norm ? length : smallest_norm);
        lane.each(n, [=](int64_t j) { out[j] = in[j] * inverse; });
        if (lane.first()) norm[sample] = length;
    }
};
struct NormalizeBackward {
    int64_t n;
    const float *y, *norm, *dy;
    float* dx;  ///< may be dy
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float *out = y + sample * n, *dout = dy + sample * n;
        float* din = dx + sample * n;
        const bool free = norm[sample] > smallest_norm;
        const float inverse = 1.0f / (free ? norm[sample] : smallest_norm);
        const float along = free ? lane.sum(n, [=](int64_t j) { return out[j] * dout[j]; }) : 0.0f;
        lane.each(n, [=](int64_t j) { din[j] = (dout[j] - out[j] * along) * inverse; });
    }
};

}  // namespace

Var l2_normalize(const Var& x) {
    const int64_t samples = x.shape().n, n = x.shape().per_sample();
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    const Tensor norm(x.backend(), {samples, 1, 1, 1});
    for_each_row(x.backend(), samples, n, NormalizeForward{n, x.data(), y.data(), norm.data()});
    record(y, [x, y, norm, samples, n] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (dx.wanted()) for_each_row(x.backend(), samples, n, NormalizeBackward{n, y.data(), norm.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
