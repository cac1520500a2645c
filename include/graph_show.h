// graph_show.h: a knowledge transfer graph for people: text and picture, with what a run made of it.
// defines: edge_name, EdgeOutcome, GraphOutcome, graph_text, graph_svg
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base_faults.h"
#include "graph.h"

namespace distill {

std::string edge_name(int target, int source);  ///< "1 -> 0", "label -> 0"

/// An edge's row of edges.csv. Shares are of the epoch's training images.
struct EdgeOutcome {
    int target, source;
    double weight, loss;                                      ///< means over the epoch
    double both_right, source_only, target_only, none_right;  ///< shares, 1 in sum
};

/// What is known of a run after its last whole epoch; all empty where there is no run.
struct GraphOutcome {
    std::vector<std::optional<double>> accuracy;  ///< by node, test accuracy in %
    std::vector<EdgeOutcome> edges;
    Faults faults;  ///< of the run's files

    std::optional<double> of_node(int i) const;
    const EdgeOutcome* of_edge(int target, int source) const;  ///< null: unknown
};

/// A row a node with its gates, after a run a row an edge, and what could not be read of it. Ends with a newline.
std::string graph_text(const Graph& graph, const GraphOutcome& outcome = {});

/// A self-contained picture, light or dark as the reader's page is: nodes with network and accuracy, edges with their gates by colour and
/// dash, label edges from above or below, frozen nodes and ensembles marked, a legend. It can be a file or stand inside an HTML page.
std::string graph_svg(const Graph& graph, const GraphOutcome& outcome = {});

}  // namespace distill
