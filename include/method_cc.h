// method_cc.h: Correlation Congruence (Peng et al.) as the CRD benchmark has it (docs/papers.md §6.15;
// HobbitLong/RepDistiller b84f547).
// defines: CcOptions, CorrelationCongruence, cc_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct CcOptions final : FeatureOptions {
    CcOptions() : FeatureOptions(0.02) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// CE + β·neighbour_products() of embeddings of the pooled vectors, 128 numbers each; the teacher's is trained as well.
class CorrelationCongruence final : public FeatureDistillation {
  public:
    CorrelationCongruence(const Setting& setting, const Options& options, const CcOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    Linear embed_s_, embed_t_;
};

extern const MethodRow cc_row;

}  // namespace distill
