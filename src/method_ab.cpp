#include "method_ab.h"

#include <algorithm>
#include <cmath>

#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

Connectors::Connectors(Parameters& p, const std::string& name, const std::vector<int64_t>& in, const std::vector<int64_t>& out) {
    for (size_t i = 0; i < std::min(in.size(), out.size()); ++i) {
        const std::string level = name + "." + std::to_string(i);
        convs_.emplace_back(p, level + ".conv", in[i], out[i], 1, 1, ConvInit::framework_default);
        bns_.emplace_back(p, level + ".bn", out[i]);
    }
}

Var Connectors::loss(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Var> levels;
    for (size_t i = 0; i < convs_.size(); ++i) {
        const Var connected = conv_bn(student[i], convs_[i], bns_[i], Mode::train, false);
        levels.push_back(scale(boundary_loss(connected, teacher[i].value()), 3e-3f * std::exp2(static_cast<float>(i))));
    }
    return sum(levels);
}

ActivationBoundary::ActivationBoundary(const Setting& setting, const Options& o, const AbOptions& own)
    : InitialisedStudent(setting, o, own, "loss_ab"),
      connectors_(parameters_, "connector", student_->stage_channels(), teacher_.network().stage_channels()) {
    require_pair("ab", teacher_.network(), *student_, {Need::same_sizes}, setting.image);
    parameters_.allocate(o.start());
}

Var ActivationBoundary::transfer_loss(const Batch& batch) const {
    const Beside<Output> t = teacher_(batch.images, Keep::pre_activations);
    const Output s = student_->forward(batch.images, Mode::train, Keep::pre_activations);
    return connectors_.loss(s.maps(&Stage::pre_activation), t->maps(&Stage::pre_activation));
}

std::unique_ptr<Method> AbOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<ActivationBoundary>(s, o, *this);
}

const MethodRow ab_row = {"ab",        "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons (AAAI 2019)",
                          "AAAI 2019", Teaching::one,
                          "mhgd",      default_options<AbOptions>};

}  // namespace distill
