// Attention Transfer: its worked value, gradients, sizes that differ, and which maps it takes.
#include "benchmark_losses.h"
#include "complaints.h"
#include "method_at.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase at(const Shape& s, const Shape& t) {
    return {
        "at " + to_string(s) + " " + to_string(t), {sines(s), cosines(t)}, [](const Inputs& in) { return attention_loss(in[0], in[1]); }};
}
OpCase map_of(const Shape& s) {
    return {"attention_map " + to_string(s), {as_map(uniform_input("x", s))}, [](const Inputs& in) { return attention_map(in[0]); }};
}

const std::vector<OpCase>& cases() {
    static const std::vector<OpCase> all = {at({4, 2, 2, 3}, {4, 2, 2, 5}), at({2, 6, 6, 3}, {2, 3, 3, 20}),
                                            at({2, 3, 3, 17}, {2, 6, 6, 3}), map_of({2, 3, 3, 20}), map_of({3, 1, 2, 1})};
    return all;
}

}  // namespace

TEST_CASE("at: the worked value") { CHECK(value_of_loss(at({4, 2, 2, 3}, {4, 2, 2, 5})) == doctest::Approx(0.0535426912).epsilon(1e-6)); }

TEST_CASE("at: gradients") { check_gradients(cases()); }
TEST_CASE("at: maps in bfloat16") { check_rounding({map_of({2, 3, 3, 20})}); }
TEST_CASE("at: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("at: the larger map is pooled to the smaller, on whichever side") {
    const Inputs in = upload(cpu(), {uniform_input("small", {2, 4, 4, 3}), uniform_input("large", {2, 8, 8, 5})});
    const Var pooled = adaptive_avg_pool(in[1], 4, 4);
    const float expected = attention_loss(in[0], pooled).value().item();
    CHECK(expected > 0);
    CHECK(attention_loss(in[0], in[1]).value().item() == expected);
    CHECK(attention_loss(in[1], in[0]).value().item() == expected);
}

TEST_CASE("at: beta times the sum over the stages' outputs, of other widths and sizes") {
    const AtOptions own;
    CHECK(own.weights.beta == 1000);
    for (const char* student : {"resnet8", "wrn-10-1-tiny"}) {
        const OneStep s = stepped(own, "resnet8x4", student);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_at"});
        CHECK(s.loss() == doctest::Approx(1000 * sum_of_levels(s, attention_loss)).epsilon(1e-5));
    }
    for (const auto& [teacher, student] : {std::pair{"vgg8", "resnet8"}, {"resnet8", "MobileNetV2"}}) {  // 4 stages and 3, 3 and 4
        const OneStep s = stepped(own, teacher, student, 32);
        CHECK(s.loss() == doctest::Approx(1000 * sum_of_levels(s, attention_loss)).epsilon(1e-5));
    }
}
