// The tape: values with several consumers, gradients that share memory, parameters' homes, kept records, recycled memory.
#include <cmath>

#include "core_philox.h"
#include "device.h"
#include "gradcheck.h"
#include "launch_kernels.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

const Shape small{2, 3, 2, 4};

std::vector<HostTensor> two() { return {off_zero_input("a", small), off_zero_input("b", small)}; }

std::vector<float> gradient(const Var& v) {
    REQUIRE(v.node().has_gradient);
    return v.node().gradient.to_host();
}
void drop_gradients(const Inputs& vars) {
    for (const Var& v : vars) {
        v.node().gradient = Tensor();
        v.node().has_gradient = false;
    }
}

/// Graphs in which a value is used more than once, or in which one gradient is handed to several inputs that write in place.
std::vector<OpCase> diamonds() {
    using I = const Inputs&;
    std::vector<OpCase> all{
        {"x + x", two(), [](I i) { return add(add(i[0], i[0]), i[1]); }},
        {"x·x", two(), [](I i) { return mul(mul(i[0], i[0]), i[1]); }},
        {"x³", two(), [](I i) { return mul(i[1], mul(i[0], mul(i[0], i[0]))); }},
        {"a·(a + b)", two(), [](I i) { return mul(i[0], add(i[0], i[1])); }},
        {"relu(a) + relu(b): one dy, both would overwrite it", two(), [](I i) { return add(relu(i[0]), relu(i[1])); }},
        {"sigmoid(a) + tanh(b)", two(), [](I i) { return add(sigmoid(i[0]), tanh(i[1])); }},
        {"relu(a) + a", two(), [](I i) { return mul(i[1], add(relu(i[0]), i[0])); }},
        {"a + relu(a)", two(), [](I i) { return mul(i[1], add(i[0], relu(i[0]))); }},
        {"dy twice, then in place, then both again", two(),
         [](I i) {
             const Var s = add(i[0], i[1]), t = add(s, s), u = add(sigmoid(t), s);
             return add(tanh(u), add(u, t));
         }},
        {"a chain of in-place steps beside a shared one", two(),
         [](I i) {
             const Var x = sigmoid(tanh(i[0]));
             return add(add(sigmoid(tanh(x)), x), add(tanh(sigmoid(i[1])), x));
         }},
        {"flatten hands dy on, softmax overwrites it", two(),
         [](I i) { return add(flatten(softmax(i[0])), add(flatten(i[0]), flatten(i[1]))); }},
        {"add_bias hands dy on, attention_fusion overwrites it",
         {off_zero_input("a", small), off_zero_input("b", {1, 1, 1, 4}), uniform_input("w", {2, 1, 1, 8}),
          uniform_input("bias", {1, 1, 1, 2})},
         [](I i) {
             const auto fused = [i](const Var& x) { return attention_fusion(x, tanh(i[0]), i[2], i[3]); };
             return add(fused(add_bias(fused(i[0]), i[1])), fused(i[0]));
         }},
        {"residual block",
         {off_zero_input("a", small), uniform_input("w", {4, 3, 3, 4}, -0.3f, 0.3f), uniform_input("gamma", {1, 1, 1, 4}, 0.8f, 1.2f),
          uniform_input("beta", {1, 1, 1, 4})},
         [](I i) {
             const Conv2dOptions pad{1, 1, 1, 1, 1};
             const Var h = tanh(batchnorm(conv2d(i[0], i[1], pad), i[2], i[3], {}));
             return tanh(batchnorm(conv2d(h, i[1], pad), i[2], i[3], {}, {}, i[0]));  // w, γ, β serve twice
         },
         5e-3},
        {"residual handed on, and its branch in place",
         {off_zero_input("a", small), uniform_input("gamma", {1, 1, 1, 4}, 0.8f, 1.2f), uniform_input("beta", {1, 1, 1, 4})},
         [](I i) {
             const Var branch = tanh(i[0]), shortcut = sigmoid(i[0]);
             return add(batchnorm(branch, i[1], i[2], {}, {}, shortcut), shortcut);
         }},
        {"one value in all kinds of consumers", two(),
         [](I i) {
             const Var x = tanh(add(i[0], i[1]));
             Var sum = scale(mean(x), 3.0f);
             for (const Var& part :
                  {mse(x, i[0]), mean(global_avg_pool(x)), mean(mul(max_pool(i[1], {1, 1, 0}), x)), mean(l2_normalize(x)),
                   mean(mul(resize_nearest(x, 5, 3), resize_nearest(x, 5, 3))), mean(mul(concat_channels(x, x), concat_channels(x, i[0]))),
                   mean(mul(slice_channels(x, 1, 2), slice_channels(x, 2, 2))), mean(mul(softmax(x), x)),
                   mean(mul(matmul(flatten(x), flatten(x), false, true), matmul(flatten(x), flatten(i[1]), false, true)))})
                 sum = add(sum, part);
             return sum;
         },
         5e-3},
        {"identities return their input", two(),
         [](I i) {
             const Var x = tanh(i[0]);
             return add(add(subsample(x, 1), pad_channels(x, 0, 0)), mul(slice_channels(x, 0, 4), resize_nearest(i[1], 3, 2)));
         }},
    };
    return all;
}

