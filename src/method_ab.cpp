#include "method_ab.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "core_streams.h"
#include "method_sensing.h"

namespace distill {

Connectors::Connectors(Parameters& p, const std::string& name, const std::vector<int64_t>& in, const std::vector<int64_t>& out) {
    for (size_t i = 0; i < std::min(in.size(), out.size()); ++i) {
        const std::string level = name + "." + std::to_string(i);
        convs_.emplace_back(p, level + ".conv", in[i], out[i], 1, 1, ConvInit::framework_default);
        bns_.emplace_back(p, level + ".bn", out[i]);
    }
}

Var Connectors::loss(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    Var sum;
    for (size_t i = 0; i < convs_.size(); ++i) {
        const Var connected = conv_bn(student[i], convs_[i], bns_[i], Mode::train, false);
        const Var loss = scale(boundary_loss(connected, teacher[i].value()), 3e-3f * std::exp2(static_cast<float>(i)));
        sum = i == 0 ? loss : add(sum, loss);
    }
    return sum;
}

ActivationBoundary::ActivationBoundary(Backend& backend, const Options& o, int classes, const Teacher& teacher, const Shape& image)
    : InitialisedStudent(backend, o, classes, teacher, "loss_ab"),
      connectors_(parameters_, "connector", student_->sensing_channels(), teacher.network().sensing_channels()) {
    parameters_.allocate(o.start());
    const Sensing sensing("ab", teacher, *student_, backend, image);
    for (size_t i = 0; i < sensing.points(); ++i) {
        const Shape &t = sensing.teacher[i], &s = sensing.student[i];
        if (t.h != s.h || t.w != s.w)
            input_error("ab: ", sensing.pair, " do not pair: at sensing point ", i, " (counted from 0) their maps are ", t.h, "x", t.w,
                        " and ", s.h, "x", s.w, "; name networks of one kind, both as -tiny or neither");
    }
}

Var ActivationBoundary::transfer_loss(const Batch& batch) const {
    const Output shown = teacher_(batch.images, true), own = student_->forward(batch.images, Mode::train, true);
    join(batch.images.backend());
    return connectors_.loss(own.sensing_pre_activation, shown.sensing_pre_activation);
}

}  // namespace distill
