// Activations, sums, products and dropout: values by hand, gradients, threads and backends.
#include <algorithm>
#include <cmath>

#include "core_philox.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

Var values(const std::vector<float>& v) { return Var(Tensor::from_host(cpu(), {1, 1, 1, static_cast<int64_t>(v.size())}, v)); }
Tensor one_float(Backend& backend, float v) { return Tensor::from_host(backend, {1, 1, 1, 1}, {v}); }

std::vector<OpCase> cases(const std::vector<Shape>& shapes = {{2, 3, 5, 3}, {1, 1, 1, 1}, {3, 2, 2, 16}, {2, 7, 1, 20}}) {
    std::vector<OpCase> all;
    for (const Shape& s : shapes) {
        const std::string at = " " + to_string(s);
        const HostTensor x = off_zero_input("x", s), b = uniform_input("b", s);
        all.push_back({"relu" + at, {s.size() == 1 ? HostTensor{s, {0.5f}} : x}, [](const Inputs& in) { return relu(in[0]); }});
        all.push_back({"leaky_relu" + at, {x}, [](const Inputs& in) { return leaky_relu(in[0], 0.2f); }});
        all.push_back({"sigmoid" + at, {x}, [](const Inputs& in) { return sigmoid(in[0]); }});
        all.push_back({"tanh" + at, {x}, [](const Inputs& in) { return tanh(in[0]); }});
        all.push_back({"add" + at, {x, b}, [](const Inputs& in) { return add(in[0], in[1]); }});
        all.push_back({"mul" + at, {x, b}, [](const Inputs& in) { return mul(in[0], in[1]); }});
        all.push_back({"scale" + at, {x}, [](const Inputs& in) { return scale(in[0], -1.7f); }});
        all.push_back({"scale by device" + at, {x}, [](const Inputs& in) { return scale(in[0], one_float(in[0].backend(), 0.3f)); }});
        if (s.size() > 8)
            all.push_back({"dropout" + at, {x}, [](const Inputs& in) { return dropout(in[0], 0.4f, 77, one_float(in[0].backend(), 3)); }});
    }
    return all;
}

}  // namespace

TEST_CASE("elementwise: worked values") {
    const Var x = values({-2, -0.5f, 0, 0.5f, 3});
    CHECK(relu(x).value().to_host() == std::vector<float>{0, 0, 0, 0.5f, 3});
    CHECK(leaky_relu(x, 0.25f).value().to_host() == std::vector<float>{-0.5f, -0.125f, 0, 0.5f, 3});
    CHECK(add(x, x).value().to_host() == std::vector<float>{-4, -1, 0, 1, 6});
    CHECK(mul(x, x).value().to_host() == std::vector<float>{4, 0.25f, 0, 0.25f, 9});
    CHECK(scale(x, -2.0f).value().to_host() == std::vector<float>{4, 1, 0, -1, -6});
    CHECK(scale(x, one_float(cpu(), -2)).value().to_host() == std::vector<float>{4, 1, 0, -1, -6});
    std::vector<double> sigmoids, tangents;
    for (const double v : {-2.0, -0.5, 0.0, 0.5, 3.0}) {
        sigmoids.push_back(1 / (1 + std::exp(-v)));
        tangents.push_back(std::tanh(v));
    }
    check_values("sigmoid", sigmoid(x).value().to_host(), sigmoids, 1e-6);
    check_values("tanh", tanh(x).value().to_host(), tangents, 1e-6);
    CHECK(sigmoid(values({-1000, 1000})).value().to_host() == std::vector<float>{0, 1});
    CHECK(tanh(values({-1000, 1000})).value().to_host() == std::vector<float>{-1, 1});
}

TEST_CASE("elementwise: ReLU's derivative at 0 is 0") {
    for (const float slope : {0.0f, 0.1f}) {
        const Inputs in = upload(cpu(), {{{1, 1, 1, 3}, {-1, 0, 1}}});
        run_backward([slope](const Inputs& i) { return slope > 0 ? leaky_relu(i[0], slope) : relu(i[0]); }, in, {10, 10, 10});
        CHECK(in[0].node().gradient.to_host() == std::vector<float>{slope * 10, slope * 10, 10});
    }
}

TEST_CASE("elementwise: gradients") { check_gradients(cases()); }

TEST_CASE("dropout: keeps the share it should, scales it, and depends on key, step and element alone") {
    const Shape s{8, 25, 25, 20};
    const Var ones(Tensor::from_host(cpu(), s, std::vector<float>(static_cast<size_t>(s.size()), 1.0f)));
    const auto draw = [&](uint64_t key, float step) { return dropout(ones, 0.3f, key, one_float(cpu(), step)).value().to_host(); };
    const std::vector<float> y = draw(5, 0);
    const auto dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0f));
    const auto kept = static_cast<double>(std::count(y.begin(), y.end(), 1 / (1 - 0.3f))), n = static_cast<double>(s.size());
    CHECK(dropped + kept == n);
    CHECK(std::fabs(kept / n - 0.7) < 5 * std::sqrt(0.21 / n));  // five standard deviations
    CHECK(draw(5, 0) == y);
    CHECK(draw(5, 1) != y);
    CHECK(draw(6, 0) != y);

    CHECK(&dropout(ones, 0, 5, one_float(cpu(), 0)).node() == &ones.node());
    CHECK_THROWS_WITH_AS(dropout(ones, 1, 5, one_float(cpu(), 0)), doctest::Contains("0 <= rate < 1"), std::runtime_error);
    CHECK_THROWS_AS(dropout(ones, -0.1f, 5, one_float(cpu(), 0)), std::runtime_error);
}

TEST_CASE("elementwise: shapes that do not fit name both") {
    const Var a(Tensor::zeros(cpu(), {2, 3, 3, 4})), b(Tensor::zeros(cpu(), {2, 3, 4, 3}));
    CHECK_THROWS_WITH_AS(add(a, b), doctest::Contains("(2,3,3,4) and (2,3,4,3)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(mul(a, b), doctest::Contains("(2,3,3,4) and (2,3,4,3)"), std::runtime_error);
}

TEST_CASE("elementwise: the number of threads changes no bit") { check_threads_do_not_matter(cases({{17, 61, 53, 1}})); }
TEST_CASE("elementwise: CUDA like the CPU") { compare_backends(cases()); }
