// MobileNetV2 of half the width: counts, features and names as the public benchmark has them; beside PyTorch forward and in training.
#include "network_checks.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets mobilenetv2: parameters, work and features of the benchmark") {
    check_facts({"MobileNetV2", 267, 812836, 6523648, 940936, 25838592, {{16, 16}, {16, 12}, {8, 16}, {4, 48}, {2, 160}, {1, 1280}}});
}

TEST_CASE("nets mobilenetv2: names of the benchmark") {
    check_names("MobileNetV2", {{"conv1.0.weight", {16, 3, 3, 3}},
                                {"conv1.1.weight", {16}},
                                {"blocks.0.0.conv.0.weight", {16, 16, 1, 1}},
                                {"blocks.3.1.conv.3.weight", {192, 1, 3, 3}},
                                {"blocks.6.0.conv.7.running_var", {160}},
                                {"conv2.0.weight", {1280, 160, 1, 1}},
                                {"classifier.0.bias", {100}}});
}

TEST_CASE("golden: MobileNetV2 like PyTorch's") { check_golden_forward("nets_mobilenetv2", {{"MobileNetV2", 8}}, 1e-4); }

TEST_CASE("golden: training steps of MobileNetV2 like PyTorch's") { check_golden_training("nets_mobilenetv2", 1); }
