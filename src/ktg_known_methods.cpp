#include "ktg_known_methods.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base_texts.h"
#include "search_history.h"

namespace distill {
namespace {

Graph distillation(const std::string& student, const std::string& teacher) {
    Graph graph = mutual_learning({student, teacher});
    graph.gates[1] = {Gate::cutoff, Gate::cutoff};
    return graph;
}

}  // namespace

Graph mutual_learning(const std::vector<std::string>& networks) {
    Graph graph;
    for (const std::string& network : networks) graph.nodes.push_back({network, {}, {}});
    graph.gates.assign(networks.size(), std::vector<Gate>(networks.size(), Gate::through));
    return graph;
}

void add_known_methods(std::vector<Candidate>& candidates, int64_t batch, int64_t alone_batch) {
    std::vector<Candidate> known;
    std::set<std::string> names;
    const auto add = [&](const std::string& name, const Graph& graph, bool as_alone = false) {
        if (names.insert(name).second) known.push_back({name, graph, {}, as_alone});
    };
    std::vector<const Graph*> graphs;
    for (const Candidate& c : candidates) {
        const GraphNode& target = c.graph.node(0);
        if (!target.is_ensemble())
            graphs.push_back(&c.graph);
        else
            std::printf("note: %s: its target, %s, is no network: nothing to train plainly, by KD or by mutual learning beside it\n",
                        c.name.c_str(), target.model.c_str());
    }
    for (const Graph* graph : graphs) {
        const std::string& network = graph->node(0).model;
        add("plain-" + network, mutual_learning({network}), true);
        add(plain_candidate(network, std::to_string(batch), std::to_string(alone_batch)), mutual_learning({network}));
    }
    for (const Graph* graph : graphs)
        for (int i = 1; i < graph->size(); ++i)
            if (const std::string& teacher = graph->node(i).model; !graph->node(i).is_ensemble())
                add("kd-" + teacher, distillation(graph->node(0).model, teacher));
    for (const Graph* graph : graphs) {
        std::vector<std::string> networks;
        for (const GraphNode& node : graph->nodes)
            if (!node.is_ensemble()) networks.push_back(node.model);
        std::sort(networks.begin() + 1, networks.end());  // the same networks in another order are the same method
        if (networks.size() > 1) add("dml-" + joined(networks, "+"), mutual_learning(networks));
    }
    candidates.insert(candidates.end(), known.begin(), known.end());
}

}  // namespace distill
