// AB, FSP and Factor Transfer as the CRD benchmark has them: worked values, gradients, both phases beside PyTorch's, which recipe chooses
// them, and what does not fit. (Their losses beside PyTorch: test_golden_ops. What every method must do: test_methods, in either form.)
#include <cmath>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "benchmark_losses.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "golden_teacher.h"
#include "method_ab.h"
#include "method_fsp.h"
#include "method_ft.h"
#include "net_table.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

namespace {

const Shape s_map{4, 2, 2, 3}, t_map{4, 2, 2, 5};

OpCase factors(const Shape& s, const Shape& t) {
    return {"factor_map_loss " + to_string(s) + to_string(t), {sines(s), cosines(t)}, [](const Inputs& in) {
                return factor_map_loss(in[0], in[1]);
            }};
}
/// Flow between a larger map and a smaller one, of 2 and 3 channels.
OpCase flows(int64_t s_side, int64_t t_side) {
    return {"benchmark_flow",
            {sines({4, s_side, s_side, 2}), sines(s_map), cosines({4, t_side, t_side, 2}), cosines(s_map)},
            [](const Inputs& in) {
                return fsp_loss({in[0], in[1]}, {in[2], in[3]}, benchmark_flow);
            }};
}
/// Levels of equal shapes: what is left are the margins and weights.
OpCase boundaries(size_t levels) {
    return {"benchmark_boundary", {as_map(sines(s_map)), as_map(cosines(s_map))}, [levels](const Inputs& in) {
                Parameters none(in[0].backend());
                const std::vector<Shape> shapes(levels, {1, 2, 2, 3});
                return Connectors(none, "c", shapes, shapes, benchmark_boundary)
                    .loss(std::vector<Var>(levels, in[0]), std::vector<Var>(levels, in[1]));
            }};
}

template <class Own>
Own of_benchmark() {
    Own own;
    own.benchmark = true;
    return own;
}
FtOptions ft_options() {
    FtOptions own = of_benchmark<FtOptions>();
    own.weights.beta = 200;
    return own;
}

/// The fixture's two phases of two steps each, every number of it compared.
void compare_phases(const std::string& name, const MethodOptions& own, const std::string& teacher_name) {
    CAPTURE(name);
    const CsvTable expected = read_csv(golden("two_phases.csv"));
    size_t compared = 0, wanted = 0;
    for (size_t r = 0; r < expected.rows.size(); ++r) wanted += expected.cell(r, "case") == name;
    const auto check = [&](const std::string& quantity, double found) {
        for (size_t r = 0; r < expected.rows.size(); ++r) {
            if (expected.cell(r, "case") != name || expected.cell(r, "quantity") != quantity) continue;
            const double value = expected.cell_number(r, "value_f64");
            // PyTorch's float column: 5e-7; the least of the mistakes on file moves a number by 2e-4.
            CHECK_MESSAGE(std::fabs(found - value) <= 1e-5 * std::fabs(value), quantity, ": found ", found, ", expected ", value);
            ++compared;
        }
    };
    Options o;
    o.student = "wrn-10-1";
    o.teacher = teacher_name;
    o.weight_decay = 0.5;
    const auto teacher = golden_teacher(exact_cpu(), o, 100);
    const auto method = own.make({exact_cpu(), {1, 32, 32, 3}, 100, 80, {teacher.get()}}, o);
    const Phase first = method->phases().front();
    std::vector<Parameters*> all{&method->parameters()};
    if (first.parameters != all.front()) all.push_back(first.parameters);
    for (Parameters* p : all) p->from_file(golden_weights(*p, "", ""), "the formula");

    const Tensor lr = Tensor::from_host(exact_cpu(), {}, {1e-4f});
    SgdOptions sgd;
    sgd.weight_decay = 0.5f;
    Tape tape;
    for (int64_t step = 0; step < 2; ++step) {
        Var loss;
        {
            const Recording on(&tape);
            loss = first.step(golden_batch(exact_cpu(), step));
        }
        check(text("first.", step), loss.value().item());
        first.parameters->begin_backward();
        tape.backward(loss);
        sgd.reached_only = first.sgd.has_value() && first.sgd->reached_only;
        sgd_step(*first.parameters, lr, sgd);
    }
    Tensor momenta = first.parameters->momenta();
    momenta.zero();
    for (int64_t step = 0; step < 2; ++step) {
        const StepResult r = recorded_step(*method, tape, golden_batch(exact_cpu(), step));
        check(text("second.", step), r.loss.value().item());
        method->backward(tape, r);
        sgd.reached_only = method->reached_only();
        sgd_step(method->parameters(), lr, sgd);
    }
    for (const Parameters* p : all)
        for (const auto& [tensor, values] : p->to_file()) check("end." + tensor, Projection(values.data, tensor + ".probe").value);
    CHECK(compared == wanted);
    CHECK(wanted > 6);
}

}  // namespace

