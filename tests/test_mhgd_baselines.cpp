// MHGD's baselines Soft-logits, FSP and AB: the losses by hand, gradients, which networks pair, trainings cut short, the command.
// (Beside PyTorch: test_golden_ops.)
#include "command.h"
#include "complaints.h"
#include "gradcheck.h"
#include "method_ab.h"
#include "method_fsp.h"
#include "parameter_inputs.h"
#include "setting.h"
#include "small_training.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

namespace {

template <class M, class Own>
Make initialised(int epochs) {
    return [epochs](const Setting& s, const Options& o) {
        Own own;
        own.init_epochs = epochs;
        return std::make_unique<M>(s, o, own);
    };
}
Make fsp(int epochs) { return initialised<Fsp, FspOptions>(epochs); }
Make ab(int epochs) { return initialised<ActivationBoundary, AbOptions>(epochs); }

Var map(Shape s, const std::vector<float>& values) { return Var(Tensor::from_host(cpu(), s, values)); }

OpCase flow_case() {
    return {"flow_matrix", {uniform_input("a", {3, 4, 5, 6}), uniform_input("b", {3, 4, 5, 7})}, [](const Inputs& in) {
                return flow_matrix(in[0], in[1]);
            }};
}
OpCase fsp_case() {
    OpCase op{"fsp_loss", {}, [](const Inputs& in) { return fsp_loss({in[0], in[1], in[2]}, {in[3], in[4], in[5]}, mhgd_flow); }};
    const std::vector<Shape> shapes = {{2, 4, 4, 3}, {2, 4, 4, 4}, {2, 4, 4, 2}};
    for (const std::string who : {"s", "t"})
        for (size_t i = 0; i < 3; ++i) {
            op.inputs.push_back(uniform_input(who + std::to_string(i), shapes[i]));
            op.inputs.back().wanted = who == "s";
        }
    return op;
}
OpCase boundary_case(float largest) {
    return {"boundary_loss",
            {as_map(uniform_input("s", {3, 4, 5, 6}, -largest, largest)), without_gradient(as_map(uniform_input("t", {3, 4, 5, 6})))},
            [](const Inputs& in) { return boundary_loss(in[0], in[1].value()); }};
}

/// The complaint of a method about a pair of networks.
template <class M, class Own>
std::string refusal(const std::string& teacher_name, const std::string& student_name, int64_t side) {
    Options o;
    o.teacher = teacher_name;
    o.student = student_name;
    const Teacher teacher(cpu(), o, 4);
    return complaint([&] { M(setting(cpu(), 4, {&teacher}, side), o, Own()); });
}

}  // namespace

TEST_CASE("flow matrix: worked by hand, and its gradient") {
    // Two pixels: (1,2)·(3) + (4,5)·(6) = (27, 36), halved; the second sample is of zeros but for one product.
    const Var top = map({2, 1, 2, 2}, {1, 2, 4, 5, 0, 1, 0, 0}), bottom = map({2, 1, 2, 1}, {3, 6, 8, 9});
    const Var g = flow_matrix(top, bottom);
    CHECK(g.shape() == Shape{2, 1, 2, 1});
    CHECK(g.value().to_host() == std::vector<float>{13.5f, 18, 0, 4});
    CHECK_THROWS_WITH_AS(flow_matrix(top, map({2, 1, 1, 2}, {1, 2, 3, 4})), doctest::Contains("(2,1,1,2)"), std::runtime_error);
    check_gradients(flow_case());
}

TEST_CASE("fsp: the loss by hand, and its gradient into the student alone") {
    // One pixel a map: G is the product of the channels. Student 2·3, teacher 1·4: ½·(6 − 4)²; the next pair 3·1 and 4·1: ½.
    const Shape one{1, 1, 1, 1};
    const auto maps = [&](float a, float b, float c) { return std::vector<Var>{map(one, {a}), map(one, {b}), map(one, {c})}; };
    CHECK(fsp_loss(maps(2, 3, 1), maps(1, 4, 1), mhgd_flow).value().item() == doctest::Approx(1e-3 * (2 + 0.5)));
    check_gradients(fsp_case());
}

TEST_CASE("ab: the loss by hand, on either side of each margin, and its gradient") {
    // t ≤ 0 asks for s ≤ −1, t > 0 for s ≥ 1; (s ± 1)² else. Two samples: the sum is halved.
    const Var s = map({2, 1, 1, 4}, {-2, 0.5f, -1, 1, 0.5f, 3, -2, 1}), t = map({2, 1, 1, 4}, {-1, 0, 0, -3, 2, 1, 0.1f, 5});
    CHECK(boundary_loss(s, t.value()).value().item() == doctest::Approx((0 + 2.25 + 0 + 4 + 0.25 + 0 + 9 + 0) / 2));
    check_gradients(boundary_case(0.9f));
    check_gradients(boundary_case(3));  // across the margins: the derivative has no jump
    check_rounding({boundary_case(3)});
}

TEST_CASE("fsp, ab: on CUDA as on the CPU") { compare_backends({flow_case(), fsp_case(), boundary_case(3)}); }

TEST_CASE("soft-logits: KL without the square of the temperature") {
    Options o;
    o.student = o.teacher = "resnet8";
    const Teacher teacher(cpu(), o, 10);
    const auto images = uniform_input("soft images", {4, 16, 16, 3});
    const Batch batch{Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {1, 2, 3, 4})};
    const auto parts = [&](bool squared) {
        const StepResult r = KnowledgeDistillation(setting(cpu(), 10, {&teacher}), o, {0.7, 0.3, 4, squared}).step(batch);
        CHECK(r.loss.value().item() == doctest::Approx(r.named[0].value().item() + r.named[1].value().item()));
        return std::pair(r.named[0].value().item(), r.named[1].value().item());
    };
    const auto kd_parts = parts(true), soft = parts(false);
    CHECK(soft.first == kd_parts.first);
    CHECK(soft.second * 16 == doctest::Approx(kd_parts.second));
}

