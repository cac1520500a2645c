// Softmax, losses, normalisation and accuracy: values by hand, loops in double, gradients, large logits.
#include <algorithm>
#include <cmath>

#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

const std::vector<Shape>& logit_shapes() {
    static const std::vector<Shape> all = {{5, 1, 1, 10}, {1, 1, 1, 3}, {7, 1, 1, 20}, {3, 1, 1, 100}, {4, 1, 1, 2}, {64, 1, 1, 16}};
    return all;
}
const std::vector<Shape>& map_shapes() {
    static const std::vector<Shape> all = {{2, 3, 5, 3}, {1, 1, 1, 7}, {2, 2, 2, 16}, {3, 1, 3, 20}, {5, 3, 1, 1}};
    return all;
}
std::vector<int32_t> labels_for(const Shape& s) {
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < s.n; ++i) labels.push_back(static_cast<int32_t>((i * 7 + 1) % s.c));
    return labels;
}

/// log softmax(x/T) of each row.
std::vector<double> naive_log_softmax(const HostTensor& x, double temperature = 1) {
    std::vector<double> y;
    const size_t n = static_cast<size_t>(x.shape.c);
    for (size_t row = 0; row < x.values.size(); row += n) {
        double sum = 0;
        const double top = *std::max_element(x.values.data() + row, x.values.data() + row + n);
        for (size_t j = 0; j < n; ++j) sum += std::exp((x.values[row + j] - top) / temperature);
        for (size_t j = 0; j < n; ++j) y.push_back((x.values[row + j] - top) / temperature - std::log(sum));
    }
    return y;
}
std::vector<double> exp_of(std::vector<double> v) {
    for (double& e : v) e = std::exp(e);
    return v;
}

std::vector<OpCase> cases(const std::vector<Shape>& logits = logit_shapes(), const std::vector<Shape>& maps = map_shapes()) {
    std::vector<OpCase> all;
    for (const Shape& s : logits) {
        const std::string at = " " + to_string(s);
        const HostTensor x = uniform_input("x", s, -2, 2), other = uniform_input("other", s, -2, 2);
        all.push_back(
            {"cross_entropy" + at, {x}, [s](const Inputs& in) { return cross_entropy(in[0], integers(in[0].backend(), labels_for(s))); }});
        for (const float t : {1.0f, 4.0f})
            all.push_back({"kl_divergence" + at + " T=" + std::to_string(static_cast<int>(t)),
                           {x, without_gradient(other)},
                           [t](const Inputs& in) { return scale(kl_divergence(in[0], in[1].value(), t), t * t); },
                           6e-3});  // a step moves the loss by little more than its rounding
    }
    for (const std::vector<Shape>& list : {logits, maps})
        for (const Shape& s : list) {
            if (s.c == 1) continue;
            const HostTensor x = uniform_input("x", s, -2, 2);
            all.push_back({"softmax " + to_string(s), {x}, [](const Inputs& in) { return softmax(in[0]); }});
        }
    for (const Shape& s : maps) {
        const std::string at = " " + to_string(s);
        const HostTensor a = uniform_input("a", s);
        HostTensor b = off_zero_input("b", s);  // the difference stays off zero, where |a − b| has its kink
        for (size_t i = 0; i < b.values.size(); ++i) b.values[i] = 0.8f * a.values[i] + b.values[i] + (b.values[i] > 0 ? 0.2f : -0.2f);
        all.push_back({"mse" + at, {a, b}, [](const Inputs& in) { return mse(in[0], in[1]); }});
        all.push_back({"l1" + at, {a, b}, [](const Inputs& in) { return l1(in[0], in[1]); }});
        all.push_back({"mean" + at, {a}, [](const Inputs& in) { return mean(in[0]); }});
        if (s.per_sample() > 1) all.push_back({"l2_normalize" + at, {a}, [](const Inputs& in) { return l2_normalize(in[0]); }});
    }
    return all;
}

Var on_cpu(Shape s, const std::vector<float>& values) { return Var(Tensor::from_host(cpu(), s, values)); }
bool all_finite(const std::vector<float>& v) {
    return std::all_of(v.begin(), v.end(), [](float e) { return std::isfinite(e); });
}

}  // namespace

TEST_CASE("softmax: worked values") {
    const Var x = on_cpu({2, 1, 1, 3}, {0, 0, 0, std::log(1.0f), std::log(2.0f), std::log(5.0f)});
    check_values("softmax", softmax(x).value().to_host(), {1 / 3.0, 1 / 3.0, 1 / 3.0, 0.125, 0.25, 0.625}, 1e-6);
}

