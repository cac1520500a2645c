#include "method_sp.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

Var similarity_loss(const Var& student, const Var& teacher) {
    const auto similarities = [](const Var& map) {
        const Var rows = flatten(map);
        return l2_normalize(matmul(rows, rows, false, true, true));
    };
    return mse(similarities(student), similarities(teacher));
}

SimilarityPreserving::SimilarityPreserving(const Setting& setting, const Options& o, const SpOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_sp"}, Keep::outputs) {
    parameters_.allocate(o.start());
}

std::vector<Var> SimilarityPreserving::losses(const Batch&, const Output& s, const Answers& t) {
    return {similarity_loss(s.stages.back().output, t->front().stages.back().output)};
}

std::unique_ptr<Method> SpOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<SimilarityPreserving>(s, o, *this);
}

const MethodRow sp_row = {"sp",
                          "Similarity-Preserving distillation: which images of a batch are alike",
                          "the CRD benchmark",
                          Teaching::one,
                          "crd",
                          default_options<SpOptions>};

}  // namespace distill
