// method_dkd.h: "Decoupled Knowledge Distillation" (Zhao, Cui, Song, Qiu, Liang; docs/papers.md §6.10; megvii-research/mdistiller a08d46f).
// defines: DkdOptions, DecoupledDistillation, others_weight, dkd_row
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "method_features.h"

namespace distill {

struct DkdOptions final : MethodOptions {
    double gamma = 1, alpha = 1;
    std::optional<double> beta;  ///< none: others_weight()
    double temperature = 4;
    int warmup = 20;
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// γ·CE + w·T²·(α·TCKD + β·NCKD), w = min(1, (epoch + 1)/warm-up), epochs from 0: decoupled_divergence().
class DecoupledDistillation final : public FeatureDistillation {
  public:
    DecoupledDistillation(const Setting& setting, const Options& options, const DkdOptions& own);
    void begin_epoch(int epoch) override;

  private:
    std::vector<Var> losses(const Batch& batch, const Output& student, const Answers& teachers) override;
    const DkdOptions own_;
    const double others_;  ///< β
    Tensor scheduled_;     ///< w
};

/// The authors' β of a pair: 2, 6 or 8; of a pair that they do not have 8.
double others_weight(const std::string& teacher, const std::string& student);

extern const MethodRow dkd_row;

}  // namespace distill
