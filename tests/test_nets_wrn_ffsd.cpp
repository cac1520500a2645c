// FFSD's wide ResNets: names and shapes, the BatchNorm that nearly forgets, beside PyTorch forward and in training.
#include <algorithm>
#include <cmath>
#include <utility>

#include "complaints.h"
#include "golden_formula.h"
#include "method_ffsd.h"
#include "network_checks.h"
#include "setting.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets wrn-ffsd: names, biases and shapes of FFSD's wide networks") {
    check_names("wrn-16-2-ffsd", {{"conv1.bias", {16}},
                                  {"layer1.0.bn1.weight", {16}},
                                  {"layer1.0.shortcut.0.weight", {32, 16, 1, 1}},
                                  {"layer1.0.shortcut.0.bias", {32}},
                                  {"layer2.1.conv2.bias", {64}},
                                  {"layer3.0.conv1.weight", {128, 64, 3, 3}},
                                  {"bn1.running_var", {128}},
                                  {"linear.weight", {100, 128}}});
    Parameters parameters(cpu());
    const auto network = make_network("wrn-40-2-ffsd", 100, parameters);
    CHECK(network->stages().size() == 3);
    CHECK(complaint([&] { make_network("wrn-28-2-ffsd", 100, parameters, "other."); }).find("wrn-28-2-ffsd") != std::string::npos);
    FfsdOptions own;
    Options o;
    o.student = "wrn-16-2-ffsd";
    const auto method = own.make(setting(cpu(), 4), o);
    CHECK(method->parameters().file_shapes("sd1.").at("layer0.convtranpose.weight") == std::vector<int64_t>{128, 64, 3, 3});
}

TEST_CASE("nets wrn-ffsd: convolutions' biases start as PyTorch's, their weights by the authors' rule") {
    Parameters parameters(cpu());
    make_network("wrn-16-2-ffsd", 100, parameters);
    parameters.allocate(1);
    const auto file = parameters.to_file();
    for (const auto& [name, fan_in] : {std::pair{"conv1.bias", 27}, {"layer2.0.shortcut.0.bias", 32}, {"layer3.1.conv2.bias", 9 * 128}}) {
        double largest = 0;
        for (const float v : file.at(name).data) largest = std::max(largest, std::fabs(static_cast<double>(v)));
        CAPTURE(name);
        CHECK(largest <= 1.0001 / std::sqrt(fan_in));
        CHECK(largest > 0.6 / std::sqrt(fan_in));
    }
    double squares = 0;
    const std::vector<float> weight = file.at("layer3.1.conv2.weight").data;
    for (const float v : weight) squares += static_cast<double>(v) * v;
    CHECK(std::sqrt(squares / static_cast<double>(weight.size())) == doctest::Approx(std::sqrt(2.0 / (9 * 128))).epsilon(0.02));
}

TEST_CASE("nets wrn-ffsd: the last BatchNorm nearly forgets") {
    Parameters parameters(cpu());
    const auto network = make_network("wrn-16-2-ffsd", 100, parameters);
    parameters.allocate(1);
    network->forward(golden_batch(cpu(), 0).images, Mode::train);
    const auto mean = [&](const char* name) { return parameters.to_file().at(name).data; };
    const std::vector<float> once = mean("bn1.running_mean"), inner = mean("layer1.0.bn1.running_mean");
    network->forward(golden_batch(cpu(), 0).images, Mode::train);
    const std::vector<float> twice = mean("bn1.running_mean"), inner_twice = mean("layer1.0.bn1.running_mean");
    // From 0: 0.9·m, then 0.99·m; with PyTorch's 0.1: 0.1·m, then 0.19·m.
    check_values("last", twice, std::vector<double>([&] {
                     std::vector<double> expected;
                     for (const float v : once) expected.push_back(v * 1.1);
                     return expected;
                 }()),
                 1e-4);
    check_values("first", inner_twice, std::vector<double>([&] {
                     std::vector<double> expected;
                     for (const float v : inner) expected.push_back(v * 1.9);
                     return expected;
                 }()),
                 1e-4);
}

TEST_CASE("golden: FFSD's wide networks like PyTorch's") {
    check_golden_forward("nets_wrn_ffsd", {{"wrn-16-2-ffsd", 8}, {"wrn-40-2-ffsd", 8}}, 1e-4);
    check_golden_training("nets_wrn_ffsd", 1);
}
