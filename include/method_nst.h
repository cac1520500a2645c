// method_nst.h: Neuron Selectivity Transfer (Huang, Wang) as the CRD benchmark has it (docs/papers.md §6.16;
// HobbitLong/RepDistiller b84f547).
// defines: NstOptions, selectivity_loss, NeuronSelectivity, nst_row
#pragma once
#include <memory>
#include <vector>

#include "method_features.h"

namespace distill {

struct NstOptions final : FeatureOptions {
    NstOptions() : FeatureOptions(50) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// channel_kernel_distance(); where the maps differ in size, the larger is first pooled (adaptive average) to the smaller.
Var selectivity_loss(const Var& student, const Var& teacher);

/// CE + β·Σ of selectivity_loss() over the outputs of the stages that pair (pair_stages).
class NeuronSelectivity final : public FeatureDistillation {
  public:
    NeuronSelectivity(const Setting& setting, const Options& options, const NstOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    size_t stages_;
};

extern const MethodRow nst_row;

}  // namespace distill
