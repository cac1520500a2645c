// FitNet: the regressor for every relation of the maps' sizes, the loss, and layers that are not there. (What every method must do:
// test_methods.)
#include <cmath>
#include <memory>

#include "complaints.h"
#include "core_streams.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method_fitnet.h"
#include "setting.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct Built {
    std::shared_ptr<Parameters> parameters = std::make_shared<Parameters>(cpu());
    HintRegressor regressor;
    /// `bias`: BatchNorm's; at 10 no sum comes near ReLU's corner.
    Built(const Shape& student, const Shape& teacher, float bias = 0) : regressor(*parameters, "regressor", student, teacher) {
        parameters->allocate(1);
        WeightFile file{parameters->to_file(), {}};
        for (float& v : file.tensors.at("regressor.bn.bias").data) v = bias;
        parameters->from_file(file, "the test");
    }
};

constexpr int64_t sizes[][2] = {{4, 4}, {8, 4}, {4, 8}, {5, 4}, {7, 4}};  ///< of a student's map and a teacher's

}  // namespace

TEST_CASE("fitnet: a regressor ends in the teacher's shape, and its gradients are right") {
    std::vector<OpCase> cases;
    for (const auto& [s, t] : sizes) {
        const Shape student{2, s, s, 3}, teacher{2, t, t, 5};
        const Built built(student, teacher);
        const auto input = uniform_input("x", student);
        const Var y = built.regressor(Var(Tensor::from_host(cpu(), input.shape, input.values)), Mode::train);
        CHECK(y.shape() == teacher);
        for (const float v : y.value().to_host()) CHECK(v >= 0);
        OpCase op{"regressor from " + std::to_string(s) + " to " + std::to_string(t), {uniform_input("x", student)}, {}};
        op.run = [student, teacher](const Inputs& in) { return Built(student, teacher, 10).regressor(in[0], Mode::train); };
        cases.push_back(op);
    }
    check_gradients(cases);
}

TEST_CASE("fitnet: sizes that no regressor brings together are refused with both") {
    CHECK(says(complaint([] { Built({1, 3, 3, 4}, {1, 8, 8, 4}); }), {"8x8", "3x3", "no regressor fits"}));
    // Heights that fit beside widths that do not: equal and not, twice and not, half and not, of other differences.
    for (const auto& [h, w] : {std::pair{8, 16}, {16, 8}, {4, 8}, {9, 8}})
        CHECK(says(complaint([h = h, w = w] { Built({1, h, w, 4}, {1, 8, 8, 4}); }), {"8x8", "no regressor fits"}));
}

TEST_CASE("fitnet: the loss is beta times the mean squared distance of the second stages' outputs, a layer beyond them is refused") {
    SmallTraining t(make_backend("cpu", {1}), 32, 40);
    t.options.student = "resnet8";
    const Teacher teacher(t.backend(), t.options, 100);
    t.settle(teacher);
    FitNetOptions own;
    const auto loss = [&](double beta) {
        own.weights.beta = beta;
        const auto method = own.make(setting(t.backend(), 100, {&teacher}, 32), t.options);
        CHECK(method->loss_names() == std::vector<std::string>{"loss_ce", "loss_fitnet"});
        return static_cast<double>(method->step(golden_batch(t.backend(), 0)).named[1].value().item());
    };
    own.weights.beta = 1;
    const auto method = own.make(setting(t.backend(), 100, {&teacher}, 32), t.options);
    const Batch batch = golden_batch(t.backend(), 0);
    const Var student = method->student().forward(batch.images, Mode::train, Keep::outputs).stages[1].output;
    const std::vector<float> hint =
        teacher.network().forward(batch.images, Mode::evaluate, Keep::outputs).stages[1].output.value().to_host();
    Parameters apart(t.backend());
    const HintRegressor regressor(apart, "regressor", student.shape(), student.shape());
    apart.allocate(1);
    WeightFile file{apart.to_file(), {}};
    for (auto& [name, tensor] : file.tensors) tensor = method->parameters().to_file().at(name);
    apart.from_file(file, "the test");
    const std::vector<float> guess = regressor(student, Mode::train).value().to_host();
    double expected = 0;
    for (size_t i = 0; i < hint.size(); ++i)
        expected += std::pow(static_cast<double>(guess[i]) - static_cast<double>(hint[i]), 2) / static_cast<double>(hint.size());
    CHECK(loss(1) == doctest::Approx(expected).epsilon(1e-5));
    CHECK(loss(100) == doctest::Approx(100 * loss(1)).epsilon(1e-6));
    own.hint_layer = 4;
    CHECK(says(complaint([&] { own.make(setting(t.backend(), 100, {&teacher}, 32), t.options); }),
               {"--hint-layer 4", "resnet8", "stages 1 to 3"}));
}