TEST_CASE("softmax: forward like loops in double") {
    for (const std::vector<Shape>& list : {logit_shapes(), map_shapes()})
        for (const Shape& s : list) {
            const HostTensor x = uniform_input("x", s, -5, 5);
            const Inputs in = upload(cpu(), {x});
            check_values("softmax " + to_string(s), softmax(in[0]).value().to_host(), exp_of(naive_log_softmax(x)));
        }
}

TEST_CASE("softmax and its losses stay finite with large logits") {
    const HostTensor x{{3, 1, 1, 3}, {1e4f, 0, -1e4f, 1000, 1001, 999, -1e30f, -1e30f, 1e30f}};
    const Inputs in = upload(cpu(), {x});
    check_values("softmax", softmax(in[0]).value().to_host(), exp_of(naive_log_softmax(x)), 1e-5);

    const std::vector<int32_t> labels{2, 0, 2};
    const Operation loss = [&](const Inputs& i) { return cross_entropy(i[0], integers(cpu(), labels)); };
    const Var y = run_backward(loss, in, {1});
    check_values("cross_entropy", y.value().to_host(), {(2e4 + 1.4076059644443806 + 0) / 3}, 1e-5);
    check_values("its gradient", in[0].node().gradient.to_host(),
                 {1 / 3.0, 0, -1 / 3.0, (0.24472847105479767 - 1) / 3, 0.6652409557748219 / 3, 0.09003057317038046 / 3, 0, 0, 0}, 1e-5);

    const Inputs pair = upload(cpu(), {{{2, 1, 1, 2}, {1e4f, -1e4f, 50, -50}}, {{2, 1, 1, 2}, {-1e4f, 1e4f, 50, -50}, false}});
    const Var kl = run_backward([](const Inputs& i) { return kl_divergence(i[0], i[1].value(), 2); }, pair, {1});
    check_values("kl_divergence", kl.value().to_host(), {1e4 / 2}, 1e-5);
    check_values("its gradient", pair[0].node().gradient.to_host(), {0.25, -0.25, 0, 0}, 1e-5);
}

TEST_CASE("cross_entropy: forward like loops in double") {
    for (const Shape& s : logit_shapes()) {
        const HostTensor x = uniform_input("x", s, -5, 5);
        const std::vector<double> log_p = naive_log_softmax(x);
        const std::vector<int32_t> labels = labels_for(s);
        double expected = 0;
        for (int64_t i = 0; i < s.n; ++i)
            expected -= log_p[static_cast<size_t>(i * s.c + labels[static_cast<size_t>(i)])] / static_cast<double>(s.n);
        const Inputs in = upload(cpu(), {x});
        check_values("cross_entropy " + to_string(s), cross_entropy(in[0], integers(cpu(), labels)).value().to_host(), {expected});
    }
    const Var even = on_cpu({2, 1, 1, 4}, std::vector<float>(8, 3.0f));
    CHECK(cross_entropy(even, integers(cpu(), {0, 3})).value().item() == doctest::Approx(std::log(4.0)));
    CHECK(std::isnan(cross_entropy(even, integers(cpu(), {0, 4})).value().item()));  // a label that is none
    CHECK(std::isnan(cross_entropy(even, integers(cpu(), {-1, 0})).value().item()));
}

TEST_CASE("kl_divergence: forward like loops in double, zero between equals, no gradient for the teacher") {
    for (const Shape& s : logit_shapes())
        for (const float t : {1.0f, 4.0f, 0.5f}) {
            const HostTensor x = uniform_input("x", s, -3, 3), teacher = uniform_input("teacher", s, -3, 3);
            const std::vector<double> log_s = naive_log_softmax(x, t), log_t = naive_log_softmax(teacher, t);
            double expected = 0;
            for (size_t i = 0; i < log_s.size(); ++i) expected += std::exp(log_t[i]) * (log_t[i] - log_s[i]) / static_cast<double>(s.n);
            const Inputs in = upload(cpu(), {x, teacher});
            const Var loss = run_backward([t](const Inputs& i) { return kl_divergence(i[0], i[1].value(), t); }, in, {1});
            check_values("kl_divergence " + to_string(s), loss.value().to_host(), {expected}, 1e-5);
            CHECK(in[0].node().has_gradient);
            CHECK(!in[1].node().has_gradient);
            CHECK(std::fabs(kl_divergence(in[0], in[0].value(), t).value().item()) < 1e-6);
        }
}

