#include "search_space.h"

#include "base_error.h"
#include "base_texts.h"
#include "core_philox.h"

namespace distill {
namespace {

constexpr int64_t gate_count = 4;

/// `choose(n)` gives a number below n; it is asked for the gates row by row, then for the networks.
template <class Choose>
Graph build(const SearchSpace& space, Choose choose) {
    const auto n = static_cast<size_t>(space.nodes);
    Graph graph;
    graph.nodes.resize(n);
    graph.gates.resize(n);
    for (auto& row : graph.gates)
        for (size_t source = 0; source < n; ++source) row.push_back(static_cast<Gate>(choose(gate_count)));
    graph.nodes[0].model = space.target;
    const auto models = static_cast<int64_t>(space.models.size());
    for (size_t i = 1; i < n; ++i) graph.nodes[i].model = space.models[static_cast<size_t>(choose(models))];
    return graph;
}

}  // namespace

std::optional<int64_t> SearchSpace::size() const {
    constexpr int64_t limit = int64_t(1) << 62;
    int64_t count = 1;
    const auto times = [&](int64_t factor, int power) {
        for (int i = 0; i < power && count > 0; ++i) count = count > limit / factor ? 0 : count * factor;
    };
    times(gate_count, nodes * nodes);
    times(static_cast<int64_t>(models.size()), nodes - 1);
    return count > 0 ? std::optional<int64_t>(count) : std::nullopt;
}

Graph SearchSpace::random(uint64_t seed, int64_t trial) const {
    const uint64_t key = random_key(seed, Purpose::search, static_cast<uint64_t>(trial));
    return build(*this, [key, draw = uint64_t(0)](int64_t n) mutable {
        return static_cast<int64_t>((static_cast<uint64_t>(philox(key, draw++).v[0]) * static_cast<uint64_t>(n)) >> 32);
    });
}

Graph SearchSpace::at(int64_t index) const {
    return build(*this, [index](int64_t n) mutable {
        const int64_t digit = index % n;
        index /= n;
        return digit;
    });
}

std::string graph_line(const Graph& graph) {
    std::vector<std::string> networks, parts;
    for (const GraphNode& node : graph.nodes) networks.push_back(node.model);
    parts.push_back(joined(networks, " "));
    for (const auto& row : graph.gates) {
        std::vector<std::string> gates;
        for (const Gate gate : row) gates.emplace_back(to_string(gate));
        parts.push_back(joined(gates, " "));
    }
    return joined(parts, " | ");
}

Graph parse_graph_line(const std::string& line, const std::string& origin) {
    std::vector<std::vector<std::string>> parts;
    for (const std::string& part : split(line, '|')) {
        parts.emplace_back();
        for (const std::string& word : split(part, ' '))
            if (!word.empty()) parts.back().push_back(word);
    }
    const size_t n = parts.empty() || parts[0].size() > size_t{max_nodes} ? 0 : parts[0].size();
    Graph graph;
    for (size_t i = 0; i < n && parts.size() == n + 1; ++i) {
        graph.nodes.push_back({parts[0][i], {}, {}});
        graph.gates.emplace_back();
        for (const std::string& name : parts[i + 1])
            for (int gate = 0; gate < gate_count; ++gate)
                if (name == to_string(static_cast<Gate>(gate))) graph.gates.back().push_back(static_cast<Gate>(gate));
        if (graph.gates.back().size() != n || parts[i + 1].size() != n) break;
        if (i + 1 == n) return graph;
    }
    input_error(origin, ": found '", line, "', expected a graph like 'resnet32a wrn-28-2 | through cutoff | linear correct', of at most ",
                max_nodes, " nodes");
}

}  // namespace distill
