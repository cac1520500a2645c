// method_fsp.h: "A Gift from Knowledge Distillation" (Yim, Joo, Bae, Kim; CVPR 2017), as MHGD's authors compare with it, and as the CRD
// benchmark does (docs/papers.md §6.6; HobbitLong/RepDistiller b84f547).
// defines: FlowForm, mhgd_flow, benchmark_flow, fsp_loss, FspOptions, Fsp, fsp_row
#pragma once
#include <vector>

#include "method_initialised_student.h"
#include "net_pair.h"

namespace distill {

/// Whose FSP: the points between which it flows, how a larger map comes to a smaller one's size, and what the squared differences weigh.
struct FlowForm {
    Keep keep;
    std::vector<Var> (*points)(const Output&);
    Var (*pooled)(const Var& larger, const Var& smaller);
    float (*weight)(int64_t entries);  ///< of their mean over the batch and a flow matrix's entries
    float all;                         ///< of the sum
    std::vector<Need> needs;
};
extern const FlowForm mhgd_flow;       ///< 10⁻³·½‖G_t − G_s‖², the sensing points, maxima of 2×2 until both have one size
extern const FlowForm benchmark_flow;  ///< the mean over entries, the stem's and the stages' outputs, averages

/// Σ over neighbouring maps of the batch's mean squared G_t − G_s, G = flow_matrix(shallower, deeper), by that form. Gradient into the student
/// alone.
Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher, const FlowForm& form);

struct FspOptions final : InitialisedOptions {
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

class Fsp final : public InitialisedStudent {
  public:
    /// InputError: maps that do not pair.
    Fsp(const Setting& setting, const Options& options, const FspOptions& own);

  private:
    Fsp(const Setting& setting, const Options& options, const FspOptions& own, const FlowForm& form);
    Var transfer_loss(const Output& student, const Output& teacher) const override;
    const FlowForm& form_;
};

extern const MethodRow fsp_row;

}  // namespace distill
