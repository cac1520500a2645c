#include "method_fsp.h"

#include "base_error.h"
#include "data_loader.h"
#include "method_sensing.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr float weight = 1e-3f;

Shape halved(const Shape& s) { return {s.n, s.h / 2, s.w / 2, s.c}; }
bool larger(const Shape& a, const Shape& b) { return a.h > b.h && a.w > b.w; }

Var flow(Var shallower, const Var& deeper) {
    while (larger(shallower.shape(), deeper.shape())) shallower = max_pool(shallower, {});
    return flow_matrix(shallower, deeper);
}

void require_flow(const std::string& network, const std::vector<Shape>& points) {
    for (size_t i = 0; i + 1 < points.size(); ++i) {
        Shape s = points[i];
        const Shape& next = points[i + 1];
        while (larger(s, next)) s = halved(s);
        if (s.h != next.h || s.w != next.w)
            input_error("fsp: ", network, ": sensing points ", i, " and ", i + 1, " (counted from 0) are ", points[i].h, "x", points[i].w,
                        " and ", next.h, "x", next.w, ", which halving does not make equal; use images of 32x32 or 64x64");
    }
}

}  // namespace

Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher) {
    Var sum;
    for (size_t i = 0; i + 1 < student.size(); ++i) {
        const Var own = flow(student[i], student[i + 1]), shown = flow(teacher[i], teacher[i + 1]);
        // mse is a mean over A·B too, which the norm is not.
        const Var distance = scale(mse(own, shown.detached()), 0.5f * static_cast<float>(own.shape().per_sample()));
        sum = i == 0 ? distance : add(sum, distance);
    }
    return scale(sum, weight);
}

Fsp::Fsp(const Setting& setting, const Options& o, const FspOptions& own) : InitialisedStudent(setting, o, own, "loss_fsp") {
    parameters_.allocate(o.start());
    const Sensing sensing("fsp", teacher_, *student_, setting.backend, setting.image);
    for (size_t i = 0; i < sensing.points(); ++i)
        if (sensing.teacher[i].c != sensing.student[i].c)
            input_error("fsp: ", sensing.pair, " do not pair: at sensing point ", i, " (counted from 0) they have ", sensing.teacher[i].c,
                        " and ", sensing.student[i].c, " channels, and their products would differ in size; name networks of one width");
    require_flow(teacher_.network().name(), sensing.teacher);
    require_flow(student_->name(), sensing.student);
}

Var Fsp::transfer_loss(const Batch& batch) const {
    const Beside<Output> t = teacher_(batch.images);
    const Output s = student_->forward(batch.images, Mode::train);
    return fsp_loss(s.sensing, t->sensing);
}

std::unique_ptr<Method> FspOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Fsp>(s, o, *this); }

const MethodRow fsp_row = {"fsp", "A Gift from Knowledge Distillation: the flow of the solution procedure (CVPR 2017)", "CVPR 2017",
                           Teaching::one, "mhgd", []() -> std::unique_ptr<MethodOptions> { return std::make_unique<FspOptions>(); }};

}  // namespace distill
