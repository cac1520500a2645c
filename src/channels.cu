// Operations on the channels of each pixel: joined, cut, padded, weighted by one channel of another tensor.
#include "error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

/// y[p, to + j] = x[p, from + j] for j < count; with `clear` the other channels of y become 0. A row is an image line.
struct CopyChannels {
    int pixels, count;
    int x_channels, from, y_channels, to;
    bool clear;
    const float* x;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int xc = x_channels, yc = y_channels, after = to + count;
        const float* in = x + line * pixels * xc + from;
        float* out = y + line * pixels * yc;
        float* part = out + to;
        lane.grid(pixels, count, [=](int i, int j) { part[i * yc + j] = in[i * xc + j]; });
        if (!clear) return;
        lane.grid(pixels, to, [=](int i, int j) { out[i * yc + j] = 0; });
        lane.grid(pixels, yc - after, [=](int i, int j) { out[i * yc + after + j] = 0; });
    }
};

enum class Others { keep, clear };

void copy_channels(Backend& backend, const Shape& x_shape, const float* x, int64_t from, const Shape& y_shape, float* y, int64_t to,
                   int64_t count, Others others) {
    const bool clear = others == Others::clear;
    const auto as_int = [](int64_t v) { return static_cast<int>(v); };
    const CopyChannels copy{as_int(y_shape.w), as_int(count), as_int(x_shape.c), as_int(from), as_int(y_shape.c), as_int(to), clear, x, y};
    for_each_row(backend, y_shape.n * y_shape.h, y_shape.w * (clear ? y_shape.c : count), copy);
}

bool same_pixels(const Shape& a, const Shape& b) { return a.n == b.n && a.h == b.h && a.w == b.w; }

/// y[p, j] = x[p, j]·gate[p, channel]. A row is an image line.
struct MulChannel {
    int pixels, channels, gates, channel;
    const float *x, *gate;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int c = channels, g = gates;
        const float *in = x + line * pixels * c, *weight = gate + line * pixels * g + channel;
        float* out = y + line * pixels * c;
        lane.grid(pixels, c, [=](int i, int j) { out[i * c + j] = in[i * c + j] * weight[i * g]; });
    }
};
/// dgate[p, channel] = Σ_j dy[p, j]·x[p, j], 0 in the gate's other channels. A row is a pixel.
struct MulChannelBackwardGate {
    int channels, gates, channel;
    const float *x, *dy;
    float* dgate;
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const float *in = x + pixel * channels, *dout = dy + pixel * channels;
        float* dg = dgate + pixel * gates;
        const int own = channel;
        const float sum = lane.sum(channels, [=](int64_t j) { return dout[j] * in[j]; });
        lane.each(gates, [=](int64_t g) { dg[g] = g == own ? sum : 0.0f; });
    }
};

}  // namespace

Var concat_channels(const Var& a, const Var& b) {
    const Shape sa = a.shape(), sb = b.shape();
    if (!same_pixels(sa, sb))
        failure("concat_channels: shapes ", to_string(sa), " and ", to_string(sb),
                " must agree in all but the last extent ---> resize_nearest or adaptive_avg_pool one of them");
    const Shape sy{sa.n, sa.h, sa.w, sa.c + sb.c};
    Var y = result_of(Tensor(a.backend(), sy), a, b);
    copy_channels(a.backend(), sa, a.data(), 0, sy, y.data(), 0, sa.c, Others::keep);
    copy_channels(a.backend(), sb, b.data(), 0, sy, y.data(), sa.c, sb.c, Others::keep);
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        const int64_t in_a = a.shape().c, in_b = b.shape().c;
        {
            const GradTarget da(a);
            if (da.wanted()) copy_channels(a.backend(), y.shape(), dy.data(), 0, a.shape(), da.data(), 0, in_a, Others::keep);
        }
        const GradTarget db(b);
        if (db.wanted()) copy_channels(a.backend(), y.shape(), dy.data(), in_a, b.shape(), db.data(), 0, in_b, Others::keep);
    });
    return y;
}

Var slice_channels(const Var& x, int64_t first, int64_t count) {
    const Shape s = x.shape(), sy{s.n, s.h, s.w, count};
    if (first < 0 || count < 1 || first + count > s.c)
        failure("slice_channels: channels ", first, " to ", first + count, " for shape ", to_string(sy), " do not lie in ", to_string(s),
                " ---> expected 0 <= first, 1 <= count and first + count <= ", s.c);
    if (count == s.c) return x;
    Var y = result_of(Tensor(x.backend(), sy), x);
    copy_channels(x.backend(), s, x.data(), first, sy, y.data(), 0, count, Others::keep);
    record(y, [x, y, first] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted())
            copy_channels(x.backend(), y.shape(), dy.data(), 0, x.shape(), dx.data(), first, y.shape().c, Others::clear);
    });
    return y;
}

Var pad_channels(const Var& x, int64_t before, int64_t after) {
    const Shape s = x.shape(), sy{s.n, s.h, s.w, before + s.c + after};
    if (before < 0 || after < 0)
        failure("pad_channels: shape ", to_string(s), " cannot become ", to_string(sy), " ---> slice_channels takes channels away");
    if (before + after == 0) return x;
    Var y = result_of(Tensor(x.backend(), sy), x);
    copy_channels(x.backend(), s, x.data(), 0, sy, y.data(), before, s.c, Others::clear);
    record(y, [x, y, before] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted())
            copy_channels(x.backend(), y.shape(), dy.data(), before, x.shape(), dx.data(), 0, x.shape().c, Others::keep);
    });
    return y;
}

Var mul_channel(const Var& x, const Var& gate, int64_t channel) {
    const Shape s = x.shape(), g = gate.shape();
    if (!same_pixels(s, g))
        failure("mul_channel: shapes ", to_string(s), " and ", to_string(g), " must agree in all but the last extent ---> resize the gate");
    if (channel < 0 || channel >= g.c)
        failure("mul_channel: shapes ", to_string(s), " and ", to_string(g), ": the gate has no channel ", channel, " ---> it has ", g.c);
    Var y = result_of(Tensor(x.backend(), s), x, gate);
    const int w = static_cast<int>(s.w), c = static_cast<int>(s.c), gates = static_cast<int>(g.c), own = static_cast<int>(channel);
    const int64_t lines = s.n * s.h;
    for_each_row(x.backend(), lines, s.w * s.c, MulChannel{w, c, gates, own, x.data(), gate.data(), y.data()});
    record(y, [x, gate, y, w, c, gates, own, lines] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget dgate(gate);
            if (dgate.wanted())
                for_each_row(x.backend(), lines * w, c, MulChannelBackwardGate{c, gates, own, x.data(), dy.data(), dgate.data()});
        }
        const GradTarget dx(x, dy);
        if (dx.wanted())
            for_each_row(x.backend(), lines, int64_t{w} * c, MulChannel{w, c, gates, own, dy.data(), gate.data(), dx.data()});
    });
    return y;
}

Var flatten(const Var& x) {
    const Shape s = x.shape();
    Var y = result_of(x.value().reshaped({s.n, 1, 1, s.per_sample()}), x);
    record(y, [x, y] { give_gradient(x, take_gradient(y).reshaped(x.shape())); });
    return y;
}

}  // namespace distill