/// A graph of smooth operations drawn at random: values are picked again and again, so that every order of handing on, adding and
/// overwriting gradients comes up.
OpCase random_graph(uint64_t seed) {
    return {"random graph " + std::to_string(seed), two(),
            [seed](const Inputs& in) {
                Inputs values{in[0], in[1]};
                uint64_t draws = 0;
                const auto below = [&](size_t n) { return static_cast<size_t>(philox(seed, draws++).v[0] % n); };
                for (int step = 0; step < 14; ++step) {
                    const auto recent = values.size() > 6 ? values.size() - 6 : 0;
                    const auto pick = [&] { return values[recent + below(values.size() - recent)]; };
                    const Var a = pick(), b = pick();
                    switch (below(11)) {
                        case 0: values.push_back(tanh(a)); break;
                        case 1: values.push_back(sigmoid(a)); break;
                        case 2: values.push_back(mul(a, b)); break;
                        case 3: values.push_back(scale(a, 0.7f)); break;
                        case 4: values.push_back(softmax(a)); break;
                        case 5: values.push_back(concat_channels(slice_channels(a, 2, 2), slice_channels(b, 0, 2))); break;
                        case 6: values.push_back(gated(a, b, 3)); break;
                        case 7: values.push_back(l2_normalize(a)); break;
                        case 8: values.push_back(avg_pool(a, {3, 1, 1})); break;
                        default: values.push_back(add(a, b));
                    }
                }
                Var sum = add(in[0], in[1]);
                for (size_t i = values.size() - 4; i < values.size(); ++i) sum = add(sum, values[i]);
                return sum;
            },
            5e-3};
}

}  // namespace

TEST_CASE("autograd: values with several consumers") { check_gradients(diamonds()); }

TEST_CASE("autograd: random graphs") {
    for (uint64_t seed = 0; seed < 60; ++seed) check_gradients(random_graph(seed));
}

TEST_CASE("autograd: a worked diamond") {
    const Inputs in = upload(cpu(), {{{1, 1, 1, 2}, {2, -3}}});
    const Var y = run_backward([](const Inputs& i) { return add(mul(i[0], i[0]), add(relu(i[0]), i[0])); }, in, {1, 10});
    CHECK(y.value().to_host() == std::vector<float>{8, 6});
    CHECK(gradient(in[0]) == std::vector<float>{2 * 2 + 1 + 1, 10 * (2 * -3 + 0 + 1)});
}

TEST_CASE("autograd: gradients that share memory are not written through") {
    const Inputs in = upload(cpu(), two());
    const std::vector<float> dy(static_cast<size_t>(small.size()), 1.0f);
    run_backward([](const Inputs& i) { return add(i[0], i[1]); }, in, dy);
    CHECK(in[0].node().gradient.data() == in[1].node().gradient.data());      // handed on, not copied
    run_backward([](const Inputs& i) { return scale(i[0], 2.0f); }, in, dy);  // adds to the first alone
    CHECK(gradient(in[0]) == std::vector<float>(dy.size(), 3.0f));
    CHECK(gradient(in[1]) == dy);
}

TEST_CASE("autograd: parameters' gradients land in their homes, beside their neighbours") {
    const Tensor buffer = Tensor::zeros(cpu(), {1, 1, 1, 30});
    fill(buffer, -7);
    const Var w(Tensor::from_host(cpu(), {1, 1, 1, 10}, std::vector<float>(10, 2.0f)), true);
    w.node().gradient_home = buffer.view(10, {1, 1, 1, 10});
    const auto expect = [&](float inside) {
        std::vector<float> expected(30, -7.0f);
        std::fill(expected.begin() + 10, expected.begin() + 20, inside);
        CHECK(buffer.to_host() == expected);
        CHECK(w.node().gradient.data() == buffer.data() + 10);
        drop_gradients({w});
    };
    const std::vector<float> ones(10, 1.0f);
    run_backward([](const Inputs& i) { return scale(i[0], 3.0f); }, {w}, ones);
    expect(3);
    run_backward([](const Inputs& i) { return add(i[0], i[0]); }, {w}, ones);  // given, then added
    expect(2);
    run_backward([](const Inputs& i) { return add(mul(i[0], i[0]), i[0]); }, {w}, ones);
    expect(5);
    run_backward([](const Inputs& i) { return relu(i[0]); }, {w}, ones);
    expect(1);
    run_backward([](const Inputs& i) { return flatten(i[0]); }, {w}, ones);
    expect(1);
}

