// How the samples of a batch lie to each other, in student and teacher: their distances, the angles between them, neighbours, and whom
// each is like. Differences are taken, never |a|² + |b|² − 2ab: between samples that lie close together that would leave few digits.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_norm.h"
#include "op_product.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

constexpr float smallest_distance = 1e-6f;

struct Huber {
    DISTILL_HD static float value(float d) { return fabsf(d) < 1 ? 0.5f * d * d : fabsf(d) - 0.5f; }
    DISTILL_HD static float derivative(float d) { return d > 1 ? 1.0f : d < -1 ? -1.0f : d; }  // NaN stays
};

void require_batch(const char* operation, const Shape& student, const Shape& teacher) {
    if (student.n != teacher.n)
        failure(operation, ": ", student.n, " and ", teacher.n, " samples of student and teacher ---> show both the same batch");
}

// ---- distances -----------------------------------------------------------------------------------------------------------------

struct Distances {
    int64_t samples, width;
    const float* x;
    float* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t i, const Lane& lane) const {
        const int n = static_cast<int>(samples), w = static_cast<int>(width);
        const float *all = x, *own = x + i * width;
        float* out = y + i * samples;
        lane.sums(
            n, w,
            [=](int j, int c) {
                const float d = own[c] - all[int64_t{j} * w + c];
                return d * d;
            },
            [=](int j, double sum) {
                const float length = sqrtf(static_cast<float>(sum));
                out[j] = j == i ? 0.0f : length > smallest_distance ? length : smallest_distance;
            });
    }
};
/// Of the distances above 0: their mean (1 of none), and how many there are.
struct MeanDistance {
    int64_t n;
    const float* distances;
    float* mean;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float* d = distances;
        const double sum = lane.sum(n, [=](int64_t i) { return static_cast<double>(d[i]); });
        const double count = lane.sum(n, [=](int64_t i) { return d[i] > 0 ? 1.0 : 0.0; });
        if (!lane.first()) return;
        mean[0] = count > 0 ? static_cast<float>(sum / count) : 1.0f;
        mean[1] = static_cast<float>(count);
    }
};

/// Distances (N,1,1,N) between the samples, and their mean.
struct DistancesOf {
    Tensor distances, mean;
    explicit DistancesOf(const Tensor& x) : distances(x.backend(), {x.shape().n, 1, 1, x.shape().n}), mean(x.backend(), {2, 1, 1, 1}) {
        const int64_t samples = x.shape().n, width = x.shape().per_sample();
        for_each_row(x.backend(), samples, samples * width, Distances{samples, width, x.data(), distances.data()});
        for_each_row(x.backend(), 1, samples * samples, MeanDistance{samples * samples, distances.data(), mean.data()});
    }
};

struct Relative {
    const float *student, *student_mean, *teacher, *teacher_mean;
    DISTILL_HD float difference(int64_t i) const { return student[i] / *student_mean - teacher[i] / *teacher_mean; }
};
struct DistanceForward {
    int64_t n;
    Relative of;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const Relative relative = of;
        const int64_t at = row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return Huber::value(relative.difference(at + j)); });
        if (lane.first()) partials[row] = sum;
    }
};
/// along = Σ h·d / (mean·count), h = d(loss)/d(difference): how far the loss follows the student's mean.
struct AlongMean {
    int64_t n;
    Relative of;
    float* along;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const Relative relative = of;
        const double sum =
            lane.sum(n, [=](int64_t i) { return static_cast<double>(Huber::derivative(relative.difference(i)) * relative.student[i]); });
        if (lane.first()) *along = of.student_mean[1] > 0 ? static_cast<float>(sum) / (of.student_mean[0] * of.student_mean[1]) : 0.0f;
    }
};
/// d(loss)/d(distance) / distance: what x_i − x_j is multiplied with. (i, j) and (j, i) are one distance, hence 2.
struct DistanceWeight {
    Relative of;
    float factor;
    const float *along, *dy;
    float* weight;
    DISTILL_HD void operator()(int64_t i) const {
        const float d = of.student[i];
        const float g = 2 * *dy * factor * (Huber::derivative(of.difference(i)) - *along) / *of.student_mean;
        weight[i] = d > smallest_distance ? g / d : 0.0f;
    }
};
struct DistanceBackward {
    int64_t samples, width;
    const float *x, *weight;
    float* dx;
    template <class Lane>
    DISTILL_HD void operator()(int64_t i, const Lane& lane) const {
        const int64_t w = width;
        const float *all = x, *own = x + i * width, *weights = weight + i * samples;
        float* out = dx + i * width;
        lane.column_sums(
            static_cast<int>(samples), static_cast<int>(width), [=](int j, int c) { return weights[j] * (own[c] - all[j * w + c]); },
            [=](int c, double sum) { out[c] = static_cast<float>(sum); });
    }
};

