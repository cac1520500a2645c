#include "method_ab.h"

#include <algorithm>
#include <cmath>

#include "core_streams.h"
#include "net_pair.h"

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
      connectors_(parameters_, "connector", student_->stage_channels(), teacher.network().stage_channels()) {
    require_pair("ab", teacher.network(), *student_, {Need::same_sizes}, image);
    parameters_.allocate(o.start());
}

Var ActivationBoundary::transfer_loss(const Batch& batch) const {
    const Output shown = teacher_(batch.images, Keep::pre_activations);
    const Output own = student_->forward(batch.images, Mode::train, Keep::pre_activations);
    join(batch.images.backend());
    return connectors_.loss(own.maps(&Stage::pre_activation), shown.maps(&Stage::pre_activation));
}

}  // namespace distill