TEST_CASE("benchmark forms: the worked values") {
    CHECK(value_of_loss(factors(s_map, t_map)) == doctest::Approx(0.2023983669).epsilon(1e-6));
    CHECK(value_of_loss(flows(4, 4)) == doctest::Approx(0.0161200689).epsilon(1e-6));
    CHECK(value_of_loss(boundaries(1)) == doctest::Approx(67.6161622193 * 3 / 1000 / 4).epsilon(1e-6));
    CHECK(value_of_loss(boundaries(2)) == doctest::Approx(0.0760681825).epsilon(1e-6));
}

TEST_CASE("benchmark forms: gradients into the student alone, and on CUDA as on the CPU") {
    const std::vector<OpCase> cases{
        factors(s_map, t_map), factors({4, 4, 4, 3}, t_map), factors(s_map, {4, 4, 4, 3}), flows(4, 4), flows(3, 4), boundaries(2)};
    check_gradients(cases);
    compare_backends(cases);
}

TEST_CASE("benchmark forms: two phases of AB, FSP and Factor Transfer like PyTorch's") {
    compare_phases("ab", of_benchmark<AbOptions>(), "wrn-10-2");
    compare_phases("fsp", of_benchmark<FspOptions>(), "wrn-16-1");
    compare_phases("ft", ft_options(), "wrn-10-2");
}

TEST_CASE("benchmark forms: helpers by the names of the authors' files") {
    const auto names = [](const MethodOptions& own, const std::string& teacher, const std::string& student) {
        const OneStep s = stepped(own, teacher, student, 32);
        std::string all;
        std::vector<const Parameters*> parameters{&s.method->parameters()};
        if (const Parameters* first = s.method->phases().front().parameters; first != parameters[0]) parameters.push_back(first);
        for (const Parameters* p : parameters)
            for (const auto& [name, extents] : p->file_shapes())
                if (name.rfind(student_prefix, 0) != 0 && name.find(".weight") != std::string::npos) {
                    all += name;
                    for (const int64_t e : extents) all += text(' ', e);
                    all += "; ";
                }
        return all;
    };
    // The first stages' shapes agree in the one pair; in the other the student's maps are half as large.
    CHECK(names(of_benchmark<AbOptions>(), "resnet14", "resnet8") == "");
    CHECK(names(of_benchmark<AbOptions>(), "resnet8", "wrn-10-1-tiny") ==
          "connector.0.bn.weight 16; connector.0.conv.weight 16 16 4 4; connector.1.bn.weight 32; connector.1.conv.weight 32 32 4 4; "
          "connector.2.bn.weight 64; connector.2.conv.weight 64 64 4 4; ");
    CHECK(names(ft_options(), "resnet8x4", "resnet8") ==
          "translator.encoder.0.weight 64 64 3 3; translator.encoder.1.weight 64; translator.encoder.3.weight 128 64 3 3; "
          "translator.encoder.4.weight 128; translator.encoder.6.weight 128 128 3 3; translator.encoder.7.weight 128; "
          "paraphraser.decoder.0.weight 128 128 3 3; paraphraser.decoder.3.weight 128 256 3 3; paraphraser.decoder.6.weight 256 256 3 3; "
          "paraphraser.encoder.0.weight 256 256 3 3; paraphraser.encoder.3.weight 128 256 3 3; paraphraser.encoder.6.weight 128 128 3 3; ");
}

