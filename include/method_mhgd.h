// method_mhgd.h: Graph-based Knowledge Distillation by Multi-head Attention Network (Lee, Song; BMVC 2019; arXiv 1907.02226).
// The equations and their sources: docs/papers.md §4.
// defines: MhgdOptions, Statistics, AttentionNetwork, Mhgd, mhgd_row
#pragma once
#include <string>
#include <vector>

#include "method.h"
#include "method_gradient_mixing.h"
#include "net_layers.h"
#include "train_options.h"

namespace distill {

struct MhgdOptions final : MethodOptions {
    int heads = 8;
    int mha_epochs = 40;
    std::string mha, mha_bn = "running", mixing = "clip";
    bool head_dropping = true;
    void add_to(OptionTable& table) override;
    void add_all_but_heads_to(OptionTable& table);
    void settle(Options& options) override;
    std::vector<std::pair<std::string, std::string>> files() const override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// Whose statistics a BatchNorm takes: the batch's, remembered or not, or the remembered ones.
enum class Statistics { batch_remembered, batch, running };

/// How the embeddings of a batch at the end of a front stage, V_F (N,1,1,D_F), predict those at the end of the next one, V_B (N,1,1,D_B).
/// A heads of D₂ = ⌊(D_F + D_B)/2⌋ each; names below NAME: theta, phi and f1 (fc.weight, bn.…), f2.fc.weight, f2.fc.bias.
class AttentionNetwork {
  public:
    AttentionNetwork(Parameters& parameters, const std::string& name, int64_t front, int64_t back, int heads);
    /// S_a = θ_a·φ_aᵀ, θ = BN(FC(V_B)), φ = BN(FC(V_F)): (A·N,1,1,N), head under head.
    Var scores(const Var& front, const Var& back, Statistics statistics) const;
    /// V̂_B before its normalisation: f₂ of the heads' G_a·f₁, f₁ = ReLU(BN(FC(V_F))), G = softmax of the scores' rows; (N,1,1,D_B).
    /// kept (N,1,1,A): which heads a sample keeps; undefined: all.
    Var estimate(const Var& scores, const Var& front, const Tensor& kept) const;
    /// The same weights (allocated), without gradients into them.
    AttentionNetwork still() const;

  private:
    struct Projection {
        Var weight;
        BatchNorm bn;
        Projection(Parameters& parameters, const std::string& name, int64_t in, int64_t out);
        Var operator()(const Var& x, Statistics statistics, bool relu = false) const;
        Projection still() const;
    };
    int heads_;
    Projection theta_, phi_, f1_;
    Linear f2_;
};

/// First the attention networks of all pairs of neighbouring stages learn from the teacher alone, L_MHAN =
/// mean(1 − cos(V̂_B, V_B)), summed over the pairs (our reading). Then the student learns the graphs that they draw: with G = tanh(S)
/// of teacher and student and row softmaxes p, CE and L_transfer = Σ p(G_S)·(log p(G_S) − log p(G_T)) over pairs, heads, rows and columns,
/// their gradients mixed (GradientMixing). The networks are kept in mha.safetensors.
class Mhgd final : public StudentMethod {
  public:
    /// InputError: stages that do not pair (net_pair.h); attention networks (own.mha) of another teacher or other heads.
    Mhgd(const Setting& setting, const Options& options, const MhgdOptions& own);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_transfer"}; }
    std::vector<Phase> phases() override;
    void begin_epoch(int epoch) override { mixing_.begin_epoch(epoch); }
    StepResult step(const Batch& batch) override;
    void backward(Tape&, const StepResult& result) override;
    void end_epoch(const RunFolder& folder, int epoch) override { mixing_.end_epoch(folder, epoch); }
    std::vector<std::pair<std::string, Tensor>> state() const override;

  private:
    std::vector<Var> graphs(const std::vector<Var>& vectors) const;  ///< G of each pair, by the networks as they are
    Var attention_loss(const Batch& batch) const;
    void load_attention(const std::string& path);
    void save_attention(const fs::path& path) const;
    std::map<std::string, std::string> attention_metadata() const;

    const Teacher& teacher_;
    const Options options_;
    const MhgdOptions own_;
    Statistics statistics_;  ///< in the transfer
    Parameters attention_;
    std::vector<AttentionNetwork> networks_, still_;  ///< one a pair
    GradientMixing mixing_;
};

extern const MethodRow mhgd_row;

}  // namespace distill
