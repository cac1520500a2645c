#include "method_fsp.h"

#include "base_error.h"
#include "core_streams.h"
#include "method_sensing.h"

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

Fsp::Fsp(Backend& backend, const Options& o, int classes, const Teacher& teacher, const Shape& image)
    : InitialisedStudent(backend, o, classes, teacher, "loss_fsp") {
    parameters_.allocate(o.start());
    const Sensing sensing("fsp", teacher, *student_, backend, image);
    for (size_t i = 0; i < sensing.points(); ++i)
        if (sensing.teacher[i].c != sensing.student[i].c)
            input_error("fsp: ", sensing.pair, " do not pair: at sensing point ", i, " (counted from 0) they have ", sensing.teacher[i].c,
                        " and ", sensing.student[i].c, " channels, and their products would differ in size; name networks of one width");
    require_flow(teacher.network().name(), sensing.teacher);
    require_flow(student_->name(), sensing.student);
}

Var Fsp::transfer_loss(const Batch& batch) const {
    const Output shown = teacher_(batch.images), own = student_->forward(batch.images, Mode::train);
    join(batch.images.backend());
    return fsp_loss(own.sensing, shown.sensing);
}

}  // namespace distill
