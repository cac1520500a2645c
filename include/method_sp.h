// method_sp.h: Similarity-Preserving distillation (Tung, Mori) as the CRD benchmark has it (docs/papers.md §6.14;
// HobbitLong/RepDistiller b84f547).
// defines: SpOptions, similarity_loss, SimilarityPreserving, sp_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct SpOptions final : FeatureOptions {
    SpOptions() : FeatureOptions(3000) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// Σ (G_s − G_t)² / N², G = F·Fᵀ (N,N), F a sample's map in a row, each row of G divided by its Euclidean norm. The maps may differ in size
/// and channels.
Var similarity_loss(const Var& student, const Var& teacher);

/// CE + β·similarity_loss() of the last stages' outputs.
class SimilarityPreserving final : public FeatureDistillation {
  public:
    SimilarityPreserving(const Setting& setting, const Options& options, const SpOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
};

extern const MethodRow sp_row;

}  // namespace distill
