// y (N,OH,OW,K) = x (N,H,W,C) * w (K,R,S,C/groups) + bias; the backends do the arithmetic, in their activation type.
#include <algorithm>

#include "base_error.h"
#include "core_backend.h"
#include "core_profile.h"
#include "core_work_count.h"
#include "launch_kernels.h"
#include "ops.h"

namespace distill {
namespace {

Conv2dGeometry geometry(const Shape& x, const Shape& w, const Conv2dOptions& o, DType type) {
    const int64_t oh = (x.h + 2 * o.pad_h - w.h) / o.stride_h + 1, ow = (x.w + 2 * o.pad_w - w.w) / o.stride_w + 1;
    if (x.c != w.c * o.groups || w.n % o.groups != 0)
        failure("conv2d: x ", to_string(x), " has ", x.c, " channels, w ", to_string(w), " with ", o.groups, " groups expects ",
                w.c * o.groups, " ---> make w (K,R,S,C/groups), K a multiple of groups");
    if (x.h + 2 * o.pad_h < w.h || x.w + 2 * o.pad_w < w.w)
        failure("conv2d: x ", to_string(x), " is smaller than w ", to_string(w), " ---> pad more or use larger images");
    Conv2dGeometry g;
    g.x = x;
    g.w = w;
    g.y = {x.n, oh, ow, w.n};
    g.stride_h = o.stride_h;
    g.stride_w = o.stride_w;
    g.pad_h = o.pad_h;
    g.pad_w = o.pad_w;
    g.groups = o.groups;
    g.type = type;
    return g;
}

/// w in the type that the product wants: a parameter keeps itself rounded (net_parameters.h), anything else is rounded here.
Tensor operand(const Var& w, DType type) {
    if (w.type() == type) return w.value();
    if (w.node().rounded.defined()) return w.node().rounded;
    const Tensor rounded(w.backend(), w.shape(), type);
    convert(w.value(), rounded);
    return rounded;
}

void forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const ConvEpilogue& epilogue, const Tensor& y) {
    count_work(g.multiply_accumulates());
    const Profiled timed(x.backend(), "convolution forward", forward_work(g, epilogue));
    x.backend().conv2d_forward(g, x.raw(), w.raw(), epilogue, y.raw());
}

void backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx, bool add = false) {
    count_work(g.multiply_accumulates());
    const Profiled timed(dy.backend(), "convolution backward data", backward_data_work(g, add));
    dy.backend().conv2d_backward_data(g, dy.raw(), w.raw(), dx.raw(), add);
}

void backward_weights(const Conv2dGeometry& g, const Tensor& x, const Tensor& dy, float* dw) {
    count_work(g.multiply_accumulates());
    const Profiled timed(x.backend(), "convolution backward weights", backward_weights_work(g));
    x.backend().conv2d_backward_weights(g, x.raw(), dy.raw(), dw);
}

}  // namespace

Var conv2d(const Var& input, const Var& w, const Conv2dOptions& options, const Var& bias) {
    if (!w.value().defined()) failure("conv2d: w has no memory ---> Parameters::allocate() gives it, once every module is registered");
    const Var x = cast(input, input.backend().activation_type());
    const Conv2dGeometry g = geometry(x.shape(), w.shape(), options, x.type());
    const Tensor weights = operand(w, g.type);
    Var y = result_of(Tensor(x.backend(), g.y, g.type), x, w);
    forward(g, x.value(), weights, {}, y.value());
    record(y, [x, w, weights, y, g] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget dw(w);
            if (dw.wanted()) backward_weights(g, x.value(), dy, dw.data());
        }
        const GradTarget dx(x, x.backend().adds_backward_data(g));
        if (dx.wanted()) backward_data(g, dy, weights, dx.tensor(), dx.adds());
    });
    return traced("conv2d", bias.defined() ? add_bias(y, bias) : y, {&input}, {&w.value(), bias.defined() ? &bias.value() : nullptr},
                  {{"stride_h", g.stride_h}, {"stride_w", g.stride_w}, {"pad_h", g.pad_h}, {"pad_w", g.pad_w}, {"groups", g.groups}});
}

Var conv_transpose2d(const Var& input, const Var& w, const Conv2dOptions& o, const Var& bias, int output_pad) {
    const Var x = cast(input, input.backend().activation_type());
    const Shape &from = x.shape(), &k = w.shape();
    const Shape to{from.n, (from.h - 1) * o.stride_h + k.h - 2 * o.pad_h + output_pad,
                   (from.w - 1) * o.stride_w + k.w - 2 * o.pad_w + output_pad, k.c};
    if (output_pad < 0 || output_pad >= std::min(o.stride_h, o.stride_w))
        failure("conv_transpose2d: output_pad ", output_pad, " with strides ", o.stride_h, " and ", o.stride_w,
                " ---> make it fewer than both, so that the convolution that is reversed gives x's size");
    if (from.c != k.n || o.groups != 1 || to.h < 1 || to.w < 1)
        failure("conv_transpose2d: x ", to_string(from), ", w ", to_string(k), ", ", o.groups, " groups, result ", to_string(to),
                " ---> make w (K,R,S,C), K the channels of x, in one group, and pad less than the result");
    const Conv2dGeometry g = geometry(to, k, o, x.type());  // of the convolution that it reverses: each does the other's backward pass
    const Tensor weights = operand(w, g.type);
    Var y = result_of(Tensor(x.backend(), to, g.type), x, w);
    backward_data(g, x.value(), weights, y.value());
    record(y, [x, w, weights, y, g] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget dw(w);
            if (dw.wanted()) backward_weights(g, dy, x.value(), dw.data());
        }
        const GradTarget dx(x);
        if (dx.wanted()) forward(g, dy, weights, {}, dx.tensor());
    });
    return bias.defined() ? add_bias(y, bias) : y;
}

Var conv2d_inference(const Var& input, const Var& w, const Tensor& bias, const Conv2dOptions& options, const Var& residual, bool relu) {
    const Var x = cast(input, input.backend().activation_type());
    const Conv2dGeometry g = geometry(x.shape(), w.shape(), options, x.type());
    if (residual.defined() && residual.shape() != g.y)
        failure("conv2d_inference: residual ", to_string(residual.shape()), " and result ", to_string(g.y), " must have one shape");
    const Var added = residual.defined() ? cast(residual, g.type) : Var();
    const Tensor weights = operand(w, g.type);
    Var y{Tensor(x.backend(), g.y, g.type)};
    ConvEpilogue epilogue;
    epilogue.bias = bias.defined() ? bias.data() : nullptr;
    epilogue.residual = added.defined() ? added.value().raw() : nullptr;
    epilogue.relu = relu;
    forward(g, x.value(), weights, epilogue, y.value());
    return y;
}

}  // namespace distill
