// Losses. Forward: one partial sum an image line (or row of logits), then their sum in a fixed order. Backward reads the gradient of
// the loss itself, a scalar, from device memory: the host waits for nothing.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_softmax_row.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

// ---- sums over elements, divided ---------------------------------------------------------------------------------------------------

struct SquaredDifference {
    DISTILL_HD static float value(float a, float b) { return (a - b) * (a - b); }
    DISTILL_HD static float derivative(float a, float b) { return 2 * (a - b); }
};
struct AbsoluteDifference {
    DISTILL_HD static float value(float a, float b) { return fabsf(a - b); }
    /// The sign, without branches: half of them would be guessed wrong.
    DISTILL_HD static float derivative(float a, float b) { return static_cast<float>(a > b) - static_cast<float>(a < b); }
};

struct BoundaryViolation {
    DISTILL_HD static float value(float s, float t) { return derivative(s, t) * derivative(s, t) / 4; }
    DISTILL_HD static float derivative(float s, float t) {
        if (t > 0) return s > 1 ? 0.0f : 2 * (s - 1);  // NaN stays
        return s <= -1 ? 0.0f : 2 * (s + 1);
    }
};

template <class Op, class T>
struct DifferenceForward {
    int64_t n;
    const T *a, *b;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *a + sizeof *b); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const T *one = a + row * n, *other = b + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return Op::value(one[j], other[j]); });
        if (lane.first()) partials[row] = sum;
    }
};
/// To one of the two: with a question for each of them in the loop, g++ would load no vectors (ten times slower).
template <class Op, class T>
struct DifferenceBackward {
    float factor;  ///< negative for b
    const T *a, *b;
    const float* dy;
    T* dx;
    int64_t moved_bytes() const { return sizeof *a + sizeof *b + sizeof *dx; }
    DISTILL_HD void operator()(int64_t i) const { dx[i] = *dy * factor * Op::derivative(a[i], b[i]); }
};

/// Σ over the elements of Op's value, divided by `divisor`.
template <class Op>
Var difference(const char* operation, const Var& a, const Var& b, int64_t divisor) {
    const Shape s = a.shape();
    if (s != b.shape())
        failure(operation, ": shapes ", to_string(s), " and ", to_string(b.shape()), " must be equal ---> resize or reshape one");
    if (a.type() != b.type()) return difference<Op>(operation, to_float(a), to_float(b), divisor);
    Var y = result_of(Tensor(a.backend(), {1, 1, 1, 1}), a, b);
    const float factor = 1.0f / static_cast<float>(divisor);
    const Tensor partials(a.backend(), {s.n, s.h, 1, 1});
    const int64_t line = s.w * s.c;
    with_type(a.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(a.backend(), partials.size(), line, DifferenceForward<Op, T>{line, a.as<T>(), b.as<T>(), partials.data()});
    });
    sum_partials(partials, factor, y);
    record(y, [a, b, y, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget da(a), db(b);
        with_type(a.type(), [&](auto t) {
            using T = decltype(t);
            const auto back = [&](float signed_factor, const GradTarget& dx) {
                if (!dx.wanted()) return;
                for_each_element(a.backend(), a.shape().size(),
                                 DifferenceBackward<Op, T>{signed_factor, a.as<T>(), b.as<T>(), dy.data(), dx.as<T>()});
            };
            back(factor, da);
            back(-factor, db);
        });
    });
    return y;
}

template <class T>
struct LineSum {
    int64_t n;
    const T* x;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const T* in = x + row * n;
        const float sum = lane.sum(n, [=](int64_t j) { return in[j]; });
        if (lane.first()) partials[row] = sum;
    }
};
template <class T>
struct MeanBackward {
    float factor;
    const float* dy;
    T* dx;
    int64_t moved_bytes() const { return sizeof *dx; }
    DISTILL_HD void operator()(int64_t i) const { dx[i] = *dy * factor; }
};

// ---- means over the batch ------------------------------------------------------------------------------------------------

struct CrossEntropyForward {
    int64_t n;
    const float* logits;
    const int32_t* labels;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *logits); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow softmax(lane, logits + row * n, n);
        const int64_t label = labels[row];
        // Labels live on the device, so no exception can be thrown here; NaN is seen by whoever watches the loss.
        if (lane.first()) partials[row] = label >= 0 && label < n ? -softmax.log_probability(label) : NAN;
    }
};
struct CrossEntropyBackward {
    int64_t n;
    float factor;
    const float* logits;
    const int32_t* labels;
    const float* dy;
    float* dx;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *logits + sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow softmax(lane, logits + row * n, n);
        const int64_t label = labels[row];
        const float d = *dy * factor;
        float* out = dx + row * n;
        lane.each(n, [=](int64_t j) { out[j] = d * (softmax.probability(j) - (j == label ? 1.0f : 0.0f)); });
    }
};

