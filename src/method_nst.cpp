#include "method_nst.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

Var selectivity_loss(const Var& student, const Var& teacher) {
    return channel_kernel_distance(pooled_like(student, teacher), pooled_like(teacher, student).value());
}

NeuronSelectivity::NeuronSelectivity(const Setting& setting, const Options& o, const NstOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_nst"}, Keep::outputs) {
    stages_ = pair_stages(setting.teacher().network(), *student_, notes_);
    parameters_.allocate(o.start());
}

std::vector<Var> NeuronSelectivity::losses(const Batch&, const Output& s, const Answers& t) {
    std::vector<Var> levels;
    for (size_t i = 0; i < stages_; ++i) levels.push_back(selectivity_loss(s.stages[i].output, t->front().stages[i].output));
    return {sum(levels)};
}

std::unique_ptr<Method> NstOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<NeuronSelectivity>(s, o, *this);
}

const MethodRow nst_row = {"nst",
                           "Neuron Selectivity Transfer: the distribution of the channels",
                           "the CRD benchmark",
                           Teaching::one,
                           "crd",
                           default_options<NstOptions>};

}  // namespace distill
