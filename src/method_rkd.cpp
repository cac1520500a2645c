#include "method_rkd.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

Var relational_loss(const Var& student, const Tensor& teacher) {
    return add(scale(distance_loss(student, teacher), 25), scale(angle_loss(student, teacher), 50));
}

RelationalDistillation::RelationalDistillation(const Setting& setting, const Options& o, const RkdOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_rkd"}, Keep::last) {
    require_pair("rkd", setting.teacher().network(), *student_, {Need::pooled_vector});
    parameters_.allocate(o.start());
}

std::vector<Var> RelationalDistillation::losses(const Batch&, const Output& s, const Answers& t) {
    return {relational_loss(s.pooled, t->front().pooled.value())};
}

std::unique_ptr<Method> RkdOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<RelationalDistillation>(s, o, *this);
}

const MethodRow rkd_row = {"rkd",
                           "Relational Knowledge Distillation: distances and angles between images",
                           "the CRD benchmark",
                           Teaching::one,
                           "crd",
                           default_options<RkdOptions>};

}  // namespace distill