TEST_CASE("mse, l1, mean: worked values and loops in double") {
    const Var a = on_cpu({1, 1, 2, 2}, {1, 2, 3, 4}), b = on_cpu({1, 1, 2, 2}, {1, 0, 6, 3});
    CHECK(mse(a, b).value().item() == 14.0f / 4);
    CHECK(l1(a, b).value().item() == 6.0f / 4);
    CHECK(mean(a).value().item() == 2.5f);
    for (const Shape& s : {Shape{2, 3, 5, 3}, Shape{64, 16, 16, 16}, Shape{7, 1, 1, 100}}) {
        const HostTensor x = uniform_input("x", s, -1, 2), z = uniform_input("z", s);
        double square = 0, absolute = 0, sum = 0;
        for (size_t i = 0; i < x.values.size(); ++i) {
            const double d = static_cast<double>(x.values[i]) - z.values[i], n = static_cast<double>(s.size());
            square += d * d / n;
            absolute += std::fabs(d) / n;
            sum += x.values[i] / n;
        }
        const Inputs in = upload(cpu(), {x, z});
        check_values("mse " + to_string(s), mse(in[0], in[1]).value().to_host(), {square}, 1e-6);
        check_values("l1 " + to_string(s), l1(in[0], in[1]).value().to_host(), {absolute}, 1e-6);
        check_values("mean " + to_string(s), mean(in[0]).value().to_host(), {sum}, 1e-6);
        CHECK(mse(in[0], in[0]).value().item() == 0);
    }
}

TEST_CASE("softmax, losses, l2_normalize: gradients") { check_gradients(cases()); }

TEST_CASE("losses: gradients into one of two inputs, and of a map with itself") {
    for (const size_t only : {0, 1}) {
        std::vector<HostTensor> in{uniform_input("a", {2, 3, 2, 4}, 1, 2), uniform_input("b", {2, 3, 2, 4})};
        in[1 - only].wanted = false;
        check_gradients({"mse, one side", in, [](const Inputs& i) { return mse(i[0], i[1]); }});
        check_gradients({"l1, one side", in, [](const Inputs& i) { return l1(i[0], scale(i[1], 0.5f)); }});
    }
    check_gradients({"mse(x, x²)", {uniform_input("x", {2, 3, 2, 4})}, [](const Inputs& i) { return mse(i[0], mul(i[0], i[0])); }});
    const Inputs same = upload(cpu(), {uniform_input("x", {2, 1, 1, 4})});
    run_backward([](const Inputs& i) { return mse(i[0], i[0]); }, same, {1});
    CHECK(same[0].node().gradient.to_host() == std::vector<float>(8, 0.0f));
}

TEST_CASE("losses: the gradient that arrives scales the one that leaves") {
    for (const OpCase& op : cases()) {
        Inputs once = upload(cpu(), op.inputs), thrice = upload(cpu(), op.inputs);
        if (op.run(once).shape().size() != 1) continue;
        run_backward(op.run, once, {1});
        run_backward(op.run, thrice, {-3});
        std::vector<double> expected;
        for (const float v : once[0].node().gradient.to_host()) expected.push_back(-3.0 * v);
        check_values(op.name, thrice[0].node().gradient.to_host(), expected, 1e-6);
    }
}

TEST_CASE("l2_normalize: worked values, and samples of zeros") {
    const Inputs in = upload(cpu(), {{{3, 1, 1, 2}, {3, 4, 0, 0, -1e-20f, 0}}});
    const Var y = run_backward([](const Inputs& i) { return l2_normalize(i[0]); }, in, {1, 1, 1, 2, 1, 1});
    check_values("y", y.value().to_host(), {0.6, 0.8, 0, 0, -1e-8, 0}, 1e-6);
    const std::vector<float> dx = in[0].node().gradient.to_host();
    check_values("dx", {dx[0], dx[1]}, {(1 - 0.6 * 1.4) / 5, (1 - 0.8 * 1.4) / 5}, 1e-5);
    check_values("dx of zeros", {dx[2], dx[3]}, {1e12, 2e12}, 1e-5);
    CHECK(all_finite(dx));
    const HostTensor x = uniform_input("x", {4, 3, 5, 16});
    for (const float v : mean(mul(l2_normalize(upload(cpu(), {x})[0]), l2_normalize(upload(cpu(), {x})[0]))).value().to_host())
        CHECK(v * 240 == doctest::Approx(1));
}

TEST_CASE("count_correct: adds up, takes the first of equals, counts no NaN") {
    const float nan = std::nanf("");
    const Var logits = on_cpu({5, 1, 1, 3}, {1, 3, 2, 5, 5, 0, 5, 5, 0, -3, -2, -1, nan, nan, nan});
    const Tensor correct = Tensor::zeros(cpu(), {1, 1, 1, 1});
    count_correct(logits.value(), integers(cpu(), {1, 0, 1, 2, 0}), correct);
    CHECK(correct.item() == 3);
    count_correct(logits.value(), integers(cpu(), {0, 0, 0, 0, 0}), correct);
    CHECK(correct.item() == 5);
    const Var spoilt = on_cpu({2, 1, 1, 3}, {NAN, 1, 2, 1, NAN, 2});  // one NaN is no reason to look at the rest
    count_correct(spoilt.value(), integers(cpu(), {2, 2}), correct);
    CHECK(correct.item() == 5);

    const Shape s{300, 1, 1, 100};
    const HostTensor x = uniform_input("x", s);
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < s.n; ++i) {
        const auto row = x.values.begin() + i * s.c;
        labels.push_back(static_cast<int32_t>(std::max_element(row, row + s.c) - row) + (i % 3 == 0));
    }
    const Tensor hits = Tensor::zeros(cpu(), {1, 1, 1, 1});
    count_correct(upload(cpu(), {x})[0].value(), integers(cpu(), labels), hits);
    CHECK(hits.item() == 200);
}

