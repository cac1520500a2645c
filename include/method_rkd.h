// method_rkd.h: Relational Knowledge Distillation (Park, Kim, Lu, Cho) as the CRD benchmark has it (docs/papers.md §6.12;
// HobbitLong/RepDistiller b84f547).
// defines: RkdOptions, relational_loss, RelationalDistillation, rkd_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct RkdOptions final : FeatureOptions {
    RkdOptions() : FeatureOptions(1) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// 25·distance_loss() + 50·angle_loss(); (N,1,1,D_s), (N,1,1,D_t).
Var relational_loss(const Var& student, const Tensor& teacher);

/// CE + β·relational_loss() of the pooled vectors.
class RelationalDistillation final : public FeatureDistillation {
  public:
    RelationalDistillation(const Setting& setting, const Options& options, const RkdOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
};

extern const MethodRow rkd_row;

}  // namespace distill
