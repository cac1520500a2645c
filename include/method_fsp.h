// method_fsp.h: "A Gift from Knowledge Distillation" (Yim, Joo, Bae, Kim; CVPR 2017), as MHGD's authors compare with it
// (docs/papers.md §6.6).
// defines: fsp_loss, FspOptions, Fsp, fsp_row
#pragma once
#include <vector>

#include "method_initialised_student.h"

namespace distill {

/// 10⁻³·Σ over neighbouring maps of mean over the batch of ½‖G_t − G_s‖², G = flow_matrix(shallower, deeper), the larger map max-pooled 2×2
/// until both have one size (the paper's differ by one pooling). Gradient into the student alone.
Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher);

struct FspOptions final : InitialisedOptions {
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

class Fsp final : public InitialisedStudent {
  public:
    /// InputError: maps that do not pair.
    Fsp(const Setting& setting, const Options& options, const FspOptions& own);

  private:
    Var transfer_loss(const Batch& batch) const override;
};

extern const MethodRow fsp_row;

}  // namespace distill