TEST_CASE("log_step: the values, then hits and images, in the row that device memory names") {
    const Var logits = on_cpu({3, 1, 1, 2}, {1, 3, 5, 2, 0, 7});
    const Tensor labels = integers(cpu(), {1, 0, 0});
    for (const int64_t count : {1, 3, 47, 48, 49, 97}) {
        CAPTURE(count);
        Tensor table = Tensor::zeros(cpu(), {4, 1, 1, count + 2});
        std::vector<Tensor> values;
        std::vector<float> expected(static_cast<size_t>(4 * (count + 2)));
        for (int64_t i = 0; i < count; ++i) {
            values.push_back(Tensor::from_host(cpu(), {}, {static_cast<float>(i) + 0.5f}));
            expected[static_cast<size_t>(2 * (count + 2) + i)] = static_cast<float>(i) + 0.5f;
        }
        expected[static_cast<size_t>(3 * (count + 2) - 2)] = 2;
        expected[static_cast<size_t>(3 * (count + 2) - 1)] = 3;
        log_step(table, integers(cpu(), {2}), values, logits.value(), labels);
        CHECK(table.to_host() == expected);
    }
    const Tensor narrow = Tensor::zeros(cpu(), {1, 1, 1, 2});
    CHECK_THROWS_WITH_AS(log_step(narrow, integers(cpu(), {0}), {narrow.view(0, {})}, logits.value(), labels),
                         doctest::Contains("log_step: 1 values"), std::runtime_error);
    CHECK_THROWS_WITH_AS(
        log_step(Tensor::zeros(cpu(), {1, 1, 1, 3}), integers(cpu(), {0}), {narrow.view(0, {})}, logits.value(), integers(cpu(), {0})),
        doctest::Contains("(3,1,1,2) and (1,1,1,1)"), std::runtime_error);
}

TEST_CASE("losses: shapes that do not fit name both") {
    const Var a(Tensor::zeros(cpu(), {2, 1, 1, 4})), b(Tensor::zeros(cpu(), {2, 1, 1, 5}));
    for (const auto& loss : {mse, l1}) CHECK_THROWS_WITH_AS(loss(a, b), doctest::Contains("(2,1,1,4) and (2,1,1,5)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(kl_divergence(a, b.value(), 1), doctest::Contains("(2,1,1,4) and (2,1,1,5)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(kl_divergence(a, a.value(), 0), doctest::Contains("temperature is 0"), std::runtime_error);
    CHECK_THROWS_WITH_AS(cross_entropy(a, integers(cpu(), {0})), doctest::Contains("(2,1,1,4) and (1,1,1,1)"), std::runtime_error);
    const Tensor one = Tensor::zeros(cpu(), {1, 1, 1, 1});
    CHECK_THROWS_WITH_AS(count_correct(a.value(), integers(cpu(), {0}), one), doctest::Contains("(2,1,1,4) and (1,1,1,1)"),
                         std::runtime_error);
}

TEST_CASE("softmax, losses, l2_normalize: the number of threads changes no bit") {
    check_threads_do_not_matter(cases({{300, 1, 1, 101}}, {{29, 11, 14, 20}}));
}
TEST_CASE("softmax, losses, l2_normalize: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("metrics: CUDA like the CPU") {
    const Shape s{300, 1, 1, 100};
    const HostTensor logits = without_gradient(uniform_input("logits", s));
    const auto hits = [s](const Inputs& in) { return Var(correct_rows(in[0].value(), integers(in[0].backend(), labels_for(s)))); };
    const auto logged = [s](const Inputs& in) {
        Backend& backend = in[0].backend();
        const Tensor table = Tensor::zeros(backend, {2, 1, 1, 3});
        const Tensor value = Tensor::from_host(backend, {}, {2.5f});
        log_step(table, integers(backend, {1}), {value}, in[0].value(), integers(backend, labels_for(s)));
        return Var(table);
    };
    compare_backends({{"correct_rows", {logits}, hits}, {"log_step", {logits}, logged}});
}
