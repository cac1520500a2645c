#include "method_ab.h"

#include <algorithm>
#include <cmath>

#include "method_features.h"
#include "method_fitnet.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

BoundaryForm::Connector pointwise(Parameters& p, const std::string& name, const Shape& s, const Shape& t) {
    const Conv2d conv(p, name + ".conv", s.c, t.c, 1, 1, ConvInit::framework_default);
    const BatchNorm bn(p, name + ".bn", t.c);
    return [conv, bn](const Var& x) { return conv_bn(x, conv, bn, Mode::train, false); };
}

BoundaryForm::Connector where_shapes_differ(Parameters& p, const std::string& name, const Shape& s, const Shape& t) {
    if (s == t) return [](const Var& x) { return x; };
    return [regressor = HintRegressor(p, name, s, t, false)](const Var& x) { return regressor(x, Mode::train); };
}

std::vector<Shape> shapes(const Network& network, const Shape& image) {
    std::vector<Shape> all;
    for (size_t i = 0; i < network.stages().size(); ++i) all.push_back(network.stage_shape(i, image));
    return all;
}

const BoundaryForm& form_of(const AbOptions& own) { return own.benchmark ? benchmark_boundary : mhgd_boundary; }

}  // namespace

const BoundaryForm mhgd_boundary = {pointwise, [](int level, int) { return level; }, Need::same_sizes, Keep::pre_activations, Keep::last};
// Its code asks for pre-activations beside the cross-entropy, too, which moves a wrn's running statistics twice a step.
const BoundaryForm benchmark_boundary = {where_shapes_differ, [](int level, int levels) { return level - levels + 1; },
                                         Need::as_many_stages, Keep::pre_activations | Keep::apart, Keep::pre_activations | Keep::apart};

Connectors::Connectors(Parameters& p, const std::string& name, const std::vector<Shape>& student, const std::vector<Shape>& teacher,
                       const BoundaryForm& form) {
    const size_t levels = std::min(student.size(), teacher.size());
    for (size_t i = 0; i < levels; ++i) {
        connectors_.push_back(form.connector(p, name + "." + std::to_string(i), student[i], teacher[i]));
        weights_.push_back(3e-3f * std::exp2(static_cast<float>(form.doublings(static_cast<int>(i), static_cast<int>(levels)))));
    }
}

Var Connectors::loss(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Var> levels;
    for (size_t i = 0; i < connectors_.size(); ++i)
        levels.push_back(scale(boundary_loss(connectors_[i](student[i]), teacher[i].value()), weights_[i]));
    return sum(levels);
}

ActivationBoundary::ActivationBoundary(const Setting& setting, const Options& o, const AbOptions& own)
    : ActivationBoundary(setting, o, own, form_of(own)) {}

ActivationBoundary::ActivationBoundary(const Setting& setting, const Options& o, const AbOptions& own, const BoundaryForm& form)
    : InitialisedStudent(setting, o, own, "loss_ab", form.keep, form.then) {
    require_pair("ab", teacher_.network(), *student_, {form.need}, setting.image);
    connectors_.emplace(parameters_, "connector", shapes(*student_, setting.image), shapes(teacher_.network(), setting.image), form);
    parameters_.allocate(o.start());
}

Var ActivationBoundary::transfer_loss(const Output& s, const Output& t) const {
    return connectors_->loss(s.maps(&Stage::pre_activation), t.maps(&Stage::pre_activation));
}

std::unique_ptr<Method> AbOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<ActivationBoundary>(s, o, *this);
}

const MethodRow ab_row = {"ab",        "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons (AAAI 2019)",
                          "AAAI 2019", Teaching::one,
                          "mhgd",      default_options<AbOptions>};

}  // namespace distill
