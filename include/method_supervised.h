// method_supervised.h: plain training.
// defines: Supervised, SupervisedOptions, supervised_row
#pragma once
#include "method.h"

namespace distill {

struct SupervisedOptions final : MethodOptions {
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// Cross-entropy against the labels.
class Supervised final : public StudentMethod {
  public:
    Supervised(const Setting& setting, const Options& options);
    std::vector<std::string> loss_names() const override { return {"loss_ce"}; }
    StepResult step(const Batch& batch) override;
};

extern const MethodRow supervised_row;

}  // namespace distill
