// The distance between two sets of channels under the kernel (a·b)². With each channel c of a sample divided by its norm, x̂_c, and given
// the weight w_c = 1/C_s of a student's, −1/C_t of a teacher's,
//     k(s,s) + k(t,t) − 2·k(s,t) = Σ_cd w_c·w_d·(x̂_c·x̂_d)² = ‖Σ_c w_c·x̂_c·x̂_cᵀ‖²,
// the first from products of channels (C×C, C = C_s + C_t), the second from products of pixels (P×P, P = H·W). Whichever matrix is smaller
// costs less in all, P·C² or P²·C: of maps 32×32 of 64 + 64 channels the first is an eighth, of 8×8 of 256 + 256 the second. The maps
// are laid side by side once, are never divided (the norms are on the first matrix' diagonal), and go back by one product.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_product.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

constexpr float smallest_square = 1e-24f;  // of a norm of 1e-12

/// The student's channels, then the teacher's.
struct Sides {
    int64_t pixels, channels, student;
    DISTILL_HD float weight(int64_t c) const {
        return c < student ? 1.0f / static_cast<float>(student) : -1.0f / static_cast<float>(channels - student);
    }
};

DISTILL_HD inline float inverse_norm(float square) { return 1.0f / sqrtf(square > smallest_square ? square : smallest_square); }

// ---- by products of channels --------------------------------------------------------------------------------------------------------

struct NormsOfDiagonal {
    int64_t channels;
    const float* products;
    float* inverse;
    DISTILL_HD void operator()(int64_t i) const { inverse[i] = inverse_norm(products[i * channels + i % channels]); }
};
/// Row (sample, c): w_c·Σ_d w_d·(x̂_c·x̂_d)².
struct ChannelsForward {
    Sides sides;
    const float *products, *inverse;
    float* partials;
    int64_t moved_bytes() const { return sides.channels * static_cast<int64_t>(sizeof *products); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const Sides s = sides;
        const int64_t c = row % s.channels;
        const float *in = products + row * s.channels, *norms = inverse + (row - c), own = inverse[row];
        const float sum = lane.sum(s.channels, [=](int64_t d) {
            const float cosine = in[d] * own * norms[d];
            return s.weight(d) * cosine * cosine;
        });
        if (lane.first()) partials[row] = s.weight(c) * sum;
    }
};
/// Row (sample, d), column c: what the student's channel c gets of channel d, 4·w_c·w_d·(x̂_c·x̂_d)/(‖x_c‖·‖x_d‖), less on the diagonal what
/// lies along x_c itself.
struct ChannelsBackward {
    Sides sides;
    float factor;
    const float *products, *inverse, *partials, *dy;
    float* mixing;
    int64_t moved_bytes() const { return 2 * sides.student * static_cast<int64_t>(sizeof *products); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const int64_t d = row % sides.channels, n = sides.student;
        const float *in = products + row * sides.channels, *norms = inverse + (row - d), own = inverse[row];
        const float scale = 4 * *dy * factor, weight = scale * sides.weight(d) / static_cast<float>(n);
        float* out = mixing + row * n;
        lane.each(n, [=](int64_t c) { out[c] = weight * (in[c] * own * norms[c]) * (own * norms[c]); });
        // A channel whose norm is the least that is divided by moves freely.
        if (lane.first() && d < n && in[d] > smallest_square) out[d] -= scale * partials[row] * own * own;
    }
};

// ---- by products of pixels -----------------------------------------------------------------------------------------------------------

/// Row sample: 1/norm of each channel.
struct NormsOfChannels {
    Sides sides;
    const float* x;
    float* inverse;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const int n = static_cast<int>(sides.channels);
        const float* in = x + sample * sides.pixels * n;
        float* out = inverse + sample * n;
        lane.column_sums(
            static_cast<int>(sides.pixels), n,
            [=](int p, int c) {
                const float v = in[int64_t{p} * n + c];
                return v * v;
            },
            [=](int c, double sum) { out[c] = inverse_norm(static_cast<float>(sum)); });
    }
};
struct WeighChannels {
    Sides sides;
    const float *x, *inverse;
    float* y;
    int64_t moved_bytes() const { return 2 * sides.channels * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const Sides s = sides;
        const float *in = x + pixel * s.channels, *norms = inverse + pixel / s.pixels * s.channels;
        float* out = y + pixel * s.channels;
        lane.each(s.channels, [=](int64_t c) { out[c] = s.weight(c) * in[c] * norms[c] * norms[c]; });
    }
};
struct SquaresOfRow {
    int64_t n;
    const float* x;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float* in = x + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return in[j] * in[j]; });
        if (lane.first()) partials[row] = sum;
    }
};
/// Row sample, of `mixed` = the matrix times the student's map: how much of it lies along each channel, x̂_c·mixed_c/‖x_c‖; 0 of a channel
/// whose norm is the least that is divided by.
struct AlongChannels {
    Sides sides;
    const float *x, *inverse, *mixed;
    float* along;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const int n = static_cast<int>(sides.channels), student = static_cast<int>(sides.student);
        const float *in = x + sample * sides.pixels * n, *m = mixed + sample * sides.pixels * student, *norms = inverse + sample * n;
        float* out = along + sample * student;
        lane.column_sums(
            static_cast<int>(sides.pixels), student, [=](int p, int c) { return in[int64_t{p} * n + c] * m[int64_t{p} * student + c]; },
            [=](int c, double sum) {
                const bool free = norms[c] >= inverse_norm(0);
                out[c] = free ? 0.0f : static_cast<float>(sum) * norms[c] * norms[c];
            });
    }
};
/// In place of `mixed`.
struct PixelsBackward {
    Sides sides;
    float factor;
    const float *x, *inverse, *along, *dy;
    float* mixed;
    int64_t moved_bytes() const { return 3 * sides.student * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const int64_t n = sides.student, sample = pixel / sides.pixels;
        const float *in = x + pixel * sides.channels, *norms = inverse + sample * sides.channels, *a = along + sample * n;
        const float scale = 4 * *dy * factor / static_cast<float>(n);
        float* out = mixed + pixel * n;
        lane.each(n, [=](int64_t c) { out[c] = scale * (out[c] - in[c] * a[c]) * norms[c] * norms[c]; });
    }
};

