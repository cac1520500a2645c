// method_feed.h: "FEED: Feature-level Ensemble for Knowledge Distillation" (Park, Kwak; ECAI 2020; arXiv 1909.10754; docs/papers.md §3).
// defines: FeatureLoss, pooled_like, feature_loss, ChainEnd, ConvChain, Feed
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_kd.h"

namespace distill {

/// How two maps are compared after each was divided by its Euclidean norm over a sample.
struct FeatureLoss {
    bool squared = false;     ///< Σ(a−b)² instead of Σ|a−b| (the paper's)
    bool over_batch = false;  ///< the mean over samples of each one's sum, instead of the mean over all elements
    static FeatureLoss of(const Options& options);  ///< --feed-norm, --feed-reduction
};
/// A map pooled (adaptive average) to the height and width that `other` has, where these are smaller.
Var pooled_like(const Var& map, const Var& other);
/// ‖ t/‖t‖₂ − s/‖s‖₂ ‖ per sample, reduced as `loss` says; s, t (N,H,W,C). Where the maps differ in size, the larger is pooled
/// (adaptive average) to the smaller; that is ours (docs/papers.md §3).
Var feature_loss(const Var& student, const Var& teacher, const FeatureLoss& loss);

enum class ChainEnd { leaky, linear };  ///< what follows the last convolution: a LeakyReLU as after the others, or nothing

/// 3×3 convolutions with bias, stride 1, padding 1, each followed by a LeakyReLU: in→width→…→width→out. FEED's non-linear
/// transformation layer, and Factor Transfer's translator. Registers NAME.conv<k>.{weight,bias}, k from 0.
class ConvChain {
  public:
    ConvChain(Parameters&, const std::string& name, int64_t in, int64_t width, int64_t out, int depth, float slope,
              ChainEnd end = ChainEnd::leaky);
    Var operator()(const Var& x) const;

  private:
    std::vector<Conv2d> convs_;
    float slope_;
    ChainEnd end_;
};

/// Parallel FEED: CE + β·Σ_n L_n with L_n = feature_loss(NTL_n(x_s), x_n): the student's final map, through a layer of its own for each
/// teacher, must give each teacher's final map. One teacher: a stage of sequential FEED. Only the student outlives training.
class Feed final : public StudentMethod {
  public:
    Feed(Backend& backend, const Options& options, int classes, const Teachers& teachers);
    std::vector<std::string> loss_names() const override;  ///< loss_ce, loss_feed_0, loss_feed_1, …
    StepResult step(const Batch& batch) override;

  private:
    const Teachers& teachers_;
    std::vector<ConvChain> layers_;  ///< one for each teacher
    FeatureLoss loss_;
    float beta_;
};

}  // namespace distill
