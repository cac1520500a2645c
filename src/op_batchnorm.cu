// y = γ·(x − mean)/√(var + ε) + β [+ residual] [then ReLU]. With the batch's statistics the backends do the arithmetic; with the
// running ones it is a scale and a shift per channel, written here once for both.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

BatchNormShape shape_of(const Var& x, const BatchNormOptions& options) {
    BatchNormShape s;
    s.rows = x.shape().pixels();
    s.channels = x.shape().c;
    s.relu = options.relu;
    s.epsilon = options.epsilon;
    s.momentum = options.momentum;
    s.type = x.type();
    return s;
}

void require_shapes(const Var& x, const Var& gamma, const Var& beta, const Var& residual) {
    if (gamma.shape().size() != x.shape().c || beta.shape().size() != x.shape().c)
        failure("batchnorm: x ", to_string(x.shape()), " has ", x.shape().c, " channels, gamma ", to_string(gamma.shape()), " and beta ",
                to_string(beta.shape()), " ---> make them (1,1,1,C)");
    if (residual.defined() && residual.shape() != x.shape())
        failure("batchnorm: residual ", to_string(residual.shape()), " and x ", to_string(x.shape()), " must have one shape");
}

/// scale = γ/√(var+ε), shift = β − mean·scale.
struct ScaleShiftOf {
    const float *gamma, *beta, *mean, *variance;
    float epsilon;
    float *scale, *shift;
    DISTILL_HD void operator()(int64_t c) const {
        scale[c] = gamma[c] / sqrtf(variance[c] + epsilon);
        shift[c] = beta[c] - mean[c] * scale[c];
    }
};

template <class T>
struct ScaleShiftRow {
    const T *x, *residual;
    const float *scale, *shift;
    int64_t channels;
    bool relu;
    T* y;
    int64_t moved_bytes() const { return channels * static_cast<int64_t>(sizeof *x + sizeof *y + (residual ? sizeof *residual : 0)); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, Lane lane) const {
        const int64_t at = row * channels;
        const T *in = x + at, *extra = residual ? residual + at : nullptr;
        const float *a = scale, *b = shift;
        T* out = y + at;
        const bool clip = relu;
        if (extra)
            lane.each(channels, [=](int64_t c) {
                const float v = in[c] * a[c] + b[c] + extra[c];
                out[c] = clip && v < 0 ? 0.0f : v;
            });
        else
            lane.each(channels, [=](int64_t c) {
                const float v = in[c] * a[c] + b[c];
                out[c] = clip && v < 0 ? 0.0f : v;
            });
    }
};

/// g = dy where y > 0 (all of dy without ReLU).
template <class T>
struct MaskByOutput {
    const T *y, *dy;
    bool relu;
    T* g;
    int64_t moved_bytes() const { return (relu ? sizeof *y : 0) + sizeof *dy + sizeof *g; }
    DISTILL_HD void operator()(int64_t i) const {
        const float gradient = dy[i];
        g[i] = !relu || y[i] > 0 ? gradient : 0.0f;
    }
};
template <class T>
struct ScaleChannels {
    const T* g;
    const float* scale;
    int64_t channels;
    T* dx;
    int64_t moved_bytes() const { return sizeof *g + sizeof *dx; }
    DISTILL_HD void operator()(int64_t i) const { dx[i] = g[i] * scale[i % channels]; }
};
/// One row per channel: dγ = Σ g·(x − mean)/√(var+ε), dβ = Σ g; each if wanted.
template <class T>
struct ParameterGradients {
    const T *x, *g;
    const float *mean, *variance;
    float epsilon;
    int64_t rows, channels;
    float *dgamma, *dbeta;
    int64_t moved_bytes() const { return rows * static_cast<int64_t>(sizeof *x + sizeof *g); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t c, Lane lane) const {
        const T *in = x + c, *grad = g + c;
        const int64_t stride = channels;
        const float m = mean[c];
        const float product = lane.sum(rows, [=](int64_t r) { return grad[r * stride] * (in[r * stride] - m); });
        const float sum = lane.sum(rows, [=](int64_t r) { return grad[r * stride]; });
        if (!lane.first()) return;
        if (dgamma) dgamma[c] = product / sqrtf(variance[c] + epsilon);
        if (dbeta) dbeta[c] = sum;
    }
};
template <class T>
struct FoldRow {
    const float *w, *scale;
    int64_t per_output;
    T* folded;
    template <class Lane>
    DISTILL_HD void operator()(int64_t k, Lane lane) const {
        const float *in = w + k * per_output, a = scale[k];
        T* out = folded + k * per_output;
        lane.each(per_output, [=](int64_t i) { out[i] = in[i] * a; });
    }
};

/// What a convolution adds, where its BatchNorm has been folded in.
struct FoldBias {
    const float *bias, *scale;
    float* folded;
    int64_t moved_bytes() const { return 4 * static_cast<int64_t>(sizeof *folded); }
    DISTILL_HD void operator()(int64_t k) const { folded[k] += bias[k] * scale[k]; }
};

}  // namespace

