// matmul, linear and add_bias against loops in double, and their gradients.
#include <algorithm>
#include <array>

#include "base_error.h"
#include "core_work_count.h"
#include "device.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct Product {
    int64_t m, k, n;
    bool transpose_a, transpose_b;
};
std::vector<Product> products() {
    std::vector<Product> all;
    for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
            all.push_back({3, 5, 4, ta, tb});
            all.push_back({1, 20, 7, ta, tb});
            all.push_back({16, 1, 3, ta, tb});
        }
    return all;
}

std::vector<OpCase> cases() {
    std::vector<OpCase> all;
    for (const Product& p : products())
        all.push_back({text("matmul ", p.m, 'x', p.k, 'x', p.n, p.transpose_a ? " At" : " A", p.transpose_b ? " Bt" : " B"),
                       {uniform_input("a", p.transpose_a ? Shape{p.k, 1, 1, p.m} : Shape{p.m, 1, 1, p.k}),
                        uniform_input("b", p.transpose_b ? Shape{p.n, 1, 1, p.k} : Shape{p.k, 1, 1, p.n})},
                       [p](const Inputs& in) { return matmul(in[0], in[1], p.transpose_a, p.transpose_b); }});
    const HostTensor x = uniform_input("x", {6, 1, 1, 20}), w = uniform_input("w", {10, 1, 1, 20}),
                     bias = uniform_input("bias", {1, 1, 1, 10});
    all.push_back({"linear", {x, w}, [](const Inputs& in) { return linear(in[0], in[1]); }});
    all.push_back({"linear with bias", {x, w, bias}, [](const Inputs& in) { return linear(in[0], in[1], in[2]); }});
    for (const Shape& s : {Shape{2, 3, 5, 3}, Shape{700, 1, 1, 16}, Shape{513, 1, 1, 17}, Shape{1, 3, 3, 1}})
        all.push_back({"add_bias " + to_string(s), {uniform_input("x", s), uniform_input("bias", {1, 1, 1, s.c})}, [](const Inputs& in) {
                           return add_bias(in[0], in[1]);
                       }});
    return all;
}

}  // namespace

TEST_CASE("matmul: a worked example") {
    const Var a(Tensor::from_host(cpu(), {2, 1, 1, 2}, {1, 2, 3, 4})), b(Tensor::from_host(cpu(), {2, 1, 1, 2}, {5, 6, 7, 8}));
    CHECK(matmul(a, b).value().to_host() == std::vector<float>{19, 22, 43, 50});
    CHECK(matmul(a, b, true, false).value().to_host() == std::vector<float>{26, 30, 38, 44});
    CHECK(matmul(a, b, false, true).value().to_host() == std::vector<float>{17, 23, 39, 53});
    CHECK(matmul(a, b, true, true).value().to_host() == std::vector<float>{23, 31, 34, 46});
    const Var bias(Tensor::from_host(cpu(), {1, 1, 1, 2}, {100, 200}));
    CHECK(linear(a, b, bias).value().to_host() == std::vector<float>{117, 223, 139, 253});
    CHECK(add_bias(a, bias).value().to_host() == std::vector<float>{101, 202, 103, 204});
}

TEST_CASE("matmul: forward like the naive loops") {
    for (const Product& p : products()) {
        const HostTensor a = uniform_input("a", p.transpose_a ? Shape{p.k, 1, 1, p.m} : Shape{p.m, 1, 1, p.k});
        const HostTensor b = uniform_input("b", p.transpose_b ? Shape{p.n, 1, 1, p.k} : Shape{p.k, 1, 1, p.n});
        std::vector<double> expected;
        for (int64_t i = 0; i < p.m; ++i)
            for (int64_t j = 0; j < p.n; ++j) {
                double sum = 0;
                for (int64_t l = 0; l < p.k; ++l)
                    sum += static_cast<double>(a.values[static_cast<size_t>(p.transpose_a ? l * p.m + i : i * p.k + l)]) *
                           b.values[static_cast<size_t>(p.transpose_b ? j * p.k + l : l * p.n + j)];
                expected.push_back(sum);
            }
        const Inputs in = upload(cpu(), {a, b});
        const Var y = matmul(in[0], in[1], p.transpose_a, p.transpose_b);
        CHECK(y.shape() == Shape{p.m, 1, 1, p.n});
        check_values("matmul", y.value().to_host(), expected);
    }
}

