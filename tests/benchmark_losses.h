// benchmark_losses.h: what tests of the CRD benchmark's losses share: the tensors of its worked values, and a step of a method by its row.
// defines: testing::formula_input, testing::sines, testing::cosines, testing::value_of_loss, testing::OneStep, testing::stepped,
//          testing::sum_of_levels
#pragma once
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core_streams.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method.h"
#include "net.h"
#include "setting.h"

namespace distill::testing {

/// f(i) at the flat index i of (N,C,H,W).
inline HostTensor formula_input(const Shape& s, double (*f)(double)) {
    std::vector<float> values;
    for (int64_t i = 0; i < s.size(); ++i) values.push_back(static_cast<float>(f(static_cast<double>(i))));
    return {s, to_nhwc(values, s)};
}
inline HostTensor sines(const Shape& s) {  ///< sin(1 + i)
    return formula_input(s, [](double i) { return std::sin(1 + i); });
}
inline HostTensor cosines(const Shape& s) {  ///< cos(0.5 + 0.7·i), which gets no gradient
    return without_gradient(formula_input(s, [](double i) { return std::cos(0.5 + 0.7 * i); }));
}

inline double value_of_loss(const OpCase& op) { return op.run(upload(cpu(), op.inputs)).value().item(); }

/// One step of a method on six images in ten classes, and what both networks made of them.
struct OneStep {
    std::unique_ptr<Teacher> teacher;
    std::unique_ptr<Method> method;
    Batch batch;
    StepResult result;
    Output student_output, teacher_output;
    double loss(size_t part = 1) const { return result.named[part].value().item(); }
};

/// By the options as they are.
inline OneStep stepped(const MethodOptions& own, const std::string& teacher, const std::string& student, int64_t side = 16) {
    Options o;
    o.teacher = teacher;
    o.student = student;
    OneStep s;
    const HostTensor images = uniform_input("images", {6, side, side, 3}, -2, 2);
    s.batch = {Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {0, 7, 4, 1, 8, 5})};
    s.teacher = std::make_unique<Teacher>(cpu(), o, 10);
    for (int pass = 0; pass < 5; ++pass) s.teacher->network().forward(s.batch.images, Mode::train);  // running statistics that fit
    s.method = own.make(setting(cpu(), 10, {s.teacher.get()}, side), o);
    s.method->begin_epoch(0);
    s.result = s.method->step(s.batch);
    s.student_output = s.method->student().forward(s.batch.images, Mode::train, Keep::outputs);
    s.teacher_output = s.teacher->network().forward(s.batch.images, Mode::evaluate, Keep::outputs);
    return s;
}

/// Σ over the first three stages, all that pair in the tests, of a loss between their outputs.
inline double sum_of_levels(const OneStep& s, const std::function<Var(const Var&, const Var&)>& loss) {
    double sum = 0;
    for (size_t i = 0; i < 3; ++i) sum += loss(s.student_output.stages[i].output, s.teacher_output.stages[i].output).value().item();
    return sum;
}

}  // namespace distill::testing
