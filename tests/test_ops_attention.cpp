// Attention between samples by heads, the losses between graphs and between singular vectors, and the mixing of two losses' gradients:
// worked by hand, and numeric gradients. (Beside PyTorch: test_golden_ops, mhgd_pieces.csv.)
#include <cmath>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "core_philox.h"
#include "gradcheck.h"
#include "method_gradient_mixing.h"
#include "ops.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

namespace {

std::vector<OpCase> cases() {
    std::vector<OpCase> all;
    struct Sizes {
        int64_t samples, width;
        int heads;
    };
    for (const Sizes& s : {Sizes{5, 3, 4}, Sizes{4, 7, 1}, Sizes{33, 2, 2}}) {
        const std::string at = text(" N=", s.samples, " d=", s.width, " A=", s.heads);
        const testing::HostTensor theta = uniform_input("theta", {s.samples, 1, 1, s.heads * s.width}),
                                  phi = uniform_input("phi", {s.samples, 1, 1, s.heads * s.width}),
                                  graphs = uniform_input("graphs", {s.heads * s.samples, 1, 1, s.samples}, -2, 2),
                                  other = uniform_input("other", {s.heads * s.samples, 1, 1, s.samples}, -2, 2),
                                  x = uniform_input("x", {s.heads * s.samples, 1, 1, s.width});
        all.push_back({"head_products" + at, {theta, phi}, [s](const Inputs& in) { return head_products(in[0], in[1], s.heads); }});
        all.push_back({"concat_heads" + at, {x}, [s](const Inputs& in) { return concat_heads(in[0], s.heads); }});
        all.push_back({"concat_heads, some kept" + at, {x}, [s](const Inputs& in) {
                           Backend& backend = in[0].backend();
                           const Tensor step = Tensor::integers(backend, {});
                           Tensor(step).upload(std::vector<int32_t>{3}.data());
                           return concat_heads(in[0], s.heads, draw_kept_heads(backend, s.samples, s.heads, 7, step));
                       }});
        all.push_back({"graph_divergence" + at,
                       {graphs, without_gradient(other)},
                       [](const Inputs& in) { return graph_divergence(in[0], in[1].value()); },
                       6e-3});  // a step moves the loss by little more than its rounding
    }
    for (const Shape& s : {Shape{6, 1, 1, 5}, Shape{3, 1, 1, 40}}) {
        const std::string at = " " + to_string(s);
        const testing::HostTensor a = uniform_input("a", s), b = uniform_input("b", s), c = uniform_input("c", {s.n, 1, 1, 9}),
                                  d = uniform_input("d", {s.n, 1, 1, 9});
        all.push_back({"cosine_loss" + at, {a, without_gradient(b)}, [](const Inputs& in) { return cosine_loss(in[0], in[1].value()); }});
        all.push_back({"kernel_distance" + at, {a, c, without_gradient(b), without_gradient(d)}, [](const Inputs& in) {
                           return kernel_distance(in[0], in[1], in[2].value(), in[3].value());
                       }});
    }
    return all;
}

Var on_cpu(Shape s, const std::vector<float>& values) { return Var(Tensor::from_host(cpu(), s, values)); }

std::vector<float> kept_heads(int64_t samples, int heads, uint64_t key, int32_t at) {
    Tensor step = Tensor::integers(cpu(), {});
    step.upload(&at);
    return draw_kept_heads(cpu(), samples, heads, key, step).to_host();
}

/// Two parameters, one larger than a chunk, and losses whose gradients are what a test writes down.
struct TwoLosses {
    Parameters parameters{cpu()};
    Var large = parameters.add("large", {1, 1, 1, 20000}, Layout::vector, Init::uniform(1)),
        small = parameters.add("small", {1, 1, 1, 3}, Layout::vector, Init::uniform(1));
    TwoLosses() { parameters.allocate(1); }

