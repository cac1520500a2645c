// Graph CSVs: also that a graph that was read and written again is the same.
#include "fuzz.h"
#include "graph.h"

namespace distill::fuzz {

std::vector<std::string> seeds() {
    return {"node,model,weights,gate_0\n0,resnet20,,through\n",
            "node,model,weights,gate_0,gate_1\n1,wrn-16-2,teacher.safetensors,cutoff,cutoff\n0,resnet8a,,linear,correct\n",
            "node,model,weights,gate_0,gate_1,gate_2\n0,ensemble:1+2,,cutoff,cutoff,cutoff\n1,resnet8x4,,through,through,cutoff\n"
            "2,\"resnet20\",../a b/x.safetensors,cutoff,through,linear\n"};
}

void parse(const std::string& bytes) {
    const Graph graph = read_graph(file_of(bytes));
    const std::string text = graph_csv(graph, folder());
    const Graph again = read_graph(file_of(text, "written"));
    require(again.gates == graph.gates, "a written graph has the same gates");
    for (int i = 0; i < graph.size(); ++i) {
        const GraphNode &a = graph.node(i), &b = again.node(i);
        require(a.model == b.model && a.members == b.members && a.weights == b.weights, "a written graph has the same nodes");
        graph.is_needed(i);
    }
    require_sound(graph, "input");
    require_weights(graph, "input");
}

}  // namespace distill::fuzz
