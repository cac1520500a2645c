// What FFSD brings: the distance of maps of length 1, and the shift of an attention map.
#include <algorithm>
#include <cmath>

#include "complaints.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

std::vector<OpCase> cases(const std::vector<Shape>& shapes) {
    std::vector<OpCase> all;
    for (const Shape& s : shapes)
        all.push_back({"unit_distance " + to_string(s),
                       {as_map(uniform_input("x", s)), without_gradient(as_map(uniform_input("target", s)))},
                       [](const Inputs& in) { return unit_distance(in[0], in[1].value()); }});
    return all;
}
const std::vector<Shape> shapes = {{3, 4, 5, 6}, {2, 1, 1, 3}, {1, 8, 8, 1}, {4, 2, 2, 17}};

/// t and the lift, by sorting, in double.
std::vector<std::vector<double>> by_sorting(const HostTensor& a, int64_t channels) {
    std::vector<double> turned, lift;
    const auto n = static_cast<size_t>(a.shape.per_sample());
    for (size_t sample = 0; sample < static_cast<size_t>(a.shape.n); ++sample) {
        const std::vector<float> row(a.values.begin() + static_cast<std::ptrdiff_t>(sample * n),
                                     a.values.begin() + static_cast<std::ptrdiff_t>((sample + 1) * n));
        double squares = 0;
        for (const float v : row) squares += static_cast<double>(v) * v;
        const double s = std::sqrt(squares);
        std::vector<float> sorted = row;
        std::sort(sorted.begin(), sorted.end());
        const float threshold = sorted[n / 3 - 1];
        for (const float v : row) {
            const double unit = v / std::max(s, 1e-12), sign = v > threshold ? 1 : v < threshold ? -1 : 0;
            turned.push_back((s / 2 - unit) * sign + s / 2);
            lift.push_back((turned.back() - unit) * s / static_cast<double>(channels));
        }
    }
    return {turned, lift};
}

Tensor on_cpu(const HostTensor& t) { return Tensor::from_host(cpu(), t.shape, t.values); }

/// Tensors behind one another, so that backends can be compared.
OpCase shift_case(const Shape& map) {
    const Shape pixels{map.n, map.h, map.w, 1};
    return {
        "shift " + to_string(map), {without_gradient(uniform_input("a", pixels, 0, 2)), uniform_input("map", map)}, [](const Inputs& in) {
            const TurnedAttention t = turn_attention(in[0].value(), in[1].shape().c);
            const Var shifted(lift_channels(in[1].value(), t.lift));
            return add(mul(in[1], shifted), gated(in[1], Var(t.turned)));
        }};
}

}  // namespace

TEST_CASE("ffsd ops: the distance by hand, a mean over batch and positions") {
    const HostTensor x{{2, 1, 2, 1}, {3, 4, 5, 0}}, target{{2, 1, 2, 1}, {0, 2, 0, 7}};
    const Inputs in = upload(cpu(), {x});
    // (0.6, 0.8) − (0, 1), and (1, 0) − (0, 1).
    CHECK(unit_distance(in[0], on_cpu(target)).value().item() == doctest::Approx((0.36 + 0.04 + 2) / 4));
    CHECK(unit_distance(in[0], in[0].value()).value().item() <= 1e-14);  // squares of what rounding leaves
}

TEST_CASE("ffsd ops: a sample of zeros is 0, not a division, in x as in the target") {
    const HostTensor zero{{1, 1, 2, 1}, {0, 0}}, other{{1, 1, 2, 1}, {3, 4}};
    const Inputs x = upload(cpu(), {zero}), y = upload(cpu(), {other});
    const Operation to_other = [&](const Inputs& in) { return unit_distance(in[0], on_cpu(other)); };
    CHECK(run_backward(to_other, x, {1}).value().item() == doctest::Approx(0.5));
    check_values("gradient at zero", x[0].node().gradient.to_host(), {-0.6e12, -0.8e12}, 1e-5);  // PyTorch's, of what it divides by 1e-12
    const Operation to_zero = [&](const Inputs& in) { return unit_distance(in[0], on_cpu(zero)); };
    CHECK(run_backward(to_zero, y, {1}).value().item() == doctest::Approx(0.5));
    for (const float g : y[0].node().gradient.to_host()) CHECK(std::fabs(g) < 1e-7);  // a length of 1 stays, whatever x is
}

