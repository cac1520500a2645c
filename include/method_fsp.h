// method_fsp.h: "A Gift from Knowledge Distillation" (Yim, Joo, Bae, Kim; CVPR 2017), as MHGD's authors compare with it (docs/papers.md §6.6).
// defines: fsp_loss, Fsp
#pragma once
#include <vector>

#include "method_initialised_student.h"

namespace distill {

/// 10⁻³·Σ over neighbouring maps of mean over the batch of ½‖G_t − G_s‖², G = flow_matrix(shallower, deeper), the larger map max-pooled 2×2
/// until both have one size (the paper's differ by one pooling). Gradient into the student alone.
Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher);

class Fsp final : public InitialisedStudent {
  public:
    /// `image`: what the networks will be shown. InputError: maps that do not pair.
    Fsp(Backend& backend, const Options& options, int classes, const Teacher& teacher, const Shape& image);

  private:
    Var transfer_loss(const Batch& batch) const override;
};

}  // namespace distill
