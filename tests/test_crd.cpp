// CRD: steps beside PyTorch's, what a run keeps and goes on with, files that set memories and negatives, and those that do not fit. (What
// every method must do: test_methods. The operations: test_ops_contrast.)
#include <cmath>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "golden_formula.h"
#include "golden_teacher.h"
#include "gradcheck.h"
#include "method_crd.h"
#include "net_table.h"
#include "run_folders.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr int64_t records = MemoryGolden::records, batch_size = MemoryGolden::batch_size;

struct Golden : MemoryGolden {
    Golden() : MemoryGolden(with_kd(), "memory.z") {}
    static CrdOptions with_kd() {
        CrdOptions own;
        own.weights.alpha = 1;
        return own;
    }
};

void near(const std::string& what, double found, double expected, double tolerance) {
    CHECK_MESSAGE(std::fabs(found - expected) <= tolerance * std::fabs(expected), what, ": found ", found, ", expected ", expected);
}

const std::string crd_line =
    "crd --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 40 --epochs 1 --lr 0.01 --threads 1 "
    "--quiet "
    "--negatives-count 10 --run ";

}  // namespace

TEST_CASE("crd: four steps like PyTorch's, with the normalisers of the first and the rows that they leave") {
    Golden golden_run;
    Method& method = *golden_run.method;
    CHECK(method.loss_names() == std::vector<std::string>{"loss_ce", "loss_kd", "loss_crd"});
    const CsvTable expected = read_csv(golden("crd_resnet14_resnet8.csv"));
    const Tensor lr = Tensor::from_host(exact_cpu(), {}, {1e-4f});
    SgdOptions sgd;
    sgd.weight_decay = 0.5f;
    Tape tape;
    REQUIRE(expected.rows.size() == 5);
    constexpr double tolerance = 1e-5;  // PyTorch's float column: 2e-6; the least of the mistakes on file moves a loss by 1e-2
    for (int32_t step = 0; step < 4; ++step) {
        const StepResult r = golden_run.step(tape, step);
        const auto row = static_cast<size_t>(step);
        for (size_t i = 0; i < 3; ++i) {
            const std::string name = method.loss_names()[i];
            near(text(name, " of step ", step), r.named[i].value().item(), expected.cell_number(row, name + "_f64"), tolerance);
        }
        near("loss", r.loss.value().item(), expected.cell_number(row, "loss_f64"), tolerance);
        method.backward(tape, r);
        sgd_step(method.parameters(), lr, sgd);
    }
    const auto left = method.parameters().to_file();
    const auto probe = [&](const std::string& memory) {
        double sum = 0;
        for (size_t i = 0; i < batch_size * 128; ++i)
            sum += static_cast<double>(left.at(memory).data[i]) * golden_value("memory.probe", static_cast<uint64_t>(i));
        return sum;
    };
    near("z of the student", left.at("memory.z").data[0], expected.cell_number(4, "loss_ce_f64"), tolerance);
    near("z of the teacher", left.at("memory.z").data[1], expected.cell_number(4, "loss_kd_f64"), tolerance);
    near("memory.s", probe("memory.s"), expected.cell_number(4, "loss_crd_f64"), 1e-4);
    near("memory.t", probe("memory.t"), expected.cell_number(4, "loss_f64"), 1e-4);
    CHECK(left.at("memory.s").shape == std::vector<int64_t>{records, 128});
}

TEST_CASE("crd: both embeddings and the student learn from the contrast alone, the classifier does not") {
    const Golden golden_run;
    Tape tape;
    const StepResult r = golden_run.step(tape, 0);
    check_all_but_classifier_learn(*golden_run.method, tape, r.named[2]);
}

TEST_CASE("crd: alpha adds KD beside the contrast; the options' defaults are the benchmark's" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    const std::string help = run(folder, "crd --help").out;
    CHECK(says(help, {"--gamma NUMBER=1", "--alpha NUMBER=0", "--beta NUMBER=0.8", "--negatives-count INT=16384", "--nce-t NUMBER=0.07",
                      "--memory-momentum NUMBER=0.5", "--batch INT=64", "--lr NUMBER=0.05"}));
    succeed(folder, crd_line + "plain --log-steps");
    succeed(folder, crd_line + "with-kd --log-steps --alpha 1");
    const CsvTable plain = read_csv(folder / "plain/steps.csv"), with_kd = read_csv(folder / "with-kd/steps.csv");
    CHECK(plain.columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_crd"});
    CHECK(with_kd.columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_kd", "loss_crd"});
    CHECK(plain.cell(0, "loss_crd") == with_kd.cell(0, "loss_crd"));
    CHECK(plain.rows.size() == 3);
}

TEST_CASE("crd: a run keeps embeddings, memories and normalisers beside its student, and another may begin with them" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, crd_line + "first --log-steps");
    const auto helpers = read_safetensors(folder / "first/helpers.safetensors").tensors;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : helpers) names.push_back(name);
    CHECK(names == std::vector<std::string>{"embed_s.linear.bias", "embed_s.linear.weight", "embed_t.linear.bias", "embed_t.linear.weight",
                                            "memory.s", "memory.t", "memory.z"});
    CHECK(helpers.at("memory.s").shape == std::vector<int64_t>{100, 128});
    for (const std::string memory : {"memory.s", "memory.t"})  // after an epoch each row is an embedding, so of length 1
        for (size_t row = 0; row < 100; ++row) {
            double square = 0;
            for (size_t i = 0; i < 128; ++i) square += std::pow(static_cast<double>(helpers.at(memory).data[row * 128 + i]), 2);
            CHECK(square == doctest::Approx(1));
        }
    const std::vector<float> z = helpers.at("memory.z").data;
    CHECK(std::min(z[0], z[1]) > 0);
    succeed(folder, crd_line + "second --seed 5 --init first/helpers.safetensors");
    CHECK(read_safetensors(folder / "second/helpers.safetensors").tensors.at("memory.z").data == z);  // once and for all
    WeightFile without_z = weights_of_run(folder / "first");
    without_z.tensors.erase("memory.z");
    write_safetensors(folder / "without-z.safetensors", without_z);
    succeed(folder, crd_line + "third --seed 5 --init without-z.safetensors");
    const auto third = read_safetensors(folder / "third/helpers.safetensors").tensors;
    CHECK(third.at("memory.z").data != z);
    CHECK(third.at("memory.z").data[0] > 0);
    succeed(folder, crd_line + "of-student --init first/student.safetensors");  // memories of its own
}

