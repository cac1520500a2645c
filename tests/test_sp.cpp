// Similarity-Preserving distillation: its worked value, gradients, and which maps it takes.
#include "benchmark_losses.h"
#include "method_sp.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase sp(const Shape& s, const Shape& t) {
    return {
        "sp " + to_string(s) + " " + to_string(t), {sines(s), cosines(t)}, [](const Inputs& in) { return similarity_loss(in[0], in[1]); }};
}
std::vector<OpCase> cases() { return {sp({4, 2, 2, 3}, {4, 2, 2, 5}), sp({6, 4, 4, 3}, {6, 1, 2, 20})}; }

}  // namespace

TEST_CASE("sp: the worked value") { CHECK(value_of_loss(sp({4, 2, 2, 3}, {4, 2, 2, 5})) == doctest::Approx(0.3256042587).epsilon(1e-6)); }

TEST_CASE("sp: gradients") { check_gradients(cases()); }
TEST_CASE("sp: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("sp: beta times the loss of the last stages' outputs, of other widths, sizes and depths; a wrn's before its activation") {
    const SpOptions own;
    CHECK(own.weights.beta == 3000);
    for (const auto& [teacher, student] : {std::pair{"resnet8x4", "resnet8"}, {"vgg8", "wrn-10-1-tiny"}, {"wrn-10-1", "resnet8"}}) {
        const OneStep s = stepped(own, teacher, student, 32);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_sp"});
        const Var expected = similarity_loss(s.student_output.stages.back().output, s.teacher_output.stages.back().output);
        CHECK(s.loss() == doctest::Approx(3000 * expected.value().item()).epsilon(1e-4));
        CHECK(s.loss() > 0);
    }
}
