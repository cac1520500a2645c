// Which of the student's vectors answers which of the teacher's.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

/// y_i = sign(t_i·s_j)·s_j with the j of largest |t_i·s_j|; choice[i] = ±(j + 1), the sign with it.
struct AlignForward {
    int wanted, offered, channels;
    const float *student, *teacher;
    float *cosines, *choice, *y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const int c = channels, those = offered;
        const float *const s = student + sample * those * c, *const t = teacher + sample * wanted * c;
        float *const cosine = cosines + sample * wanted * those, *const chosen = choice + sample * wanted;
        float* const out = y + sample * wanted * c;
        lane.sums(
            wanted * those, c, [=](int i, int j) { return static_cast<double>(t[i / those * c + j]) * s[i % those * c + j]; },
            [=](int i, double dot) { cosine[i] = static_cast<float>(dot); });
        lane.each(wanted, [=](int64_t i) {
            const float* const row = cosine + i * those;
            int best = 0;
            for (int j = 1; j < those; ++j) best = fabsf(row[j]) > fabsf(row[best]) ? j : best;
            chosen[i] = static_cast<float>(row[best] < 0 ? -(best + 1) : best + 1);
        });
        lane.grid(wanted, c, [=](int i, int j) {
            const int own = static_cast<int>(chosen[i]);
            out[i * c + j] = own < 0 ? -s[(-own - 1) * c + j] : s[(own - 1) * c + j];
        });
    }
};
struct AlignBackward {
    int wanted, offered, channels;
    const float *choice, *dy;
    float* dstudent;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const int c = channels, those = wanted;
        const float *const chosen = choice + sample * those, *const dout = dy + sample * those * c;
        float* const din = dstudent + sample * offered * c;
        lane.grid(offered, c, [=](int k, int j) {
            float sum = 0;
            for (int i = 0; i < those; ++i) {
                const int own = static_cast<int>(chosen[i]);
                sum += own == k + 1 ? dout[i * c + j] : own == -k - 1 ? -dout[i * c + j] : 0.0f;
            }
            din[k * c + j] = sum;
        });
    }
};

}  // namespace

Var align_vectors(const Var& given, const Tensor& teacher) {
    const Shape s = given.shape(), t = teacher.shape();
    if (s.n != t.n || s.h != 1 || t.h != 1 || s.c != t.c)
        failure("align_vectors: student ", to_string(s), " and teacher ", to_string(t),
                " are not (N,1,vectors,C) of the same N and C ---> right_singular_vectors() of maps of equal width");
    const Var student = to_float(given);
    Backend& backend = student.backend();
    const int wanted = static_cast<int>(t.w), offered = static_cast<int>(s.w), c = static_cast<int>(s.c);
    const Var y = result_of(Tensor(backend, t), student);
    const Tensor choice(backend, {t.n, 1, 1, t.w}), cosines(backend, {t.n, 1, t.w, s.w});
    for_each_row(backend, t.n, t.per_sample(),
                 AlignForward{wanted, offered, c, student.data(), teacher.data(), cosines.data(), choice.data(), y.data()});
    record(y, [student, y, choice, wanted, offered, c] {
        const Tensor dy = take_gradient(y);
        const GradTarget dstudent(student);
        if (!dstudent.wanted()) return;
        for_each_row(student.backend(), dy.shape().n, offered * int64_t{c},
                     AlignBackward{wanted, offered, c, choice.data(), dy.data(), dstudent.data()});
    });
    return y;
}

}  // namespace distill
