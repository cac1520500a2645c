// method_ffsd.h: "Distilling a Powerful Student Model via Online Knowledge Distillation" (Li, Lin, Wang, Wu, Tian, Shao, Ji; TNNLS 2022;
// arXiv 2103.14473; docs/papers.md §6.19).
// defines: FfsdOptions, Ffsd, ffsd_row
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "method.h"
#include "net.h"
#include "net_ffsd.h"

namespace distill {

struct FfsdOptions final : MethodOptions {
    int students = 2;
    int kd_warmup = 5;  ///< e epochs: the λ weigh exp(−5(1 − epoch/e)²) of themselves until then, epochs counted from 1
    double temperature = 2, diversity = 1e-5, fusion = 10, self = 1000;
    double fusion_weight_decay = 1e-5, self_lr = 1e-3, self_weight_decay = 1e-4;
    bool no_diversity = false, no_shift = false, no_self = false, no_fusion_map = false, no_trans = false, no_leader = false;
    std::string leader_target = "fusion";
    void add_to(OptionTable& table) override;
    /// InputError for switches that contradict each other.
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// n common students learn from each other, a fusion module F from what they show, a leader of the same architecture from that; a
/// self-distillation module S of each student but the first, and of the leader, makes shallow maps for it to follow. All start differently.
///
/// The leader is the run's student; without one, common student 0 is. Every target, and all that F and the S are given, is detached, and all
/// forward passes come before any update, so one way back of the sum of all losses gives each player exactly the gradient of its own.
///
/// Weights: the leader's (or student 0's) under "student.", the others' under "student<i>.", of the helpers under "fusion.",
/// "leader.trans_fusion_module.", "sd<i>." and "sd_leader.". --init may name a file with the authors' names, "leader." and "student0.",
/// or one network's own, of bare names; of a leader's also its "trans_fusion_module." is taken.
class Ffsd final : public StudentMethod {
  public:
    /// InputError: stages that do not double from the last to the first, a last map of fewer than three pixels.
    Ffsd(const Setting& setting, const Options& options, const FfsdOptions& own);
    std::vector<std::string> loss_names() const override;
    std::vector<ParameterGroup> groups(const SgdOptions& of_run) const override;
    void begin_epoch(int epoch) override;
    StepResult step(const Batch& batch) override;
    std::vector<OtherNetwork> others() const override;  ///< the common students that are not student(), their ensemble, F
    std::vector<Var> answers(const Var& images) const override;
    std::vector<std::string> test_columns() const override;  ///< the students' mean accuracy; losses of others()
    std::vector<double> test_values(const Evaluation& student, const std::vector<Evaluation>& others) const override;
    void take_start(WeightFile& file, const std::string& path) override;

  private:
    struct Shown;
    using Losses = std::vector<Var>;  ///< in the order of loss_names()
    struct Fused;
    std::vector<Shown> show(const Var& images) const;
    Fused fuse(const std::vector<Shown>& students, const Batch& batch, Losses& losses) const;
    void add_student(size_t i, const std::vector<Shown>& students, const Batch& batch, Losses& losses) const;
    void add_leader(const Shown& leader, const Fused& fused, const Batch& batch, Losses& losses) const;
    Var follow(const Shown& player, const SelfDistillation& self, const Var& given) const;
    void train_self(const Shown& player, const SelfDistillation& self, Losses& losses) const;
    void take_leader(WeightFile& file, const std::string& path) const;
    size_t first_of_others() const { return leads_ ? 0 : 1; }

    const FfsdOptions own_;
    const float temperature_;
    const bool leads_, diverse_, maps_, selves_;
    const std::function<double(int)> self_rate_;
    std::vector<std::unique_ptr<Network>> more_;  ///< the common students that are not student()
    std::vector<const Network*> students_;        ///< all of them
    std::optional<FusionModule> fusion_;
    std::optional<SeparableBlock> transfer_;  ///< Tr, in the leader
    std::vector<SelfDistillation> self_;      ///< of students 1, 2, …
    std::optional<SelfDistillation> leader_self_;
    Tensor weights_;  ///< λ·ω of this epoch, in device memory: diversity, fusion, self
};

extern const MethodRow ffsd_row;

}  // namespace distill
