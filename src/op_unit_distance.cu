// How far apart two maps are, each sample's divided by its norm. Norms come first and the differences are summed from what they give: a
// norm's rounding then scales the distance, and does not add to it. Back: dx = 2·dy·((x̂ − t̂) − x̂·⟨x̂, x̂ − t̂⟩)/‖x‖, over all elements.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_norm.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

/// What the backward pass needs of a sample.
struct UnitRow {
    float inverse, inverse_target;  ///< of the divisors
    float along;                    ///< ⟨x̂, x̂ − t̂⟩, or 0 where x's norm is below the smallest
};
constexpr int64_t row_floats = sizeof(UnitRow) / sizeof(float);

template <class T>
struct UnitDistanceForward {
    int64_t n;
    const T *x, *target;
    UnitRow* rows;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x + sizeof *target); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const T *in = x + sample * n, *other = target + sample * n;
        const float norm = sqrtf(lane.sum(n, [=](int64_t j) { return static_cast<float>(in[j]) * static_cast<float>(in[j]); }));
        const float norm_t = sqrtf(lane.sum(n, [=](int64_t j) { return static_cast<float>(other[j]) * static_cast<float>(other[j]); }));
        const float a = 1.0f / norm_divisor(norm), b = 1.0f / norm_divisor(norm_t);
        const float squares = lane.sum(n, [=](int64_t j) {
            const float d = in[j] * a - other[j] * b;
            return d * d;
        });
        const float along = lane.sum(n, [=](int64_t j) { return in[j] * a * (in[j] * a - other[j] * b); });
        if (!lane.first()) return;
        partials[sample] = squares;
        rows[sample] = {a, b, norm > smallest_norm ? along : 0.0f};
    }
};
template <class T>
struct UnitDistanceBackward {
    int64_t n;
    float factor;
    const T *x, *target;
    const UnitRow* rows;
    const float* dy;
    T* dx;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x + sizeof *target + sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const T *in = x + sample * n, *other = target + sample * n;
        T* out = dx + sample * n;
        const UnitRow row = rows[sample];
        const float scale = *dy * factor * row.inverse, a = row.inverse * (1.0f - row.along) * scale, b = row.inverse_target * scale;
        lane.each(n, [=](int64_t j) { out[j] = in[j] * a - other[j] * b; });
    }
};

}  // namespace

Var unit_distance(const Var& x, const Tensor& target) {
    const Shape s = x.shape();
    if (s != target.shape())
        failure("unit_distance: shapes ", to_string(s), " and ", to_string(target.shape()), " must be equal ---> resize or reshape one");
    if (x.type() != target.type()) return unit_distance(to_float(x), to_float(Var(target)).value());
    Var y = result_of(Tensor(x.backend(), {1, 1, 1, 1}), x);
    const int64_t n = s.per_sample();
    const Tensor rows(x.backend(), {s.n, 1, 1, row_floats}), partials(x.backend(), {s.n, 1, 1, 1});
    auto* kept = reinterpret_cast<UnitRow*>(rows.data());
    const float factor = 1.0f / static_cast<float>(s.size());
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), s.n, n, UnitDistanceForward<T>{n, x.as<T>(), target.as<T>(), kept, partials.data()});
    });
    sum_partials(partials, factor, y);
    record(y, [x, target, y, rows, n, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_row(x.backend(), x.shape().n, n,
                         UnitDistanceBackward<T>{n, 2 * factor, x.as<T>(), target.as<T>(), reinterpret_cast<const UnitRow*>(rows.data()),
                                                 dy.data(), dx.as<T>()});
        });
    });
    return y;
}

}  // namespace distill
