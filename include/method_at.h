// method_at.h: Attention Transfer (Zagoruyko, Komodakis) as the CRD benchmark has it (docs/papers.md §6.11;
// HobbitLong/RepDistiller b84f547).
// defines: AtOptions, attention_loss, AttentionTransfer, at_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct AtOptions final : FeatureOptions {
    AtOptions() : FeatureOptions(1000) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// mean over samples and pixels of (Q_s − Q_t)², Q = attention_map() divided by its Euclidean norm over a sample; (N,h,w,C_s), (N,h,w,C_t).
/// Where the maps differ in size, the larger is first pooled (adaptive average) to the smaller.
Var attention_loss(const Var& student, const Var& teacher);

/// CE + β·Σ of attention_loss() over the outputs of the stages that pair (pair_stages).
class AttentionTransfer final : public FeatureDistillation {
  public:
    AttentionTransfer(const Setting& setting, const Options& options, const AtOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    size_t stages_;
};

extern const MethodRow at_row;

}  // namespace distill
