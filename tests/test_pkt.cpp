// Probabilistic Knowledge Transfer: its worked value, gradients, vectors of zeros, and which vectors it takes.
#include "benchmark_losses.h"
#include "complaints.h"
#include "method_pkt.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase pkt(const Shape& s, const Shape& t) {
    return {"pkt " + to_string(s) + " " + to_string(t),
            {sines(s), cosines(t)},
            [](const Inputs& in) { return scale(probability_loss(in[0], in[1].value()), 30000); },
            4e-3};
}
/// Lengths at which the 1e-7 beside them counts.
OpCase nearly_zero() {
    return {"l2_normalize + 1e-7", {uniform_input("x", {4, 1, 1, 7}, -1e-7f, 1e-7f)}, [](const Inputs& in) {
                return l2_normalize(in[0], 1e-7f);
            }};
}
std::vector<OpCase> cases() { return {pkt({4, 1, 1, 3}, {4, 1, 1, 5}), pkt({7, 1, 1, 20}, {7, 1, 1, 17}), nearly_zero()}; }

}  // namespace

TEST_CASE("pkt: the worked value") {
    CHECK(value_of_loss(pkt({4, 1, 1, 3}, {4, 1, 1, 5})) == doctest::Approx(30000 * 0.0233312577).epsilon(1e-6));
}

TEST_CASE("pkt: gradients") { check_gradients(cases()); }
TEST_CASE("pkt: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("pkt: a length is divided by with 1e-7 beside it; zeros are as like to each as to any, with a finite gradient") {
    const Inputs in = upload(cpu(), {{{2, 1, 1, 2}, {3e-7f, 4e-7f, 0, 0}}});
    check_values("unit", l2_normalize(in[0], 1e-7f).value().to_host(), {0.5, 4.0 / 6, 0, 0}, 1e-6);
    testing::HostTensor s = sines({4, 1, 1, 3});
    for (size_t i = 0; i < 3; ++i) s.values[i] = 0;
    const Inputs zeros = upload(cpu(), {s, cosines({4, 1, 1, 3})});
    run_backward([](const Inputs& i) { return probability_loss(i[0], i[1].value()); }, zeros, {1});
    for (const float v : zeros[0].node().gradient.to_host()) CHECK(std::isfinite(v));
}

TEST_CASE("pkt: beta times the loss of the pooled vectors, of other widths and depths") {
    const PktOptions own;
    CHECK(own.weights.beta == 30000);
    for (const auto& [teacher, student] : {std::pair{"resnet8x4", "resnet8"}, {"vgg8", "wrn-10-1-tiny"}}) {
        const OneStep s = stepped(own, teacher, student, 32);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_pkt"});
        CHECK(s.loss() == doctest::Approx(30000 * probability_loss(s.student_output.pooled, s.teacher_output.pooled.value()).value().item())
                              .epsilon(1e-3));
        CHECK(s.loss() > 0);
    }
    CHECK(says(complaint([&] { stepped(own, "vgg7-mhgd", "resnet8", 32); }), {"pkt: ", "vgg7-mhgd has no pooled vector"}));
}
