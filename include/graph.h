// graph.h: a knowledge transfer graph as data (docs/papers.md §2.1): networks, and on each edge between them a gate.
// defines: Gate, to_string, GraphNode, GraphEdge, Graph, max_nodes, read_graph, graph_csv, require_sound, require_weights, graph_folder,
//          find_graph, set_models, set_weights, heard_by_target
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace distill {

/// How much of an edge's loss reaches the target (graph_gates.h): all of it, none, a share that rises over the training, or that of the
/// samples which the source classifies correctly.
enum class Gate : uint8_t { through, cutoff, linear, correct };
const char* to_string(Gate gate);  ///< as the CSV has it

constexpr int max_nodes = 7;

struct GraphNode {
    std::string model;              ///< a network's name, or "ensemble:1+2"
    std::filesystem::path weights;  ///< to start from; empty: random
    std::vector<int> members;       ///< of an ensemble: the nodes whose logits it sums. A network has none
    bool is_ensemble() const { return !members.empty(); }
};

/// source → target; the label edge of a node has source == target.
struct GraphEdge {
    int target, source;
    Gate gate;
    bool from_label() const { return source == target; }
};

/// Node 0 is the target: the network that the graph is there for.
struct Graph {
    std::vector<GraphNode> nodes;
    std::vector<std::vector<Gate>> gates;  ///< [target][source]; [t][t] is t's label edge

    int size() const { return static_cast<int>(nodes.size()); }
    const GraphNode& node(int i) const { return nodes[static_cast<size_t>(i)]; }
    Gate gate(int target, int source) const { return gates[static_cast<size_t>(target)][static_cast<size_t>(source)]; }
    /// Has every incoming edge, the label's included, cut off: nothing can be learnt there.
    bool all_cut(int target) const;
    /// A network that teaches as it is: pre-trained, never updated.
    bool is_frozen(int i) const { return !node(i).is_ensemble() && all_cut(i); }
    bool is_trained(int i) const { return !node(i).is_ensemble() && !all_cut(i); }
    /// Whether a training step needs the node's logits: it is trained or the target, or one that is uses it.
    bool is_needed(int i) const;
    /// Those that are not cut off, by target, then source.
    std::vector<GraphEdge> edges() const;
};

/// What the target's training depends on. Nodes that it does not listen to, itself or through others, lose their network's name and their
/// gates; a label's `correct` gate, which lets all through since a label is always right, is `through`. Graphs of which this is equal train
/// the target alike.
Graph heard_by_target(const Graph& graph);

/// A CSV of `node,model,weights,gate_0,…,gate_<n-1>`, one row a node in any order; gate_j in row i is the edge j → i, gate_i the label
/// edge. Paths of weights are relative to the CSV. InputError naming file, row, column, found and expected for: a missing or unknown
/// column, node number, gate or network; a node that is there twice; more than max_nodes; a malformed ensemble.
Graph read_graph(const std::filesystem::path& file);

/// The same, to be kept in `folder`.
std::string graph_csv(const Graph& graph, const std::filesystem::path& folder);

/// InputError, beginning with `origin`, unless the target learns: a frozen target, or an ensemble of frozen nodes in its place; and for an
/// ensemble with a gate that is not cut off, with weights, of itself, of a node that is not there, or of another ensemble.
void require_sound(const Graph& graph, const std::string& origin);
/// InputError for a frozen node without weights, or a file of weights that is not there.
void require_weights(const Graph& graph, const std::string& origin);

/// data/graphs of the project (base_project.h): the known methods as graphs. InputError if it is not found, beginning with `wanted`.
std::filesystem::path graph_folder(const std::string& wanted = "the shipped graphs");
/// A path as it is (one with a slash or ending in .csv), a shipped graph's by its name. InputError listing those there are, or naming the
/// places looked at.
std::filesystem::path find_graph(const std::string& name_or_file);

/// "0=resnet20,1=wrn-16-2": other networks on these nodes. `origin` names the option in an InputError.
void set_models(Graph& graph, const std::string& assignments, const std::string& origin);
/// "1=teacher.safetensors": the weights that these nodes start from.
void set_weights(Graph& graph, const std::string& assignments, const std::string& origin);

}  // namespace distill