TEST_CASE("ffsd ops: the distance like normalised maps' mean of squares") {
    for (const Shape& s : shapes) {
        const Inputs in = upload(cpu(), {uniform_input("x", s), uniform_input("target", s)});
        const double expected = mse(l2_normalize(in[0]), l2_normalize(in[1])).value().item();
        CHECK(unit_distance(in[0], in[1].value()).value().item() == doctest::Approx(expected).epsilon(1e-6));
    }
}

TEST_CASE("ffsd ops: near the target gradients keep their digits") {
    HostTensor x = uniform_input("x", {1, 8, 8, 1}, 0.5f, 1), target = x;
    for (size_t i = 0; i < target.values.size(); ++i) target.values[i] += i % 2 ? 1e-4f : -1e-4f;
    const Inputs in = upload(cpu(), {x});
    run_backward([&](const Inputs& i) { return unit_distance(i[0], on_cpu(target)); }, in, {1});
    double xx = 0, tt = 0, xt = 0;
    for (size_t i = 0; i < x.values.size(); ++i) {
        const double a = x.values[i], b = target.values[i];
        xx += a * a, tt += b * b, xt += a * b;
    }
    std::vector<double> expected;
    for (size_t i = 0; i < x.values.size(); ++i)
        expected.push_back(2.0 / 64 / std::sqrt(xx) *
                           (x.values[i] / std::sqrt(xx) * (xt / std::sqrt(xx * tt)) - target.values[i] / std::sqrt(tt)));
    check_values("gradient", in[0].node().gradient.to_host(), expected, 1e-3);
}

TEST_CASE("ffsd ops: the shift by hand: kept below, s/2 at the threshold, turned round above") {
    // 3·4 = 12 pixels, so the threshold is the fourth smallest; s = 10.
    HostTensor a{{1, 3, 4, 1}, {0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4}};
    double squares = 0;
    for (const float v : a.values) squares += static_cast<double>(v) * v;
    const double s = std::sqrt(squares);
    std::vector<double> expected;
    for (const float v : a.values) expected.push_back(v < 3 ? v / s : v == 3 ? s / 2 : s - v / s);
    const TurnedAttention found = turn_attention(on_cpu(a), 5);
    check_values("turned", found.turned.to_host(), expected, 1e-6);
    std::vector<double> lift;
    for (size_t i = 0; i < expected.size(); ++i) lift.push_back((expected[i] - a.values[i] / s) * s / 5);
    check_values("lift", found.lift.to_host(), lift, 1e-6);
    const Tensor zeros = turn_attention(Tensor::zeros(cpu(), {2, 2, 2, 1}), 4).turned;
    for (const float t : zeros.to_host()) CHECK(t == 0);  // s/2
}

TEST_CASE("ffsd ops: the shift like sorting in double, 8x8 being the 21st") {
    for (const Shape& s : {Shape{3, 8, 8, 1}, {2, 1, 3, 1}, {1, 16, 16, 1}, {4, 2, 2, 1}, {2, 5, 7, 1}}) {
        HostTensor a = uniform_input("a", s, 0, 3);
        for (float& v : a.values) v = std::round(v * 20) / 20;  // with ties
        const auto expected = by_sorting(a, 6);
        const TurnedAttention found = turn_attention(on_cpu(a), 6);
        check_values("turned", found.turned.to_host(), expected[0], 1e-6);
        check_values("lift", found.lift.to_host(), expected[1], 1e-5);
    }
}

