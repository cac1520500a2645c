// Plain training and KD: the loss by hand, its weights, a frozen teacher, and that a network can learn sixteen images by heart.
#include "base_safetensors.h"
#include "method_kd.h"

#include <cmath>

#include "benchmark_losses.h"
#include "complaints.h"
#include "core_backend.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method_supervised.h"
#include "net_table.h"
#include "setting.h"
#include "train_optim.h"

using namespace distill;
using namespace distill::testing;

namespace {

Batch batch_of(int64_t n, int64_t side) {
    const auto input = uniform_input("distillation images", {n, side, side, 3}, -2, 2);
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < n; ++i) labels.push_back(static_cast<int32_t>(i * 7 % 10));
    return {Var(Tensor::from_host(cpu(), input.shape, input.values)), integers(cpu(), labels)};
}

Var matrix(int64_t rows, const std::vector<float>& values) {
    return Var(Tensor::from_host(cpu(), {rows, 1, 1, static_cast<int64_t>(values.size()) / rows}, values));
}

Options pair(const std::string& teacher, const std::string& student) {
    Options o;
    o.teacher = teacher;
    o.student = student;
    return o;
}

/// The teacher's logits with its running statistics, whatever mode it teaches in.
std::vector<float> evaluated(const Teacher& teacher, const Batch& batch) {
    return teacher.network().forward(batch.images, Mode::evaluate).logits.value().to_host();
}

double accuracy(const Var& logits, const Tensor& labels) {
    const Tensor correct = Tensor::zeros(cpu(), {});
    count_correct(logits.value(), labels, correct);
    return correct.item() / static_cast<double>(logits.shape().n);
}

}  // namespace

TEST_CASE("kd: the loss worked by hand") {
    const float ln3 = std::log(3.0f);
    const auto loss = [](const Var& student, const Var& teacher, float temperature) {
        return kd_loss(student, teacher.value(), temperature).value().item();
    };
    // T = 1: p_t = (¾, ¼), p_s = (½, ½): KL = ¾·ln(3/2) + ¼·ln(1/2).
    const double kl = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
    CHECK(loss(matrix(1, {0, 0}), matrix(1, {ln3, 0}), 1) == doctest::Approx(kl).epsilon(1e-6));
    // T = 4 with logits four times as large: the same probabilities, times 16. A shift of all logits of a row changes nothing.
    CHECK(loss(matrix(1, {5, 5}), matrix(1, {4 * ln3 - 7, -7}), 4) == doctest::Approx(16 * kl).epsilon(1e-5));
    // The mean over the batch: one row that agrees halves it.
    CHECK(loss(matrix(2, {0, 0, ln3, 0}), matrix(2, {ln3, 0, ln3, 0}), 1) == doctest::Approx(kl / 2).epsilon(1e-6));
    // KL(p_t ‖ p_s), not the other way round.
    const double other = 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25);
    CHECK(loss(matrix(1, {ln3, 0}), matrix(1, {0, 0}), 1) == doctest::Approx(other).epsilon(1e-6));
}

TEST_CASE("kd: the benchmark's worked value") {
    auto s = sines({4, 1, 1, 3}), t = cosines({4, 1, 1, 3});
    for (auto* logits : {&s, &t})
        for (float& value : logits->values) value *= 2;
    const Inputs in = upload(cpu(), {s, t});
    CHECK(kd_loss(in[0], in[1].value(), 4).value().item() == doctest::Approx(0.3266492258).epsilon(1e-6));
}

TEST_CASE("kd: gradients") {
    const auto t = uniform_input("teacher logits", {5, 1, 1, 7}, -4, 4);
    for (const float temperature : {1.0f, 4.0f})
        check_gradients({"kd at " + std::to_string(temperature),
                         {uniform_input("student logits", {5, 1, 1, 7}, -4, 4)},
                         [=](const Inputs& in) { return kd_loss(in[0], Tensor::from_host(cpu(), t.shape, t.values), temperature); }});
}

TEST_CASE("kd: gamma weighs the cross-entropy, alpha the teacher") {
    Options o = pair("resnet14", "resnet8");
    const Batch batch = batch_of(6, 16);
    const Teacher teacher(cpu(), o, 10);
    Supervised plain(setting(cpu(), 10), o);
    const double ce = plain.step(batch).loss.value().item();
    const Tensor teacher_logits = teacher(batch.images)->logits.value();
    for (const auto& [gamma, alpha, temperature] : {std::tuple{0.1, 0.9, 4.0}, {1.0, 0.5, 2.0}, {0.0, 1.0, 1.0}}) {
        KnowledgeDistillation kd(setting(cpu(), 10, {&teacher}), o, {gamma, alpha, temperature});
        CHECK(kd.loss_names() == std::vector<std::string>{"loss_ce", "loss_kd"});
        const StepResult r = kd.step(batch);
        REQUIRE(r.named.size() == 2);
        const double expected = kd_loss(r.logits, teacher_logits, static_cast<float>(temperature)).value().item();
        CHECK(r.named[0].value().item() == doctest::Approx(gamma * ce).epsilon(1e-6));  // the same seed starts the same student
        CHECK(r.named[1].value().item() == doctest::Approx(alpha * expected).epsilon(1e-6));
        CHECK(r.loss.value().item() == doctest::Approx(gamma * ce + alpha * expected).epsilon(1e-6));
        CHECK(expected > 0);
    }
}

