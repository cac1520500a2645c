// method_kd_svd.h: KD-SVD, the same group's earlier method and MHGD's baseline, and its variant KD-SVDF (docs/papers.md §6.8).
// defines: KdSvd
#pragma once
#include <string>
#include <vector>

#include "method_gradient_mixing.h"
#include "method_kd.h"

namespace distill {

/// CE and the transfer loss, their gradients mixed as MHGD's (GradientMixing). With MHGD's singular vectors v of teacher and student:
///     kd-svd:   Σ over neighbouring points F, B of Σ (R_s − R_t)², R = exp(−(v_B,i − v_F,j)²/8) for all components i, j
///     kd-svdf:  Σ over points of Σ (v_s − v_t)²: the vectors themselves. A third party writes "L2 norm"; squared is our
///               reading.
/// Both summed over the batch.
class KdSvd final : public StudentMethod {
  public:
    /// InputError if the stages do not pair (net_pair.h).
    KdSvd(Backend& backend, const Options& options, int classes, const Teacher& teacher);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_transfer"}; }
    void begin_epoch(int epoch) override { mixing_.begin_epoch(epoch); }
    StepResult step(const Batch& batch) override;
    void backward(Tape& tape, const StepResult& result) override { mixing_.backward(tape, result.named[0], result.named[1]); }
    void end_epoch(const RunFolder& folder, int epoch) override { mixing_.end_epoch(folder, epoch); }
    std::vector<std::pair<std::string, Tensor>> state() const override { return mixing_.state(); }

  private:
    const Teacher& teacher_;
    bool relations_;  ///< kd-svd; else kd-svdf
    GradientMixing mixing_;
};

}  // namespace distill
