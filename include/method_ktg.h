// method_ktg.h: "Knowledge Transfer Graph for Deep Collaborative Learning" (Minami, Hirakawa, Yamashita, Fujiyoshi; ACCV 2020;
// arXiv 1909.04286; docs/papers.md §2).
// defines: KtgOptions, named_graph, name_networks, set_start, EnsembleNetwork, KnowledgeTransferGraph, ktg_row
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base_csv.h"
#include "graph.h"
#include "graph_gates.h"
#include "method.h"
#include "net.h"

namespace distill {

struct KtgOptions final : MethodOptions {
    std::string file, models, weights;  ///< what names the graph
    double temperature = 1;
    std::string frozen_bn = "running";
    bool as_teacher = false;  ///< of one node: role "teacher" for start_key, as a search has it of the networks that its nodes freeze
    Graph graph;              ///< what they name; settle() reads it
    void add_to(OptionTable& table) override;
    void add_naming_to(OptionTable& table);    ///< --graph, --models, --weights, --as-teacher
    void add_transfer_to(OptionTable& table);  ///< --temperature, --frozen-bn
    /// Reads the graph. InputError for one that is not sound, lacks weights, or has several nodes as one teacher.
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
    /// What trained nodes start from; frozen ones' are Method::pretrained().
    std::vector<std::pair<std::string, std::string>> files() const override;
};

/// The graph that options name, with their networks and weights; sound, but perhaps still without weights for a frozen node.
Graph named_graph(const KtgOptions& own);
/// The networks of a graph as result.csv names them: student the target, teacher the others, joined by +.
void name_networks(Options& options, const Graph& graph);
/// A graph's role and generation as start_key takes them: one after the latest of the files that its nodes start from, from 1 on; one node
/// is trained alone, from 0 on.
void set_start(Options& options, const Graph& graph);

/// A network without parameters: its logits are the sum of its members'.
class EnsembleNetwork final : public Network {
  public:
    EnsembleNetwork(const std::string& name, int classes, std::vector<const Network*> members)
        : Network(name, classes, {}, 0), members_(std::move(members)) {}
    Output forward(const Var& x, Mode mode, Keep keep = Keep::last) const override;

  private:
    std::vector<const Network*> members_;
};

/// All nodes of a graph, trained together on the same batches.
///
/// The loss is L = Σ_t L_t with L_t = Σ_s gate_{s,t}(ℓ_{s,t}) (graph_gates.h). No gradient goes through a source, so that of L_t reaches
/// node t's weights alone, and one way back of the sum gives every node exactly the gradient of its own loss.
///
/// Weights: node 0's lie under "student.", node k's under "node<k>."; those of frozen nodes apart, they get no gradient.
/// If node 0 is an ensemble (docs/papers.md §2.5), its accuracy is the run's, and its members are trained.
class KnowledgeTransferGraph final : public Method {
  public:
    /// own.graph's. A node with weights starts from them (InputError if they are not its network's), any other at random.
    KnowledgeTransferGraph(const Setting& setting, const Options& options, const KtgOptions& own);

    Parameters& parameters() override { return parameters_; }
    const Network& student() const override { return *nodes_.front().network; }
    std::vector<std::string> loss_names() const override;  ///< loss_<target>_<source>, after its gate
    StepResult step(const Batch& batch) override;
    /// A run that goes on must have the graph that is kept beside it.
    void require_same_run(const RunFolder& folder) const override;
    /// Keeps the graph beside the run as graph.csv. Opens edges.csv.
    void begin_run(const RunFolder& folder, int epochs_done) override;
    /// A row an edge that is not cut off: its weight in the mean over the epoch and at its last step, its loss, who was right.
    void end_epoch(const RunFolder& folder, int epoch) override;
    std::vector<OtherNetwork> others() const override;
    std::vector<Var> answers(const Var& images) const override;
    std::vector<PretrainedNetwork> pretrained() const override;
    std::vector<std::pair<std::string, Tensor>> state() const override;

    const Graph& graph() const { return graph_; }

  private:
    struct Node {
        std::unique_ptr<Network> network;
        std::unique_ptr<Parameters> frozen;           ///< of a frozen node alone
        std::map<std::string, std::string> metadata;  ///< of its weight file
    };
    /// A node's forward pass and which samples it classifies correctly.
    struct Answer {
        Var logits;
        Var right;
    };
    void load(int i, Parameters& into, const std::string& prefix);
    std::vector<Answer> pass(const Batch& batch) const;
    std::vector<int> tested_beside() const;
    Mode frozen_mode() const { return frozen_batchnorm_ ? Mode::train : Mode::evaluate; }

    Graph graph_;
    std::vector<GraphEdge> edges_;
    Parameters parameters_;
    std::vector<Node> nodes_;
    float temperature_;
    bool frozen_batchnorm_;  ///< frozen nodes normalise by the batch, and their running statistics drift: the authors' code
    int64_t iterations_;     ///< K of the linear gate
    Tensor totals_;          ///< (edges,1,1,EdgeTotals::columns) of the epoch so far
    std::optional<CsvWriter> edges_csv_;
};

extern const MethodRow ktg_row;

}  // namespace distill