// ---- angles --------------------------------------------------------------------------------------------------------------------

/// Row i·N + j: (x_j − x_i)/length, and 1/length; both 0 where the two are equal.
struct Directions {
    int64_t samples, width;
    const float* x;
    float *y, *inverse;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float *to = x + row % samples * width, *from = x + row / samples * width;
        float* out = y + row * width;
        const float length = sqrtf(lane.sum(width, [=](int64_t c) { return (to[c] - from[c]) * (to[c] - from[c]); }));
        const float by = length > smallest_norm ? 1.0f / length : 0.0f;
        lane.each(width, [=](int64_t c) { out[c] = (to[c] - from[c]) * by; });
        if (lane.first()) inverse[row] = by;
    }
};
/// Back to x_j − x_i, in place of the direction's gradient.
struct DirectionsBackward {
    int64_t width;
    float factor;
    const float *directions, *inverse, *dy;
    float* gradient;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float* e = directions + row * width;
        float* g = gradient + row * width;
        const float along = lane.sum(width, [=](int64_t c) { return e[c] * g[c]; }), by = inverse[row] * *dy * factor;
        lane.each(width, [=](int64_t c) { g[c] = (g[c] - e[c] * along) * by; });
    }
};
/// What sample j gets of x_j − x_i for all i, and of x_k − x_j for all k.
struct EndsBackward {
    int64_t samples, width;
    const float* gradient;
    float* dx;
    template <class Lane>
    DISTILL_HD void operator()(int64_t j, const Lane& lane) const {
        const int64_t n = samples, w = width;
        const float* g = gradient;
        float* out = dx + j * width;
        lane.column_sums(
            static_cast<int>(samples), static_cast<int>(width),
            [=](int i, int c) { return g[(i * n + j) * w + c] - g[(j * n + i) * w + c]; },
            [=](int c, double sum) { out[c] = static_cast<float>(sum); });
    }
};
struct CosineForward {
    int64_t n;
    const float *student, *teacher;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float *s = student + row * n, *t = teacher + row * n;
        const float sum = lane.sum(n, [=](int64_t k) { return Huber::value(s[k] - t[k]); });
        if (lane.first()) partials[row] = sum;
    }
};
struct CosineBackward {
    const float *student, *teacher;
    float* derivative;
    DISTILL_HD void operator()(int64_t i) const { derivative[i] = Huber::derivative(student[i] - teacher[i]); }
};

void angle_products(const Tensor& a, const Tensor& b, const Tensor& c, GemmShape s) {
    s.exact = true;
    timed_products("angles", a, b, c, s);
}

/// At each sample the directions to all (N,1,N,D), and their cosines (N,1,N,N).
struct AnglesOf {
    Tensor directions, inverse, cosines;
    explicit AnglesOf(const Tensor& x)
        : directions(x.backend(), {x.shape().n, 1, x.shape().n, x.shape().per_sample()}),
          inverse(x.backend(), {x.shape().n, 1, 1, x.shape().n}),
          cosines(x.backend(), {x.shape().n, 1, x.shape().n, x.shape().n}) {
        const int64_t n = x.shape().n, width = x.shape().per_sample();
        for_each_row(x.backend(), n * n, width, Directions{n, width, x.data(), directions.data(), inverse.data()});
        angle_products(directions, directions, cosines, {n, n, width, false, true});
    }
};

