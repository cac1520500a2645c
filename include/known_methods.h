// known_methods.h: what a found graph is compared with: the known methods on its networks, as graphs.
// defines: Contender, mutual_learning, add_known_methods
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "graph.h"
#include "search.h"

namespace distill {

/// What is trained at the end of a search, over the seeds.
struct Contender {
    std::string name;
    Graph graph;
    std::optional<TrialScore> found;  ///< by the search
};

/// All gates open: one node is plain training, several learn from each other.
Graph mutual_learning(const std::vector<std::string>& networks);

/// Adds plain training, KD from each other network, and mutual learning of all, for the networks of these graphs. A graph whose target is
/// an ensemble, no network, gets none of them, which a note says.
void add_known_methods(std::vector<Contender>& contenders);

}  // namespace distill
