// method_features.h: the step that most distillations share, and what several of them compare maps with.
// defines: answers_of, mean_logits, sum, kd_loss, benchmark_form_help, DistillWeights, FeatureOptions, FeatureDistillation, FeatureLoss, pooled_like,
//          feature_loss, ChainEnd, ConvChain
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "method.h"
#include "net_layers.h"

namespace distill {

template <class T>
class Beside;   // core_streams.h
struct Output;  // net.h
enum class Keep : unsigned;

/// What each teacher answers, each on its stream: what `keep` says; nothing: the logits alone. The maps' memory then goes back at once to
/// the arena, where that stream may take it again, and the others once they were joined (docs/autograd.md).
Beside<std::vector<Output>> answers_of(const std::vector<const Teacher*>& teachers, const Var& images, std::optional<Keep> keep);
/// The mean of their logits, (N,1,1,classes), without a gradient; of one teacher its own.
Tensor mean_logits(const std::vector<Output>& answers);

/// At least one.
Var sum(const std::vector<Var>& parts);

/// T²·mean over the batch of KL(p_t ‖ p_s), p = softmax(logits/T) (Hinton, Vinyals, Dean 2015; docs/papers.md §6.1).
Var kd_loss(const Var& student_logits, const Tensor& teacher_logits, float temperature);

/// Of --benchmark-form, which the recipe crd sets.
inline constexpr const char* benchmark_form_help = "as the CRD benchmark has the method; off: as the recipe that it has by default";

/// What the parts of a step weigh: γ·CE + α·T²·KL + β·L, L each of a method's own losses.
struct DistillWeights {
    double gamma = 1, alpha = 0, temperature = 4;
    bool squared = true;  ///< the factor T²
    double beta = 1;
};

/// Their options: --beta, and for a paper's loss beside the logits' --gamma, --alpha, --temperature.
struct FeatureOptions : MethodOptions {
    explicit FeatureOptions(double beta) { weights.beta = beta; }
    DistillWeights weights;
    void add_to(OptionTable& table) override;
};

/// γ·CE + α·T²·KL(p_t ‖ p_s) + β·ΣL (docs/papers.md §6.1; of several teachers the mean logits teach). CE alone is not scaled by γ = 1, and
/// KL is left out where α is 0. A derived class registers its helper modules, allocates, and says what L is.
class FeatureDistillation : public StudentMethod {
  public:
    std::vector<std::string> loss_names() const final;  ///< loss_ce, loss_kd where there is KL, then the method's
    StepResult step(const Batch& batch) final;

  protected:
    using Answers = Beside<std::vector<Output>>;  ///< the teachers'
    /// `names`: of the method's losses, as tables have them; of networks `keep` is kept (the logits always).
    FeatureDistillation(const Setting& setting, const Options& options, const DistillWeights& weights, std::vector<std::string> names,
                        std::optional<Keep> keep = {});
    /// L, one for each name, before β. What is queued before `teachers` is looked at runs beside them.
    virtual std::vector<Var> losses(const Batch& batch, const Output& student, const Answers& teachers) = 0;
    std::vector<const Teacher*> teachers_;

  private:
    bool by_logits() const { return weights_.alpha != 0; }
    DistillWeights weights_;
    std::vector<std::string> names_;
    std::optional<Keep> keep_;
};

/// How two maps are compared after each was divided by its Euclidean norm over a sample.
struct FeatureLoss {
    bool squared = false;     ///< Σ(a−b)² instead of Σ|a−b| (the paper's)
    bool over_batch = false;  ///< the mean over samples of each one's sum, instead of the mean over all elements
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

}  // namespace distill
