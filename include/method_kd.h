// method_kd.h: Hinton's distillation and its kin of the logits (docs/papers.md §6.1, §6.2, §6.3, §6.4).
// defines: KdOptions, KnowledgeDistillation, kd_row, ensemble_row, ban_row, soft_logits_row
#pragma once
#include "method_features.h"

namespace distill {

struct KdOptions final : MethodOptions {
    KdOptions() = default;
    KdOptions(double gamma_, double alpha_, double temperature_, bool squared_ = true)
        : gamma(gamma_), alpha(alpha_), temperature(temperature_), squared(squared_) {}
    double gamma = 0.1, alpha = 0.9, temperature = 4;
    bool squared = true;  ///< the factor T²; not an option: soft logits are without
    void add_to(OptionTable& table) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// γ·CE + α·T²·KL; soft-logits is γ·CE + α·KL. Of several teachers the logits' mean teaches.
class KnowledgeDistillation final : public FeatureDistillation {
  public:
    KnowledgeDistillation(const Setting& setting, const Options& options, const KdOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output&, const Answers&) override { return {}; }
};

extern const MethodRow kd_row, ensemble_row, ban_row, soft_logits_row;

}  // namespace distill
