// Relational Knowledge Distillation: its worked values, gradients, samples that are equal or alone, and which vectors it takes.
#include "benchmark_losses.h"
#include "complaints.h"
#include "method_rkd.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase distance(const Shape& s, const Shape& t) {
    return {"distance_loss " + to_string(s),
            {sines(s), cosines(t)},
            [](const Inputs& in) { return distance_loss(in[0], in[1].value()); },
            4e-3};
}
OpCase angle(const Shape& s, const Shape& t) {
    return {"angle_loss " + to_string(s), {sines(s), cosines(t)}, [](const Inputs& in) { return angle_loss(in[0], in[1].value()); }, 4e-3};
}
/// Samples of which one lies far away, so that relative distances differ by more than 1.
OpCase far_apart() {
    testing::HostTensor s = sines({8, 1, 1, 4}), t = cosines({8, 1, 1, 4});
    for (size_t i = 0; i < 4; ++i) t.values[i] *= 20;
    return {"distance_loss, beyond 1", {s, t}, [](const Inputs& in) { return distance_loss(in[0], in[1].value()); }, 4e-3};
}
constexpr Shape u{4, 1, 1, 3}, v{4, 1, 1, 5}, wide{7, 1, 1, 20}, other{7, 1, 1, 17};
std::vector<OpCase> cases() { return {distance(u, v), distance(wide, other), far_apart(), angle(u, v), angle(wide, other)}; }

}  // namespace

TEST_CASE("rkd: the worked values") {
    CHECK(value_of_loss(distance(u, v)) == doctest::Approx(0.0162473274).epsilon(1e-6));
    CHECK(value_of_loss(angle(u, v)) == doctest::Approx(0.0058671054).epsilon(1e-6));
    const Inputs in = upload(cpu(), {sines(u), cosines(v)});
    CHECK(relational_loss(in[0], in[1].value()).value().item() == doctest::Approx(0.6995384550).epsilon(1e-6));
}

TEST_CASE("rkd: gradients") { check_gradients(cases()); }
TEST_CASE("rkd: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("rkd: equal samples are 1e-6 apart in no direction, one alone has no relations; gradients are finite") {
    testing::HostTensor s = sines({4, 1, 1, 3});
    for (size_t i = 0; i < 3; ++i) s.values[3 + i] = s.values[i];
    const testing::HostTensor one{{1, 1, 1, 3}, {1, 2, 3}}, same{{3, 1, 1, 2}, {1, 2, 1, 2, 1, 2}};
    for (const testing::HostTensor& student : {s, one, same}) {
        const int64_t n = student.shape.n;
        const Inputs in = upload(cpu(), {student, cosines({n, 1, 1, 5})});
        const Var y = run_backward([](const Inputs& i) { return relational_loss(i[0], i[1].value()); }, in, {1});
        CHECK(std::isfinite(y.value().item()));
        if (n == 1) CHECK(y.value().item() == 0);
        for (const float g : in[0].node().gradient.to_host()) CHECK(std::isfinite(g));
    }
    // All at one place: each distance is their mean, so 1 beside the teacher's, and no angle is any.
    const Inputs in = upload(cpu(), {same, without_gradient(same)});
    CHECK(relational_loss(in[0], in[1].value()).value().item() == 0);
}

TEST_CASE("rkd: beta times the loss of the pooled vectors, of other widths and depths") {
    const RkdOptions own;
    CHECK(own.weights.beta == 1);
    for (const auto& [teacher, student] : {std::pair{"resnet8x4", "resnet8"}, {"vgg8", "wrn-10-1-tiny"}}) {
        const OneStep s = stepped(own, teacher, student, 32);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_rkd"});
        CHECK(s.loss() ==
              doctest::Approx(relational_loss(s.student_output.pooled, s.teacher_output.pooled.value()).value().item()).epsilon(1e-4));
        CHECK(s.loss() > 0);
    }
    CHECK(says(complaint([&] { stepped(own, "vgg7-mhgd", "resnet8", 32); }), {"rkd: ", "vgg7-mhgd has no pooled vector"}));
}
