// The convolutions of networks as layers: groups, and the transposed one with stride; their shapes, names, starts, values, gradients.
#include "net_layers.h"

#include <cmath>

#include "complaints.h"
#include "parameter_inputs.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// A layer built anew for each pass, its weights the operation's inputs behind x.
template <class Build>
OpCase layer_case(const std::string& name, const Shape& x, Build build) {
    Parameters named(cpu());
    build(named);
    named.allocate(0);
    OpCase op{name, {uniform_input("x of " + name, x)}, {}};
    const std::vector<std::string> names = trainable_names(named);
    for (const std::string& parameter : names) {
        const auto shape = named.to_file().at(parameter).shape;
        const Shape ours = shape.size() == 4 ? Shape{shape[0], shape[2], shape[3], shape[1]} : Shape{1, 1, 1, shape[0]};
        op.inputs.push_back(uniform_input(parameter + " of " + name, ours));
    }
    op.run = [build, names](const Inputs& in) {
        const auto parameters = std::make_shared<Parameters>(in[0].backend());
        const auto layer = build(*parameters);
        parameters->allocate(0);
        bind_parameters(parameters, names, in, 1);
        return layer(in[0]);
    };
    return op;
}

std::vector<OpCase> cases() {
    return {
        layer_case("3 groups of a 1x1", {2, 4, 3, 6}, [](Parameters& p) { return Conv2d(p, "c", 6, 9, 1, 1, {}, false, 3); }),
        layer_case("2 groups of a 3x3, stride 2, with bias", {2, 5, 6, 4},
                   [](Parameters& p) { return Conv2d(p, "c", 4, 6, 3, 2, ConvInit::framework_default, true, 2); }),
        layer_case("transposed 4x4, stride 2", {2, 3, 4, 5},
                   [](Parameters& p) { return ConvTranspose2d(p, "t", 5, 3, 4, ConvInit::framework_default, 2); }),
        layer_case("transposed 3x3, stride 2, output pad 1, no bias", {2, 4, 3, 4},
                   [](Parameters& p) { return ConvTranspose2d(p, "t", 4, 2, 3, ConvInit::framework_default, 2, 1, false); }),
    };
}

double deviation(const Parameters& p, const std::string& name) {
    double squares = 0;
    const std::vector<float> values = p.to_file().at(name).data;
    for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
    return std::sqrt(squares / static_cast<double>(values.size()));
}

}  // namespace

TEST_CASE("layers: gradients of grouped and of transposed convolutions") { check_gradients(cases()); }

TEST_CASE("layers: grouped and transposed convolutions on CUDA as on the CPU") { compare_backends(cases()); }

TEST_CASE("layers: a grouped convolution is one convolution for each group of channels") {
    const auto x = uniform_input("grouped x", {2, 5, 4, 6}), w = uniform_input("grouped w", {4, 3, 3, 3});
    Parameters p(cpu());
    const Conv2d grouped(p, "grouped", 6, 4, 3, 2, ConvInit::framework_default, true, 2);
    const Conv2d one(p, "one", 3, 2, 3, 2, ConvInit::framework_default, true);
    const Conv2d other(p, "other", 3, 2, 3, 2, ConvInit::framework_default, true);
    p.allocate(3);
    WeightFile file;
    file.tensors = p.to_file();
    const auto half = [&](const std::string& kind, size_t which) {
        const std::vector<float>& all = file.tensors.at("grouped." + kind).data;
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(which * all.size() / 2);
        file.tensors.at((which == 0 ? "one." : "other.") + kind).data = {begin, begin + static_cast<std::ptrdiff_t>(all.size() / 2)};
    };
    for (const char* kind : {"weight", "bias"}) half(kind, 0), half(kind, 1);
    p.from_file(file, "the halves");
    const Var in(Tensor::from_host(cpu(), x.shape, x.values));
    const std::vector<float> expected = concat_channels(one(slice_channels(in, 0, 3)), other(slice_channels(in, 3, 3))).value().to_host();
    check_values("grouped", grouped(in).value().to_host(), {expected.begin(), expected.end()});
    CHECK(file.tensors.at("grouped.weight").shape == std::vector<int64_t>{4, 3, 3, 3});
}

