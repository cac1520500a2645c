// method_vid.h: Variational Information Distillation (Ahn, Hu, Damianou, Lawrence, Dai) as the CRD benchmark has it (docs/papers.md §6.17;
// HobbitLong/RepDistiller b84f547).
// defines: VidOptions, TeacherEstimator, VariationalInformation, vid_row
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_features.h"

namespace distill {

struct VidOptions final : FeatureOptions {
    VidOptions() : FeatureOptions(1) {}
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// A normal distribution of a teacher's map given a student's: its mean by three 1×1 convolutions without bias, C_s→C_t→C_t→C_t, a ReLU between
/// them; one variance a channel, 5 at first. Registers NAME.regressor.{0,2,4}.weight and NAME.log_scale.
class TeacherEstimator {
  public:
    TeacherEstimator(Parameters&, const std::string& name, int64_t student, int64_t teacher);
    /// gaussian_loss(); where the maps differ in size, the larger is first pooled (adaptive average) to the smaller.
    Var operator()(const Var& student, const Var& teacher) const;

  private:
    std::vector<Conv2d> regressor_;
    Var log_scale_;
};

/// CE + β·Σ of the estimators' losses over the outputs of the stages that pair (pair_stages).
class VariationalInformation final : public FeatureDistillation {
  public:
    VariationalInformation(const Setting& setting, const Options& options, const VidOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    std::vector<TeacherEstimator> estimators_;
};

extern const MethodRow vid_row;

}  // namespace distill