    /// main = l·Σ large + Σ a·small, transfer = b·Σ large + Σ c·small
    std::vector<float> mixed(GradientMixing& mixing, float l, const std::vector<float>& a, float b, const std::vector<float>& c) {
        Tape tape;
        Var main, transfer;
        {
            const Recording on(&tape);
            const auto sum = [](const Var& x) { return scale(mean(x), static_cast<float>(x.shape().size())); };
            main = add(scale(sum(large), l), sum(mul(small, on_cpu({1, 1, 1, 3}, a))));
            transfer = add(scale(sum(large), b), sum(mul(small, on_cpu({1, 1, 1, 3}, c))));
        }
        mixing.backward(tape, main, transfer);
        CHECK(tape.steps() == 0);
        const std::vector<float> all = parameters.gradients().to_host();
        for (const size_t i : {1, 8191, 8192, 19999}) CHECK(all[i] == doctest::Approx(all[0]).epsilon(1e-5));
        const auto offset = static_cast<size_t>(parameters.segments()[1].offset);
        return {all[0], all[offset], all[offset + 1], all[offset + 2]};
    }
};

void check_close(const std::vector<float>& found, const std::vector<double>& expected) { check_values("mixed", found, expected, 1e-5); }

}  // namespace

TEST_CASE("attention: worked by hand") {
    // Two samples, two heads of one column each: S_0 = (1,3)ᵀ(5,7), S_1 = (2,4)ᵀ(6,8).
    const Var theta = on_cpu({2, 1, 1, 2}, {1, 2, 3, 4}), phi = on_cpu({2, 1, 1, 2}, {5, 6, 7, 8});
    const Var s = head_products(theta, phi, 2);
    CHECK(s.shape() == Shape{4, 1, 1, 2});
    CHECK(s.value().to_host() == std::vector<float>{5, 7, 15, 21, 12, 16, 24, 32});
    CHECK(head_products(theta, phi, 1).value().to_host() == std::vector<float>{17, 23, 39, 53});
    // Head 0 of both samples, then head 1.
    const Var x = on_cpu({4, 1, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(concat_heads(x, 2).value().to_host() == std::vector<float>{1, 2, 5, 6, 3, 4, 7, 8});
    const Tensor kept = Tensor::from_host(cpu(), {2, 1, 1, 2}, {1, 0, 0, 1});
    CHECK(concat_heads(x, 2, kept).value().to_host() == std::vector<float>{1, 2, 0, 0, 0, 0, 7, 8});
    CHECK_THROWS_WITH_AS(head_products(theta, phi, 3), doctest::Contains("by 3 heads"), std::runtime_error);
    CHECK_THROWS_WITH_AS(concat_heads(x, 3), doctest::Contains("rows of 3 heads"), std::runtime_error);
}

TEST_CASE("attention: the losses worked by hand") {
    // Softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) is (1/2, 1/2): each row 1/4·ln 1/2 + 3/4·ln 3/2; two of them.
    const auto ln3 = static_cast<float>(std::log(3.0));
    const Var s = on_cpu({2, 1, 1, 2}, {0, ln3, ln3, 0}), t = on_cpu({2, 1, 1, 2}, {0, 0, 5, 5});
    CHECK(graph_divergence(s, t.value()).value().item() == doctest::Approx(2 * (0.25 * std::log(0.5) + 0.75 * std::log(1.5))));
    CHECK(graph_divergence(s, s.value()).value().item() == 0);
    // Cosines 0.96 and −1.
    const Var a = on_cpu({2, 1, 1, 2}, {3, 4, 2, 0}), b = on_cpu({2, 1, 1, 2}, {4, 3, -7, 0});
    CHECK(cosine_loss(a, b.value()).value().item() == doctest::Approx((0.04 + 2) / 2));
    // One component against two, in one sample.
    const Var back = on_cpu({1, 1, 1, 1}, {1}), front = on_cpu({1, 1, 1, 2}, {1, -1});
    const Tensor back_t = Tensor::from_host(cpu(), {1, 1, 1, 1}, {0}), front_t = Tensor::from_host(cpu(), {1, 1, 1, 2}, {2, 0});
    const double half = std::exp(-0.5), first = 1 - half, second = half - 1;
    CHECK(kernel_distance(back, front, back_t, front_t).value().item() == doctest::Approx(first * first + second * second));
    CHECK_THROWS_WITH_AS(kernel_distance(back, front, front_t, back_t), doctest::Contains("must be equal"), std::runtime_error);
}

TEST_CASE("attention: numeric gradients") { check_gradients(cases()); }

TEST_CASE("attention: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("attention: which heads are kept") {
    const int64_t samples = 2000;
    for (const int heads : {2, 8}) {
        const std::vector<float> kept = kept_heads(samples, heads, 5, 0);
        std::set<int> counts;
        double sum = 0;
        for (int64_t i = 0; i < samples; ++i) {
            int of_sample = 0;
            double mean = 0;
            std::vector<double> noise;
            for (int a = 0; a < heads; ++a) {
                const Random4 r = philox(5, static_cast<uint64_t>(i * heads + a), 0);
                noise.push_back(static_cast<double>(normal(r.v[0], r.v[1])));
                mean += noise.back() / heads;
            }
            for (int a = 0; a < heads; ++a) {
                const float k = kept[static_cast<size_t>(i * heads + a)];
                REQUIRE(k == (noise[static_cast<size_t>(a)] > mean ? 1.0f : 0.0f));
                of_sample += static_cast<int>(k);
            }
            counts.insert(of_sample);
            sum += of_sample;
        }
        CHECK(*counts.begin() >= 1);  // never none, never all
        CHECK(*counts.rbegin() < heads);
        CHECK(sum / static_cast<double>(samples * heads) == doctest::Approx(0.5).epsilon(0.03));
    }
    CHECK(kept_heads(100, 8, 5, 1) != kept_heads(100, 8, 5, 0));
    CHECK(kept_heads(100, 8, 6, 0) != kept_heads(100, 8, 5, 0));
    CHECK(kept_heads(100, 8, 5, 0) == kept_heads(100, 8, 5, 0));
    CHECK(kept_heads(5, 1, 5, 0) == std::vector<float>(5, 1));
}

TEST_CASE("gradient mixing: clipped to the main gradient of the same parameter, times sigmoid(epoch)") {
    TwoLosses two;
    GradientMixing mixing(two.parameters, GradientMixing::Rule::clip);
    mixing.begin_epoch(0);
    // large: norms 2·√20000 and 8·√20000, so 8 becomes 2. small: 5 beside 1, not clipped. Half of each.
    check_close(two.mixed(mixing, 2, {3, 0, 4}, 8, {0, 1, 0}), {2 + 0.5 * 2, 3, 0.5, 4});
    mixing.begin_epoch(2);
    const double weight = 1 / (1 + std::exp(-2.0));
    check_close(two.mixed(mixing, 2, {3, 0, 4}, -1, {0, 10, 0}), {2 - weight, 3, weight * 5, 4});
    // No gradient on one side: nothing to clip to, or nothing to add.
    check_close(two.mixed(mixing, 0, {0, 0, 1}, 3, {0, 0, 0}), {0, 0, 0, 1});
}

TEST_CASE("gradient mixing: scaled by how much larger the main gradient is") {
    TwoLosses two;
    GradientMixing mixing(two.parameters, GradientMixing::Rule::scale);
    mixing.begin_epoch(0);
    const auto s = [](double tau) { return 1 / (1 + std::exp(-tau)); };
    check_close(two.mixed(mixing, 2, {3, 0, 4}, 8, {0, 2, 0}), {2 + 8 * s(1), 3, 2 * s(2.5), 4});
    check_close(two.mixed(mixing, 0, {0, 0, 1}, 3, {0, 0, 0}), {3 * s(1), 0, 0, 1});
}

TEST_CASE("gradient mixing: its table of an epoch's means") {
    const TempFolder folder;
    const RunFolder run = RunFolder::create(folder / "run", {});
    TwoLosses two;
    GradientMixing mixing(two.parameters, GradientMixing::Rule::clip);
    for (int epoch = 0; epoch < 2; ++epoch) {
        mixing.begin_epoch(epoch);
        two.mixed(mixing, 0, {3, 0, 4}, 0, {0, 20, 0});
        two.mixed(mixing, 0, {3, 0, 0}, 0, {0, 1, 0});
        mixing.end_epoch(run, epoch);
    }
    const CsvTable csv = read_csv(run.file("gradients.csv"));
    CHECK(csv.columns == std::vector<std::string>{"epoch", "norm_ce", "norm_transfer", "weight", "factor"});
    REQUIRE(csv.rows.size() == 2);
    for (size_t epoch = 0; epoch < 2; ++epoch) {
        const double weight = 1 / (1 + std::exp(-static_cast<double>(epoch)));
        CHECK(csv.cell_number(epoch, "norm_ce") == doctest::Approx(4));
        CHECK(csv.cell_number(epoch, "norm_transfer") == doctest::Approx(10.5));
        CHECK(csv.cell_number(epoch, "weight") == doctest::Approx(weight));
        CHECK(csv.cell_number(epoch, "factor") == doctest::Approx(weight * ((1 + 0.25) / 2 + 1) / 2));
    }
}
