#include "graph.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_project.h"
#include "base_texts.h"
#include "net_table.h"

namespace distill {
namespace fs = std::filesystem;
namespace {

constexpr std::array<Gate, 4> all_gates = {Gate::through, Gate::cutoff, Gate::linear, Gate::correct};
const std::string ensemble_prefix = "ensemble:";

/// A node's number in digits, below `limit`.
std::optional<int> node_number(const std::string& digits, int limit) {
    if (digits.size() != 1 || digits[0] < '0' || digits[0] >= '0' + limit) return std::nullopt;
    return digits[0] - '0';
}

/// "ensemble:1+2" → 1, 2; a network's name has no members. InputError after `where` for a name that is neither.
std::vector<int> members_of(const std::string& model, int nodes, const std::string& where) {
    const char* const and_ensembles = ", and ensembles like ensemble:1+2";
    if (model.empty()) input_error(where, ": found no network; there are: ", network_names(), and_ensembles);
    std::vector<int> members;
    if (!starts_with(model, ensemble_prefix)) {
        try {
            network_row(model);
        } catch (const InputError& unknown) {
            input_error(where, ": ", unknown.what(), and_ensembles);
        }
        return members;
    }
    for (const std::string& part : split(model.substr(ensemble_prefix.size()), '+')) {
        const auto member = node_number(part, nodes);
        if (!member || std::count(members.begin(), members.end(), *member) > 0)
            input_error(where, ": found '", model, "', expected different nodes from 0 to ", nodes - 1, ", like ensemble:1+2");
        members.push_back(*member);
    }
    if (members.size() < 2) input_error(where, ": found '", model, "', expected at least two nodes, like ensemble:1+2");
    return members;
}

Gate gate_of(const std::string& name, const std::string& where) {
    for (const Gate gate : all_gates)
        if (name == to_string(gate)) return gate;
    std::vector<std::string> names;
    for (const Gate gate : all_gates) names.emplace_back(to_string(gate));
    input_error(where, ": found ", name.empty() ? "no gate" : "'" + name + "'", ", expected one of ", joined(names));
}

fs::path weights_path(const fs::path& given, const std::string& where) {
    std::error_code error;
    const fs::path path = fs::weakly_canonical(given, error);
    if (error) input_error(where, ": found '", given.string(), "', which is no file's path (", error.message(), ")");
    return path;
}

std::vector<std::string> columns_of(size_t nodes) {
    std::vector<std::string> columns = {"node", "model", "weights"};
    for (size_t i = 0; i < nodes; ++i) columns.push_back("gate_" + std::to_string(i));
    return columns;
}

void require_columns(const CsvTable& table) {
    const std::vector<std::string> expected = columns_of(table.rows.size());
    if (table.columns == expected) return;
    const std::set<std::string> found(table.columns.begin(), table.columns.end()), wanted(expected.begin(), expected.end());
    std::vector<std::string> wrong;
    for (const std::string& name : expected)
        if (!found.count(name)) wrong.push_back("missing " + name);
    for (const std::string& name : table.columns)
        if (!wanted.count(name)) wrong.push_back("unknown " + name);
    input_error(table.path.string(), ": found the columns ", joined(table.columns), "; a graph of ", table.rows.size(), " nodes has ",
                joined(expected), wrong.empty() ? " in this order" : " (" + joined(wrong) + ")");
}

/// "0=a,1=b" → node and value.
std::vector<std::pair<int, std::string>> assigned(const Graph& graph, const std::string& text, const std::string& origin) {
    std::vector<std::pair<int, std::string>> pairs;
    for (const std::string& part : split(text, ',')) {
        const size_t equals = part.find('=');
        const auto node = node_number(part.substr(0, equals), graph.size());
        if (equals == std::string::npos || !node || equals + 1 == part.size())
            input_error(origin, ": found '", part, "', expected NODE=VALUE with a node from 0 to ", graph.size() - 1);
        for (const auto& [before, value] : pairs)
            if (before == *node) input_error(origin, ": node ", before, " is named twice");
        pairs.emplace_back(*node, part.substr(equals + 1));
    }
    return pairs;
}

}  // namespace

const char* to_string(Gate gate) {
    switch (gate) {
        case Gate::through: return "through";
        case Gate::cutoff: return "cutoff";
        case Gate::linear: return "linear";
        case Gate::correct: return "correct";
    }
    return "";
}

bool Graph::all_cut(int target) const {
    const std::vector<Gate>& row = gates[static_cast<size_t>(target)];
    return std::all_of(row.begin(), row.end(), [](Gate gate) { return gate == Gate::cutoff; });
}

bool Graph::is_needed(int i) const {
    if (i == 0 || is_trained(i)) return true;
    for (int t = 0; t < size(); ++t) {  // ensembles are not members of ensembles, so this ends
        const std::vector<int>& members = node(t).members;
        if (gate(t, i) != Gate::cutoff) return true;
        if (std::count(members.begin(), members.end(), i) > 0 && is_needed(t)) return true;
    }
    return false;
}

std::vector<GraphEdge> Graph::edges() const {
    std::vector<GraphEdge> open;
    for (int t = 0; t < size(); ++t)
        for (int s = 0; s < size(); ++s)
            if (gate(t, s) != Gate::cutoff) open.push_back({t, s, gate(t, s)});
    return open;
}

Graph heard_by_target(const Graph& graph) {
    std::vector<bool> heard(graph.nodes.size());
    std::vector<int> reached = {0};
    while (!reached.empty()) {
        const int t = reached.back();
        reached.pop_back();
        if (heard[static_cast<size_t>(t)]) continue;
        heard[static_cast<size_t>(t)] = true;
        const std::vector<int>& members = graph.node(t).members;
        reached.insert(reached.end(), members.begin(), members.end());
        for (int s = 0; s < graph.size(); ++s)
            if (graph.gate(t, s) != Gate::cutoff) reached.push_back(s);
    }
    Graph left = graph;
    for (size_t i = 0; i < heard.size(); ++i) {
        if (!heard[i]) left.nodes[i] = {}, std::fill(left.gates[i].begin(), left.gates[i].end(), Gate::cutoff);
        if (left.gates[i][i] == Gate::correct) left.gates[i][i] = Gate::through;
    }
    return left;
}

Graph read_graph(const fs::path& file) {
    const CsvTable table = read_csv(file);
    const auto n = static_cast<int>(table.rows.size());
    if (n < 1 || n > max_nodes) input_error(file.string(), ": found ", n, " nodes, expected 1 to ", max_nodes, ", one row each");
    require_columns(table);
    Graph graph;
    graph.nodes.resize(table.rows.size());
    graph.gates.resize(table.rows.size());
    for (size_t row = 0; row < table.rows.size(); ++row) {
        const auto where = [&](const std::string& column) { return text(file.string(), ": row ", row + 1, ", column '", column, "'"); };
        const auto number = node_number(table.cell(row, "node"), n);
        if (!number) input_error(where("node"), ": found '", table.cell(row, "node"), "', expected 0 to ", n - 1, ", one row a node");
        const auto i = static_cast<size_t>(*number);
        if (!graph.gates[i].empty()) input_error(where("node"), ": node ", i, " is there already; expected 0 to ", n - 1, ", each once");
        GraphNode& node = graph.nodes[i];
        node.model = table.cell(row, "model");
        node.members = members_of(node.model, n, where("model"));
        if (const std::string& weights = table.cell(row, "weights"); !weights.empty())
            node.weights = weights_path(file.parent_path() / weights, where("weights"));
        for (int j = 0; j < n; ++j) {
            const std::string column = "gate_" + std::to_string(j);
            graph.gates[i].push_back(gate_of(table.cell(row, column), where(column)));
        }
    }
    return graph;
}

std::string graph_csv(const Graph& graph, const fs::path& folder) {
    std::vector<std::vector<std::string>> rows;
    for (int i = 0; i < graph.size(); ++i) {
        const GraphNode& node = graph.node(i);
        const fs::path weights = node.weights.empty() ? fs::path() : fs::proximate(fs::absolute(node.weights), fs::absolute(folder));
        rows.push_back({std::to_string(i), node.model, weights.string()});
        for (int j = 0; j < graph.size(); ++j) rows.back().emplace_back(to_string(graph.gate(i, j)));
    }
    return csv_text(columns_of(graph.nodes.size()), rows);
}

void require_sound(const Graph& graph, const std::string& origin) {
    const auto require = [&](bool holds, auto&&... what) {
        if (!holds) input_error(origin, ": ", what...);
    };
    for (int i = 0; i < graph.size(); ++i) {
        const GraphNode& node = graph.node(i);
        if (!node.is_ensemble()) continue;
        require(graph.all_cut(i), "node ", i, " is an ensemble, which learns nothing; all its gates must be cutoff");
        require(node.weights.empty(), "node ", i, " is an ensemble, which has no weights of its own; leave its 'weights' empty");
        for (const int member : node.members) {
            require(member != i, "node ", i, " is an ensemble of itself; name other nodes");
            require(!graph.node(member).is_ensemble(), "node ", i, " is an ensemble of node ", member,
                    ", an ensemble too; name that one's members");
        }
    }
    require(!graph.is_frozen(0), "node 0 is the target and may not be frozen; open one of its gates");
    const std::vector<int>& summed = graph.node(0).members;
    require(summed.empty() || std::any_of(summed.begin(), summed.end(), [&](int member) { return graph.is_trained(member); }),
            "node 0 is an ensemble of frozen nodes, so the target learns nothing; open a gate of one of its members");
}

void require_weights(const Graph& graph, const std::string& origin) {
    for (int i = 0; i < graph.size(); ++i) {
        const fs::path& weights = graph.node(i).weights;
        if (graph.is_frozen(i) && weights.empty())
            input_error(origin, ": node ", i, " (", graph.node(i).model, ") is frozen, all its gates being cutoff, and has no weights; ",
                        "name them in the column 'weights', or with --weights ", i, "=FILE");
        if (!weights.empty() && !fs::is_regular_file(weights))
            input_error(origin, ": node ", i, ": found no weight file ", weights.string(), "; say where it is with --weights ", i,
                        "=FILE, or train one with: distill train --net ", graph.node(i).model, " --save FILE");
    }
}

fs::path graph_folder(const std::string& wanted) { return project_data("graphs", wanted, ", or name a graph's file, ending in .csv"); }

fs::path find_graph(const std::string& name_or_file) {
    const fs::path given = name_or_file;
    if (given.extension() == ".csv" || given.has_parent_path()) return given;
    const fs::path folder = graph_folder("graph '" + name_or_file + "'"), shipped = folder / (name_or_file + ".csv");
    if (fs::exists(shipped)) return shipped;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".csv") names.push_back(entry.path().stem().string());
    std::sort(names.begin(), names.end());
    input_error("unknown graph '", name_or_file, "'; shipped are: ", joined(names), "; or name a file ending in .csv");
}

void set_models(Graph& graph, const std::string& assignments, const std::string& origin) {
    for (const auto& [node, model] : assigned(graph, assignments, origin)) {
        GraphNode& to = graph.nodes[static_cast<size_t>(node)];
        to.members = members_of(model, graph.size(), origin);
        to.model = model;
    }
}

void set_weights(Graph& graph, const std::string& assignments, const std::string& origin) {
    for (const auto& [node, file] : assigned(graph, assignments, origin)) graph.nodes[static_cast<size_t>(node)].weights = file;
}

}  // namespace distill
