#include "method_ktg.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "core_streams.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "net_foreign_weights.h"
#include "net_table.h"
#include "train_options.h"
#include "train_run_folder.h"

namespace distill {
namespace {

std::string prefix_of(int node) { return node == 0 ? student_prefix : "node" + std::to_string(node) + "."; }

/// Where its files lie is no part of a graph; config.csv has their checksums.
Graph without_places(Graph graph) {
    for (GraphNode& node : graph.nodes) node.weights.clear();
    return graph;
}

/// An ensemble's logits: a member's are added to those of the members before it.
void add_member(Var& sum, const Var& logits) { sum = sum.defined() ? add(sum, logits) : logits; }

}  // namespace

Output EnsembleNetwork::forward(const Var& x, Mode mode, Keep) const {
    Output sum;
    for (const Network* member : members_) add_member(sum.logits, member->forward(x, mode).logits);
    return sum;
}

KnowledgeTransferGraph::KnowledgeTransferGraph(const Setting& setting, const Options& o, const KtgOptions& own)
    : graph_(own.graph),
      edges_(graph_.edges()),
      parameters_(setting.backend),
      nodes_(graph_.nodes.size()),
      temperature_(static_cast<float>(own.temperature)),
      frozen_batchnorm_(own.frozen_bn == "batch"),
      iterations_(o.epochs * (setting.records / o.batch + 1)),  // ⌊records/batch⌋ + 1 an epoch: the authors' code
      totals_(Tensor::zeros(setting.backend, {static_cast<int64_t>(edges_.size()), 1, 1, EdgeTotals::columns})) {
    const int classes = setting.classes;
    require_sound(graph_, "graph");
    for (int i = 0; i < graph_.size(); ++i) {
        Node& node = nodes_[static_cast<size_t>(i)];
        if (graph_.is_trained(i)) {
            node.network = make_network(graph_.node(i).model, classes, parameters_, prefix_of(i));
        } else if (graph_.is_frozen(i)) {
            node.frozen = std::make_unique<Parameters>(setting.backend, false);
            node.network = make_network(graph_.node(i).model, classes, *node.frozen);
            node.frozen->allocate(o.start());
            load(i, *node.frozen, "");
        }
    }
    parameters_.allocate(o.start());
    for (int i = 0; i < graph_.size(); ++i) {
        if (graph_.is_trained(i)) load(i, parameters_, prefix_of(i));
        if (!graph_.node(i).is_ensemble()) continue;
        std::vector<const Network*> members;
        for (const int member : graph_.node(i).members) members.push_back(nodes_[static_cast<size_t>(member)].network.get());
        nodes_[static_cast<size_t>(i)].network = std::make_unique<EnsembleNetwork>(graph_.node(i).model, classes, members);
    }
}

void KnowledgeTransferGraph::load(int i, Parameters& into, const std::string& prefix) {
    const fs::path& weights = graph_.node(i).weights;
    if (weights.empty()) return;
    WeightFile file = read_weights(weights);
    require_network(weights.string(), file.metadata, graph_.node(i).model, nodes_[static_cast<size_t>(i)].network->classes());
    nodes_[static_cast<size_t>(i)].metadata = file.metadata;
    take_network(into, prefix, std::move(file), weights.string(), *nodes_[static_cast<size_t>(i)].network);
}

std::vector<std::string> KnowledgeTransferGraph::loss_names() const {
    std::vector<std::string> names;
    for (const GraphEdge& edge : edges_) names.push_back(text("loss_", edge.target, "_", edge.source));
    return names;
}

/// One forward pass of every node that is needed, each on a stream of its own; ensembles follow from it.
std::vector<KnowledgeTransferGraph::Answer> KnowledgeTransferGraph::pass(const Batch& batch) const {
    std::vector<Answer> all(nodes_.size());
    for (size_t i = 0; i < all.size(); ++i) {
        const int node = static_cast<int>(i);
        const OnStream beside(batch.images.backend(), node + 1);
        if (graph_.is_trained(node)) {
            all[i].logits = nodes_[i].network->forward(batch.images, Mode::train).logits;
        } else if (graph_.is_frozen(node) && graph_.is_needed(node)) {
            const NoGrad no_grad;
            all[i].logits = nodes_[i].network->forward(batch.images, frozen_mode()).logits;
        }
    }
    join(batch.images.backend());
    for (size_t i = 0; i < all.size(); ++i) {
        if (!graph_.is_needed(static_cast<int>(i))) continue;
        const NoGrad no_grad;  // an ensemble's sum goes on no tape: its members learn nothing through it
        for (const int member : graph_.nodes[i].members) add_member(all[i].logits, all[static_cast<size_t>(member)].logits);
        all[i].right = Var(correct_rows(all[i].logits.value(), batch.labels));
    }
    return all;
}

StepResult KnowledgeTransferGraph::step(const Batch& batch) {
    const std::vector<Answer> all = pass(batch);
    StepResult result;
    result.logits = all.front().logits;
    for (size_t first = 0, end; first < edges_.size(); first = end) {
        const Answer& target = all[static_cast<size_t>(edges_[first].target)];
        std::vector<IncomingEdge> incoming;
        for (end = first; end < edges_.size() && edges_[end].target == edges_[first].target; ++end) {
            const Answer& source = all[static_cast<size_t>(edges_[end].source)];
            incoming.push_back(edges_[end].from_label() ? IncomingEdge{edges_[end].gate, {}, {}}
                                                        : IncomingEdge{edges_[end].gate, source.logits, source.right});
        }
        const auto count = static_cast<int64_t>(incoming.size());
        const Tensor totals = totals_.view(static_cast<int64_t>(first) * EdgeTotals::columns, {count, 1, 1, EdgeTotals::columns});
        const NodeLoss loss =
            node_loss(target.logits, batch.labels, incoming, temperature_, {batch.step, iterations_}, target.right.value(), totals);
        result.loss = result.loss.defined() ? add(result.loss, loss.total) : loss.total;
        for (int64_t e = 0; e < count; ++e) result.named.emplace_back(loss.edges.view(e, {}));
    }
    return result;
}

void KnowledgeTransferGraph::require_same_run(const RunFolder& folder) const {
    const fs::path file = folder.file("graph.csv");
    if (!fs::exists(file)) return;
    const Graph then = read_graph(file);
    if (graph_csv(without_places(then), "") != graph_csv(without_places(graph_), ""))
        input_error(file.string(), ": the run was started with this graph, the one named now is another; name that, or start anew in ",
                    "another folder");
    for (int i = 0; i < graph_.size(); ++i) {
        const fs::path &before = then.node(i).weights, &now = graph_.node(i).weights;
        if (before.empty() && !now.empty())
            input_error(file.string(), ": node ", i, " was started without weights, now it has ", now.string(),
                        "; leave them out, or start anew in another folder");
        if (now.empty() && !before.empty())
            input_error(file.string(), ": node ", i, " was started from ", before.string(), ", now it has no weights; name them with ",
                        "--weights ", i, "=FILE, or start anew in another folder");
    }
}

void KnowledgeTransferGraph::begin_run(const RunFolder& folder, int epochs_done) {
    if (const fs::path file = folder.file("graph.csv"); !fs::exists(file)) write_file_atomically(file, graph_csv(graph_, folder.path()));
    edges_csv_.emplace(folder.table(
        "edges.csv",
        {"epoch", "target", "source", "gate", "weight", "last_weight", "loss", "both_right", "source_only", "target_only", "none_right"},
        epochs_done > 0, static_cast<size_t>(epochs_done) * edges_.size()));
}

void KnowledgeTransferGraph::end_epoch(const RunFolder&, int epoch) {
    const std::vector<float> totals = totals_.to_host();
    for (size_t e = 0; e < edges_.size(); ++e) {
        const auto column = [&](EdgeTotals::Column c) {
            return static_cast<double>(totals[e * static_cast<size_t>(EdgeTotals::columns) + static_cast<size_t>(c)]);
        };
        const double images = column(EdgeTotals::images);
        std::vector<std::string> cells = {std::to_string(epoch), std::to_string(edges_[e].target), std::to_string(edges_[e].source),
                                          to_string(edges_[e].gate)};
        for (const double value : {column(EdgeTotals::weight) / images, column(EdgeTotals::last_weight), column(EdgeTotals::loss) / images,
                                   column(EdgeTotals::both_right), column(EdgeTotals::source_only), column(EdgeTotals::target_only),
                                   column(EdgeTotals::none_right)})
            cells.push_back(number(value));
        edges_csv_->row(cells);
    }
    edges_csv_->sync();
    totals_.zero();
}

/// The nodes that are tested after an epoch beside node 0.
std::vector<int> KnowledgeTransferGraph::tested_beside() const {
    std::vector<int> nodes;
    for (int i = 1; i < graph_.size(); ++i)
        if (!graph_.is_frozen(i) || (frozen_batchnorm_ && graph_.is_needed(i))) nodes.push_back(i);  // the others stay as they are
    return nodes;
}

std::vector<OtherNetwork> KnowledgeTransferGraph::others() const {
    std::vector<OtherNetwork> networks;
    for (const int i : tested_beside())
        networks.push_back({std::to_string(i), nodes_[static_cast<size_t>(i)].network.get(), graph_.is_trained(i) ? prefix_of(i) : ""});
    return networks;
}

/// Shares a network's pass between its node and the ensembles that it is a member of.
std::vector<Var> KnowledgeTransferGraph::answers(const Var& images) const {
    std::vector<Var> passes(nodes_.size());
    const auto network_of = [&](int node) {
        Var& logits = passes[static_cast<size_t>(node)];
        if (!logits.defined()) logits = nodes_[static_cast<size_t>(node)].network->forward(images, Mode::evaluate).logits;
        return logits;
    };
    std::vector<int> asked = tested_beside();
    asked.insert(asked.begin(), 0);
    std::vector<Var> all;
    for (const int node : asked) {
        Var logits;
        for (const int member : graph_.node(node).members) add_member(logits, network_of(member));
        all.push_back(graph_.node(node).is_ensemble() ? logits : network_of(node));
    }
    return all;
}

std::vector<PretrainedNetwork> KnowledgeTransferGraph::pretrained() const {
    std::vector<PretrainedNetwork> networks;
    for (int i = 0; i < graph_.size(); ++i) {
        const Node& node = nodes_[static_cast<size_t>(i)];
        if (graph_.is_frozen(i)) networks.push_back({"node" + std::to_string(i), *node.network, graph_.node(i).weights, node.metadata});
    }
    return networks;
}

std::vector<std::pair<std::string, Tensor>> KnowledgeTransferGraph::state() const {
    std::vector<std::pair<std::string, Tensor>> tensors = {{"edges", totals_}};
    for (size_t i = 0; i < nodes_.size(); ++i)
        if (frozen_batchnorm_ && nodes_[i].frozen)
            tensors.emplace_back("node" + std::to_string(i) + ".buffers", nodes_[i].frozen->buffers());
    return tensors;
}

// ---- its options --------------------------------------------------------------------------------------------------------------

void KtgOptions::add_naming_to(OptionTable& t) {
    t.add("--graph", file, "the graph: a shipped one's name, or a .csv file").place(Places::or_shipped);
    t.add_network("--models", models, "other networks on its nodes: 0=resnet20,1=wrn-16-2").subject();
    t.add("--weights", weights, "files that nodes start from, paths from here: 1=teacher.safetensors; a frozen node needs one")
        .subject()
        .place(Places::assigned);
    t.add_switch("--as-teacher", as_teacher, "of one node: start and order of images are those of a search's teachers of frozen nodes")
        .circumstance();
}

void KtgOptions::add_transfer_to(OptionTable& t) {
    t.add("--temperature", temperature, {0, Range().high, true}, "T of the softmaxes on transfer edges");
    t.add("--frozen-bn", frozen_bn, {"running", "batch"}, "statistics of frozen nodes' BatchNorm; batch is the authors' code");
}

void KtgOptions::add_to(OptionTable& t) {
    add_naming_to(t);
    add_transfer_to(t);
}

Graph named_graph(const KtgOptions& own) {
    if (own.file.empty()) input_error("--graph: no graph named; give a shipped one's name (distill ktg show lists them) or a .csv file");
    const fs::path file = find_graph(own.file);
    Graph graph = read_graph(file);
    set_models(graph, own.models, "--models");
    set_weights(graph, own.weights, "--weights");
    require_sound(graph, file.string());
    return graph;
}

void name_networks(Options& o, const Graph& graph) {
    o.student = graph.node(0).model;
    std::vector<std::string> others;
    for (int i = 1; i < graph.size(); ++i) others.push_back(graph.node(i).model);
    o.teacher = joined(others, "+");
}

void set_start(Options& o, const Graph& graph) {
    if (graph.size() > 1) o.role = "graph", o.generation = 1;  // else a network alone
    for (const GraphNode& node : graph.nodes)
        if (!node.weights.empty()) o.generation = std::max(o.generation, generation_after(read_weights(node.weights).metadata));
}

void KtgOptions::settle(Options& o) {
    graph = named_graph(*this);
    require_weights(graph, find_graph(file).string());
    name_networks(o, graph);
    set_start(o, graph);
    if (as_teacher) {
        if (graph.size() > 1) input_error("--as-teacher: is for a graph of one node, this one has ", graph.size());
        o.role = "teacher";
    }
    for (const GraphNode& node : graph.nodes) require_not_read("--save", o.save, node.weights);
    if (graph.node(0).is_ensemble() && !o.save.empty())
        input_error("--save ", o.save, ": node 0 is an ensemble without weights of its own; its members' are kept in the run's folder");
}

std::vector<std::pair<std::string, std::string>> KtgOptions::files() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (int i = 0; i < graph.size(); ++i)
        if (graph.is_trained(i) && !graph.node(i).weights.empty()) all.emplace_back(text("node", i), graph.node(i).weights.string());
    return all;
}

std::unique_ptr<Method> KtgOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<KnowledgeTransferGraph>(s, o, *this);
}

const MethodRow ktg_row = {"ktg",        "Knowledge Transfer Graph for Deep Collaborative Learning (ACCV 2020)",
                           "1909.04286", Teaching::none,
                           "ktg",        default_options<KtgOptions>};

}  // namespace distill
