// Two maps weighted by an attention on both, in one pass each way: neither the joined map nor a weighted one is written. A pixel is a row.
#include "base_error.h"
#include "launch.h"
#include "op_logistic.h"
#include "ops.h"

namespace distill {
namespace {

/// The attention's weights: w (2,1,1,2C), the first C of each half for x, then C for y; bias (2).
struct AttentionWeights {
    const float *w, *bias;
};

template <class T>
struct FuseForward {
    int64_t channels;
    AttentionWeights attention;
    const T *x, *y;
    T* out;
    float* gates;  ///< (pixels,2): z
    int64_t moved_bytes() const { return 3 * channels * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const int64_t n = channels;
        const T *in_x = x + pixel * n, *in_y = y + pixel * n;
        const float *w = attention.w, *v = w + 2 * n;
        const float first = lane.sum(n, [=](int64_t j) { return w[j] * in_x[j] + w[n + j] * in_y[j]; }),
                    second = lane.sum(n, [=](int64_t j) { return v[j] * in_x[j] + v[n + j] * in_y[j]; });
        const float of_x = logistic(first + attention.bias[0]), of_y = logistic(second + attention.bias[1]);
        T* to = out + pixel * n;
        lane.each(n, [=](int64_t j) { to[j] = in_x[j] * of_x + in_y[j] * of_y; });
        if (lane.first()) gates[2 * pixel] = of_x, gates[2 * pixel + 1] = of_y;
    }
};

/// Gradients of both maps, and of the gates before their sigmoid.
template <class T>
struct FuseBackward {
    int64_t channels;
    AttentionWeights attention;
    const T *x, *y, *dout;
    const float* gates;
    float* dgates;
    T *dx, *dy;  ///< null where not wanted; dx may be dout
    int64_t moved_bytes() const { return 5 * channels * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const int64_t n = channels;
        const T *in_x = x + pixel * n, *in_y = y + pixel * n, *d = dout + pixel * n;
        const float *w = attention.w, *v = w + 2 * n;
        const float of_x = gates[2 * pixel], of_y = gates[2 * pixel + 1];
        const float first = lane.sum(n, [=](int64_t j) { return static_cast<float>(d[j] * in_x[j]); }) * of_x * (1 - of_x),
                    second = lane.sum(n, [=](int64_t j) { return static_cast<float>(d[j] * in_y[j]); }) * of_y * (1 - of_y);
        if (dy) {
            T* to = dy + pixel * n;
            lane.each(n, [=](int64_t j) { to[j] = d[j] * of_y + first * w[n + j] + second * v[n + j]; });
        }
        if (dx) {
            T* to = dx + pixel * n;
            lane.each(n, [=](int64_t j) { to[j] = d[j] * of_x + first * w[j] + second * v[j]; });
        }
        if (lane.first()) dgates[2 * pixel] = first, dgates[2 * pixel + 1] = second;
    }
};

/// A chunk of pixels' part of the weights' gradient and then of the bias's: Σ over its pixels.
template <class T>
struct WeightsOfChunk {
    int64_t pixels;
    int channels, per_chunk;
    const T *x, *y;
    const float* dgates;
    float* parts;  ///< (chunks, 4C + 2)
    int64_t moved_bytes() const { return 2 * static_cast<int64_t>(per_chunk) * channels * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t chunk, const Lane& lane) const {
        const int64_t begin = chunk * per_chunk;
        const int n = channels, all = pixels - begin < per_chunk ? static_cast<int>(pixels - begin) : per_chunk;
        const float* d = dgates + 2 * begin;
        float* out = parts + chunk * (4 * n + 2);
        for (int gate = 0; gate < 2; ++gate) {
            for (int map = 0; map < 2; ++map) {
                const T* in = (map == 0 ? x : y) + begin * n;
                float* sums = out + (2 * gate + map) * n;
                lane.column_sums(
                    all, n, [=](int i, int j) { return d[2 * i + gate] * in[i * n + j]; },
                    [=](int j, double sum) { sums[j] = static_cast<float>(sum); });
            }
        }
        lane.sums(
            2, all, [=](int gate, int i) { return d[2 * i + gate]; },
            [=](int gate, double sum) { out[4 * n + gate] = static_cast<float>(sum); });
    }
};

/// One row: Σ over the chunks.
struct WeightsOfAll {
    int chunks, channels;
    const float* parts;
    float *dw, *dbias;  ///< null where not wanted
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const int weights = 4 * channels, width = weights + 2;
        const float* in = parts;
        float *of_w = dw, *of_bias = dbias;
        lane.column_sums(
            chunks, width, [=](int i, int j) { return in[static_cast<int64_t>(i) * width + j]; },
            [=](int j, double sum) {
                if (j < weights && of_w) of_w[j] = static_cast<float>(sum);
                if (j >= weights && of_bias) of_bias[j - weights] = static_cast<float>(sum);
            });
    }
};

template <class T>
void weights_backward(const Var& x, const Var& y, const Tensor& dgates, float* dw, float* dbias) {
    constexpr int per_chunk = 256;
    const int64_t pixels = x.shape().pixels(), chunks = (pixels + per_chunk - 1) / per_chunk;
    const auto channels = static_cast<int>(x.shape().c);
    Backend& backend = x.backend();
    const Tensor parts(backend, {chunks, 1, 1, 4 * x.shape().c + 2});
    for_each_row(backend, chunks, 4 * per_chunk * x.shape().c,
                 WeightsOfChunk<T>{pixels, channels, per_chunk, x.as<T>(), y.as<T>(), dgates.data(), parts.data()});
    for_each_row(backend, 1, parts.size(), WeightsOfAll{static_cast<int>(chunks), channels, parts.data(), dw, dbias});
}

}  // namespace

Var attention_fusion(const Var& x, const Var& y, const Var& w, const Var& bias) {
    const Shape s = x.shape();
    if (y.shape() != s || w.shape() != Shape{2, 1, 1, 2 * s.c} || bias.shape().size() != 2)
        failure("attention_fusion: x ", to_string(s), ", y ", to_string(y.shape()), ", w ", to_string(w.shape()), ", bias of ",
                bias.shape().size(), " ---> x and y of one shape (N,H,W,C), w (2,1,1,2C), a bias of 2");
    if (x.type() != y.type()) return attention_fusion(to_float(x), to_float(y), w, bias);
    Backend& backend = x.backend();
    Var out = result_of(Tensor::like(x.value()), x, y, w, bias);
    const Tensor gates(backend, {s.n, s.h, s.w, 2});
    const AttentionWeights attention{w.data(), bias.data()};
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(backend, s.pixels(), s.c, FuseForward<T>{s.c, attention, x.as<T>(), y.as<T>(), out.as<T>(), gates.data()});
    });
    record(out, [x, y, w, bias, out, gates, s] {
        const Tensor dout = take_gradient(out);
        const Tensor dgates = Tensor::like(gates);
        const GradTarget dw(w), dbias(bias), dy(y), dx(x, dout);
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_row(
                x.backend(), s.pixels(), s.c,
                FuseBackward<T>{
                    s.c, {w.data(), bias.data()}, x.as<T>(), y.as<T>(), dout.as<T>(), gates.data(), dgates.data(), dx.as<T>(), dy.as<T>()});
            if (dw.wanted() || dbias.wanted()) weights_backward<T>(x, y, dgates, dw.data(), dbias.data());
        });
    });
    return out;
}

}  // namespace distill