TEST_CASE("teacher: frozen, and seen by no tape") {
    Options o = pair("resnet14", "resnet8");
    const Batch batch = batch_of(6, 16);
    for (const Mode mode : {Mode::evaluate, Mode::train}) {
        const bool drifts = mode == Mode::train;
        const Teacher teacher(cpu(), o, 10);
        const std::vector<float> before = evaluated(teacher, batch);
        Tape tape;
        {
            const Recording on(&tape);
            const Output shown =
                *teacher(Var(batch.images.value(), true), Keep::outputs, mode);  // though somebody wants the images' gradient
            CHECK(tape.steps() == 0);
            CHECK(!shown.logits.needs_gradient());
            for (const Var& f : features_of(shown)) CHECK(!f.needs_gradient());
        }
        // Batch statistics leave their trace in the running ones, as in the authors' code; else nothing moves.
        CHECK((evaluated(teacher, batch) != before) == drifts);

        KnowledgeDistillation kd(setting(cpu(), 10, {&teacher}), o, {});
        for (const auto& [name, t] : kd.parameters().to_file()) CHECK(name.rfind("student.", 0) == 0);
        const std::vector<float> shown = teacher(batch.images)->logits.value().to_host();
        const Tensor lr = Tensor::from_host(cpu(), {}, {0.05f});
        for (int step = 0; step < 3; ++step) {
            const StepResult r = recorded_step(kd, tape, batch);
            kd.parameters().begin_backward();
            tape.backward(r.loss);
            sgd_step(kd.parameters(), lr, {});
        }
        // Its weights are what they were: the same logits to the bit.
        CHECK(teacher(batch.images)->logits.value().to_host() == shown);
    }
}

TEST_CASE("teacher: takes no memory for gradients") {
    Parameters p(cpu());
    make_network("resnet14", 10, p);
    p.allocate(0);
    const uint64_t before = cpu().arena().requested_bytes();
    const Teacher teacher(cpu(), pair("resnet14", "resnet8"), 10);
    const auto weights = static_cast<uint64_t>(p.values().size() + p.buffers().size()) * sizeof(float);
    CHECK(cpu().arena().requested_bytes() - before == weights);
}

TEST_CASE("teacher: needs a network and, for a training, its file") {
    Options o = pair("", "resnet8");
    CHECK(says(complaint([&] { Teacher(cpu(), o, 10); }), {"--teacher", "resnet20"}));
    o.teacher = "resnet14";
    CHECK(says(complaint([&] { Teacher::load(cpu(), o, 10); }), {"--teacher-weights", "distill train --net resnet14"}));

    const TempFolder folder;
    o.teacher_weights = (folder / "teacher.safetensors").string();
    Parameters p(cpu(), false);
    const auto network = make_network("resnet14", 10, p);
    p.allocate(3);
    WeightFile file;
    file.tensors = p.to_file();
    file.metadata["seed"] = "3";
    write_safetensors(o.teacher_weights, file);
    const auto teacher = Teacher::load(cpu(), o, 10);
    CHECK(teacher->metadata().at("seed") == "3");
    const Batch batch = batch_of(2, 16);
    CHECK(evaluated(*teacher, batch) == network->forward(batch.images, Mode::evaluate).logits.value().to_host());
    CHECK(says(complaint([&] { Teacher::load(cpu(), o, 100); }), {o.teacher_weights, "fc.weight", "[10,64]", "[100,64]"}));
}

TEST_CASE("supervised: resnet8 learns sixteen images by heart") {
    Options o;
    o.student = "resnet8";
    Supervised method(setting(cpu(), 10), o);
    const Batch batch = batch_of(16, 16);
    const Tensor lr = Tensor::from_host(cpu(), {}, {0.05f});
    Tape tape;
    double reached = 0, loss = 0;
    int steps = 0;
    for (; steps < 60 && (reached < 1 || loss > 0.1); ++steps) {
        const StepResult r = recorded_step(method, tape, batch);
        loss = r.loss.value().item();
        reached = accuracy(r.logits, batch.labels);
        method.parameters().begin_backward();
        tape.backward(r.loss);
        sgd_step(method.parameters(), lr, {});
    }
    CHECK_MESSAGE(reached == 1, "accuracy ", reached, ", loss ", loss, " after ", steps, " steps");
    CHECK_MESSAGE(loss <= 0.1, "accuracy ", reached, ", loss ", loss, " after ", steps, " steps");
    CHECK(steps > 3);  // it did not know them before
}
