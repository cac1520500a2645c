// The graphs that a search draws from: how many, how likely, and the same again for the same seed.
#include <map>
#include <set>

#include "complaints.h"
#include "search_space.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const SearchSpace pair{"resnet32a", {"resnet32a", "resnet110a", "wrn-28-2"}, 2};

}  // namespace

TEST_CASE("search space: 768 graphs of two nodes, each once, a sixteenth of them with a frozen target") {
    REQUIRE(pair.size().value() == 768);
    std::set<std::string> seen;
    int frozen = 0;
    for (int64_t i = 0; i < 768; ++i) {
        const Graph graph = pair.at(i);
        CHECK(graph.node(0).model == "resnet32a");
        seen.insert(graph_line(graph));
        frozen += graph.is_frozen(0);
    }
    CHECK(seen.size() == 768);
    CHECK(frozen == 48);
    CHECK(graph_line(pair.at(0)) == "resnet32a resnet32a | through through | through through");
    CHECK(graph_line(pair.at(1)) == "resnet32a resnet32a | cutoff through | through through");
    CHECK(graph_line(pair.at(256 + 4 * 3)) == "resnet32a resnet110a | through correct | through through");
    CHECK(graph_line(pair.at(767)) == "resnet32a wrn-28-2 | correct correct | correct correct");
}

TEST_CASE("search space: its size grows as docs/papers.md §2.7 says, and is not claimed where it overflows") {
    CHECK(SearchSpace{"a", {"a", "b", "c"}, 3}.size().value() == 2359296);
    CHECK(SearchSpace{"a", {"a"}, 5}.size().value() == int64_t(1) << 50);
    CHECK_FALSE(SearchSpace{"a", {"a"}, 6}.size().has_value());
    CHECK_FALSE(SearchSpace{"a", {"a", "b"}, 7}.size().has_value());
}

TEST_CASE("search space: a random graph depends on (seed, trial) alone, and every choice is equally likely") {
    const SearchSpace three{"resnet8", {"resnet8", "resnet14", "wrn-10-1"}, 3};
    CHECK(graph_line(three.random(5, 17)) == graph_line(three.random(5, 17)));
    CHECK(graph_line(three.random(5, 17)) != graph_line(three.random(5, 18)));
    CHECK(graph_line(three.random(5, 17)) != graph_line(three.random(6, 17)));

    constexpr int draws = 4000;
    std::map<std::pair<int, int>, std::map<Gate, int>> gates;
    std::map<int, std::map<std::string, int>> models;
    for (int trial = 0; trial < draws; ++trial) {
        const Graph graph = three.random(1, trial);
        CHECK(graph.node(0).model == "resnet8");
        for (int t = 0; t < 3; ++t) {
            ++models[t][graph.node(t).model];
            for (int s = 0; s < 3; ++s) ++gates[{t, s}][graph.gate(t, s)];
        }
    }
    // χ² over n equally likely values: beyond these bounds with a chance of 1e-4 (3 and 2 degrees of freedom).
    const auto chi_square = [](const auto& counts, size_t n) {
        const double expected = double(draws) / double(n);
        double sum = 0;
        for (const auto& [value, count] : counts) sum += (count - expected) * (count - expected) / expected;
        return counts.size() == n ? sum : 1e9;
    };
    CHECK(gates.size() == 9);
    for (const auto& [edge, counts] : gates) CHECK(chi_square(counts, 4) < 21.1);
    for (int node = 1; node < 3; ++node) CHECK(chi_square(models[node], 3) < 18.4);
    // Neighbouring gates are independent: all 16 pairs are seen equally often (15 degrees of freedom).
    std::map<std::pair<Gate, Gate>, int> pairs;
    for (int trial = 0; trial < draws; ++trial) {
        const Graph graph = three.random(1, trial);
        ++pairs[{graph.gate(0, 0), graph.gate(0, 1)}];
    }
    CHECK(chi_square(pairs, 16) < 44.3);
}

TEST_CASE("search space: a graph's line is read again; anything else is refused") {
    for (const int64_t index : {0, 5, 300, 767}) {
        const Graph graph = parse_graph_line(graph_line(pair.at(index)), "here");
        CHECK(graph_line(graph) == graph_line(pair.at(index)));
        CHECK(graph.size() == 2);
    }
    for (const char* line : {"", "resnet8", "resnet8 | through through", "resnet8 resnet8 | through cutoff | linear", "resnet8 | shut",
                             "a b | through cutoff | linear correct | linear correct", "a b | through x through | linear linear"})
        CHECK(
            says(complaint([&] { parse_graph_line(line, "journal.csv: row 7"); }), {"journal.csv: row 7", line, "expected a graph like"}));
}

TEST_SUITE_END();
