// InfoNCE against a memory, the rows of a memory that positives are made of, samples joined, and the graph over a batch: values by hand, loops
// in double, gradients, one backend beside the other.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base_error.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

// ---- InfoNCE ---------------------------------------------------------------------------------------------------------------------

/// `blocks` times `n` anchors: each block has the same draws.
struct NceCase {
    int64_t blocks, n, d, rows, count;
    float temperature = 0.3f;

    int64_t anchors() const { return blocks * n; }
    Floats memory() const { return uniform_input("memory", {rows, 1, 1, d}).values; }
    Floats positives() const { return uniform_input("positives", {anchors(), 1, 1, d}).values; }
    /// Some rows several times, most not at all.
    Ints drawn() const {
        Ints counts(static_cast<size_t>(n * rows));
        for (int64_t i = 0; i < n; ++i)
            for (int64_t k = 0; k < count; ++k) ++counts[static_cast<size_t>(i * rows + (k * k * 31 + i * 17) % rows)];
        return counts;
    }
    HostTensor input() const { return as_map(uniform_input("anchors", {anchors(), 1, 1, d}, -0.5f, 0.5f)); }
    Var run(const Var& given) const {
        Backend& backend = given.backend();
        return info_nce(given, Tensor::from_host(backend, {anchors(), 1, 1, d}, positives()),
                        Tensor::from_host(backend, {rows, 1, 1, d}, memory()), integers(backend, {n, 1, 1, rows}, drawn()), temperature);
    }
    OpCase op() const {
        return {text("info_nce ", rows, " rows, ", blocks, " blocks"), {input()}, [c = *this](const Inputs& in) { return c.run(in[0]); }};
    }
    std::vector<double> naive() const {
        const Floats a = input().values, p = positives(), m = memory();
        const Ints times = drawn();
        std::vector<double> losses;
        const auto dot = [&](int64_t i, const Floats& of, int64_t row) {
            double sum = 0;
            for (int64_t j = 0; j < d; ++j)
                sum += static_cast<double>(a[static_cast<size_t>(i * d + j)]) * static_cast<double>(of[static_cast<size_t>(row * d + j)]);
            return sum / static_cast<double>(temperature);
        };
        for (int64_t i = 0; i < anchors(); ++i) {
            const double own = dot(i, p, i);
            double others = 0;
            for (int64_t r = 0; r < rows; ++r)
                if (const int32_t t = times[static_cast<size_t>(i % n * rows + r)]; t > 0) others += t * std::exp(dot(i, m, r) - own);
            losses.push_back(std::log1p(others));
        }
        return losses;
    }
};

/// The memory is gone through in parts of 1024 rows, 16 of them together: less than one, some and a rest, as many, more and a rest.
const std::vector<NceCase> nce_cases = {
    {1, 3, 5, 11, 4}, {2, 2, 16, 40, 60}, {2, 3, 4, 5000, 100}, {1, 2, 3, 16384, 30}, {2, 2, 3, 20000, 50}};

std::vector<OpCase> nce_ops() {
    std::vector<OpCase> all;
    for (const NceCase& c : nce_cases) all.push_back(c.op());
    return all;
}

// ---- the graph ---------------------------------------------------------------------------------------------------------------------

/// Row by row, whom each takes from.
std::vector<Ints> neighbours(const Tensor& matrix, int k) {
    const Floats values = matrix.to_host();
    const auto n = static_cast<size_t>(matrix.shape().n);
    std::vector<Ints> all(n);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j)
            if (const float v = values[i * n + j]; v != 0) {
                CHECK(v == 1.0f / static_cast<float>(k));
                all[i].push_back(static_cast<int32_t>(j));
            }
    return all;
}

std::vector<Ints> neighbours(Shape shape, const Floats& x, int k) {
    return neighbours(average_of_nearest(Tensor::from_host(cpu(), shape, x), k), k);
}

/// What the graph makes of embeddings, of which the first input decides who is near.
OpCase graph_op(int64_t n, int k) {
    return {text("graph of ", n, ", ", k, " neighbours"),
            {without_gradient(uniform_input("seen", {n, 1, 1, 6}, 0.01f, 1)), uniform_input("embeddings", {n, 1, 1, 4}),
             uniform_input("weight", {3, 1, 1, 12})},
            [k](const Inputs& in) {
                const Var graph(average_of_nearest(softmax(in[0]).value(), k));
                const Var one = matmul(graph, in[1], false, false, true), two = matmul(graph, one, false, false, true);
                return l2_normalize(linear(concat_channels(concat_channels(in[1], one), two), in[2]));
            }};
}

}  // namespace

