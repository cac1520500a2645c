// method_ab.h: "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons" (Heo, Lee, Yun, Choi;
// AAAI 2019), as MHGD's authors compare with it, and as the CRD benchmark does (docs/papers.md §6.7; HobbitLong/RepDistiller b84f547).
// defines: BoundaryForm, mhgd_boundary, benchmark_boundary, Connectors, AbOptions, ActivationBoundary, ab_row
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "method_initialised_student.h"
#include "net_pair.h"

namespace distill {

/// Whose AB: what connects a student's map to a teacher's, both (1,h,w,C), at a level, and how often its weight is doubled.
struct BoundaryForm {
    using Connector = std::function<Var(const Var&)>;
    Connector (*connector)(Parameters&, const std::string& name, const Shape& student, const Shape& teacher);
    int (*doublings)(int level, int levels);
    Need need;
    Keep keep, then;  ///< what both are asked for, and the student beside the cross-entropy
};
extern const BoundaryForm mhgd_boundary;       ///< 1×1 without bias and BatchNorm at each level; 2^i
extern const BoundaryForm benchmark_boundary;  ///< where channels or sizes differ, FitNet's regressor without its ReLU; 2^(i − levels + 1)

/// Bring a student's maps, before activation, to a teacher's shapes, level by level from the shallowest. Registers NAME.<i>.conv.… and
/// NAME.<i>.bn.… where there is a connector.
class Connectors {
  public:
    Connectors(Parameters&, const std::string& name, const std::vector<Shape>& student, const std::vector<Shape>& teacher,
               const BoundaryForm& form);
    /// Σ over i of 3·10⁻³·2^doublings·boundary_loss.
    Var loss(const std::vector<Var>& student, const std::vector<Var>& teacher) const;

  private:
    std::vector<BoundaryForm::Connector> connectors_;
    std::vector<float> weights_;
};

struct AbOptions final : InitialisedOptions {
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

class ActivationBoundary final : public InitialisedStudent {
  public:
    /// InputError: maps that do not pair.
    ActivationBoundary(const Setting& setting, const Options& options, const AbOptions& own);

  private:
    ActivationBoundary(const Setting& setting, const Options& options, const AbOptions& own, const BoundaryForm& form);
    Var transfer_loss(const Output& student, const Output& teacher) const override;
    std::optional<Connectors> connectors_;
};

extern const MethodRow ab_row;

}  // namespace distill
