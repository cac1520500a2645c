// The optimiser: Adam beside a loop in double, groups of parameters by rules and rates of their own, and what is in none.
#include <cmath>

#include "complaints.h"
#include "gradcheck.h"
#include "train_optim.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr int64_t count = 21;

/// Four vectors of some odd length, so that there are gaps between them.
void fill(Parameters& p) {
    for (const char* name : {"student.w", "fusion.w", "fusion.b", "sd1.w"}) p.add(name, {1, 1, 1, count}, Layout::vector, Init::uniform(1));
    p.allocate(7);
}
void give_gradients(Parameters& p, int step) {
    std::vector<float> g = p.gradients().to_host();
    for (size_t i = 0; i < g.size(); ++i) g[i] = std::sin(static_cast<float>(i) + 3 * static_cast<float>(step));
    Tensor(p.gradients()).upload(g.data());
}
std::vector<float> of(const Parameters& p, const char* name) { return p.to_file().at(name).data; }

}  // namespace

TEST_CASE("optim: Adam with decay in the gradient, its rate changing, like a loop in double") {
    Parameters p(cpu());
    p.add("w", {1, 1, 1, count}, Layout::vector, Init::uniform(1));
    p.allocate(3);
    AdamOptions adam;
    adam.weight_decay = 0.1;
    Optimizer optimizer(p, {}, {{"w", adam, [](int epoch) { return 0.01 * (epoch + 1); }}});
    std::vector<double> w, m(count), s(count);
    for (const float v : of(p, "w")) w.push_back(v);
    for (int step = 0; step < 6; ++step) {
        const int epoch = step / 2;
        optimizer.set_rates(1, epoch);  // the run's, which is nobody's here
        give_gradients(p, step);
        const std::vector<float> gradients = p.gradients().to_host();
        optimizer.step();
        for (size_t i = 0; i < w.size(); ++i) {
            const double g = gradients[i] + 0.1 * w[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            s[i] = 0.999 * s[i] + 0.001 * g * g;
            const double a = m[i] / (1 - std::pow(0.9, step + 1)), b = s[i] / (1 - std::pow(0.999, step + 1));
            w[i] -= 0.01 * (epoch + 1) * a / (std::sqrt(b) + 1e-8);
        }
        check_values(text("step ", step), of(p, "w"), w, 1e-6);
    }
    const auto& state = optimizer.state();
    REQUIRE(state.size() == 2);
    CHECK(state[0].first == "adam.squares0");
    std::vector<float> squares = state[0].second.to_host();
    squares.resize(count);  // behind them lie the gap's, which stay 0
    check_values("squares", squares, s, 1e-5);
    CHECK(state[1].first == "adam.updates");
    CHECK(state[1].second.item() == 6);
}

TEST_CASE("optim: each group by its own rule and rate, of several that fit the first; the rest by the run's") {
    const SgdOptions run{0.9f, 0.01f, true}, plain{0.5f, 0.2f, false};
    AdamOptions adam;
    Parameters p(cpu()), by_run(cpu()), by_plain(cpu()), by_adam(cpu());
    for (Parameters* each : {&p, &by_run, &by_plain, &by_adam}) fill(*each);
    Optimizer optimizer(p, run, {{"fusion.", plain}, {"fusion.b", adam}, {"sd", adam, [](int) { return 0.02; }}});
    Optimizer all_adam(by_adam, run, {{"", adam}});
    optimizer.set_rates(0.1, 0);
    all_adam.set_rates(0.02, 0);
    for (int step = 0; step < 3; ++step) {
        for (Parameters* each : {&p, &by_run, &by_plain, &by_adam}) give_gradients(*each, step);
        optimizer.step();
        all_adam.step();
        const Tensor rate = Tensor::from_host(cpu(), {}, {0.1f});
        sgd_step(by_run, rate, run);
        sgd_step(by_plain, rate, plain);
    }
    CHECK(of(p, "student.w") == of(by_run, "student.w"));
    CHECK(of(p, "fusion.w") == of(by_plain, "fusion.w"));
    CHECK(of(p, "fusion.b") == of(by_plain, "fusion.b"));
    CHECK(of(p, "sd1.w") == of(by_adam, "sd1.w"));
    CHECK(of(by_run, "sd1.w") != of(by_adam, "sd1.w"));
    CHECK(of(by_run, "student.w") != of(by_plain, "student.w"));
}

TEST_CASE("optim: without groups it is sgd_step, to the bit, and keeps nothing; it counts updates") {
    Parameters p(cpu()), other(cpu());
    const auto updates = p.count_updates();
    fill(p), fill(other);
    Optimizer optimizer(p, {});
    optimizer.set_rates(0.3, 0);
    for (int step = 0; step < 3; ++step) {
        give_gradients(p, step), give_gradients(other, step);
        optimizer.step();
        sgd_step(other, Tensor::from_host(cpu(), {}, {0.3f}), {});
    }
    CHECK(p.values().to_host() == other.values().to_host());
    CHECK(p.momenta().to_host() == other.momenta().to_host());
    CHECK(optimizer.state().empty());
    CHECK(updates->count.item() == 3);
}

TEST_CASE("optim: the rounded copy follows, whatever the rule") {
    Backend* backend = bf16_cpu_or_skip();
    if (!backend) return;
    Parameters p(*backend);
    fill(p);
    Optimizer optimizer(p, {}, {{"sd", AdamOptions()}});
    optimizer.set_rates(0.1, 0);
    give_gradients(p, 0);
    optimizer.step();
    CHECK(p.rounded().to_host() == rounded(p.values().to_host()));
}

TEST_CASE("optim: a group that has nothing is a mistake") {
    Parameters p(cpu());
    fill(p);
    CHECK(says(complaint<std::runtime_error>([&] { Optimizer(p, {}, {{"teacher.", SgdOptions()}}); }), {"'teacher.'", "begins with"}));
}