TEST_CASE("autograd: a kept record goes back twice with the same result, and for a second loss") {
    for (const OpCase& op : diamonds()) {
        const Inputs in = upload(cpu(), op.inputs);
        Tape tape;
        const Recording recording(&tape);
        const Var y = op.run(in), first = mean(y), second = mse(y, scale(y.detached(), 0.5f));
        const auto back = [&](const Var& loss, bool keep) {
            tape.backward(loss, keep);
            std::vector<std::vector<float>> all;
            for (const Var& v : in) all.push_back(gradient(v));
            drop_gradients(in);
            return all;
        };
        const auto once = back(first, true), other = back(second, true), twice = back(first, true), last = back(second, false);
        CHECK_MESSAGE(once == twice, op.name);
        CHECK_MESSAGE(other == last, op.name);
        CHECK_MESSAGE(once != other, op.name);
        CHECK(tape.steps() == 0);
    }
}

TEST_CASE("autograd: what is detached, constant or not recorded gets nothing") {
    const Inputs in = upload(cpu(), two());
    run_backward([](const Inputs& i) { return add(tanh(i[0].detached()), i[1]); }, in, std::vector<float>(48, 1.0f));
    CHECK(!in[0].node().has_gradient);
    CHECK(gradient(in[1]) == std::vector<float>(48, 1.0f));
    drop_gradients(in);

    CHECK(!tanh(in[0]).needs_gradient());  // no tape
    Tape tape;
    const Recording recording(&tape);
    {
        const NoGrad no_grad;
        CHECK(!tanh(in[0]).needs_gradient());
    }
    const Var constant(in[0].value());
    CHECK(!tanh(constant).needs_gradient());
    CHECK(tape.steps() == 0);
    CHECK(tanh(in[0]).needs_gradient());
    CHECK(tape.steps() == 1);
}

TEST_CASE("autograd: a branch that the loss does not see is skipped") {
    const Inputs in = upload(cpu(), two());
    Tape tape;
    const Recording recording(&tape);
    const Var unseen = relu(in[0]);
    tape.backward(mean(tanh(in[1])));
    CHECK(!in[0].node().has_gradient);
    CHECK(!unseen.node().has_gradient);
    CHECK(in[1].node().has_gradient);
}

TEST_CASE("autograd: a loss is one element") {
    const Inputs in = upload(cpu(), two());
    Tape tape;
    const Recording recording(&tape);
    CHECK_THROWS_WITH_AS(tape.backward(tanh(in[0])), doctest::Contains("(2,3,2,4)"), std::runtime_error);
}

TEST_CASE("autograd: the second of two equal steps takes no memory from the system") {
    const std::unique_ptr<Backend> own = make_backend("cpu");
    for (const OpCase& op : diamonds()) {
        const Inputs in = upload(*own, op.inputs);
        Tape tape;
        const auto step = [&] {
            const Recording recording(&tape);
            tape.backward(mean(op.run(in)));
            drop_gradients(in);
        };
        step();
        const size_t allocations = own->arena().system_allocations();
        step();
        step();
        CHECK(own->arena().system_allocations() == allocations);
    }
}

TEST_CASE("autograd: equal steps see the same addresses") {
    const std::unique_ptr<Backend> own = make_backend("cpu");
    const Inputs in = upload(*own, two());
    Tape tape;
    const auto addresses = [&] {
        own->arena().begin_step();
        const Recording recording(&tape);
        const Var a = tanh(in[0]), b = mul(a, in[1]), loss = mean(add(b, sigmoid(a)));
        tape.backward(loss);
        std::vector<const float*> seen{a.data(), b.data(), loss.data(), in[0].node().gradient.data()};
        drop_gradients(in);
        return seen;
    };
    addresses();
    const auto second = addresses();
    for (int step = 0; step < 5; ++step) CHECK(addresses() == second);
}

TEST_CASE("autograd: a record holds no memory once it has gone back") {
    const std::unique_ptr<Backend> own = make_backend("cpu");
    const Inputs in = upload(*own, two());
    Tape tape;
    {
        const Recording recording(&tape);
        tape.backward(mean(tanh(sigmoid(in[0]))));
    }
    CHECK(in[0].value().unique());
    CHECK(tape.steps() == 0);
    {
        const Recording recording(&tape);
        tanh(in[0]);
    }
    CHECK(tape.steps() == 1);
    tape.clear();
    CHECK(tape.steps() == 0);
}

TEST_CASE("autograd: CUDA like the CPU") { compare_backends(diamonds()); }