TEST_CASE("fsp, ab: networks that do not pair are refused, in one line") {
    CHECK(says(refusal<Fsp, FspOptions>("vgg7-mhgd", "vggm-mhgd", 32),
               {"fsp: teacher vgg7-mhgd and student vggm-mhgd do not pair", "5 and 3"}));
    CHECK(says(refusal<Fsp, FspOptions>("resnet8x4", "resnet8", 32), {"fsp:", "stage 1", "64 and 16 channels", "the same widths"}));
    CHECK(says(refusal<Fsp, FspOptions>("resnet8", "resnet8", 18), {"fsp:", "maps of resnet8 at stages 2 and 3", "9x9 and 5x5"}));
    CHECK(refusal<Fsp, FspOptions>("wrn-10-4-tiny", "vggm-mhgd", 32).empty());  // a product is of no size
    CHECK(says(refusal<ActivationBoundary, AbOptions>("resnet8", "vgg7-mhgd", 32), {"ab:", "3 and 5 stages"}));
    CHECK(says(refusal<ActivationBoundary, AbOptions>("resnet8", "wrn-10-1-tiny", 32), {"ab:", "stage 1", "32x32 and 16x16", "-tiny"}));
    CHECK(refusal<ActivationBoundary, AbOptions>("resnet8x4", "wrn-10-1", 18).empty());
    CHECK(says(refusal<ActivationBoundary, AbOptions>("vgg7-mhgd", "vgg7-mhgd", 64), {"vgg7-mhgd: the images are 64x64"}));
}

TEST_CASE("fsp, ab: what learns when, and the loss that is logged falls") {
    for (const auto& [name, make] : {std::pair<std::string, Make>{"fsp", fsp(6)}, {"ab", ab(6)}}) {
        CAPTURE(name);
        SmallTraining t;
        t.options.epochs = 1;
        t.options.student = "wrn-10-1";
        t.options.lr = name == "fsp" ? 0.1 : 0.01;
        const auto method = make(t.setting(), t.options);
        CHECK(method->loss_names() == std::vector<std::string>{"loss_ce"});
        const Phase first = method->phases().front();
        CHECK(first.epochs == 6);
        CHECK(first.parameters == &method->parameters());
        Loader loader = t.loader();
        loader.begin_epoch(0);
        Tape tape;
        const auto learns = [&](const std::function<Var(const Batch&)>& loss) {
            Var value;
            {
                const Recording on(&tape);
                value = loss(loader.train_batch(32));
            }
            method->parameters().begin_backward();
            tape.backward(value);
            const auto gradients = gradients_of(method->parameters());
            return [gradients](const std::string& weight) {
                const std::vector<float>& g = gradients.at(weight).data;
                return std::any_of(g.begin(), g.end(), [](float v) { return v != 0; });
            };
        };
        const auto maps = learns(first.step), labels = learns([&](const Batch&b) { return method->step(b).loss; });
        CHECK(maps("student.block3.layer.0.conv2.weight"));
        CHECK(!maps("student.fc.weight"));
        CHECK(labels("student.fc.weight"));
        if (name == "ab") CHECK(maps("connector.2.conv.weight"));
        if (name == "ab") CHECK(!labels("connector.2.conv.weight"));
        t.outcome("run", make);
        const CsvTable rows = read_csv(t.path("run") / "preparation.csv");
        CHECK(rows.columns == std::vector<std::string>{"epoch", "lr", "loss_" + name, "seconds"});
        REQUIRE(rows.rows.size() == 6);
        CHECK(rows.cell_number(5, "loss_" + name) < 0.9 * rows.cell_number(0, "loss_" + name));
    }
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("kd: soft-logits, fsp and ab as a user runs them") {
    const Workplace folder(64, 32);
    const std::string common = " --dataset s --batch 32 --epochs 1 --lr 0.01 --threads 1 --quiet --log-steps";
    REQUIRE(run(folder, "train --net resnet8 --save t.safetensors --run t" + common).code == 0);
    const std::string kd = "kd --teacher resnet8 --teacher-weights t.safetensors" + common;
    for (const std::string method : {"soft-logits", "fsp", "ab"}) {
        const std::string first = method == "soft-logits" ? "" : " --init-epochs 2";
        const Ended end = run(folder, kd + " --student resnet14 --run " + method + " --method " + method + first);
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
        CHECK(read_csv(folder / method / "result.csv").cell(0, "method") == method);
        CHECK(fs::exists(folder / method / "preparation.csv") == (method != "soft-logits"));
        const CsvTable steps = read_csv(folder / method / "steps.csv");
        CHECK(steps.has("loss_kd") == (method == "soft-logits"));
        CHECK(steps.rows.size() == (method == "soft-logits" ? 2 : 6));  // those of the first phase stand before the student's
    }
    CHECK(read_csv(folder / "ab/preparation.csv").rows.size() == 2);
    const std::string said = run(folder, kd + " --student resnet14 --run other --method soft-logits --alpha 0.5").out;
    CHECK(says(said, {"alpha            0.5", "gamma            0.7", "temperature      4"}));
    check_rejected(folder, kd + " --student resnet8x4 --method fsp --run no", {"fsp:", "16 and 64 channels"});
    check_rejected(folder, kd + " --student wrn-10-1-tiny --method ab --run no", {"ab:", "16x16 and 8x8"});
    check_rejected(folder, kd + " --student resnet14 --method fsb", {"--method", "fsb", "fsp"});
}

TEST_SUITE_END();
