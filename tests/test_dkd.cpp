// Decoupled distillation: its worked values, gradients, large logits, its warm-up and its weights.
#include "benchmark_losses.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "method_dkd.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

namespace {

OpCase dkd(const Shape& s, float target, float others, float temperature = 4) {
    testing::HostTensor student = sines(s), teacher = cosines(s);
    for (float& v : student.values) v *= 2;
    for (float& v : teacher.values) v *= 2;
    return {"dkd " + to_string(s),
            {student, teacher},
            [=](const Inputs& in) {
                std::vector<int32_t> labels{0, 2, 1, 0};
                for (int64_t i = 4; i < s.n; ++i) labels.push_back(static_cast<int32_t>(i * 7 % s.c));
                labels.resize(static_cast<size_t>(s.n));
                const float square = temperature * temperature;
                return decoupled_divergence(in[0], in[1].value(), integers(in[0].backend(), labels), temperature, square * target,
                                            square * others);
            },
            6e-3};  // a step moves the loss by little more than its rounding
}
constexpr Shape small{4, 1, 1, 3};
std::vector<OpCase> cases() { return {dkd(small, 1, 0), dkd(small, 0, 1), dkd({7, 1, 1, 100}, 1, 8), dkd({5, 1, 1, 20}, 1, 2, 1)}; }

}  // namespace

TEST_CASE("dkd: the worked values of both parts, and with weights 1 and the others' probability KD's") {
    CHECK(value_of_loss(dkd(small, 1, 0)) == doctest::Approx(0.1098252116).epsilon(1e-6));
    CHECK(value_of_loss(dkd(small, 0, 1)) == doctest::Approx(0.3522600471).epsilon(1e-6));
    CHECK(value_of_loss(dkd(small, 1, 8)) == doctest::Approx(0.1098252116 + 8 * 0.3522600471).epsilon(1e-6));
    // KL = TCKD + (1 − p_t(label))·NCKD, of one row.
    const Inputs in = upload(cpu(), {{{1, 1, 1, 3}, {0.5f, -1, 2}}, {{1, 1, 1, 3}, {1, 0.25f, -0.5f}}});
    const Tensor labels = integers(cpu(), {1});
    const double p = softmax(in[1]).value().to_host()[1];
    const auto part = [&](float target, float others) {
        return static_cast<double>(decoupled_divergence(in[0], in[1].value(), labels, 1, target, others).value().item());
    };
    CHECK(part(1, 0) + (1 - p) * part(0, 1) == doctest::Approx(kl_divergence(in[0], in[1].value(), 1).value().item()).epsilon(1e-6));
}

TEST_CASE("dkd: gradients") { check_gradients(cases()); }
TEST_CASE("dkd: CUDA like the CPU") { compare_backends(cases()); }