Var batchnorm(const Var& x, const Var& gamma, const Var& beta, const RunningStatistics& running, const BatchNormOptions& options,
              const Var& residual) {
    require_shapes(x, gamma, beta, residual);
    if (residual.defined() && residual.type() != x.type()) return batchnorm(x, gamma, beta, running, options, cast(residual, x.type()));
    Backend& backend = x.backend();
    const BatchNormShape s = shape_of(x, options);
    const Shape vector{1, 1, 1, s.channels};
    const Tensor mean(backend, vector), inverse_std(backend, vector);
    Var y = result_of(Tensor::like(x.value()), x, gamma, beta, residual);
    const bool tells = running.mean.defined() && s.rows > 1;  // one value has no variance, and 0 would count as one
    const BatchNormForward maps{x.value().raw(),
                                residual.defined() ? residual.value().raw() : nullptr,
                                gamma.data(),
                                beta.data(),
                                y.value().raw(),
                                mean.data(),
                                inverse_std.data(),
                                tells ? running.mean.data() : nullptr,
                                tells ? running.variance.data() : nullptr};
    {
        const Profiled timed(backend, "BatchNorm forward", work_of(s, maps));
        backend.batchnorm_forward(s, maps);
    }
    record(y, [x, gamma, beta, residual, y, mean, inverse_std, s] {
        const Tensor dy = take_gradient(y);
        Backend& device = x.backend();
        const bool keep = residual.defined() && residual.needs_gradient();
        const Tensor masked = keep && s.relu ? Tensor::like(dy) : Tensor();
        {
            const GradTarget dx(x, keep && !s.relu ? Tensor() : dy), dgamma(gamma), dbeta(beta);
            const Tensor unused = dx.wanted() && dgamma.wanted() && dbeta.wanted() ? Tensor() : Tensor(device, x.shape());
            const auto into = [&](const GradTarget& target) { return target.wanted() ? target.data() : unused.data(); };
            const BatchNormBackward gradients{x.value().raw(),
                                              y.value().raw(),
                                              dy.raw(),
                                              gamma.data(),
                                              mean.data(),
                                              inverse_std.data(),
                                              residual.defined() ? nullptr : beta.data(),
                                              dx.wanted() ? dx.tensor().raw() : unused.raw(),
                                              masked.defined() ? masked.raw() : nullptr,
                                              into(dgamma),
                                              into(dbeta)};
            const Profiled timed(device, "BatchNorm backward", work_of(s, gradients));
            device.batchnorm_backward(s, gradients);
        }
        if (keep) give_gradient(residual, masked.defined() ? masked : dy);
    });
    return y;
}

Var batchnorm_running(const Var& x, const Var& gamma, const Var& beta, const RunningStatistics& running, const BatchNormOptions& options,
                      const Var& residual) {
    require_shapes(x, gamma, beta, residual);
    if (residual.defined() && residual.type() != x.type())
        return batchnorm_running(x, gamma, beta, running, options, cast(residual, x.type()));
    Backend& backend = x.backend();
    const int64_t channels = x.shape().c, rows = x.shape().pixels();
    const Tensor scale(backend, {1, 1, 1, channels}), shift(backend, {1, 1, 1, channels});
    const float epsilon = options.epsilon;
    const bool relu = options.relu;
    for_each_element(
        backend, channels,
        ScaleShiftOf{gamma.data(), beta.data(), running.mean.data(), running.variance.data(), epsilon, scale.data(), shift.data()});
    Var y = result_of(Tensor::like(x.value()), x, gamma, beta, residual);
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        const T* added = residual.defined() ? residual.as<T>() : nullptr;
        for_each_row(backend, rows, channels, ScaleShiftRow<T>{x.as<T>(), added, scale.data(), shift.data(), channels, relu, y.as<T>()});
    });
    record(y, [x, gamma, beta, residual, y, scale, mean = running.mean, variance = running.variance, epsilon, relu, rows, channels] {
        const Tensor dy = take_gradient(y);
        Backend& device = x.backend();
        const int64_t n = x.shape().size();
        const Tensor g = Tensor::like(dy);
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_element(device, n, MaskByOutput<T>{y.as<T>(), dy.as<T>(), relu, g.as<T>()});
            const GradTarget dgamma(gamma), dbeta(beta);
            if (dgamma.wanted() || dbeta.wanted())
                for_each_row(device, channels, rows,
                             ParameterGradients<T>{x.as<T>(), g.as<T>(), mean.data(), variance.data(), epsilon, rows, channels,
                                                   dgamma.data(), dbeta.data()});
            const GradTarget dx(x);
            if (dx.wanted()) for_each_element(device, n, ScaleChannels<T>{g.as<T>(), scale.data(), channels, dx.as<T>()});
        });
        give_gradient(residual, g);
    });
    return traced("batchnorm_running", y, {&x, &residual}, {&gamma.value(), &beta.value(), &running.mean, &running.variance},
                  {{"epsilon", epsilon}, {"relu", relu}});
}

void fold_batchnorm(const Tensor& w, const Tensor& gamma, const Tensor& beta, const RunningStatistics& running, float epsilon,
                    Tensor& folded_w, Tensor& folded_bias, const Tensor& bias) {
    Backend& backend = w.backend();
    const int64_t outputs = w.shape().n;
    folded_w = Tensor(backend, w.shape(), backend.activation_type());
    folded_bias = Tensor(backend, {1, 1, 1, outputs});
    const Tensor scale(backend, {1, 1, 1, outputs});
    for_each_element(
        backend, outputs,
        ScaleShiftOf{gamma.data(), beta.data(), running.mean.data(), running.variance.data(), epsilon, scale.data(), folded_bias.data()});
    if (bias.defined()) for_each_element(backend, outputs, FoldBias{bias.data(), scale.data(), folded_bias.data()});
    const int64_t per_output = w.shape().per_sample();
    with_type(folded_w.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(backend, outputs, per_output, FoldRow<T>{w.data(), scale.data(), per_output, folded_w.as<T>()});
    });
}

}  // namespace distill
