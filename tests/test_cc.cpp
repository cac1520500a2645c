// Correlation Congruence: its worked value, gradients, a batch of one, and its embeddings.
#include "benchmark_losses.h"
#include "complaints.h"
#include "method_cc.h"
#include "parameter_inputs.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// Both get gradients, and no difference is near 0, where |a − b| has its kink.
OpCase cc(const Shape& shape, bool worked = false) {
    testing::HostTensor a = sines(shape), b = cosines(shape);
    b.wanted = true;
    if (!worked) {
        b = off_zero_input("apart", shape);
        for (size_t i = 0; i < b.values.size(); ++i) b.values[i] += a.values[i];
    }
    return {"neighbour_products " + to_string(shape), {a, b}, [](const Inputs& in) { return neighbour_products(in[0], in[1]); }};
}
std::vector<OpCase> cases() { return {cc({4, 1, 1, 3}), cc({2, 1, 1, 20}), cc({9, 1, 1, 17})}; }

}  // namespace

TEST_CASE("cc: the worked value without embeddings") {
    CHECK(value_of_loss(cc({4, 1, 1, 3}, true)) == doctest::Approx(0.6734516720).epsilon(1e-6));
}

TEST_CASE("cc: gradients") { check_gradients(cases()); }
TEST_CASE("cc: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("cc: one image has no neighbour: 0, and no gradient") {
    const Inputs in = upload(cpu(), {sines({1, 1, 1, 5}), cosines({1, 1, 1, 5})});
    const Var y = run_backward([](const Inputs& i) { return neighbour_products(i[0], i[1]); }, in, {1});
    CHECK(y.value().item() == 0);
    CHECK(in[0].node().gradient.to_host() == std::vector<float>(5, 0.0f));
}

TEST_CASE("cc: beta times the loss of 128 numbers of each pooled vector; both embeddings are trained") {
    const CcOptions own;
    CHECK(own.weights.beta == 0.02);
    const OneStep s = stepped(own, "resnet8x4", "resnet8");
    CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_cc"});
    Parameters& p = s.method->parameters();
    const auto embedded = [&](const std::string& name, const Var& x) {
        const auto file = p.to_file(name);
        const auto& w = file.at(".linear.weight");
        CHECK(w.shape == std::vector<int64_t>{128, x.shape().c});
        return linear(x, Var(Tensor::from_host(cpu(), {128, 1, 1, x.shape().c}, w.data)),
                      Var(Tensor::from_host(cpu(), {1, 1, 1, 128}, file.at(".linear.bias").data)));
    };
    const Var expected = neighbour_products(embedded("embed_s", s.student_output.pooled), embedded("embed_t", s.teacher_output.pooled));
    CHECK(s.loss() == doctest::Approx(0.02 * expected.value().item()).epsilon(1e-4));
    Tape tape;
    {
        const Recording on(&tape);
        const StepResult r = s.method->step(s.batch);
        p.begin_backward();
        tape.backward(r.loss);
    }
    for (const auto& [name, gradient] : gradients_of(p))
        if (name.rfind("embed_", 0) == 0) {
            double largest = 0;
            for (const float g : gradient.data) largest = std::max(largest, std::fabs(static_cast<double>(g)));
            CHECK_MESSAGE(largest > 0, name);
        }
    CHECK(says(complaint([&] { stepped(own, "vgg7-mhgd", "resnet8", 32); }), {"cc: ", "vgg7-mhgd has no pooled vector"}));
}
