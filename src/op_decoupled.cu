// The divergence of softmax from softmax in two parts, each with a weight of its own: of the label against all other classes together,
// and among the others. Forward: one partial sum a row of logits, then their sum in a fixed order.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_logistic.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

/// softmax(factor·x) over x[0 … n−1], as what the label has beside all others, and as what each of the others has among them; made by all
/// threads of the lane together. Neither is one less the other: where the label has nearly all, that would leave no digits.
struct DecoupledRow {
    const float* x;
    float factor, top, log_sum;  ///< of the others
    float margin;                ///< log(p_label / Σ of the others)

    template <class Lane>
    DISTILL_HD DecoupledRow(const Lane& lane, const float* x_, int64_t n, int64_t label, float factor_) : x(x_), factor(factor_) {
        const float* in = x_;
        const float scale = factor_, largest = lane.max(n, [=](int64_t j) { return j == label ? -INFINITY : in[j]; });
        top = largest;
        log_sum = logf(lane.sum(n, [=](int64_t j) { return j == label ? 0.0f : expf(scale * (in[j] - largest)); }));
        margin = log_among_others(label);
    }
    DISTILL_HD float log_among_others(int64_t j) const { return factor * (x[j] - top) - log_sum; }
    DISTILL_HD float among_others(int64_t j) const { return expf(log_among_others(j)); }
    DISTILL_HD float log_label() const { return -softplus(-margin); }
    DISTILL_HD float log_another() const { return -softplus(margin); }
};

struct Decoupled {
    int64_t n;
    float factor, target, others;  ///< factor: 1/T
    const float *student, *teacher;
    const int32_t* labels;
};
struct DecoupledForward {
    Decoupled of;
    float* partials;
    int64_t moved_bytes() const { return 2 * of.n * static_cast<int64_t>(sizeof(float)); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const int64_t given = of.labels[row], label = given >= 0 && given < of.n ? given : 0;
        const DecoupledRow s(lane, of.student + row * of.n, of.n, label, of.factor),
            t(lane, of.teacher + row * of.n, of.n, label, of.factor);
        const float two =
            expf(t.log_label()) * (t.log_label() - s.log_label()) + expf(t.log_another()) * (t.log_another() - s.log_another());
        const float rest = lane.sum(
            of.n, [=](int64_t j) { return j == label ? 0.0f : t.among_others(j) * (t.log_among_others(j) - s.log_among_others(j)); });
        // Labels live on the device, so no exception can be thrown here; NaN is seen by whoever watches the loss.
        if (lane.first()) partials[row] = given == label ? of.target * two + of.others * rest : NAN;
    }
};
/// With e = b_s − b_t of the label: d(two)/d(margin) = e, so e/T to the label's logit and −e·q_s/T to the others'; d(rest) = (q_s − q_t)/T.
struct DecoupledBackward {
    Decoupled of;
    float scale;
    const float* dy;
    float* dx;
    int64_t moved_bytes() const { return 3 * of.n * static_cast<int64_t>(sizeof(float)); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const int64_t given = of.labels[row], label = given >= 0 && given < of.n ? given : 0;
        const DecoupledRow s(lane, of.student + row * of.n, of.n, label, of.factor),
            t(lane, of.teacher + row * of.n, of.n, label, of.factor);
        // The smaller of both classes has more digits.
        const float e = s.margin < 0 ? expf(s.log_label()) - expf(t.log_label()) : expf(t.log_another()) - expf(s.log_another());
        const float d = *dy * scale, two = d * of.target * e, rest = d * of.others;
        float* out = dx + row * of.n;
        lane.each(of.n, [=](int64_t j) {
            const float q = s.among_others(j);
            out[j] = j == label ? two : rest * (q - t.among_others(j)) - two * q;
        });
    }
};

}  // namespace

Var decoupled_divergence(const Var& given, const Tensor& given_teacher, const Tensor& labels, float temperature, float target,
                         float others) {
    const Var student = to_float(given);
    const Tensor teacher = to_float(Var(given_teacher)).value();
    const Shape s = student.shape();
    const int64_t rows = s.pixels(), n = s.c;
    if (s != teacher.shape() || labels.size() != rows || n < 2)
        failure("decoupled_divergence: shapes ", to_string(s), ", ", to_string(teacher.shape()), " and ", to_string(labels.shape()),
                " of student, teacher and labels ---> both networks need the same classes, two or more, and each row a label");
    if (!(temperature > 0)) failure("decoupled_divergence: the temperature is ", temperature, ", expected more than 0");
    Var y = result_of(Tensor(student.backend(), {}), student);
    const Tensor partials(y.backend(), {rows, 1, 1, 1});
    const float factor = 1.0f / static_cast<float>(rows), sharp = 1.0f / temperature;
    const auto what = [=] { return Decoupled{n, sharp, target, others, student.data(), teacher.data(), labels.ints()}; };
    for_each_row(y.backend(), rows, n, DecoupledForward{what(), partials.data()});
    sum_partials(partials, factor, y);
    record(y, [what, student, y, rows, n, factor, sharp] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(student);
        if (dx.wanted()) for_each_row(y.backend(), rows, n, DecoupledBackward{what(), factor * sharp, dy.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
