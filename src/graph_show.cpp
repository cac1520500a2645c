#include "graph_show.h"

#include <algorithm>

#include "base_texts.h"

namespace distill {
namespace fs = std::filesystem;
namespace {

using Cells = std::vector<std::string>;

std::string role_of(const Graph& graph, int i) {
    const std::string kind = graph.node(i).is_ensemble() ? "ensemble" : graph.is_frozen(i) ? "frozen" : "";
    return i > 0 ? kind : kind.empty() ? "target" : "target, " + kind;
}

}  // namespace

std::string edge_name(int target, int source) {
    return (source == target ? "label" : std::to_string(source)) + " -> " + std::to_string(target);
}

std::optional<double> GraphOutcome::of_node(int i) const {
    return static_cast<size_t>(i) < accuracy.size() ? accuracy[static_cast<size_t>(i)] : std::nullopt;
}

const EdgeOutcome* GraphOutcome::of_edge(int target, int source) const {
    for (const EdgeOutcome& edge : edges)
        if (edge.target == target && edge.source == source) return &edge;
    return nullptr;
}

std::string graph_text(const Graph& graph, const GraphOutcome& outcome) {
    Cells head = {"node", "network", "role"};
    const bool measured = !outcome.accuracy.empty();
    const bool weights = std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const GraphNode& n) { return !n.weights.empty(); });
    if (measured) head.push_back("accuracy");
    head.push_back("label");
    for (int j = 0; j < graph.size() && graph.size() > 1; ++j) head.push_back("from " + std::to_string(j));
    if (weights) head.push_back("weights");
    std::vector<Cells> rows = {head};
    const auto gate_cell = [](Gate gate) { return gate == Gate::cutoff ? std::string("-") : to_string(gate); };
    for (int i = 0; i < graph.size(); ++i) {
        Cells row = {std::to_string(i), graph.node(i).model, role_of(graph, i)};
        if (measured) row.push_back(outcome.of_node(i) ? fixed(*outcome.of_node(i), 2) + " %" : "");
        row.push_back(gate_cell(graph.gate(i, i)));
        for (int j = 0; j < graph.size() && graph.size() > 1; ++j) row.push_back(j == i ? "" : gate_cell(graph.gate(i, j)));
        if (weights) row.push_back(graph.node(i).weights.string());
        rows.push_back(row);
    }
    std::string all = aligned(rows);
    all += fault_lines(outcome.faults);
    if (outcome.edges.empty()) return all;
    rows = {{"edge", "gate", "weight", "loss", "both right", "source only", "target only", "none"}};
    for (const EdgeOutcome& e : outcome.edges) {
        rows.push_back({edge_name(e.target, e.source), to_string(graph.gate(e.target, e.source)), fixed(e.weight, 3), fixed(e.loss, 4)});
        for (const double share : {e.both_right, e.source_only, e.target_only, e.none_right})
            rows.back().push_back(fixed(100 * share, 1) + " %");
    }
    return all + "\nlast epoch, training images:\n" + aligned(rows);
}

}  // namespace distill
