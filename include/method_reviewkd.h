// method_reviewkd.h: "Distilling Knowledge via Knowledge Review" (Chen, Liu, Zhao, Jia; CVPR 2021; arXiv 2104.09044; docs/papers.md §5).
// defines: hcl, AttentionFusion, ReviewOptions, ReviewKD, reviewkd_row, review_weight, require_review_pair
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "method.h"
#include "net_layers.h"

namespace distill {

/// Hierarchical context loss of one level: MSE(s, t) at full size, then of both average-pooled to 4×4, 2×2, 1×1 with weights ½, ¼, ⅛
/// in the order of the sizes used (one not smaller than the map is skipped, and takes no weight), divided by the sum of the weights used.
/// s, t (N,H,W,C).
Var hcl(const Var& student, const Var& teacher);

/// Attention-based fusion of one level. x ← BN(conv1×1(x)); with a residual y from the deeper level, resized to x:
/// z = sigmoid(conv1×1([x, y])), x ← x·z₀ + y·z₁ (or x + y without attention). x is handed on; BN(conv3×3(x)) meets the teacher.
class AttentionFusion {
  public:
    struct Result {
        Var output;    ///< (N,h,w,out), h and w the teacher's
        Var residual;  ///< (N,h,w,mid)
    };
    /// `fuses`: takes a residual; `attends`: through attention. Registers NAME.conv1.{0,1}, NAME.conv2.{0,1}, NAME.att_conv.0.
    AttentionFusion(Parameters&, const std::string& name, int64_t in, int64_t mid, int64_t out, bool fuses, bool attends);
    /// x (N,H,W,in); `size`: the teacher's map at this level. `residual` undefined where the level does not fuse.
    Result operator()(const Var& x, const Var& residual, const Shape& size) const;

  private:
    Conv2d conv1_, conv2_, attention_;
    BatchNorm bn1_, bn2_;
    bool fuses_, attends_;
};

struct ReviewOptions final : MethodOptions {
    std::optional<double> kd_weight;  ///< λ; by pair if not given
    int kd_warmup = 20;
    std::string teacher_bn = "running";
    bool no_review = false, no_residual = false, no_abf = false, no_hcl = false;
    std::string no_residual_by = "sum";
    int review_from = 0, review_to = 0;  ///< teacher's and student's level, from 1, the shallowest, to the pooled vector; 0: all levels
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// CE + λ·min(1, epoch/warm-up)·Σ over levels of HCL. Levels go from the deepest (the pooled vector) to the shallowest (stage 1): four
/// where networks have three stages; of unlike networks the stages that pair (pair_stages). The student's are the stages' outputs, the
/// teacher's their pre-activations.
/// Ablations (docs/papers.md §5.8): no_review, no_residual (the review's parts are summed before they are compared, or compared one by one:
/// no_residual_by), no_abf, no_hcl; one teacher level to one student level alone: review_from, review_to.
class ReviewKD final : public StudentMethod {
  public:
    /// InputError: networks that do not pair (net_pair.h), a level that they do not have.
    ReviewKD(const Setting& setting, const Options& options, const ReviewOptions& own);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_reviewkd"}; }
    void begin_epoch(int epoch) override;
    StepResult step(const Batch& batch) override;

  private:
    struct Compared {
        Var output;    ///< of the student, as the teacher's level is
        size_t level;  ///< of the teacher
    };
    std::vector<Compared> compared(const std::vector<Var>& student, const std::vector<Var>& teacher) const;
    std::vector<Compared> review(const std::vector<Var>& student, const std::vector<Var>& teacher) const;
    std::vector<Compared> review_separately(const std::vector<Var>& student, const std::vector<Var>& teacher) const;

    const Teacher& teacher_;
    Mode teacher_mode_;
    size_t stages_ = 0;                                   ///< that are levels, beside the pooled vector
    std::vector<AttentionFusion> fusions_;                ///< deepest first
    std::vector<std::vector<AttentionFusion>> separate_;  ///< --no-residual: [teacher level][student level], deepest first
    bool residual_, hcl_, in_pairs_;
    size_t from_ = 0, to_ = 0;  ///< the only pair's levels, deepest first, where fusions_ is that pair's one
    bool only_pair_;
    double weight_;
    int warmup_;
    Tensor scheduled_weight_;  ///< λ·min(1, epoch/warm-up), one float in device memory
};

extern const MethodRow reviewkd_row;

/// InputError unless the networks pair: a pooled vector each. To be asked before anything is loaded.
void require_review_pair(const std::string& teacher, const std::string& student);

/// λ of a pair: the authors', or of two pairs a third party's, where docs/papers.md §5.5 has it, else 1.
double review_weight(const std::string& teacher, const std::string& student);

}  // namespace distill