// ---- neighbours ------------------------------------------------------------------------------------------------------------------

struct Apart {
    int64_t samples, width;
    const float *a, *b;
    /// |a − b| in the row, 0 outside of the batch.
    DISTILL_HD float operator()(int64_t row, int64_t c) const {
        return row >= 0 && row < samples ? fabsf(a[row * width + c] - b[row * width + c]) : 0.0f;
    }
};
struct NeighboursForward {
    Apart apart;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const Apart d = apart;
        const float sum = lane.sum(d.width, [=](int64_t c) { return d(row, c) * d(row + 1, c); });
        if (lane.first()) partials[row] = sum;
    }
};
struct NeighboursBackward {
    Apart apart;
    float factor;  ///< negative for b
    const float* dy;
    float* dx;
    DISTILL_HD void operator()(int64_t i) const {
        const int64_t row = i / apart.width, c = i % apart.width;
        const float sign = static_cast<float>(apart.a[i] > apart.b[i]) - static_cast<float>(apart.a[i] < apart.b[i]);
        dx[i] = *dy * factor * sign * (apart(row - 1, c) + apart(row + 1, c));
    }
};

// ---- whom each sample is like --------------------------------------------------------------------------------------------------------

struct LikeRow {
    static constexpr float epsilon = 1e-7f;
    const float* cosines;
    float sum;
    template <class Lane>
    DISTILL_HD LikeRow(const Lane& lane, const float* cosines_, int64_t n) : cosines(cosines_) {
        const float* in = cosines_;
        sum = static_cast<float>(lane.sum(n, [=](int64_t j) { return 0.5 * (in[j] + 1.0); }));
    }
    DISTILL_HD float operator()(int64_t j) const { return 0.5f * (cosines[j] + 1.0f) / sum; }
};
struct SimilarityForward {
    int64_t n;
    const float *student, *teacher;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const LikeRow s(lane, student + row * n, n), t(lane, teacher + row * n, n);
        const double sum = lane.sum(n, [=](int64_t j) {
            const float p = t(j);
            return static_cast<double>(p * logf((p + LikeRow::epsilon) / (s(j) + LikeRow::epsilon)));
        });
        if (lane.first()) partials[row] = static_cast<float>(sum);
    }
};
/// h = −p_t/(p_s + ε) to p_s, and so ½·(h − Σ h·p_s)/sum to the cosine.
struct SimilarityBackward {
    int64_t n;
    float factor;
    const float *student, *teacher, *dy;
    float* dx;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const LikeRow s(lane, student + row * n, n), t(lane, teacher + row * n, n);
        const auto h = [=](int64_t j) { return -t(j) / (s(j) + LikeRow::epsilon); };
        const float mean = lane.sum(n, [=](int64_t j) { return h(j) * s(j); }), d = 0.5f * *dy * factor / s.sum;
        float* out = dx + row * n;
        lane.each(n, [=](int64_t j) { out[j] = d * (h(j) - mean); });
    }
};

}  // namespace

