// Softmax over the last extent, and its logarithm. Both go back from their result alone.
#include "op_softmax_row.h"

#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

struct Softmax {
    DISTILL_HD static float value(const SoftmaxRow& row, int64_t j) { return row.probability(j); }
    // dx = y·(dy − Σ dy·y)
    DISTILL_HD static float weight(float y) { return y; }
    DISTILL_HD static float gradient(float y, float dy, float sum) { return y * (dy - sum); }
};
struct LogSoftmax {
    DISTILL_HD static float value(const SoftmaxRow& row, int64_t j) { return row.log_probability(j); }
    // dx = dy − eʸ·Σ dy
    DISTILL_HD static float weight(float) { return 1; }
    DISTILL_HD static float gradient(float y, float dy, float sum) { return dy - expf(y) * sum; }
};

template <class Op>
struct RowForward {
    int64_t n;
    const float* x;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow softmax(lane, x + row * n, n);
        float* out = y + row * n;
        lane.each(n, [=](int64_t j) { out[j] = Op::value(softmax, j); });
    }
};
template <class Op>
struct RowBackward {
    int64_t n;
    const float *y, *dy;
    float* dx;  ///< may be dy
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float *out = y + row * n, *dout = dy + row * n;
        float* din = dx + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return Op::weight(out[j]) * dout[j]; });
        lane.each(n, [=](int64_t j) { din[j] = Op::gradient(out[j], dout[j], sum); });
    }
};

template <class Op>
Var over_rows(const Var& given) {
    const Var x = to_float(given);
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    const int64_t rows = x.shape().pixels(), n = x.shape().c;
    for_each_row(x.backend(), rows, n, RowForward<Op>{n, x.data(), y.data()});
    record(y, [x, y, rows, n] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (dx.wanted()) for_each_row(x.backend(), rows, n, RowBackward<Op>{n, y.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace

Var softmax(const Var& x) { return over_rows<Softmax>(x); }
Var log_softmax(const Var& x) { return over_rows<LogSoftmax>(x); }

}  // namespace distill
