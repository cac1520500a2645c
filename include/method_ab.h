// method_ab.h: "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons" (Heo, Lee, Yun, Choi;
// AAAI 2019), as MHGD's authors compare with it (docs/papers.md §6.7).
// defines: Connectors, AbOptions, ActivationBoundary, ab_row
#pragma once
#include <string>
#include <vector>

#include "method_initialised_student.h"
#include "net_layers.h"

namespace distill {

/// Bring a student's maps, before activation (our reading), to a teacher's widths: at each stage a 1×1 convolution and BatchNorm.
/// Registers NAME.<i>.conv.weight and NAME.<i>.bn.….
class Connectors {
  public:
    Connectors(Parameters&, const std::string& name, const std::vector<int64_t>& in, const std::vector<int64_t>& out);
    /// Σ over i, from the shallowest, of 3·10⁻³·2^i·boundary_loss.
    Var loss(const std::vector<Var>& student, const std::vector<Var>& teacher) const;

  private:
    std::vector<Conv2d> convs_;
    std::vector<BatchNorm> bns_;
};

struct AbOptions final : InitialisedOptions {
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

class ActivationBoundary final : public InitialisedStudent {
  public:
    /// InputError: maps that do not pair.
    ActivationBoundary(const Setting& setting, const Options& options, const AbOptions& own);

  private:
    Var transfer_loss(const Batch& batch) const override;
    Connectors connectors_;
};

extern const MethodRow ab_row;

}  // namespace distill
