// method_pkt.h: Probabilistic Knowledge Transfer (Passalis, Tefas) as the CRD benchmark has it (docs/papers.md §6.13;
// HobbitLong/RepDistiller b84f547).
// defines: PktOptions, probability_loss, ProbabilisticTransfer, pkt_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct PktOptions final : FeatureOptions {
    PktOptions() : FeatureOptions(30000) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// similarity_divergence() of the cosines between samples, x/(‖x‖ + 1e-7); (N,1,1,D_s), (N,1,1,D_t).
Var probability_loss(const Var& student, const Tensor& teacher);

/// CE + β·probability_loss() of the pooled vectors.
class ProbabilisticTransfer final : public FeatureDistillation {
  public:
    ProbabilisticTransfer(const Setting& setting, const Options& options, const PktOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
};

extern const MethodRow pkt_row;

}  // namespace distill
