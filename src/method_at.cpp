#include "method_at.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

Var attention_loss(const Var& student, const Var& teacher) {
    const auto normalized = [](const Var& map) { return l2_normalize(attention_map(map)); };
    return mse(normalized(pooled_like(student, teacher)), normalized(pooled_like(teacher, student)));
}

AttentionTransfer::AttentionTransfer(const Setting& setting, const Options& o, const AtOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_at"}, Keep::outputs) {
    stages_ = pair_stages(setting.teacher().network(), *student_, notes_);
    parameters_.allocate(o.start());
}

std::vector<Var> AttentionTransfer::losses(const Batch&, const Output& s, const Answers& t) {
    std::vector<Var> levels;
    for (size_t i = 0; i < stages_; ++i) levels.push_back(attention_loss(s.stages[i].output, t->front().stages[i].output));
    return {sum(levels)};
}

std::unique_ptr<Method> AtOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<AttentionTransfer>(s, o, *this);
}

const MethodRow at_row = {
    "at", "Attention Transfer: where each stage looks", "the CRD benchmark", Teaching::one, "crd", default_options<AtOptions>};

}  // namespace distill
