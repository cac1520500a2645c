// vgg8 to vgg19: counts, features and names as the public benchmark has them; beside PyTorch forward and in training.
#include "network_checks.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets vgg: parameters, work and features of the benchmark") {
    const std::vector<std::pair<int64_t, int64_t>> features = {{32, 64}, {16, 128}, {8, 256}, {4, 512}, {4, 512}, {1, 512}};
    for (const NetworkFacts& facts : {NetworkFacts{"vgg8", 32, 3965028, 96192512, 4016328, 271421440, features},
                                      {"vgg11", 50, 9277284, 209438720, 9328584, 611160064, features},
                                      {"vgg13", 62, 9462180, 284936192, 9513480, 913149952, features},
                                      {"vgg16", 80, 14774436, 398182400, 14825736, 1252888576, features},
                                      {"vgg19", 98, 20086692, 511428608, 20137992, 1592627200, features}})
        check_facts(facts);
}

TEST_CASE("nets vgg: names and starts of the benchmark") {
    check_names("vgg13", {{"block0.0.weight", {64, 3, 3, 3}},
                          {"block0.0.bias", {64}},
                          {"block0.1.running_mean", {64}},
                          {"block0.3.weight", {64, 64, 3, 3}},
                          {"block4.4.bias", {512}},
                          {"classifier.weight", {100, 512}},
                          {"classifier.bias", {100}}});
    Parameters parameters(cpu());
    make_network("vgg8", 100, parameters);
    parameters.allocate(0);
    const auto file = parameters.to_file();
    for (const char* zero : {"block0.0.bias", "block3.0.bias", "classifier.bias"})
        for (const float v : file.at(zero).data) CHECK(v == 0);
    double squares = 0;
    for (const float v : file.at("classifier.weight").data) squares += static_cast<double>(v) * static_cast<double>(v);
    CHECK(std::sqrt(squares / 51200) == doctest::Approx(0.01).epsilon(0.02));  // of 51,200 draws
}

TEST_CASE("nets vgg: at 64 rows, and only there, the fourth block is pooled too") {
    Parameters parameters(cpu());
    const auto network = make_network("vgg8", 10, parameters);
    for (const auto& [side, last] : std::vector<std::pair<int64_t, int64_t>>{{32, 4}, {48, 6}, {64, 4}, {96, 12}})
        CHECK(network->stage_shape(3, {1, side, side, 3}) == Shape{1, last, last, 512});
}

TEST_CASE("slow: golden: vgg like PyTorch's") { check_golden_forward("nets_vgg", {{"vgg8", 8}, {"vgg13", 8}, {"vgg19", 2}}, 2e-5); }

TEST_CASE("golden: training steps of vgg8 like PyTorch's") { check_golden_training("nets_vgg", 1); }
