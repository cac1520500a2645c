// y = f(x) for each element, and back: dx = dy·f'. A functor pair per operation; each runs on both backends (launch.h).
#include <cmath>

#include "base_error.h"
#include "core_philox.h"
#include "launch.h"
#include "launch_kernels.h"
#include "op_logistic.h"
#include "ops.h"

namespace distill {
namespace {

// Each activation: the value, and the derivative from input and output.
struct Relu {
    DISTILL_HD float value(float x) const { return x < 0 ? 0 : x; }  // NaN stays, for the guards to see
    DISTILL_HD float derivative(float, float y) const { return y > 0 ? 1.0f : 0.0f; }
};
struct LeakyRelu {
    float slope;
    DISTILL_HD float value(float x) const { return x > 0 ? x : slope * x; }
    DISTILL_HD float derivative(float x, float) const { return x > 0 ? 1.0f : slope; }
};
struct Sigmoid {
    DISTILL_HD float value(float x) const { return logistic(x); }
    DISTILL_HD float derivative(float, float y) const { return y * (1.0f - y); }
};
struct Tanh {
    DISTILL_HD float value(float x) const { return tanhf(x); }
    DISTILL_HD float derivative(float, float y) const { return 1.0f - y * y; }
};

template <class Op, class T>
struct UnaryForward {
    Op op;
    const T* x;
    T* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = op.value(x[i]); }
};
template <class Op, class T>
struct UnaryBackward {
    Op op;
    const T *x, *y, *dy;
    T* dx;
    DISTILL_HD void operator()(int64_t i) const { dx[i] = dy[i] * op.derivative(x[i], y[i]); }
};

template <class Op>
Var unary(const Var& x, Op op) {
    Var y = result_of(Tensor::like(x.value()), x);
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_element(x.backend(), x.shape().size(), UnaryForward<Op, T>{op, x.as<T>(), y.as<T>()});
    });
    record(y, [x, y, op] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, dy);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_element(x.backend(), x.shape().size(), UnaryBackward<Op, T>{op, x.as<T>(), y.as<T>(), dy.as<T>(), dx.as<T>()});
        });
    });
    return y;
}

template <class T>
struct Multiply {
    const T *a, *b;
    T* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = a[i] * b[i]; }
};
template <class T>
struct ScaleBy {
    const T* x;
    const float* device_factor;  ///< or null, then `factor`
    float factor;
    T* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = x[i] * (device_factor ? *device_factor : factor); }
};
template <class T>
struct DropoutBy {
    const T* x;
    const float* counter;  ///< the step, as an exact small integer
    float rate, keep_scale;
    uint64_t key;
    T* y;
    DISTILL_HD void operator()(int64_t i) const {
        const Random4 r = philox(key, static_cast<uint64_t>(i) / 4, static_cast<uint64_t>(*counter));
        y[i] = uniform(r.v[i % 4]) < rate ? 0.0f : x[i] * keep_scale;
    }
};

void require_same_shape(const char* operation, const Var& a, const Var& b) {
    if (a.shape() != b.shape())
        failure(operation, ": shapes ", to_string(a.shape()), " and ", to_string(b.shape()), " must be equal ---> resize or reshape one");
}

void multiply(const Tensor& a, const Tensor& b, const Tensor& y) {
    with_type(y.type(), [&](auto t) {
        using T = decltype(t);
        for_each_element(y.backend(), y.size(), Multiply<T>{a.as<T>(), b.as<T>(), y.as<T>()});
    });
}

void scale_by(const Tensor& x, float factor, const Tensor& device_factor, const Tensor& y) {
    with_type(y.type(), [&](auto t) {
        using T = decltype(t);
        const float* pointer = device_factor.defined() ? device_factor.data() : nullptr;
        for_each_element(y.backend(), y.size(), ScaleBy<T>{x.as<T>(), pointer, factor, y.as<T>()});
    });
}

Var scale(const Var& x, float factor, const Tensor& device_factor) {
    Var y = result_of(Tensor::like(x.value()), x);
    scale_by(x.value(), factor, device_factor, y.value());
    record(y, [x, y, factor, device_factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) scale_by(dy, factor, device_factor, dx.tensor());
    });
    return y;
}

void drop_out(const Tensor& x, float rate, uint64_t key, const Tensor& counter, const Tensor& y) {
    with_type(y.type(), [&](auto t) {
        using T = decltype(t);
        for_each_element(y.backend(), y.size(), DropoutBy<T>{x.as<T>(), counter.data(), rate, 1.0f / (1.0f - rate), key, y.as<T>()});
    });
}

}  // namespace

Var cast(const Var& x, DType type) {
    if (x.type() == type) return x;
    Var y = result_of(Tensor(x.backend(), x.shape(), type), x);
    convert(x.value(), y.value());
    record(y, [x, y] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) convert(dy, dx.tensor());
    });
    return y;
}

Var relu(const Var& x) { return traced("relu", unary(x, Relu{}), {&x}); }
Var leaky_relu(const Var& x, float slope) { return unary(x, LeakyRelu{slope}); }
Var sigmoid(const Var& x) { return unary(x, Sigmoid{}); }
Var tanh(const Var& x) { return unary(x, Tanh{}); }

Var add(const Var& a, const Var& b) {
    require_same_shape("add", a, b);
    if (a.type() != b.type()) return add(to_float(a), to_float(b));
    Var y = result_of(Tensor::like(a.value()), a, b);
    add_tensors(a.value(), b.value(), y.value());
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        give_gradient(a, dy);
        give_gradient(b, dy);
    });
    return traced("add", y, {&a, &b});
}

Var mul(const Var& a, const Var& b) {
    require_same_shape("mul", a, b);
    if (a.type() != b.type()) return mul(to_float(a), to_float(b));
    Var y = result_of(Tensor::like(a.value()), a, b);
    multiply(a.value(), b.value(), y.value());
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget da(a);
            if (da.wanted()) multiply(dy, b.value(), da.tensor());
        }
        const GradTarget db(b);
        if (db.wanted()) multiply(dy, a.value(), db.tensor());
    });
    return y;
}

Var scale(const Var& x, float factor) { return scale(x, factor, {}); }
Var scale(const Var& x, const Tensor& factor) { return scale(x, 0.0f, factor); }

Var dropout(const Var& x, float rate, uint64_t key, const Tensor& counter) {
    if (rate < 0 || rate >= 1) failure("dropout: the rate is ", rate, ", expected 0 <= rate < 1");
    if (rate == 0) return x;
    Var y = result_of(Tensor::like(x.value()), x);
    drop_out(x.value(), rate, key, counter, y.value());
    record(y, [x, y, rate, key, counter] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) drop_out(dy, rate, key, counter, dx.tensor());
    });
    return y;
}

}  // namespace distill
