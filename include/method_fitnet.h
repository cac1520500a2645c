// method_fitnet.h: FitNets (Romero et al.), as the CRD benchmark has them: one phase, the hint beside the cross-entropy from the first step
// (docs/papers.md §6.9; HobbitLong/RepDistiller b84f547).
// defines: FitNetOptions, HintRegressor, FitNet, fitnet_row
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "method_features.h"

namespace distill {

struct FitNetOptions final : FeatureOptions {
    FitNetOptions() : FeatureOptions(100) {}
    int hint_layer = 2;  ///< whose stage's output is compared, from 1
    void add_to(OptionTable& table) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// Brings a student's map (1,h,w,C) to the shape of a teacher's: a convolution with bias, BatchNorm, and if asked ReLU. 3×3 of stride 2 where the map is
/// twice as large, a transposed 4×4 of stride 2 where it is half as large, else as large a kernel, without padding, as the difference
/// needs. Registers NAME.conv.{weight,bias} and NAME.bn.…. InputError naming both sizes where none of these fits height and width.
class HintRegressor {
  public:
    HintRegressor(Parameters&, const std::string& name, const Shape& student, const Shape& teacher, bool relu = true);
    Var operator()(const Var& x, Mode mode) const;

  private:
    std::optional<Conv2d> conv_;
    std::optional<ConvTranspose2d> transposed_;
    BatchNorm bn_;
    bool relu_;
};

/// CE + β·mean((R(s) − t)²), s and t the outputs of stage `hint_layer`.
class FitNet final : public FeatureDistillation {
  public:
    FitNet(const Setting& setting, const Options& options, const FitNetOptions& own);

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    const size_t stage_;
    HintRegressor regressor_;
};

extern const MethodRow fitnet_row;

}  // namespace distill
