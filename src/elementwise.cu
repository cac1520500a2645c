// y = f(x) for each element, and back: dx = dy·f'. A functor pair per operation; each runs on both backends (launch.h).
#include <cmath>

#include "error.h"
#include "kernels.h"
#include "launch.h"
#include "ops.h"
#include "philox.h"

namespace distill {
namespace {

// Each activation: the value, and the derivative from input and output (so that only what it needs is kept alive).
struct Relu {
    DISTILL_HD float value(float x) const { return x > 0 ? x : 0; }
    DISTILL_HD float derivative(float, float y) const { return y > 0 ? 1.0f : 0.0f; }
};
struct LeakyRelu {
    float slope;
    DISTILL_HD float value(float x) const { return x > 0 ? x : slope * x; }
    DISTILL_HD float derivative(float x, float) const { return x > 0 ? 1.0f : slope; }
};
struct Sigmoid {
    DISTILL_HD float value(float x) const { return 1.0f / (1.0f + expf(-x)); }
    DISTILL_HD float derivative(float, float y) const { return y * (1.0f - y); }
};
struct Tanh {
    DISTILL_HD float value(float x) const { return tanhf(x); }
    DISTILL_HD float derivative(float, float y) const { return 1.0f - y * y; }
};

template <class Op>
struct UnaryForward {
    Op op;
    const float* x;
    float* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = op.value(x[i]); }
};
template <class Op>
struct UnaryBackward {
    Op op;
    const float *x, *y, *dy;
    float* dx;
    DISTILL_HD void operator()(int64_t i) const { dx[i] = dy[i] * op.derivative(x[i], y[i]); }
};

template <class Op>
Var unary(const Var& x, Op op) {
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    for_each_element(x.backend(), x.shape().size(), UnaryForward<Op>{op, x.data(), y.data()});
    record(y, [x, y, op] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (dx.wanted())
            for_each_element(x.backend(), x.shape().size(), UnaryBackward<Op>{op, x.data(), y.data(), dy.data(), dx.data()});
    });
    return y;
}

struct Multiply {
    const float *a, *b;
    float* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = a[i] * b[i]; }
};
struct ScaleBy {
    const float* x;
    const float* device_factor;  ///< or null, then `factor`
    float factor;
    float* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = x[i] * (device_factor ? *device_factor : factor); }
};
struct DropoutBy {
    const float* x;
    const float* counter;  ///< the step, as an exact small integer
    float rate, keep_scale;
    uint64_t key;
    float* y;
    DISTILL_HD void operator()(int64_t i) const {
        const Random4 r = philox(key, static_cast<uint64_t>(i) / 4, static_cast<uint64_t>(*counter));
        y[i] = uniform(r.v[i % 4]) < rate ? 0.0f : x[i] * keep_scale;
    }
};

void require_same_shape(const char* operation, const Var& a, const Var& b) {
    if (a.shape() != b.shape())
        failure(operation, ": shapes ", to_string(a.shape()), " and ", to_string(b.shape()), " must be equal ---> resize or reshape one");
}

Var scale(const Var& x, float factor, const Tensor& device_factor) {
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    const float* pointer = device_factor.defined() ? device_factor.data() : nullptr;
    for_each_element(x.backend(), x.shape().size(), ScaleBy{x.data(), pointer, factor, y.data()});
    record(y, [x, y, factor, device_factor, pointer] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) for_each_element(x.backend(), x.shape().size(), ScaleBy{dy.data(), pointer, factor, dx.data()});
    });
    return y;
}

}  // namespace

Var relu(const Var& x) { return unary(x, Relu{}); }
Var leaky_relu(const Var& x, float slope) { return unary(x, LeakyRelu{slope}); }
Var sigmoid(const Var& x) { return unary(x, Sigmoid{}); }
Var tanh(const Var& x) { return unary(x, Tanh{}); }

Var add(const Var& a, const Var& b) {
    require_same_shape("add", a, b);
    Var y = result_of(Tensor(a.backend(), a.shape()), a, b);
    add_tensors(a.value(), b.value(), y.value());
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        give_gradient(a, dy);
        give_gradient(b, dy);
    });
    return y;
}

Var mul(const Var& a, const Var& b) {
    require_same_shape("mul", a, b);
    Var y = result_of(Tensor(a.backend(), a.shape()), a, b);
    const int64_t n = a.shape().size();
    for_each_element(a.backend(), n, Multiply{a.data(), b.data(), y.data()});
    record(y, [a, b, y, n] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget da(a);
            if (da.wanted()) for_each_element(a.backend(), n, Multiply{dy.data(), b.data(), da.data()});
        }
        const GradTarget db(b);
        if (db.wanted()) for_each_element(a.backend(), n, Multiply{dy.data(), a.data(), db.data()});
    });
    return y;
}

Var scale(const Var& x, float factor) { return scale(x, factor, {}); }
Var scale(const Var& x, const Tensor& factor) { return scale(x, 0.0f, factor); }

Var dropout(const Var& x, float rate, uint64_t key, const Tensor& counter) {
    if (rate < 0 || rate >= 1) failure("dropout: the rate is ", rate, ", expected 0 <= rate < 1");
    if (rate == 0) return x;
    Var y = result_of(Tensor(x.backend(), x.shape()), x);
    const int64_t n = x.shape().size();
    const float keep_scale = 1.0f / (1.0f - rate);
    for_each_element(x.backend(), n, DropoutBy{x.data(), counter.data(), rate, keep_scale, key, y.data()});
    record(y, [x, y, rate, keep_scale, key, counter, n] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) for_each_element(x.backend(), n, DropoutBy{dy.data(), counter.data(), rate, keep_scale, key, dx.data()});
    });
    return y;
}

}  // namespace distill