void products(const Tensor& a, const Tensor& b, const Tensor& c, GemmShape s) {
    s.exact = true;  // differences of what is nearly equal
    timed_products("product of channels", a, b, c, s);
}

/// The maps (N,H,W,C_s + C_t) side by side.
struct Together {
    Tensor maps;
    Sides sides;
    float factor;  ///< 1/N
};

Var by_channels(const Var& student, const Together& of) {
    const auto [n, h, w, c] = of.maps.shape();
    const Sides sides = of.sides;
    Backend& backend = of.maps.backend();
    const Tensor matrix(backend, {n, 1, c, c}), inverse(backend, {n, 1, 1, c}), partials(backend, {n, 1, 1, c});
    products(of.maps, of.maps, matrix, {c, c, h * w, true, false});
    for_each_element(backend, n * c, NormsOfDiagonal{c, matrix.data(), inverse.data()});
    for_each_row(backend, n * c, c, ChannelsForward{sides, matrix.data(), inverse.data(), partials.data()});
    Var y = result_of(Tensor(backend, {}), student);
    sum_partials(partials, of.factor, y);
    record(y, [student, y, of, matrix, inverse, partials] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (!dx.wanted()) return;
        const Sides s = of.sides;
        const Tensor mixing(y.backend(), {matrix.shape().n, 1, s.channels, s.student});
        for_each_row(y.backend(), matrix.shape().n * s.channels, s.student,
                     ChannelsBackward{s, of.factor, matrix.data(), inverse.data(), partials.data(), dy.data(), mixing.data()});
        products(of.maps, mixing, dx.tensor(), {s.pixels, s.student, s.channels, false, false});
    });
    return y;
}

Var by_pixels(const Var& student, const Together& of) {
    const int64_t n = of.maps.shape().n;
    const Sides sides = of.sides;
    Backend& backend = of.maps.backend();
    const Tensor weighed = Tensor::like(of.maps), matrix(backend, {n, 1, sides.pixels, sides.pixels}),
                 inverse(backend, {n, 1, 1, sides.channels}), partials(backend, {n, 1, 1, sides.pixels});
    for_each_row(backend, n, sides.pixels * sides.channels, NormsOfChannels{sides, of.maps.data(), inverse.data()});
    for_each_row(backend, n * sides.pixels, sides.channels, WeighChannels{sides, of.maps.data(), inverse.data(), weighed.data()});
    products(weighed, of.maps, matrix, {sides.pixels, sides.pixels, sides.channels, false, true});
    for_each_row(backend, n * sides.pixels, sides.pixels, SquaresOfRow{sides.pixels, matrix.data(), partials.data()});
    Var y = result_of(Tensor(backend, {}), student);
    sum_partials(partials, of.factor, y);
    record(y, [student, y, of, matrix, inverse] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (!dx.wanted()) return;
        const int64_t samples = matrix.shape().n;
        const Sides s = of.sides;
        GemmShape g{s.pixels, s.student, s.pixels, false, false};
        g.row_b = s.channels;
        products(matrix, of.maps, dx.tensor(), g);
        const Tensor along(y.backend(), {samples, 1, 1, s.student});
        for_each_row(y.backend(), samples, s.pixels * s.student, AlongChannels{s, of.maps.data(), inverse.data(), dx.data(), along.data()});
        for_each_row(y.backend(), samples * s.pixels, s.student,
                     PixelsBackward{s, of.factor, of.maps.data(), inverse.data(), along.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace

Var channel_kernel_distance(const Var& given, const Tensor& teacher) {
    const Var student = to_float(given);
    const Shape s = student.shape(), t = teacher.shape();
    if (s.n != t.n || s.h != t.h || s.w != t.w)
        failure("channel_kernel_distance: maps ", to_string(s), " and ", to_string(t), " must have one size ---> pool the larger one");
    Together of{{}, {s.h * s.w, s.c + t.c, s.c}, 1.0f / static_cast<float>(s.n)};
    {
        const NoGrad no_grad;
        of.maps = concat_channels(student.detached(), to_float(Var(teacher))).value();
    }
    return of.sides.pixels < of.sides.channels ? by_pixels(student, of) : by_channels(student, of);
}

}  // namespace distill
