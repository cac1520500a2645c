// Neuron Selectivity Transfer: its worked values, both ways to contract, gradients, channels of zeros, and which maps it takes.
#include "benchmark_losses.h"
#include "complaints.h"
#include "method_nst.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase nst(const Shape& s, const Shape& t) {
    return {"nst " + to_string(s) + " " + to_string(t), {sines(s), cosines(t)}, [](const Inputs& in) {
                return selectivity_loss(in[0], in[1]);
            }};
}

/// k(a,b), worked in double: the mean over samples and pairs of channels of the squared products of what is divided by its norm.
double kernel(const testing::HostTensor& a, const testing::HostTensor& b) {
    const auto at = [](const testing::HostTensor& x, int64_t n, int64_t p, int64_t c) {
        return static_cast<double>(x.values[static_cast<size_t>((n * x.shape.h * x.shape.w + p) * x.shape.c + c)]);
    };
    const int64_t pixels = a.shape.h * a.shape.w;
    const auto product = [&](const testing::HostTensor& x, int64_t i, const testing::HostTensor& y, int64_t j, int64_t n) {
        double sum = 0;
        for (int64_t p = 0; p < pixels; ++p) sum += at(x, n, p, i) * at(y, n, p, j);
        return sum;
    };
    double sum = 0;
    for (int64_t n = 0; n < a.shape.n; ++n)
        for (int64_t i = 0; i < a.shape.c; ++i)
            for (int64_t j = 0; j < b.shape.c; ++j) {
                const double ab = product(a, i, b, j, n), aa = product(a, i, a, i, n), bb = product(b, j, b, j, n);
                sum += ab * ab / (aa * bb);
            }
    return sum / static_cast<double>(a.shape.n * a.shape.c * b.shape.c);
}
double worked(const testing::HostTensor& s, const testing::HostTensor& t) { return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t); }

/// By products of pixels, of channels, of as many of either; with one of a kind.
const std::vector<std::pair<Shape, Shape>>& shapes() {
    static const std::vector<std::pair<Shape, Shape>> all = {{{4, 2, 2, 3}, {4, 2, 2, 5}},   {{2, 5, 4, 3}, {2, 5, 4, 6}},
                                                             {{2, 2, 4, 3}, {2, 2, 4, 5}},   {{3, 3, 3, 20}, {3, 3, 3, 17}},
                                                             {{3, 6, 6, 17}, {3, 6, 6, 16}}, {{1, 1, 2, 1}, {1, 1, 2, 2}}};
    return all;
}
std::vector<OpCase> cases() {
    std::vector<OpCase> all;
    for (const auto& [s, t] : shapes())
        if (s.size() < 1000) all.push_back(nst(s, t));  // of more, one number moves the loss by little more than its rounding
    all.push_back(nst({2, 6, 6, 3}, {2, 3, 3, 4}));
    return all;
}

}  // namespace

TEST_CASE("nst: the worked value and its parts") {
    const testing::HostTensor s = sines({4, 2, 2, 3}), t = cosines({4, 2, 2, 5});
    CHECK(kernel(t, t) == doctest::Approx(0.6703389398).epsilon(1e-6));
    CHECK(kernel(s, s) == doctest::Approx(0.5392633677).epsilon(1e-6));
    CHECK(kernel(s, t) == doctest::Approx(0.4527234623).epsilon(1e-6));
    CHECK(value_of_loss(nst(s.shape, t.shape)) == doctest::Approx(0.3041553828).epsilon(1e-6));
}

TEST_CASE("nst: like loops in double, by either product") {
    for (const auto& [s, t] : shapes())
        CHECK_MESSAGE(value_of_loss(nst(s, t)) == doctest::Approx(worked(sines(s), cosines(t))).epsilon(3e-6), to_string(s), to_string(t));
}

TEST_CASE("nst: gradients") { check_gradients(cases()); }
TEST_CASE("nst: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("nst: a channel of zeros has no part and no gradient, by either product") {
    for (const auto& [s, t] : {std::pair{Shape{2, 5, 4, 3}, Shape{2, 5, 4, 4}}, {Shape{2, 2, 2, 3}, Shape{2, 2, 2, 4}}}) {
        testing::HostTensor student = sines(s), teacher = cosines(t);
        for (size_t i = 1; i < student.values.size(); i += 3) student.values[i] = 0;
        for (size_t i = 2; i < teacher.values.size(); i += 4) teacher.values[i] = 0;
        const Inputs in = upload(cpu(), {student, teacher});
        const Var y = run_backward([](const Inputs& i) { return selectivity_loss(i[0], i[1]); }, in, {1});
        CHECK(std::isfinite(y.value().item()));
        const std::vector<float> dx = in[0].node().gradient.to_host();
        for (size_t i = 0; i < dx.size(); ++i) {
            CHECK(std::isfinite(dx[i]));
            if (i % 3 == 1) CHECK(dx[i] == 0);
        }
    }
}

TEST_CASE("nst: beta times the sum over the stages' outputs, of other widths and sizes") {
    const NstOptions own;
    CHECK(own.weights.beta == 50);
    for (const char* student : {"resnet8", "wrn-10-1-tiny"}) {
        const OneStep s = stepped(own, "resnet8x4", student);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_nst"});
        CHECK(s.loss() == doctest::Approx(50 * sum_of_levels(s, selectivity_loss)).epsilon(1e-5));
    }
    for (const auto& [teacher, student] : {std::pair{"vgg8", "resnet8"}, {"resnet8", "MobileNetV2"}}) {  // 4 stages and 3, 3 and 4
        const OneStep s = stepped(own, teacher, student, 32);
        CHECK(s.loss() == doctest::Approx(50 * sum_of_levels(s, selectivity_loss)).epsilon(1e-5));
    }
    const Tensor a = Tensor::zeros(cpu(), {1, 2, 2, 3}), b = Tensor::zeros(cpu(), {1, 2, 3, 3});
    CHECK_THROWS_WITH_AS(channel_kernel_distance(Var(a), b), doctest::Contains("(1,2,2,3) and (1,2,3,3)"), std::runtime_error);
}
