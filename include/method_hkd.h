// method_hkd.h: Distilling Holistic Knowledge with Graph Neural Networks (Zhou, Wang, Chen, Chen, Wang, Wang, Bu; ICCV 2021; arXiv
// 2108.05507), as its authors' code has it (docs/papers.md §11; wyc-ruiker/HKD 9434fd8).
// defines: HkdOptions, TagConv, prediction_graph, Hkd, hkd_row
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "method_batch_graphs.h"
#include "method_features.h"
#include "method_memory.h"

namespace distill {

struct HkdOptions final : FeatureOptions {
    HkdOptions() : FeatureOptions(3) {}
    int neighbours = 8;  ///< the image itself is one of them
    int hops = 1;
    std::string negatives_count = "16384", negatives = "own", graph_from = "logits";
    bool no_graph = false, no_individual = false, shared_graph = false;
    double tau = 0.07, memory_momentum = 0.9, smoothing = 0.75;
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
    int64_t negatives_drawn() const;  ///< --negatives-count; 0: all
};

/// Of a batch's graph Â (N,1,1,N) and embeddings e: a linear layer over e, Âe, … Â^hops e side by side, then length 1 (Du, Zhang, Wu, Moura,
/// Kar 2017). Registers NAME.conv1.lin.{weight,bias}.
class TagConv {
  public:
    TagConv(Parameters&, const std::string& name, int64_t width, int hops);
    Var operator()(const Var& embeddings, const Tensor& graph) const;

  private:
    int hops_;
    Linear linear_;
};

/// Who is alike in a network's eyes: Â, which averages over the k images nearest by predictions (`from` logits), or by the pooled vector
/// (`from` feature).
Tensor prediction_graph(const Output& output, const std::string& from, int k);

/// γ·CE + α·T²·KL + β·(L_e + L_g). e: embeddings, g: what the graph convolution makes of them; all modules learn, the teacher's, too. Each
/// network's e and g are contrasted with the other's row of the same image and its own rows of other classes. Each step ends with its
/// e in the memories. A batch of fewer images than --neighbours has L_e alone and leaves the memories.
class Hkd final : public FeatureDistillation {
  public:
    Hkd(const Setting& setting, const Options& options, const HkdOptions& own);
    void take_start(WeightFile& file, const std::string& path) override { memory_.take_start(file, path); }
    std::map<std::string, std::string> helper_metadata() const override { return memory_.metadata(); }
    void end_epoch(const RunFolder& folder, int epoch) override { log_.end_epoch(folder, epoch); }
    std::vector<std::pair<std::string, Tensor>> state() const override { return log_.state(); }

  private:
    /// Of one network: what is contrasted; of the other: where the positives are.
    struct Side {
        Var e, g;  ///< g undefined: the batch has no graph
        const Tensor& memory;
        BatchGraphLog::Loss individual, graph;
    };
    std::vector<Var> losses(const Batch& batch, const Output& student, const Answers& teachers) override;
    void add_holistic(Side& student, Side& teacher, const Output& s, const Output& t, const Tensor& labels) const;
    Var contrast(const Side& side, const Side& other, const Batch& batch, const Tensor& drawn) const;

    const HkdOptions own_;
    Embedding embed_s_, embed_t_;
    TagConv gnn_s_, gnn_t_;
    FeatureMemory memory_;
    BatchGraphLog log_;
    Tensor nothing_;  ///< 0, the loss of a small batch without L_e
};

extern const MethodRow hkd_row;

}  // namespace distill