TEST_CASE("layers: groups and transposed convolutions start by the fans of PyTorch") {
    Parameters p(cpu());
    Conv2d(p, "framework", 48, 48, 3, 1, ConvInit::framework_default, true, 4);
    Conv2d(p, "out", 48, 48, 3, 1, ConvInit::kaiming_normal_fan_out, true, 4);
    Conv2d(p, "out_of_group", 48, 48, 3, 1, ConvInit::kaiming_normal_fan_out_of_group, false, 4);
    Conv2d(p, "in", 48, 48, 3, 1, ConvInit::kaiming_normal_fan_in, false, 4);
    ConvTranspose2d(p, "transposed", 48, 24, 3, ConvInit::framework_default, 2, 1);
    p.allocate(1);
    const auto near = [&](const char* name, double expected) {
        CHECK_MESSAGE(std::fabs(deviation(p, name) / expected - 1) < 0.05, name, ": ", deviation(p, name), ", expected ", expected);
    };
    near("framework.weight", std::sqrt(1 / 108.0 / 3));  // U(±1/√(12·9))
    near("out.weight", std::sqrt(2 / 432.0));
    near("out_of_group.weight", std::sqrt(2 / 108.0));
    near("in.weight", std::sqrt(2 / 108.0));
    near("transposed.weight", std::sqrt(1 / 216.0 / 3));  // U(±1/√(24·9)): PyTorch takes `out` for the fan-in
    CHECK(p.to_file().at("transposed.weight").shape == std::vector<int64_t>{48, 24, 3, 3});
    const std::vector<float> bias = p.to_file().at("framework.bias").data;
    for (const float v : bias) CHECK(std::fabs(v) <= 1 / std::sqrt(108.0));
    CHECK(p.to_file().at("out.bias").data == std::vector<float>(48, 0));
}

TEST_CASE("layers: a transposed convolution with stride 2 doubles a map") {
    Parameters p(cpu());
    const ConvTranspose2d four(p, "four", 2, 3, 4, ConvInit::framework_default, 2), one(p, "one", 2, 3, 3),
        padded(p, "padded", 2, 3, 3, ConvInit::framework_default, 2, 1, false);
    p.allocate(0);
    const Var x(Tensor::zeros(cpu(), {2, 4, 7, 2}));
    CHECK(four(x).shape() == Shape{2, 8, 14, 3});
    CHECK(padded(x).shape() == Shape{2, 8, 14, 3});
    CHECK(one(x).shape() == Shape{2, 4, 7, 3});
    CHECK(p.to_file().count("one.bias") == 1);
    CHECK(p.to_file().count("padded.bias") == 0);
}

TEST_CASE("layers: channels that groups do not divide are refused") {
    Parameters p(cpu());
    CHECK_THROWS_WITH_AS(Conv2d(p, "c", 6, 8, 1, 1, {}, false, 4), doctest::Contains("6 channels to 8 in 4 groups"), std::runtime_error);
    CHECK_THROWS_WITH_AS(Conv2d(p, "c", 8, 6, 1, 1, {}, false, 4), doctest::Contains("8 channels to 6 in 4 groups"), std::runtime_error);
}

TEST_CASE("layers: BatchNorm folded into a convolution with a bias") {
    Parameters p(cpu());
    const Conv2d conv(p, "c", 4, 6, 3, 1, ConvInit::framework_default, true);
    const BatchNorm bn(p, "bn", 6);
    p.allocate(2);
    const auto x = uniform_input("x", {2, 5, 5, 4});
    const Var in(Tensor::from_host(cpu(), x.shape, x.values));
    bn(conv(in), Mode::train);  // running statistics of its own
    const std::vector<float> folded = conv_bn(in, conv, bn, Mode::evaluate, true).value().to_host();
    const std::vector<float> apart = bn(conv(in), Mode::evaluate, true).value().to_host();
    check_values("folded", folded, {apart.begin(), apart.end()});
}
