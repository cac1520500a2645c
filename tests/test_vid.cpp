// Variational Information Distillation: its worked value, gradients, sizes that differ, and its estimators.
#include <cmath>
#include <tuple>

#include "benchmark_losses.h"
#include "complaints.h"
#include "method_vid.h"
#include "parameter_inputs.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase gaussian(const Shape& s) {
    return {"gaussian_loss " + to_string(s),
            {as_map(sines(s)), as_map(cosines(s)), uniform_input("a", {1, 1, 1, s.c}, -3, 3)},
            [](const Inputs& in) { return gaussian_loss(in[0], in[1].value(), in[2]); }};
}
std::vector<OpCase> cases() { return {gaussian({4, 2, 2, 3}), gaussian({2, 3, 3, 20}), gaussian({3, 16, 16, 5})}; }  // 12 to 768 pixels

}  // namespace

TEST_CASE("vid: the worked value, of regressors that change nothing but by their ReLUs, and variances 5") {
    Parameters p(cpu());
    const TeacherEstimator estimator(p, "v", 3, 3);
    p.allocate(0);
    WeightFile file{p.to_file(), {}};
    for (const char* k : {"0", "2", "4"}) file.tensors.at(std::string("v.regressor.") + k + ".weight").data = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    p.from_file(file, "the test");
    const Inputs in = upload(cpu(), {sines({4, 2, 2, 3}), cosines({4, 2, 2, 3})});
    CHECK(estimator(in[0], in[1]).value().item() == doctest::Approx(0.8728596419).epsilon(1e-6));
    for (const float a : file.tensors.at("v.log_scale").data) CHECK(a == doctest::Approx(4.9932291827).epsilon(1e-6));
}

TEST_CASE("vid: gradients") { check_gradients(cases()); }
TEST_CASE("vid: maps in bfloat16") { check_rounding(cases()); }
TEST_CASE("vid: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("vid: variances far from 1 are finite in value and gradient") {
    const Inputs in = upload(cpu(), {sines({2, 2, 2, 2}), cosines({2, 2, 2, 2}), {{1, 1, 1, 2}, {-200, 200}}});
    const Var y = run_backward([](const Inputs& i) { return gaussian_loss(i[0], i[1].value(), i[2]); }, in, {1});
    CHECK(std::isfinite(y.value().item()));
    for (const size_t k : {0, 2})
        for (const float g : in[k].node().gradient.to_host()) CHECK(std::isfinite(g));
}

TEST_CASE("vid: beta times the sum over the stages, regressors between other widths, the larger map pooled; variances start at 5") {
    const VidOptions own;
    CHECK(own.weights.beta == 1);
    for (const char* student : {"resnet8", "wrn-10-1-tiny"}) {
        const OneStep s = stepped(own, "resnet8x4", student);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_vid"});
        const auto file = s.method->parameters().to_file("vid.");
        CHECK(file.size() == 3 * 4);
        Parameters p(cpu());
        std::vector<TeacherEstimator> estimators;
        for (size_t i = 0; i < 3; ++i)
            estimators.emplace_back(p, "vid." + std::to_string(i), s.student_output.stages[i].output.shape().c,
                                    s.teacher_output.stages[i].output.shape().c);
        p.allocate(99);
        p.from_file({s.method->parameters().to_file("vid."), {}}, "the method", "vid.");
        size_t level = 0;
        const double expected = sum_of_levels(s, [&](const Var& a, const Var& b) { return estimators[level++](a, b); });
        CHECK(s.loss() == doctest::Approx(expected).epsilon(1e-5));
        for (const auto& [name, extents] : {std::pair{"0.regressor.0.weight", std::vector<int64_t>{64, 16, 1, 1}},
                                            {"0.regressor.2.weight", {64, 64, 1, 1}},
                                            {"0.regressor.4.weight", {64, 64, 1, 1}},
                                            {"2.log_scale", {256}}})
            CHECK_MESSAGE(file.at(name).shape == extents, name);
        for (const float a : file.at("1.log_scale").data) CHECK(std::log1p(std::exp(a)) + 1e-5 == doctest::Approx(5).epsilon(1e-6));
    }
    const OneStep unlike = stepped(own, "resnet8", "MobileNetV2", 32);  // of 3 and 4 stages: the last is left out
    const auto file = unlike.method->parameters().to_file("vid.");
    CHECK(file.size() == 3 * 4);
    for (const auto& [name, student, teacher] : {std::tuple{"0", 12, 16}, {"1", 16, 32}, {"2", 48, 64}})
        CHECK(file.at(std::string(name) + ".regressor.0.weight").shape == std::vector<int64_t>{teacher, student, 1, 1});
    CHECK(std::isfinite(unlike.loss()));
}

TEST_CASE("vid: a regressor's ReLUs stand between its convolutions, not behind them") {
    Parameters p(cpu());
    const TeacherEstimator estimator(p, "v", 1, 1);
    p.allocate(0);
    WeightFile file{p.to_file(), {}};
    for (const char* k : {"0", "2"}) file.tensors.at(std::string("v.regressor.") + k + ".weight").data = {1};
    file.tensors.at("v.regressor.4.weight").data = {-2};
    p.from_file(file, "the test");
    const Inputs in = upload(cpu(), {{{1, 1, 2, 1}, {3, -4}}, {{1, 1, 2, 1}, {-6, 0}, false}});  // means −2·3 and −2·0: no error
    CHECK(estimator(in[0], in[1]).value().item() == doctest::Approx(0.5 * std::log(5.0)).epsilon(1e-6));
}