TEST_CASE("InfoNCE: values by hand") {
    const auto on = [](Shape shape, const Floats& values) { return Tensor::from_host(cpu(), shape, values); };
    const Tensor memory = on({3, 1, 1, 2}, {1, 0, 0, 1, -1, 0}), positive = on({1, 1, 1, 2}, {0, 1});
    const auto loss = [&](const Ints& drawn, float temperature) {
        return info_nce(Var(on({1, 1, 1, 2}, {1, 0})), positive, memory, integers(cpu(), {1, 1, 1, 3}, drawn), temperature).value().item();
    };
    CHECK(loss({0, 1, 0}, 1) == doctest::Approx(std::log(2.0)));  // both 0
    CHECK(loss({1, 0, 0}, 0.5f) == doctest::Approx(std::log(1 + std::exp(2.0))));
    CHECK(loss({1, 0, 3}, 0.5f) == doctest::Approx(std::log(1 + std::exp(2.0) + 3 * std::exp(-2.0))));
    CHECK(loss({0, 0, 0}, 1) == 0);
    CHECK(loss({1, 0, 0}, 0.001f) == doctest::Approx(1000));  // e^1000 is no number
    CHECK(std::log(loss({0, 0, 1}, 0.02f)) == doctest::Approx(-50));
}

TEST_CASE("InfoNCE: a loop in double, gradients by differences, anchors in bfloat16, shapes that do not fit") {
    for (const NceCase& c : nce_cases) {
        const HostTensor input = c.input();
        const Var y = c.run(Var(Tensor::from_host(cpu(), input.shape, input.values)));
        CHECK(y.shape() == Shape{c.anchors(), 1, 1, 1});
        check_values(text(c.rows, " rows"), y.value().to_host(), c.naive(), 1e-6);
    }
    check_gradients(nce_ops());
    check_rounding(nce_ops());
    const auto of = [](int64_t anchors, int64_t rows_wide) {
        return info_nce(Var(Tensor::zeros(cpu(), {anchors, 1, 1, 4})), Tensor::zeros(cpu(), {anchors, 1, 1, 4}),
                        Tensor::zeros(cpu(), {6, 1, 1, rows_wide}), integers(cpu(), {2, 1, 1, 6}, Ints(12)), 0.07f);
    };
    CHECK_THROWS_WITH_AS(of(2, 3), doctest::Contains("(6,1,1,3)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(of(3, 4), doctest::Contains("a multiple of N"), std::runtime_error);
}

TEST_CASE("InfoNCE, graph, rows: on CUDA as on the CPU") {
    std::vector<OpCase> all = nce_ops();
    for (const int k : {1, 3, 9}) all.push_back(graph_op(9, k));
    all.push_back(graph_op(70, 8));
    all.push_back({"smoothed_rows and rows_of", {uniform_input("g", {3, 1, 1, 6})}, [](const Inputs& in) {
                       Backend& backend = in[0].backend();
                       const Tensor memory = Tensor::from_host(backend, {5, 1, 1, 6}, uniform_input("memory", {5, 1, 1, 6}).values);
                       const Tensor records = integers(backend, {3, 1, 1, 1}, {4, 0, 2});
                       const Var smoothed(smoothed_rows(memory, records, in[0].value(), 0.75f));
                       return concat_samples(mul(in[0], smoothed), mul(in[0], Var(rows_of(memory, records))));
                   }});
    compare_backends(all);
}

TEST_CASE("memory: smoothed rows and rows are taken without a change of what is remembered") {
    const Floats before = {0, 0, 3, 4, 5, 6, 7, 8};
    const Tensor memory = Tensor::from_host(cpu(), {4, 1, 1, 2}, before), records = integers(cpu(), {2, 1, 1, 1}, {1, 0});
    const Floats smoothed = smoothed_rows(memory, records, Tensor::from_host(cpu(), {2, 1, 1, 2}, {-1, 0, 0, 0}), 0.25f).to_host();
    CHECK(smoothed == Floats{0, 1, 0, 0});  // 0.25·(3, 4) + 0.75·(−1, 0) = (0, 1)
    CHECK(rows_of(memory, records).to_host() == Floats{3, 4, 0, 0});
    CHECK(memory.to_host() == before);
    CHECK_THROWS_WITH_AS(smoothed_rows(memory, records, Tensor::zeros(cpu(), {2, 1, 1, 3}), 0.5f), doctest::Contains("(2,1,1,3)"),
                         std::runtime_error);
}

TEST_CASE("negatives: a count of 0 draws all images of other classes, once each") {
    const NegativeDraws all{0,
                            integers(cpu(), {1, 1, 1, 5}, {0, 3, 1, 2, 4}),
                            integers(cpu(), {1, 1, 1, 5}, {0, 2, 3, 1, 4}),
                            integers(cpu(), {1, 1, 1, 4}, {0, 2, 4, 5}),
                            false,
                            1};
    const Tensor drawn = draw_negatives(all, integers(cpu(), {2, 1, 1, 1}, {3, 4}), integers(cpu(), {2, 1, 1, 1}, {0, 2}),
                                        integers(cpu(), {1, 1, 1, 1}, {7}));
    CHECK(drawn.ints_to_host() == Ints{0, 1, 1, 0, 1, 1, 1, 1, 1, 0});
}

TEST_CASE("samples joined: one batch under the other, and each its own gradient") {
    const auto on = [](Shape shape, const Floats& values) { return Var(Tensor::from_host(cpu(), shape, values)); };
    const Var y = concat_samples(on({1, 1, 2, 2}, {1, 2, 3, 4}), on({2, 1, 2, 2}, {5, 6, 7, 8, 9, 10, 11, 12}));
    CHECK(y.shape() == Shape{3, 1, 2, 2});
    CHECK(y.value().to_host() == Floats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    check_gradients({{"concat_samples",
                      {uniform_input("a", {2, 2, 1, 3}), uniform_input("b", {1, 2, 1, 3})},
                      [](const Inputs& in) { return concat_samples(in[0], in[1]); }},
                     {"concat_samples of one, twice", {uniform_input("a", {2, 1, 1, 3})}, [](const Inputs& in) {
                          return tanh(concat_samples(in[0], mul(in[0], in[0])));
                      }}});
    CHECK_THROWS_WITH_AS(concat_samples(y, on({1, 1, 1, 3}, {1, 2, 3})), doctest::Contains("(1,1,1,3)"), std::runtime_error);
}

TEST_CASE("graph: each takes from itself and those at the smallest angle to it, of equals the first") {
    // Directions at 0°, 10°, 25°, 90°, 100°, of other lengths each.
    const auto at = [](std::initializer_list<double> degrees) {
        Floats x;
        float length = 1;
        for (const double d : degrees) {
            x.push_back(length * static_cast<float>(std::cos(d / 57.29577951308232)));
            x.push_back(length * static_cast<float>(std::sin(d / 57.29577951308232)));
            length *= 3;
        }
        return x;
    };
    const Floats x = at({0, 10, 25, 90, 100});
    CHECK(neighbours({5, 1, 1, 2}, x, 1) == std::vector<Ints>{{0}, {1}, {2}, {3}, {4}});
    CHECK(neighbours({5, 1, 1, 2}, x, 2) == std::vector<Ints>{{0, 1}, {0, 1}, {1, 2}, {3, 4}, {3, 4}});
    CHECK(neighbours({5, 1, 1, 2}, x, 3) == std::vector<Ints>{{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {2, 3, 4}, {2, 3, 4}});
    CHECK(neighbours({5, 1, 1, 2}, x, 5).front() == Ints{0, 1, 2, 3, 4});
    CHECK(neighbours({4, 1, 1, 1}, {1, 1, 1, 1}, 2) == std::vector<Ints>{{0, 1}, {0, 1}, {0, 2}, {0, 3}});
    CHECK_THROWS_WITH_AS(average_of_nearest(Tensor::zeros(cpu(), {3, 1, 1, 2}), 4), doctest::Contains("4 of a batch of 3"),
                         std::runtime_error);
}

TEST_CASE("graph: predictions that are sure of one class are told apart; nothing, and what is no number, are far from all") {
    // 1 − cosine of the first to the others: 5e-11, 2e-10, 1.25e-9; one less a float cosine is 0 for all of them.
    CHECK(neighbours({4, 1, 1, 2}, {1, 0, 1, 5e-5f, 1, 2e-5f, 1, 1e-5f}, 2).front() == Ints{0, 3});
    CHECK(neighbours({3, 1, 1, 2}, {0, 0, 1, 0, -1, 0.1f}, 2) == std::vector<Ints>{{0, 1}, {0, 1}, {0, 2}});  // cosine 0 to (0, 0)
    // (1e-5, 0)·(1e-5, 0) is 1e-10, over at least 1e-7: nearly 0, less than the other's ½.
    CHECK(neighbours({3, 1, 1, 2}, {1e-5f, 0, 1e-5f, 0, 1e3f, 1.7e3f}, 2).front() == Ints{0, 2});
    const float none = std::numeric_limits<float>::quiet_NaN();
    CHECK(neighbours({3, 1, 1, 2}, {1, 0, none, 0, 0, 1}, 2) == std::vector<Ints>{{0, 2}, {0, 1}, {0, 2}});
}

TEST_CASE("graph: what it makes of embeddings has their gradient, through the neighbours and over two hops") {
    check_gradients({graph_op(5, 1), graph_op(7, 3), graph_op(7, 7)});
}
