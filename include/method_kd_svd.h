// method_kd_svd.h: KD-SVD, the earlier method of MHGD's group and a baseline of theirs, its variant KD-SVDF, and KD-SVD as the CRD benchmark
// has it (docs/papers.md §6.8; HobbitLong/RepDistiller b84f547).
// defines: relation_loss, vector_loss, benchmark_relation_loss, KdSvdOptions, KdSvd, BenchmarkKdSvd, kd_svd_row, kd_svdf_row
#pragma once
#include <string>
#include <vector>

#include "method_features.h"
#include "method_gradient_mixing.h"

namespace distill {

// Of MHGD's singular vectors v of student and teacher at the end of each stage, shallow to deep; both summed over the batch.

/// kd-svd: Σ over neighbouring stages F, B of Σ (R_s − R_t)², R = exp(−(v_B,i − v_F,j)²/8) for all components i, j.
Var relation_loss(const std::vector<Var>& student, const std::vector<Var>& teacher);
/// kd-svdf: Σ over stages of Σ (v_s − v_t)²: the vectors themselves. A third party writes "L2 norm"; squared is our reading.
Var vector_loss(const std::vector<Var>& student, const std::vector<Var>& teacher);

/// The benchmark's kd-svd: relation_loss() of the vectors of such maps, (N,h,w,C) of equal N and C, over N. Gradient into the student alone.
Var benchmark_relation_loss(const std::vector<Var>& student, const std::vector<Var>& teacher);

struct KdSvdOptions final : MethodOptions {
    using Loss = Var (*)(const std::vector<Var>& student, const std::vector<Var>& teacher);
    explicit KdSvdOptions(const char* name = "kd-svd", Loss which = relation_loss) : method(name), loss(which) {}
    const char* method;  ///< this and the loss are no options: each has a row
    Loss loss;
    double beta = 1;
    std::string mixing = "clip";
    bool benchmark = false;  ///< kd-svd as the CRD benchmark has it; else both as MHGD's authors
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// CE and β·the transfer loss, their gradients mixed as MHGD's (GradientMixing).
class KdSvd final : public StudentMethod {
  public:
    /// InputError if the stages do not pair (net_pair.h).
    KdSvd(const Setting& setting, const Options& options, const KdSvdOptions& own);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_transfer"}; }
    void begin_epoch(int epoch) override { mixing_.begin_epoch(epoch); }
    StepResult step(const Batch& batch) override;
    void backward(Tape& tape, const StepResult& result) override { mixing_.backward(tape, result.named[0], result.named[1]); }
    void end_epoch(const RunFolder& folder, int epoch) override { mixing_.end_epoch(folder, epoch); }
    std::vector<std::pair<std::string, Tensor>> state() const override { return mixing_.state(); }

  private:
    const Teacher& teacher_;
    KdSvdOptions::Loss loss_;
    float beta_;
    GradientMixing mixing_;
};

/// CE + β·benchmark_relation_loss() of the stages' outputs.
class BenchmarkKdSvd final : public FeatureDistillation {
  public:
    /// InputError if the stages do not pair (net_pair.h).
    BenchmarkKdSvd(const Setting& setting, const Options& options, const KdSvdOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
};

extern const MethodRow kd_svd_row, kd_svdf_row;

}  // namespace distill
