// search_space.h: the graphs that a search chooses from, at random or one after the other (docs/papers.md §2.7).
// defines: SearchSpace, graph_line, parse_graph_line
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph.h"

namespace distill {

/// Graphs of `nodes` nodes: node 0 is the target's network, every other one of `models`, and each of the nodes² gates one of the four.
struct SearchSpace {
    std::string target;
    std::vector<std::string> models;
    int nodes = 2;

    /// 4^(nodes²) · models^(nodes−1); none where that is beyond 2⁶².
    std::optional<int64_t> size() const;
    /// Every network and gate equally likely, drawn from (seed, trial) alone.
    Graph random(uint64_t seed, int64_t trial) const;
    /// Every graph once, index 0 … size()−1: the gates count fastest, row by row, then the networks.
    Graph at(int64_t index) const;
};

/// A graph in a line, as the journal has it: "resnet32a wrn-28-2 | through cutoff | linear correct", the networks, then the gates into
/// node 0, 1, …; and back. InputError, beginning with `origin`, for a line that is none.
std::string graph_line(const Graph& graph);
Graph parse_graph_line(const std::string& line, const std::string& origin);

}  // namespace distill
