// ShuffleV1, ShuffleV2 and their channel shuffle: counts, features and names as the public benchmark has them; beside PyTorch.
#include "network_checks.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets shufflenet: parameters, work and features of the benchmark") {
    check_facts({"ShuffleV1", 247, 949258, 38691456, 1045358, 154573824, {{32, 24}, {16, 240}, {8, 480}, {4, 960}, {1, 960}}});
    check_facts({"ShuffleV2", 282, 1355528, 44504448, 1458028, 177812992, {{32, 24}, {16, 116}, {8, 232}, {4, 464}, {1, 1024}}});
}

TEST_CASE("nets shufflenet: names of the benchmark") {
    check_names("ShuffleV1", {{"conv1.weight", {24, 3, 1, 1}},
                              {"layer1.0.conv1.weight", {54, 24, 1, 1}},
                              {"layer1.0.conv3.weight", {216, 18, 1, 1}},
                              {"layer2.3.conv2.weight", {120, 1, 3, 3}},
                              {"layer3.3.bn3.running_mean", {960}},
                              {"linear.weight", {100, 960}}});
    check_names("ShuffleV2", {{"layer1.0.conv5.weight", {58, 58, 1, 1}},
                              {"layer2.7.bn3.bias", {116}},
                              {"conv2.weight", {1024, 464, 1, 1}},
                              {"bn2.weight", {1024}},
                              {"linear.bias", {100}}});
}

namespace {

std::vector<OpCase> shuffles() {
    std::vector<OpCase> cases;
    for (const int groups : {2, 3}) {
        OpCase op{"shuffle_channels in " + std::to_string(groups), {uniform_input("x", {2, 3, 4, 12})}, {}};
        op.run = [groups](const Inputs& in) { return shuffle_channels(in[0], groups); };
        cases.push_back(op);
    }
    return cases;
}

}  // namespace

TEST_CASE("shuffle_channels: a worked example, gradients, and what does not divide") {
    const Var x(Tensor::from_host(cpu(), {1, 1, 1, 6}, {0, 1, 2, 3, 4, 5}));
    CHECK(shuffle_channels(x, 3).value().to_host() == std::vector<float>{0, 2, 4, 1, 3, 5});
    CHECK(shuffle_channels(x, 1).value().to_host() == x.value().to_host());
    CHECK(shuffle_channels(shuffle_channels(x, 3), 2).value().to_host() == x.value().to_host());
    CHECK_THROWS_WITH_AS(shuffle_channels(x, 4), doctest::Contains("6 channels in 4 groups ---> "), std::runtime_error);
    check_gradients(shuffles());
    check_rounding(shuffles());
}

TEST_CASE("shuffle_channels: CUDA like the CPU") { compare_backends(shuffles()); }

TEST_CASE("golden: ShuffleNets like PyTorch's") { check_golden_forward("nets_shufflenet", {{"ShuffleV1", 8}, {"ShuffleV2", 8}}, 1e-4); }

TEST_CASE("golden: training steps of ShuffleNets like PyTorch's") { check_golden_training("nets_shufflenet", 2); }
