// attention_fusion: what the operations that it is made of give, gradients, types, shapes that do not fit.
#include <cmath>

#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

const std::vector<Shape> shapes{{2, 3, 5, 3}, {1, 1, 1, 1}, {2, 4, 3, 16}, {3, 1, 7, 20}, {9, 1, 1, 33}, {2, 16, 16, 64}};

Var fused(const Inputs& in) { return attention_fusion(in[0], in[1], in[2], in[3]); }

/// As docs/papers.md §5.3 writes it.
Var composed(const Inputs& in) {
    const Var z = sigmoid(add_bias(conv2d(concat_channels(in[0], in[1]), in[2]), in[3]));
    return add(gated(in[0], z, 0), gated(in[1], z, 1));
}

std::vector<HostTensor> inputs(const Shape& s) {
    return {uniform_input("x", s), uniform_input("y", s), uniform_input("w", {2, 1, 1, 2 * s.c}), uniform_input("bias", {1, 1, 1, 2})};
}

std::vector<OpCase> cases() {
    std::vector<OpCase> all;
    for (const Shape& s : shapes) all.push_back({"attention_fusion " + to_string(s), inputs(s), fused});
    return all;
}

std::vector<double> doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace

TEST_CASE("fusion: by hand") {
    const Var x(Tensor::from_host(cpu(), {1, 1, 1, 2}, {1, 2})), y(Tensor::from_host(cpu(), {1, 1, 1, 2}, {10, 20}));
    const Var w(Tensor::from_host(cpu(), {2, 1, 1, 4}, {1, 0, 0, 0, 0, 0, 0, 0.1f})), bias(Tensor::from_host(cpu(), {1, 1, 1, 2}, {-1, 0}));
    const double of_x = 0.5, of_y = 1 / (1 + std::exp(-2.0));  // sigmoid(1·1 − 1), sigmoid(0.1·20)
    check_values("fusion", attention_fusion(x, y, w, bias).value().to_host(), {of_x + 10 * of_y, 2 * of_x + 20 * of_y}, 1e-6);
}

TEST_CASE("fusion: value and gradients of the operations that it is made of") {
    for (const Shape& s : shapes) {
        CAPTURE(to_string(s));
        const std::vector<HostTensor> in = inputs(s);
        const std::vector<float> dy = uniform_input("dy", s).values;
        const Inputs one = upload(cpu(), in), other = upload(cpu(), in);
        const Var found = run_backward(fused, one, dy), expected = run_backward(composed, other, dy);
        check_values("result", found.value().to_host(), doubles(expected.value().to_host()), 1e-5);
        for (size_t i = 0; i < in.size(); ++i)
            check_values("gradient " + std::to_string(i), one[i].node().gradient.to_host(), doubles(other[i].node().gradient.to_host()),
                         1e-5);
    }
}

TEST_CASE("fusion: gradients") { check_gradients(cases()); }

TEST_CASE("fusion: gradients into one of its inputs, and of a map with itself") {
    for (size_t only = 0; only < 4; ++only) {
        std::vector<HostTensor> in = inputs({2, 3, 2, 4});
        for (size_t i = 0; i < in.size(); ++i) in[i].wanted = i == only;
        check_gradients({"fusion, input " + std::to_string(only), in, fused});
    }
    check_gradients({"fusion(x, x)", inputs({2, 3, 2, 4}),
                     [](const Inputs& in) { return add(attention_fusion(in[0], in[0], in[2], in[3]), mul(in[1], in[1])); }});
}

TEST_CASE("fusion: twice back along one tape") {
    const Inputs in = upload(cpu(), inputs({2, 3, 2, 4}));
    std::vector<std::vector<float>> gradients;
    Tape tape;
    Var loss;
    {
        const Recording recording(&tape);
        loss = mean(fused(in));
    }
    for (const bool keep : {true, false}) {
        tape.backward(loss, keep);
        for (const Var& v : in) {
            gradients.push_back(v.node().gradient.to_host());
            v.node().gradient = Tensor();
            v.node().has_gradient = false;
        }
    }
    for (size_t i = 0; i < in.size(); ++i) CHECK(gradients[i] == gradients[i + in.size()]);
}

TEST_CASE("fusion: the number of threads changes no bit") { check_threads_do_not_matter({{"fusion", inputs({17, 9, 11, 20}), fused}}); }

TEST_CASE("fusion: shapes that do not fit name all") {
    const Inputs in = upload(cpu(), inputs({2, 3, 2, 4}));
    const Var wide = concat_channels(in[1], in[1]);
    CHECK_THROWS_WITH_AS(attention_fusion(in[0], wide, in[2], in[3]), doctest::Contains("x (2,3,2,4), y (2,3,2,8)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(attention_fusion(wide, wide, in[2], in[3]), doctest::Contains("w (2,1,1,8)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(attention_fusion(in[0], in[1], in[2], in[2]), doctest::Contains("bias of 16"), std::runtime_error);
}

TEST_CASE("fusion: CUDA like the CPU") { compare_backends(cases()); }
