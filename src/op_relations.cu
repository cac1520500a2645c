// Losses between what a student and a teacher make of a batch: graphs over samples, and relations between singular vectors. Forward: one
// partial sum a row, then their sum in a fixed order; nothing larger than the inputs is stored.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_softmax_row.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

struct GraphDivergenceForward {
    int64_t n;
    const float *student, *teacher;
    float* partials;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *student + sizeof *teacher); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow s(lane, student + row * n, n), t(lane, teacher + row * n, n);
        const float sum = lane.sum(n, [=](int64_t j) { return s.probability(j) * (s.log_probability(j) - t.log_probability(j)); });
        if (lane.first()) partials[row] = sum;
    }
};
/// dx = dy·p_s·(log p_s − log p_t − the row's divergence)
struct GraphDivergenceBackward {
    int64_t n;
    const float *student, *teacher, *partials, *dy;
    float* dx;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *student + sizeof *teacher + sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const SoftmaxRow s(lane, student + row * n, n), t(lane, teacher + row * n, n);
        const float d = *dy, divergence = partials[row];
        float* out = dx + row * n;
        lane.each(n, [=](int64_t j) { out[j] = d * s.probability(j) * (s.log_probability(j) - t.log_probability(j) - divergence); });
    }
};

/// R − 1 of a difference: of differences this small, 1 would take half the digits.
DISTILL_HD inline float kernel(float difference) { return expm1f(-0.125f * difference * difference); }

/// One component of one side beside all of the other's, in student and teacher.
struct KernelRow {
    int64_t own, others;  ///< components of a sample
    const float *x, *z, *x_t, *z_t;

    DISTILL_HD int64_t first_of(int64_t row) const { return row / own * others; }
};
struct KernelForward {
    KernelRow of;
    float* partials;
    int64_t moved_bytes() const { return 2 * of.others * static_cast<int64_t>(sizeof(float)); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float x = of.x[row], x_t = of.x_t[row], *z = of.z + of.first_of(row), *z_t = of.z_t + of.first_of(row);
        const float sum = lane.sum(of.others, [=](int64_t j) {
            const float d = kernel(x - z[j]) - kernel(x_t - z_t[j]);
            return d * d;
        });
        if (lane.first()) partials[row] = sum;
    }
};
/// d/dx of (R_s − R_t)² = −½·(R_s − R_t)·R_s·(x − z), summed over z; the same for either side.
struct KernelBackward {
    KernelRow of;
    const float* dy;
    float* dx;
    int64_t moved_bytes() const { return 2 * of.others * static_cast<int64_t>(sizeof(float)); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float x = of.x[row], x_t = of.x_t[row], *z = of.z + of.first_of(row), *z_t = of.z_t + of.first_of(row);
        const float sum = lane.sum(of.others, [=](int64_t j) {
            const float r = kernel(x - z[j]);
            return (r - kernel(x_t - z_t[j])) * (1.0f + r) * (x - z[j]);
        });
        if (lane.first()) dx[row] = -0.5f * *dy * sum;
    }
};

void require_same(const char* operation, const Shape& student, const Shape& teacher) {
    if (student != teacher)
        failure(operation, ": shapes ", to_string(student), " and ", to_string(teacher),
                " of student and teacher must be equal ---> pair stages of as many channels");
}

}  // namespace

Var graph_divergence(const Var& given, const Tensor& given_teacher) {
    const Var student = to_float(given);
    const Tensor teacher = to_float(Var(given_teacher)).value();
    require_same("graph_divergence", student.shape(), teacher.shape());
    Var y = result_of(Tensor(student.backend(), {}), student);
    const int64_t rows = student.shape().pixels(), n = student.shape().c;
    const Tensor partials(y.backend(), {rows, 1, 1, 1});
    for_each_row(y.backend(), rows, n, GraphDivergenceForward{n, student.data(), teacher.data(), partials.data()});
    sum_partials(partials, 1, y);
    record(y, [student, teacher, y, partials, rows, n] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (dx.wanted())
            for_each_row(y.backend(), rows, n,
                         GraphDivergenceBackward{n, student.data(), teacher.data(), partials.data(), dy.data(), dx.data()});
    });
    return y;
}

/// Of unit vectors a and b, 1 − cos = ½·|a − b|².
Var cosine_loss(const Var& prediction, const Tensor& target) {
    const Var unit = l2_normalize(to_float(prediction)), unit_target = l2_normalize(to_float(Var(target)));
    return scale(mse(unit, unit_target), 0.5f * static_cast<float>(unit.shape().per_sample()));
}

Var kernel_distance(const Var& given_back, const Var& given_front, const Tensor& back_t, const Tensor& front_t) {
    const Var back = to_float(given_back), front = to_float(given_front);
    const Tensor b_t = to_float(Var(back_t)).value(), f_t = to_float(Var(front_t)).value();
    require_same("kernel_distance", back.shape(), b_t.shape());
    require_same("kernel_distance", front.shape(), f_t.shape());
    Var y = result_of(Tensor(back.backend(), {}), back, front);
    const int64_t d_back = back.shape().per_sample(), d_front = front.shape().per_sample();
    const Tensor partials(y.backend(), {back.shape().size(), 1, 1, 1});
    for_each_row(y.backend(), partials.size(), d_front,
                 KernelForward{{d_back, d_front, back.data(), front.data(), b_t.data(), f_t.data()}, partials.data()});
    sum_partials(partials, 1, y);
    record(y, [back, front, b_t, f_t, y, d_back, d_front] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget db(back);
            if (db.wanted())
                for_each_row(y.backend(), back.shape().size(), d_front,
                             KernelBackward{{d_back, d_front, back.data(), front.data(), b_t.data(), f_t.data()}, dy.data(), db.data()});
        }
        const GradTarget df(front);
        if (df.wanted())
            for_each_row(y.backend(), front.shape().size(), d_back,
                         KernelBackward{{d_front, d_back, front.data(), back.data(), f_t.data(), b_t.data()}, dy.data(), df.data()});
    });
    return y;
}

}  // namespace distill