struct DivergenceForward {
    int64_t n;
    float inverse_temperature;
    const float *student, *teacher;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *student + sizeof *teacher); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow s(lane, student + row * n, n, inverse_temperature), t(lane, teacher + row * n, n, inverse_temperature);
        const float sum = lane.sum(n, [=](int64_t j) { return t.probability(j) * (t.log_probability(j) - s.log_probability(j)); });
        if (lane.first()) partials[row] = sum;
    }
};
struct DivergenceBackward {
    int64_t n;
    float inverse_temperature, factor;
    const float *student, *teacher, *dy;
    float* dx;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *student + sizeof *teacher + sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow s(lane, student + row * n, n, inverse_temperature), t(lane, teacher + row * n, n, inverse_temperature);
        const float d = *dy * factor;
        float* out = dx + row * n;
        lane.each(n, [=](int64_t j) { out[j] = d * (s.probability(j) - t.probability(j)); });
    }
};

}  // namespace

Var mse(const Var& a, const Var& b) { return difference<SquaredDifference>("mse", a, b, a.shape().size()); }
Var l1(const Var& a, const Var& b) { return difference<AbsoluteDifference>("l1", a, b, a.shape().size()); }
Var boundary_loss(const Var& student, const Tensor& teacher) {
    return difference<BoundaryViolation>("boundary_loss", student, Var(teacher), student.shape().n);
}

Var mean(const Var& x) {
    const Shape s = x.shape();
    Var y = result_of(Tensor(x.backend(), {1, 1, 1, 1}), x);
    const float factor = 1.0f / static_cast<float>(s.size());
    const Tensor partials(x.backend(), {s.n, s.h, 1, 1});
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), partials.size(), s.w * s.c, LineSum<T>{s.w * s.c, x.as<T>(), partials.data()});
    });
    sum_partials(partials, factor, y);
    record(y, [x, y, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_element(x.backend(), x.shape().size(), MeanBackward<T>{factor, dy.data(), dx.as<T>()});
        });
    });
    return y;
}

Var cross_entropy(const Var& given, const Tensor& labels) {
    const Var logits = to_float(given);
    const int64_t rows = logits.shape().pixels(), n = logits.shape().c;
    if (labels.size() != rows)
        failure("cross_entropy: shapes ", to_string(logits.shape()), " and ", to_string(labels.shape()), " of logits and labels",
                " ---> one label for each row of logits");
    Var y = result_of(Tensor(logits.backend(), {1, 1, 1, 1}), logits);
    const float factor = 1.0f / static_cast<float>(rows);
    const Tensor partials(logits.backend(), {rows, 1, 1, 1});
    for_each_row(logits.backend(), rows, n, CrossEntropyForward{n, logits.data(), labels.ints(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [logits, labels, y, rows, n, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(logits);
        if (dx.wanted())
            for_each_row(logits.backend(), rows, n, CrossEntropyBackward{n, factor, logits.data(), labels.ints(), dy.data(), dx.data()});
    });
    return y;
}

Var kl_divergence(const Var& student, const Tensor& teacher, float temperature) {
    const Var student_logits = to_float(student);
    const Tensor teacher_logits = to_float(Var(teacher)).value();
    const Shape s = student_logits.shape();
    if (s != teacher_logits.shape())
        failure("kl_divergence: shapes ", to_string(s), " and ", to_string(teacher_logits.shape()),
                " of student and teacher must be equal ---> both networks need the same classes");
    if (!(temperature > 0)) failure("kl_divergence: the temperature is ", temperature, ", expected more than 0");
    Var y = result_of(Tensor(student_logits.backend(), {1, 1, 1, 1}), student_logits);
    const int64_t rows = s.pixels(), n = s.c;
    const float factor = 1.0f / static_cast<float>(rows), sharp = 1.0f / temperature;
    const Tensor partials(y.backend(), {rows, 1, 1, 1});
    for_each_row(y.backend(), rows, n, DivergenceForward{n, sharp, student_logits.data(), teacher_logits.data(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [student_logits, teacher_logits, y, rows, n, factor, sharp] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student_logits);
        if (dx.wanted())
            for_each_row(y.backend(), rows, n,
                         DivergenceBackward{n, sharp, factor * sharp, student_logits.data(), teacher_logits.data(), dy.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
