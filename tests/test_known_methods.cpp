// What a found graph is set beside.
#include <map>

#include "ktg_known_methods.h"
#include "testing.h"

using namespace distill;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// By name: the number of nodes, and whether it trains as a network alone does.
std::map<std::string, std::pair<int, bool>> beside_resnet8(int64_t batch, int64_t alone_batch) {
    std::vector<Candidate> candidates = {{"best1", mutual_learning({"resnet8", "resnet14"}), {}, false}};
    add_known_methods(candidates, batch, alone_batch);
    std::map<std::string, std::pair<int, bool>> known;
    for (const Candidate& c : candidates) known[c.name] = {c.graph.size(), c.as_alone};
    CHECK(known.size() == candidates.size());
    return known;
}

}  // namespace

TEST_CASE("known methods: plain training stands beside a graph with the graph's batch, too, once where the batches are the same") {
    using Known = std::map<std::string, std::pair<int, bool>>;
    const Known learning = {{"best1", {2, false}}, {"kd-resnet14", {2, false}}, {"dml-resnet8+resnet14", {2, false}}};
    Known both = learning, one = learning;
    both["plain-resnet8"] = one["plain-resnet8"] = {1, true};
    both["plain-resnet8-batch64"] = {1, false};
    CHECK(beside_resnet8(64, 128) == both);
    CHECK(beside_resnet8(128, 128) == one);
}

TEST_SUITE_END();