TEST_CASE("dkd: large logits stay finite, a label that is none is NaN, shapes that do not fit are named") {
    const Inputs in =
        upload(cpu(), {{{2, 1, 1, 3}, {4000, 0, -4000, -4000, 4000, 3996}}, {{2, 1, 1, 3}, {-4000, 0, 8, 4000, 0, 0}, false}});
    const Operation run = [](const Inputs& i) { return decoupled_divergence(i[0], i[1].value(), integers(cpu(), {0, 0}), 4, 1, 1); };
    const Var y = run_backward(run, in, {1});
    // Row 0: b_t = e^−1002 of the label, b_s all of it: 1000·log e of what the other has; q_t ∝ (1, e²), q_s = (1, 0): log-ratio 1000 + ….
    const double q = 1 / (1 + std::exp(2.0)), rest0 = q * std::log(q) + (1 - q) * (std::log(1 - q) + 1000);
    // Row 1: the label has all of b_t and nothing of b_s, whose other is 2000·log e above; q_t = (½, ½), q_s ∝ (e, 1).
    const double rest1 = std::log(0.5) - 0.5 * (1 - std::log(1 + std::exp(1.0)) - std::log(1 + std::exp(1.0)));
    const double two0 = 1000, two1 = 2000 + std::log(1 + std::exp(-1.0));
    CHECK(y.value().item() == doctest::Approx((two0 + rest0 + two1 + rest1) / 2).epsilon(1e-5));
    for (const float g : in[0].node().gradient.to_host()) CHECK(std::isfinite(g));
    const Var two = Var(Tensor::zeros(cpu(), {2, 1, 1, 3}));
    for (const int32_t label : {-1, 3})
        CHECK(std::isnan(decoupled_divergence(two, two.value(), integers(cpu(), {0, label}), 4, 1, 1).value().item()));
    const Tensor one = Tensor::zeros(cpu(), {2, 1, 1, 1}), four = Tensor::zeros(cpu(), {2, 1, 1, 4});
    for (const Tensor& teacher : {one, four})
        CHECK_THROWS_WITH_AS(decoupled_divergence(two, teacher, integers(cpu(), {0, 1}), 4, 1, 1), doctest::Contains("(2,1,1,3), "),
                             std::runtime_error);
    CHECK_THROWS_WITH_AS(decoupled_divergence(two, two.value(), integers(cpu(), {0, 1}), 0, 1, 1), doctest::Contains("temperature is 0"),
                         std::runtime_error);
}

TEST_CASE("dkd: one column, gamma on the cross-entropy, weights of the pair, rising from a twentieth in the first epoch") {
    DkdOptions own;
    own.gamma = 0.5;
    const OneStep s = stepped(own, "resnet8x4", "resnet8");
    CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_dkd"});
    const Var full = decoupled_divergence(s.student_output.logits, s.teacher_output.logits.value(), s.batch.labels, 4, 16, 16 * 8);
    const auto at = [&](int epoch) {
        s.method->begin_epoch(epoch);
        return static_cast<double>(s.method->step(s.batch).named[1].value().item()) / full.value().item();
    };
    CHECK(s.loss(0) == doctest::Approx(0.5 * cross_entropy(s.student_output.logits, s.batch.labels).value().item()).epsilon(1e-5));
    for (const auto& [epoch, weight] : {std::pair{0, 0.05}, {9, 0.5}, {19, 1.0}, {100, 1.0}})
        CHECK(at(epoch) == doctest::Approx(weight).epsilon(1e-4));
    own.warmup = 0;
    CHECK(stepped(own, "resnet8x4", "resnet8").loss() == doctest::Approx(full.value().item()).epsilon(1e-4));

    for (const auto& [teacher, student, weight] : {std::tuple{"resnet56", "resnet20", 2},
                                                   {"resnet110", "resnet32", 2},
                                                   {"resnet32x4", "resnet8x4", 8},
                                                   {"wrn-40-2", "wrn-16-2", 6},
                                                   {"wrn-40-2", "wrn-40-1", 6},
                                                   {"vgg13", "vgg8", 6},
                                                   {"resnet32x4", "ShuffleV1", 8},
                                                   {"resnet32x4", "ShuffleV2", 8},
                                                   {"wrn-40-2", "ShuffleV1", 8},
                                                   {"vgg13", "MobileNetV2", 6},
                                                   {"ResNet50", "MobileNetV2", 8},
                                                   {"ResNet50", "wrn-16-2", 6}})
        CHECK_MESSAGE(others_weight(teacher, student) == weight, teacher, student);
}

TEST_CASE("dkd: a run keeps the weight that it chose" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    const Ended end = run(folder,
                          "dkd --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 --max-steps 1 "
                          "--threads 1 --quiet --run r");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const Config config = read_config(folder / "r/config.csv");
    for (const auto& [option, value] : {std::pair{"beta", "8"}, {"alpha", "1"}, {"gamma", "1"}, {"kd-warmup", "20"}, {"recipe", "crd"}})
        CHECK_MESSAGE(value_of(config, option) == value, option);
}