TEST_CASE("benchmark forms: what networks have behind their stages stands still in the first phase") {
    for (const char* student : {"MobileNetV2", "ShuffleV2", "wrn-10-1"}) {
        CAPTURE(student);
        const std::string last = student == std::string("MobileNetV2") ? "conv2.1." : student == std::string("ShuffleV2") ? "bn2." : "bn1.";
        Options o;
        o.student = student;
        o.teacher = student == std::string("wrn-10-1") ? "wrn-10-1" : student;
        const Teacher teacher(cpu(), o, 10);
        const auto method = of_benchmark<AbOptions>().make(setting(cpu(), 10, {&teacher}, 32), o);
        Parameters& p = method->parameters();
        const auto before = p.to_file(student_prefix);
        const auto images = uniform_input("images", {4, 32, 32, 3}, -2, 2);
        Tape tape;
        Var loss;
        {
            const Recording on(&tape);
            loss =
                method->phases().front().step({Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {0, 1, 2, 3})});
        }
        p.begin_backward();
        tape.backward(loss);
        SgdOptions sgd;
        sgd.reached_only = true;
        sgd_step(p, Tensor::from_host(cpu(), {}, {0.1f}), sgd);
        bool moved = false;
        for (const auto& [name, tensor] : p.to_file(student_prefix)) {
            const bool behind = name.rfind(last, 0) == 0 || name.rfind(method->student().classifier_name(), 0) == 0 ||
                                (student != std::string("wrn-10-1") && name.rfind("conv2.", 0) == 0);
            if (behind) CHECK_MESSAGE(tensor.data == before.at(name).data, name);
            moved = moved || tensor.data != before.at(name).data;
        }
        CHECK(moved);
    }
}

TEST_CASE("benchmark forms: pairs that do not fit") {
    const auto refused = [](const MethodOptions& own, const char* teacher, const char* student) {
        return complaint([&] { stepped(own, teacher, student, 32); });
    };
    CHECK(says(refused(of_benchmark<FspOptions>(), "wrn-10-4", "resnet8x4"), {"fsp:", "before stage 1", "16 and 32 channels"}));
    CHECK(says(refused(of_benchmark<FspOptions>(), "wrn-10-2", "wrn-10-1"), {"fsp:", "stage 1", "32 and 16 channels"}));
    CHECK(says(refused(of_benchmark<AbOptions>(), "vgg8", "resnet8"), {"ab:", "4 and 3 stages"}));
    CHECK(refused(of_benchmark<AbOptions>(), "resnet8x4", "wrn-10-1-tiny").empty());
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("benchmark forms: the recipe chooses them, their lengths and rates; what is given by hand wins") {
    const FeedWorkplace folder;
    const auto config = [&](const std::string& line) {
        const Ended end = run(folder, line +
                                          " --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 --max-steps 1 "
                                          "--log-steps --threads 1 --quiet --run r");
        CAPTURE(line);
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
        const Config c = read_config(folder / "r/config.csv");
        fs::remove_all(folder / "r.before");
        fs::rename(folder / "r", folder / "r.before");
        return c;
    };
    for (const char* method : {"ab", "fsp", "ft"}) {
        const std::string name = method, with = name + " --student resnet8";
        CHECK(value_of(config(with), "benchmark-form") == "off");
        const Config crd = config(with + " --recipe crd");
        CHECK(value_of(crd, "benchmark-form") == "on");
        CHECK(value_of(crd, name == "ft" ? "paraphraser-epochs" : "init-epochs") == "30");
        // A step of each phase: its own column alone.
        const CsvTable steps = read_csv(folder / "r.before/steps.csv");
        const std::string column = name == "ft" ? "loss_paraphraser" : "loss_" + name;
        REQUIRE(steps.rows.size() == 2);
        CHECK(!steps.cell(0, column).empty());
        CHECK(steps.cell(0, "loss_ce").empty());
        CHECK(steps.cell(1, column).empty());
        CHECK(!steps.cell(1, "loss_ce").empty());
        CHECK(value_of(config(with + " --recipe crd --benchmark-form off"), "benchmark-form") == "off");
        CHECK(value_of(config(with + " --recipe crd --gamma 0.5 --alpha 0 --beta 0"), "gamma") == "0.5");
        if (name != "ft")
            check_rejected(folder, with + " --alpha 0.9 --teacher resnet8 --teacher-weights a.safetensors --dataset s --run no",
                           {"--alpha 0.9", "leave it at 0"});
    }
    const auto rate = [&](const std::string& more) { return value_of(config("ft --recipe crd " + more), "paraphraser-lr"); };
    CHECK(rate("--student wrn-10-1") == "0.01");
    CHECK(rate("--student vgg8") == "0.05");
    CHECK(rate("--student ShuffleV2") == "0.01");
    CHECK(rate("--student resnet8 --lr 0.05") == "0.05");
    CHECK(rate("--student resnet8 --lr 0.05 --paraphraser-lr 0.2") == "0.2");
}

TEST_SUITE_END();
