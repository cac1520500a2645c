// ktg_known_methods.h: what a found graph is compared with: the known methods on its networks, as graphs.
// defines: Candidate, mutual_learning, add_known_methods
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "graph.h"
#include "search.h"

namespace distill {

/// What is trained at the end of a search, over the seeds.
struct Candidate {
    std::string name;
    Graph graph;
    std::optional<TrialScore> found;  ///< by the search
    bool as_alone = false;            ///< with the batch of a network that trains alone, not with the graphs'
};

/// All gates open: one node is plain training, several learn from each other.
Graph mutual_learning(const std::vector<std::string>& networks);

/// Adds plain training, as a network alone is trained and with the graphs' batch (once where they are the same), KD from each other
/// network, and mutual learning of all, for the networks of these graphs. A graph whose target is an ensemble, no network, gets none of
/// them, which a note says.
void add_known_methods(std::vector<Candidate>& candidates, int64_t batch, int64_t alone_batch);

}  // namespace distill
