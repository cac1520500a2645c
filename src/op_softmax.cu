// Softmax over the last extent, in float; it goes back from its result alone.
#include "launch.h"
#include "op_softmax_row.h"
#include "ops.h"

namespace distill {
namespace {

struct SoftmaxForward {
    int64_t n;
    const float* x;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow softmax(lane, x + row * n, n);
        float* out = y + row * n;
        lane.each(n, [=](int64_t j) { out[j] = softmax.probability(j); });
    }
};
/// dx = y·(dy − Σ dy·y)
struct SoftmaxBackward {
    int64_t n;
    const float *y, *dy;
    float* dx;  ///< may be dy
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float *out = y + row * n, *dout = dy + row * n;
        float* din = dx + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return out[j] * dout[j]; });
        lane.each(n, [=](int64_t j) { din[j] = out[j] * (dout[j] - sum); });
    }
};

}  // namespace

Var softmax(const Var& given) {
    const Var x = to_float(given);
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    const int64_t rows = x.shape().pixels(), n = x.shape().c;
    for_each_row(x.backend(), rows, n, SoftmaxForward{n, x.data(), y.data()});
    record(y, [x, y, rows, n] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (dx.wanted()) for_each_row(x.backend(), rows, n, SoftmaxBackward{n, y.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
