// y (N,OH,OW,K) = x (N,H,W,C) * w (K,R,S,C/groups) + bias; the backends do the arithmetic.
#include "backend.h"
#include "error.h"
#include "ops.h"
#include "profile.h"
#include "work_count.h"

namespace distill {
namespace {

Conv2dGeometry geometry(const Shape& x, const Shape& w, const Conv2dOptions& o) {
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
    return g;
}

void forward(Backend& backend, const Conv2dGeometry& g, const float* x, const float* w, const ConvEpilogue& epilogue, float* y) {
    count_work(g.multiply_accumulates());
    const Profiled timed(backend, "convolution forward", forward_work(g, epilogue));
    backend.conv2d_forward(g, x, w, epilogue, y);
}

void backward_data(Backend& backend, const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
    count_work(g.multiply_accumulates());
    const Profiled timed(backend, "convolution backward data", backward_data_work(g));
    backend.conv2d_backward_data(g, dy, w, dx);
}

void backward_weights(Backend& backend, const Conv2dGeometry& g, const float* x, const float* dy, float* dw) {
    count_work(g.multiply_accumulates());
    const Profiled timed(backend, "convolution backward weights", backward_weights_work(g));
    backend.conv2d_backward_weights(g, x, dy, dw);
}

}  // namespace

Var conv2d(const Var& x, const Var& w, const Conv2dOptions& options, const Var& bias) {
    const Conv2dGeometry g = geometry(x.shape(), w.shape(), options);
    Var y = result_of(Tensor(x.backend(), g.y), x, w);
    forward(x.backend(), g, x.data(), w.data(), {}, y.data());
    record(y, [x, w, y, g] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget dw(w);
            if (dw.wanted()) backward_weights(x.backend(), g, x.data(), dy.data(), dw.data());
        }
        const GradTarget dx(x);
        if (dx.wanted()) backward_data(x.backend(), g, dy.data(), w.data(), dx.data());
    });
    return bias.defined() ? add_bias(y, bias) : y;
}

Var conv2d_inference(const Var& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options, const Var& residual, bool relu) {
    const Conv2dGeometry g = geometry(x.shape(), w.shape(), options);
    if (residual.defined() && residual.shape() != g.y)
        failure("conv2d_inference: residual ", to_string(residual.shape()), " and result ", to_string(g.y), " must have one shape");
    Var y{Tensor(x.backend(), g.y)};
    ConvEpilogue epilogue;
    epilogue.bias = bias.defined() ? bias.data() : nullptr;
    epilogue.residual = residual.defined() ? residual.data() : nullptr;
    epilogue.relu = relu;
    forward(x.backend(), g, x.data(), w.data(), epilogue, y.data());
    return y;
}

}  // namespace distill
