// net_ffsd.h: the modules that FFSD trains beside its networks (docs/papers.md §6.19).
// defines: SeparableBlock, FusionModule, SelfDistillation
#pragma once
#include <string>
#include <vector>

#include "net_layers.h"

namespace distill {

/// relu(BN(1×1(relu(BN(depthwise 3×3))))), no biases. Registers NAME.conv1, .bn1, .conv1_1, .bn1_1.
class SeparableBlock {
  public:
    SeparableBlock(Parameters&, const std::string& name, int64_t in, int64_t out);
    Var operator()(const Var& x, Mode mode) const;  ///< (N,h,w,in) → (N,h,w,out)

  private:
    Conv2d depthwise_, pointwise_;
    BatchNorm bn1_, bn2_;
};

/// Makes one map of the concatenation of several networks' last maps, and classifies it.
class FusionModule {
  public:
    struct Result {
        Var map;     ///< (N,h,w,out)
        Var logits;  ///< (N,1,1,classes)
    };
    /// Registers a SeparableBlock's names and NAME.fc2.
    FusionModule(Parameters&, const std::string& name, int64_t in, int64_t out, int classes);
    Result operator()(const Var& maps, Mode mode) const;  ///< (N,h,w,in)

  private:
    SeparableBlock block_;
    Linear classifier_;
};

/// Makes the shallower stages' maps out of the last: transposed convolutions that double a map, each with BN and ReLU.
class SelfDistillation {
  public:
    /// `channels`: of the stages, shallow to deep. Registers NAME.layer<i>.convtranpose (so spelled) and .norm, i = 0 the deepest.
    SelfDistillation(Parameters&, const std::string& name, const std::vector<int64_t>& channels);
    /// (N,h,w,C) of the last stage → the others', shallow to deep.
    std::vector<Var> operator()(const Var& last, Mode mode) const;

  private:
    struct Layer {
        ConvTranspose2d conv;
        BatchNorm norm;
    };
    std::vector<Layer> layers_;
};

}  // namespace distill
