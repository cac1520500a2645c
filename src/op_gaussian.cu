// How unlikely a map is under independent normal distributions, one variance a channel. The channels' squared errors, summed over all
// pixels, are all that the variances need in either direction; so the maps are read once forward, and once more for the mean's gradient.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_logistic.h"
#include "ops.h"

namespace distill {
namespace {

constexpr float least_variance = 1e-5f;

DISTILL_HD inline float variance(float a) { return softplus(a) + least_variance; }

/// Row `chunk` of `sums`: Σ (mean − target)² of each channel over the pixels of that chunk.
template <class T>
struct ErrorsOfChunk {
    int64_t pixels, channels, per_chunk;
    const T *mean, *target;
    float* sums;
    int64_t moved_bytes() const { return 2 * per_chunk * channels * static_cast<int64_t>(sizeof *mean); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t chunk, const Lane& lane) const {
        const int64_t begin = chunk * per_chunk, end = begin + per_chunk < pixels ? begin + per_chunk : pixels;
        const int n = static_cast<int>(channels);
        const T *m = mean + begin * channels, *t = target + begin * channels;
        float* out = sums + chunk * channels;
        lane.column_sums(
            static_cast<int>(end - begin), n,
            [=](int p, int c) {
                const float d = m[int64_t{p} * n + c] - t[int64_t{p} * n + c];
                return d * d;
            },
            [=](int c, double sum) { out[c] = static_cast<float>(sum); });
    }
};

/// One row: the errors' means over all pixels, 1/σ², and the loss.
struct GaussianLoss {
    int64_t chunks, channels, pixels;
    const float *sums, *scale;
    float *error, *precision, *y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const int n = static_cast<int>(channels);
        const float *in = sums, *a = scale;
        float *e = error, *p = precision;
        const double count = static_cast<double>(pixels);
        lane.column_sums(
            static_cast<int>(chunks), n, [=](int k, int c) { return in[int64_t{k} * n + c]; },
            [=](int c, double sum) {
                e[c] = static_cast<float>(sum / count);
                p[c] = 1.0f / variance(a[c]);
            });
        const double total = lane.sum(n, [=](int64_t c) { return static_cast<double>(e[c] * p[c] + logf(variance(a[c]))); });
        if (lane.first()) *y = static_cast<float>(0.5 * total / static_cast<double>(n));
    }
};

template <class T>
struct MeanOfGaussianBackward {
    int64_t channels;
    float factor;
    const T *mean, *target;
    const float *precision, *dy;
    T* dx;
    int64_t moved_bytes() const { return 3 * channels * static_cast<int64_t>(sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const T *m = mean + pixel * channels, *t = target + pixel * channels;
        T* out = dx + pixel * channels;
        const float d = *dy * factor, *p = precision;
        lane.each(channels, [=](int64_t c) { out[c] = (m[c] - t[c]) * (p[c] * d); });
    }
};
/// d/dσ² of ½(E/σ² + log σ²), times dσ²/da = 1/(1 + e⁻ᵃ).
struct ScaleOfGaussianBackward {
    float factor;
    const float *scale, *error, *precision, *dy;
    float* da;
    DISTILL_HD void operator()(int64_t c) const {
        const float p = precision[c];
        da[c] = *dy * factor * (p - error[c] * p * p) * logistic(scale[c]);
    }
};

}  // namespace

Var gaussian_loss(const Var& mean, const Tensor& target, const Var& scale) {
    const Shape s = mean.shape();
    if (s != target.shape() || scale.shape().size() != s.c)
        failure("gaussian_loss: maps ", to_string(s), " and ", to_string(target.shape()), ", scale ", to_string(scale.shape()),
                " ---> maps of one shape, and a scale (1,1,1,C)");
    if (mean.type() != target.type()) return gaussian_loss(to_float(mean), to_float(Var(target)).value(), scale);
    Backend& backend = mean.backend();
    constexpr int64_t per_chunk = 512;
    const int64_t pixels = s.pixels(), channels = s.c, chunks = (pixels + per_chunk - 1) / per_chunk;
    const Tensor sums(backend, {chunks, 1, 1, channels}), error(backend, {1, 1, 1, channels}), precision(backend, {1, 1, 1, channels});
    Var y = result_of(Tensor(backend, {}), mean, scale);
    with_type(mean.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(backend, chunks, per_chunk * channels,
                     ErrorsOfChunk<T>{pixels, channels, per_chunk, mean.as<T>(), target.as<T>(), sums.data()});
    });
    for_each_row(backend, 1, chunks * channels,
                 GaussianLoss{chunks, channels, pixels, sums.data(), scale.data(), error.data(), precision.data(), y.data()});
    record(y, [mean, target, scale, y, error, precision, pixels, channels] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget dx(mean);
            const float factor = 1.0f / static_cast<float>(pixels * channels);
            if (dx.wanted())
                with_type(mean.type(), [&](auto t) {
                    using T = decltype(t);
                    for_each_row(
                        y.backend(), pixels, channels,
                        MeanOfGaussianBackward<T>{channels, factor, mean.as<T>(), target.as<T>(), precision.data(), dy.data(), dx.as<T>()});
                });
        }
        const GradTarget da(scale);
        if (da.wanted())
            for_each_element(y.backend(), channels,
                             ScaleOfGaussianBackward{0.5f / static_cast<float>(channels), scale.data(), error.data(), precision.data(),
                                                     dy.data(), da.data()});
    });
    return y;
}

}  // namespace distill