TEST_CASE("ffsd ops: gradients") {
    check_gradients(cases(shapes));
    // As the method has them: of a map through its attention, to another's turned attention and to another's attention.
    const HostTensor map = uniform_input("map", {2, 3, 4, 5}), other = without_gradient(uniform_input("other", {2, 3, 4, 1}, 0, 2));
    check_gradients({"diversity", {map, other}, [](const Inputs& in) {
                         return mse(l2_normalize(attention_map(in[0])), Var(turn_attention(in[1].value(), 5).turned));
                     }});
    check_gradients(
        {"attention's distance", {map, other}, [](const Inputs& in) { return unit_distance(attention_map(in[0]), in[1].value()); }});
}
TEST_CASE("ffsd ops: maps in bfloat16") {
    check_rounding(cases({{3, 4, 5, 6}}));
    Backend* backend = bf16_cpu_or_skip();
    if (!backend) return;
    const Tensor map(*backend, {1, 1, 2, 3}, DType::bf16), by = Tensor::from_host(*backend, {1, 1, 2, 1}, {1, -2});
    Tensor(map).upload(std::vector<float>{1, 2, 3, 4, 5, 6}.data());
    CHECK(lift_channels(map, by).to_host() == std::vector<float>{2, 3, 4, 2, 3, 4});
}
TEST_CASE("ffsd ops: CUDA like the CPU") {
    compare_backends(cases(shapes));
    compare_backends({shift_case({3, 8, 8, 5}), shift_case({2, 2, 2, 33}), shift_case({2, 16, 16, 4})});
}
TEST_CASE("ffsd ops: the number of threads changes no bit") { check_threads_do_not_matter(cases({{64, 8, 8, 16}})); }

TEST_CASE("ffsd ops: a transposed convolution of stride 2 with output padding doubles a map, and goes back") {
    for (const Shape& s : {Shape{2, 3, 3, 4}, {1, 2, 4, 6}}) {
        Conv2dOptions o;
        o.stride_h = o.stride_w = 2;
        o.pad_h = o.pad_w = 1;
        const OpCase op{"conv_transpose2d " + to_string(s),
                        {uniform_input("x", s), uniform_input("w", {s.c, 3, 3, s.c / 2})},
                        [o](const Inputs& in) { return conv_transpose2d(in[0], in[1], o, {}, 1); }};
        check_gradients(op);
        const Inputs in = upload(cpu(), op.inputs);
        const Var y = op.run(in);
        REQUIRE(y.shape() == Shape{s.n, 2 * s.h, 2 * s.w, s.c / 2});
        // Each tap of each input pixel, by hand.
        std::vector<double> expected(static_cast<size_t>(y.shape().size()));
        const std::vector<float>&x = op.inputs[0].values, &w = op.inputs[1].values;
        for (int64_t n = 0; n < s.n; ++n)
            for (int64_t i = 0; i < s.h; ++i)
                for (int64_t j = 0; j < s.w; ++j)
                    for (int64_t k = 0; k < s.c; ++k)
                        for (int64_t a = 0; a < 3; ++a)
                            for (int64_t b = 0; b < 3; ++b)
                                for (int64_t c = 0; c < s.c / 2; ++c) {
                                    const int64_t row = 2 * i + a - 1, column = 2 * j + b - 1;
                                    if (row < 0 || column < 0 || row >= 2 * s.h || column >= 2 * s.w) continue;
                                    const auto to = static_cast<size_t>(((n * 2 * s.h + row) * 2 * s.w + column) * (s.c / 2) + c);
                                    expected[to] += static_cast<double>(x[static_cast<size_t>(((n * s.h + i) * s.w + j) * s.c + k)]) *
                                                    w[static_cast<size_t>(((k * 3 + a) * 3 + b) * (s.c / 2) + c)];
                                }
        check_values(op.name, y.value().to_host(), expected, 1e-5);
    }
}

TEST_CASE("ffsd ops: shapes that do not fit") {
    const Var x(Tensor::zeros(cpu(), {2, 2, 2, 3}));
    CHECK_THROWS_WITH(unit_distance(x, Tensor::zeros(cpu(), {2, 2, 2, 4})),
                      "unit_distance: shapes (2,2,2,3) and (2,2,2,4) must be equal ---> resize or reshape one");
    CHECK_THROWS(turn_attention(Tensor::zeros(cpu(), {2, 1, 2, 1}), 4));
    CHECK_THROWS(turn_attention(x.value(), 3));
    CHECK_THROWS(lift_channels(x.value(), Tensor::zeros(cpu(), {2, 2, 1, 1})));
}