TEST_CASE("crd: negatives of a file are a run's, from its first step on, resumed or not" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, crd_line + "first");
    WeightFile start = weights_of_run(folder / "first");
    const auto given = [&](const std::string& name, const std::vector<int64_t>& shape, float from) {
        auto& t = start.tensors["negatives"];
        t = {shape, {}};
        for (int64_t i = 0; i < shape[0] * shape[1] * shape[2]; ++i) t.data.push_back(from + static_cast<float>(i % 7));
        write_safetensors(folder / name, start);
    };
    given("a.init", {4, 40, 3}, 0);
    given("b.init", {4, 40, 3}, 20);
    given("longer.init", {6, 40, 3}, 0);
    const auto losses = [&](const std::string& run) {
        const CsvTable steps = read_csv(folder / run / "steps.csv");
        std::vector<std::string> all;
        for (size_t row = 0; row < steps.rows.size(); ++row) all.push_back(steps.cell(row, "loss_crd"));
        return all;
    };
    const std::string more = " --log-steps --lr-steps 1 --shuffle off --init ";
    for (const std::string name : {"a", "b", "longer"}) succeed(folder, crd_line + name + more + name + ".init --epochs 2");
    succeed(folder, crd_line + "resumed" + more + "longer.init");
    succeed(folder, "crd --resume --run resumed --epochs 2 --quiet");
    const auto a = losses("a"), b = losses("b"), longer = losses("longer");
    REQUIRE(a.size() == 6);
    CHECK(a[0] != b[0]);
    for (size_t step = 0; step < 6; ++step) CHECK((a[step] == longer[step]) == (step < 4));
    CHECK(losses("resumed") == longer);
}

TEST_CASE("crd: what does not fit is said in a line" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, crd_line + "first");
    synthesize(folder / "data", {"more", 4, 16, 120, 40});
    synthesize(folder / "data", {"one", 1, 16, 100, 40});
    synthesize(folder / "data", {"other", 3, 16, 100, 40});
    folder.save("three", "resnet8", 5, 3);
    folder.save("single", "resnet8", 6, 1);
    check_rejected(folder, crd_line + "r --negatives-count 0", {"--negatives-count", "0"});
    check_rejected(folder, crd_line + "r --nce-t 0", {"--nce-t"});
    check_rejected(folder, crd_line + "r --nce-t 0.0119", {"--nce-t: found '0.0119'", "0.012"});
    check_rejected(folder, crd_line + "r --memory-momentum 1.5", {"--memory-momentum", "1.5"});
    const std::string init = " --other-classes --init first/helpers.safetensors";
    check_rejected(folder, crd_line + "r --dataset more" + init, {"memory.s", "100 training images", "120", "name a file"});
    check_rejected(folder, crd_line + "r --teacher-weights three.safetensors --dataset other" + init,
                   {"memory.s", "other training images", "SHA-256"});
    check_rejected(folder, crd_line + "r --other-classes --teacher-weights single.safetensors --dataset one", {"one", "of one class"});
    WeightFile start = weights_of_run(folder / "first");
    const auto refused = [&](const distill::HostTensor& negatives, const std::vector<std::string>& parts) {
        start.tensors["negatives"] = negatives;
        write_safetensors(folder / "n.safetensors", start);
        check_rejected(folder, crd_line + "r --init n.safetensors", parts);
    };
    refused({{1, 39, 2}, std::vector<float>(78)}, {"n.safetensors", "negatives", "[1,39,2]", "[steps,40,K]"});
    refused({{40, 2}, std::vector<float>(80)}, {"negatives", "[40,2]", "--batch 40"});
    std::vector<float> values(80, 1);
    values[7] = 100;
    refused({{1, 40, 2}, values}, {"negatives", "element 7", "100", "0 to 99"});
    values[7] = 1.5f;
    refused({{1, 40, 2}, values}, {"element 7", "1.5"});
    values[7] = -1;
    refused({{1, 40, 2}, values}, {"element 7", "-1"});
    start.tensors.erase("negatives");
    start.tensors.erase("memory.t");
    write_safetensors(folder / "half.safetensors", start);
    check_rejected(folder, crd_line + "r --init half.safetensors", {"half.safetensors", "missing: memory.t"});
}

TEST_CASE("crd: a run does not go on with other images than it remembers" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, crd_line + "r");
    for (const int images : {100, 130}) {  // as many others, and more of them
        synthesize(folder / "data", {"s", 4, 16, images, 40, 9, true});
        check_rejected(folder, "crd --resume --run r --epochs 2", {"r: the data set is not the one"});
    }
}
