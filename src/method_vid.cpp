#include "method_vid.h"

#include <cmath>

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

TeacherEstimator::TeacherEstimator(Parameters& p, const std::string& name, int64_t student, int64_t teacher) {
    for (int k = 0; k < 3; ++k)
        regressor_.emplace_back(p, name + ".regressor." + std::to_string(2 * k), k == 0 ? student : teacher, teacher, 1, 1,
                                ConvInit::framework_default);
    // log(1 + eᵃ) + 1e-5 is to be 5.
    const auto start = static_cast<float>(std::log(std::expm1(5 - 1e-5)));
    log_scale_ = p.add(name + ".log_scale", {1, 1, 1, teacher}, Layout::vector, Init::constant(start));
}

Var TeacherEstimator::operator()(const Var& student, const Var& teacher) const {
    Var mean = pooled_like(student, teacher);
    for (const Conv2d& conv : regressor_) mean = conv(&conv == &regressor_.front() ? mean : relu(mean));
    return gaussian_loss(mean, pooled_like(teacher, student).value(), log_scale_);
}

VariationalInformation::VariationalInformation(const Setting& setting, const Options& o, const VidOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_vid"}, Keep::outputs) {
    const size_t stages = pair_stages(setting.teacher().network(), *student_, notes_);
    for (size_t i = 0; i < stages; ++i)
        estimators_.emplace_back(parameters_, "vid." + std::to_string(i), student_->stages()[i].channels,
                                 setting.teacher().network().stages()[i].channels);
    parameters_.allocate(o.start());
}

std::vector<Var> VariationalInformation::losses(const Batch&, const Output& s, const Answers& t) {
    std::vector<Var> levels;
    for (size_t i = 0; i < estimators_.size(); ++i) levels.push_back(estimators_[i](s.stages[i].output, t->front().stages[i].output));
    return {sum(levels)};
}

std::unique_ptr<Method> VidOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<VariationalInformation>(s, o, *this);
}

const MethodRow vid_row = {"vid",
                           "Variational Information Distillation: a normal distribution of each teacher map",
                           "the CRD benchmark",
                           Teaching::one,
                           "crd",
                           default_options<VidOptions>};

}  // namespace distill