TEST_CASE("matmul, linear, add_bias: gradients") { check_gradients(cases()); }

TEST_CASE("matmul: a matrix times itself") {
    for (const bool ta : {false, true})
        for (const bool tb : {false, true})
            check_gradients(
                {"matmul(a, a)", {uniform_input("a", {5, 1, 1, 5})}, [=](const Inputs& in) { return matmul(in[0], in[0], ta, tb); }});
    check_gradients({"a·aT", {uniform_input("a", {4, 1, 1, 7})}, [](const Inputs& in) { return matmul(in[0], in[0], false, true); }});
}

TEST_CASE("linear: gradients into one of the inputs") {
    for (size_t only = 0; only < 3; ++only) {
        OpCase op = cases()[products().size() + 1];
        for (size_t i = 0; i < 3; ++i) op.inputs[i].wanted = i == only;
        op.name += ", input " + std::to_string(only) + " alone";
        check_gradients(op);
    }
}

TEST_CASE("matmul: shapes that do not fit name both") {
    const Var a(Tensor::zeros(cpu(), {2, 1, 1, 3})), b(Tensor::zeros(cpu(), {4, 1, 1, 5})), image(Tensor::zeros(cpu(), {2, 2, 2, 3}));
    CHECK_THROWS_WITH_AS(matmul(a, b), doctest::Contains("(2,1,1,3) and (4,1,1,5)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(linear(a, b), doctest::Contains("(2,1,1,3) and (4,1,1,5)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(matmul(image, b), doctest::Contains("(2,2,2,3)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(add_bias(a, b), doctest::Contains("(4,1,1,5)"), std::runtime_error);
}

TEST_CASE("matmul: counts its multiply-accumulates") {
    const int64_t before = multiply_accumulates();
    const Var a(Tensor::zeros(cpu(), {2, 1, 1, 3})), b(Tensor::zeros(cpu(), {3, 1, 1, 5}));
    matmul(a, b);
    CHECK(multiply_accumulates() - before == 30);
    conv2d(Var(Tensor::zeros(cpu(), {2, 5, 5, 4})), Var(Tensor::zeros(cpu(), {6, 3, 3, 2})), {1, 1, 1, 1, 2});
    CHECK(multiply_accumulates() - before == 30 + 2 * 25 * 6 * 18);
}

TEST_CASE("matmul, linear, add_bias: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("products by the batch: columns inside wider rows, steps between matrices, one that all share; small ones and large ones") {
    const auto backend = make_cpu_backend();
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{3, 4, 5}, {64, 128, 40}, {70, 131, 33}})  // two libraries: src/cpu_backend.cpp
        for (int flags = 0; flags < 4; ++flags) {
            GemmShape s{m, n, k, (flags & 1) != 0, (flags & 2) != 0};
            const int64_t widest = std::max({m, n, k});
            s.count = 2;
            s.row_a = 2 * widest, s.row_b = widest + 4, s.row_c = 2 * n + 2;
            s.step_a = widest, s.step_b = 0, s.step_c = n;
            const HostTensor a = uniform_input("a", {1, 1, widest, s.row_a}), b = uniform_input("b", {1, 1, widest, s.row_b});
            const Tensor c = Tensor::zeros(*backend, {1, 1, m, s.row_c});
            backend->gemm(s, Tensor::from_host(*backend, a.shape, a.values).data(), Tensor::from_host(*backend, b.shape, b.values).data(),
                          c.data());
            std::vector<double> expected(static_cast<size_t>(m * s.row_c), 0.0);
            for (int64_t i = 0; i < s.count; ++i)
                for (int64_t r = 0; r < s.m; ++r)
                    for (int64_t q = 0; q < s.n; ++q)
                        for (int64_t j = 0; j < s.k; ++j) {
                            const int64_t at_a = i * s.step_a + (s.transpose_a ? j * s.row_a + r : r * s.row_a + j);
                            const int64_t at_b = s.transpose_b ? q * s.row_b + j : j * s.row_b + q;
                            expected[static_cast<size_t>(i * s.step_c + r * s.row_c + q)] +=
                                static_cast<double>(a.values[static_cast<size_t>(at_a)]) *
                                static_cast<double>(b.values[static_cast<size_t>(at_b)]);
                        }
            CAPTURE(to_string(Shape{m, n, k, flags}));
            check_values("products", c.to_host(), expected, 1e-6);
        }
}
