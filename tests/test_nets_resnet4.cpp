// ResNet10 to ResNet50, of four stages: counts, features and names as the public benchmark has them; beside PyTorch.
#include "network_checks.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets resnet4: parameters, work and features of the benchmark") {
    const std::vector<std::pair<int64_t, int64_t>> basic = {{32, 64}, {32, 64}, {16, 128}, {8, 256}, {4, 512}, {1, 512}};
    check_facts({"ResNet10", 62, 4949412, 253478912, 5000712, 1013813248, basic});
    check_facts({"ResNet34", 182, 21328292, 1159448576, 21379592, 4637691904, basic});
    check_facts(
        {"ResNet50", 267, 23705252, 1298014208, 23910152, 5191647232, {{32, 64}, {32, 256}, {16, 512}, {8, 1024}, {4, 2048}, {1, 2048}}});
}

TEST_CASE("nets resnet4: names of the benchmark, and capitals that matter") {
    check_names("ResNet50", {{"conv1.weight", {64, 3, 3, 3}},
                             {"layer1.0.shortcut.0.weight", {256, 64, 1, 1}},
                             {"layer1.0.shortcut.1.running_var", {256}},
                             {"layer3.5.conv2.weight", {256, 256, 3, 3}},
                             {"layer4.2.bn3.weight", {2048}},
                             {"linear.weight", {100, 2048}}});
    Parameters parameters(cpu());
    CHECK(make_network("ResNet50", 10, parameters)->stages().size() == 4);
    CHECK(make_network("resnet50", 10, parameters, "other.")->stages().size() == 3);
}

TEST_CASE("slow: golden: ResNets of four stages like PyTorch's") {
    check_golden_forward("nets_resnet4", {{"ResNet10", 8}, {"ResNet18", 8}, {"ResNet50", 2}}, 1e-4);
}

TEST_CASE("slow: golden: training steps of ResNet10 like PyTorch's") { check_golden_training("nets_resnet4", 1); }