Var distance_loss(const Var& given, const Tensor& given_teacher) {
    const Var student = to_float(given);
    const Tensor teacher = to_float(Var(given_teacher)).value();
    require_batch("distance_loss", student.shape(), teacher.shape());
    const int64_t n = student.shape().n;
    const DistancesOf s(student.value()), t(teacher);
    Var y = result_of(Tensor(student.backend(), {}), student);
    const Tensor partials(y.backend(), {n, 1, 1, 1});
    const float factor = 1.0f / static_cast<float>(n * n);
    const auto relative = [s, t] { return Relative{s.distances.data(), s.mean.data(), t.distances.data(), t.mean.data()}; };
    for_each_row(y.backend(), n, n, DistanceForward{n, relative(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [student, y, relative, n, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (!dx.wanted()) return;
        const Tensor along(y.backend(), {}), weight(y.backend(), {n, 1, 1, n});
        for_each_row(y.backend(), 1, n * n, AlongMean{n * n, relative(), along.data()});
        for_each_element(y.backend(), n * n, DistanceWeight{relative(), factor, along.data(), dy.data(), weight.data()});
        const int64_t width = student.shape().per_sample();
        for_each_row(y.backend(), n, n * width, DistanceBackward{n, width, student.data(), weight.data(), dx.data()});
    });
    return y;
}

Var angle_loss(const Var& given, const Tensor& given_teacher) {
    const Var student = to_float(given);
    const Tensor teacher = to_float(Var(given_teacher)).value();
    require_batch("angle_loss", student.shape(), teacher.shape());
    const int64_t n = student.shape().n;
    const AnglesOf s(student.value());
    const Tensor taught = AnglesOf(teacher).cosines;
    Var y = result_of(Tensor(student.backend(), {}), student);
    const Tensor partials(y.backend(), {n, n, 1, 1});
    const float factor = 1.0f / static_cast<float>(n * n * n);
    for_each_row(y.backend(), n * n, n, CosineForward{n, s.cosines.data(), taught.data(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [student, y, s, taught, n, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (!dx.wanted()) return;
        const int64_t width = student.shape().per_sample();
        const Tensor derivative = Tensor::like(s.cosines), gradient = Tensor::like(s.directions);
        for_each_element(y.backend(), derivative.size(), CosineBackward{s.cosines.data(), taught.data(), derivative.data()});
        angle_products(derivative, s.directions, gradient, {n, width, n});  // of (j, k) and (k, j), which are one cosine: hence 2
        for_each_row(y.backend(), n * n, width,
                     DirectionsBackward{width, 2 * factor, s.directions.data(), s.inverse.data(), dy.data(), gradient.data()});
        for_each_row(y.backend(), n, n * width, EndsBackward{n, width, gradient.data(), dx.data()});
    });
    return y;
}

Var neighbour_products(const Var& given_a, const Var& given_b) {
    const Var a = to_float(given_a), b = to_float(given_b);
    if (a.shape() != b.shape())
        failure("neighbour_products: shapes ", to_string(a.shape()), " and ", to_string(b.shape()), " must be equal ---> embed both alike");
    Var y = result_of(Tensor(a.backend(), {}), a, b);
    const int64_t n = a.shape().n, width = a.shape().per_sample();
    const Tensor partials(y.backend(), {n, 1, 1, 1});
    const float factor = 1.0f / static_cast<float>(n > 1 ? n - 1 : 1);
    for_each_row(y.backend(), n, width, NeighboursForward{{n, width, a.data(), b.data()}, partials.data()});
    sum_partials(partials, factor, y);
    record(y, [a, b, y, n, width, factor] {
        const Tensor dy = take_gradient(y);
        const auto back = [&](const Var& x, float signed_factor) {
            const GradTarget dx(x);
            if (dx.wanted())
                for_each_element(y.backend(), n * width,
                                 NeighboursBackward{{n, width, a.data(), b.data()}, signed_factor, dy.data(), dx.data()});
        };
        back(a, factor);
        back(b, -factor);
    });
    return y;
}

Var similarity_divergence(const Var& given, const Tensor& given_teacher) {
    const Var student = to_float(given);
    const Tensor teacher = to_float(Var(given_teacher)).value();
    const Shape s = student.shape();
    if (s != teacher.shape())
        failure("similarity_divergence: shapes ", to_string(s), " and ", to_string(teacher.shape()),
                " of student and teacher must be equal ---> show both the same batch");
    Var y = result_of(Tensor(student.backend(), {}), student);
    const int64_t rows = s.pixels(), n = s.c;
    const Tensor partials(y.backend(), {rows, 1, 1, 1});
    const float factor = 1.0f / static_cast<float>(s.size());
    for_each_row(y.backend(), rows, n, SimilarityForward{n, student.data(), teacher.data(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [student, teacher, y, rows, n, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (dx.wanted())
            for_each_row(y.backend(), rows, n, SimilarityBackward{n, factor, student.data(), teacher.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
