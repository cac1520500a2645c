// FFSD: whole steps beside PyTorch's, its students' mutual learning as a graph, its switches, what a run keeps and tells, files that set its start,
// and what is refused. (What every method must do: test_methods. The operations: test_ops_ffsd.)
#include <algorithm>
#include <cmath>
#include <map>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "core_work_count.h"
#include "feed_workplace.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method_ffsd.h"
#include "method_ktg.h"
#include "run_folders.h"
#include "setting.h"
#include "train_run_folder.h"
#include "train_schedule.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// A file's weights in the authors' names, by the formula.
WeightFile formula_start(const Parameters& p, const std::string& kept) {
    WeightFile start;
    for (auto& [name, tensor] : golden_weights(p, student_prefix, kept).tensors) start.tensors[kept + name] = std::move(tensor);
    for (auto& [name, tensor] : golden_weights(p, "", "").tensors)
        if (!starts_with(name, student_prefix)) start.tensors[name] = std::move(tensor);
    return start;
}

Options resnet8() {
    Options o;
    o.student = "resnet8";
    o.lr_steps = "";
    return o;
}

std::unique_ptr<Method> made(const FfsdOptions& own, Backend& backend = cpu(), int classes = 4, int64_t side = 16) {
    static const Options o = resnet8();
    return own.make(setting(backend, classes, {}, side), o);
}

StepResult trained(Method& method, Tape& tape, const Batch& batch, const Optimizer& optimizer) {
    const StepResult r = recorded_step(method, tape, batch);
    method.backward(tape, r);
    optimizer.step();
    return r;
}

/// What lies behind one another as the parameters do, by their names and in a file's layout.
std::map<std::string, distill::HostTensor> named(const Parameters& p, const std::vector<float>& flat) {
    const std::vector<float> before = p.values().to_host();
    Tensor(p.values()).upload(flat.data());
    auto all = p.to_file();
    Tensor(p.values()).upload(before.data());
    return all;
}

const std::string line = "ffsd --net resnet8 --dataset s --batch 40 --epochs 1 --lr 0.01 --threads 1 --quiet --run ";

const std::vector<std::pair<std::string, std::string>> all_networks = {
    {"student", "leader."}, {"student0", "student0."}, {"student1", "student1."}};

}  // namespace

TEST_CASE("ffsd: three steps of every player like PyTorch's, one after the other: losses, weights, statistics, Adam's averages") {
    FfsdOptions own;
    own.students = 3;
    own.diversity = 3;
    own.fusion_weight_decay = 0.2;
    own.self_lr = 2e-3;
    own.self_weight_decay = 0.1;
    const auto method = made(own, exact_cpu(), 100, 32);
    Parameters& p = method->parameters();
    WeightFile start = formula_start(p, "leader.");
    method->take_start(start, "the formula");
    p.from_file(start, "the formula");
    const SgdOptions sgd{0.9f, 0.5f, true};
    Optimizer optimizer(p, sgd, method->groups(sgd));
    GoldenTable table("ffsd_resnet8.csv");
    constexpr double tolerance = 1e-5;  // PyTorch's float column: 1.3e-6; the least of the mistakes on file: 3e-3
    Tape tape;
    for (int step = 0; step < 3; ++step) {
        method->begin_epoch(step);
        optimizer.set_rates(1e-3, step);
        const StepResult r = trained(*method, tape, golden_batch(exact_cpu(), step), optimizer);
        const std::vector<std::string> names = method->loss_names();
        REQUIRE(r.named.size() == names.size());
        const auto check = [&](const std::string& name, const Var& loss) {
            const double value = loss.value().item();
            table.check(text("step ", step), name, value, std::fabs(value), tolerance);
        };
        for (size_t i = 0; i < names.size(); ++i) check(names[i], r.named[i]);
        check("loss", r.loss);
    }
    const auto check_all = [&](const std::string& before, const std::map<std::string, distill::HostTensor>& all,
                               const std::string& prefix) {
        for (const auto& [name, tensor] : all) {
            if (name.rfind(prefix, 0) != 0) continue;
            const bool of_student = name.rfind(student_prefix, 0) == 0;
            table.check("end", before + (of_student ? "leader." + name.substr(student_prefix.size()) : name), tensor.data, tolerance);
        }
    };
    check_all("", p.to_file(), "");
    const auto without_statistics = [](std::map<std::string, distill::HostTensor> all) {
        for (auto at = all.begin(); at != all.end();) at = at->first.find(".running_") != std::string::npos ? all.erase(at) : std::next(at);
        return all;
    };
    check_all("adam_m.", without_statistics(named(p, p.momenta().to_host())), "sd");
    std::vector<float> squares(static_cast<size_t>(p.values().size()));
    const std::vector<float> own_squares = optimizer.state().at(0).second.to_host();
    std::copy(own_squares.begin(), own_squares.end(), squares.begin() + static_cast<std::ptrdiff_t>(p.segments("sd").front().offset));
    check_all("adam_s.", without_statistics(named(p, squares)), "sd");
    table.finish();
}

TEST_CASE("ffsd: its students without a leader are the graph of mutual learning, loss by loss") {
    FfsdOptions own;
    own.no_leader = own.no_diversity = true;
    const auto ffsd = made(own, cpu(), 100, 32);
    CHECK(ffsd->loss_names() ==
          std::vector<std::string>{"loss_ce_0", "loss_kl_0", "loss_ce_1", "loss_kl_1", "loss_ce_fusion", "loss_kl_fusion"});
    KtgOptions graph;
    graph.temperature = 2;
    graph.graph.nodes = {{"resnet8", {}, {}}, {"resnet8", {}, {}}};
    graph.graph.gates = {{Gate::through, Gate::through}, {Gate::through, Gate::through}};
    const Options o = resnet8();
    const auto ktg = graph.make(setting(cpu(), 100, {}, 32), o);
    CHECK(ktg->loss_names() == std::vector<std::string>{"loss_0_0", "loss_0_1", "loss_1_0", "loss_1_1"});
    for (const auto& [prefix, other] : {std::pair{"student.", "student."}, {"student1.", "node1."}})
        ktg->parameters().from_file({ffsd->parameters().to_file(prefix), {}}, "FFSD's", other);
    const SgdOptions sgd{0.9f, 1e-4f, true};
    Optimizer of_ffsd(ffsd->parameters(), sgd, ffsd->groups(sgd)), of_ktg(ktg->parameters(), sgd);
    of_ffsd.set_rates(0.01, 0), of_ktg.set_rates(0.01, 0);
    ffsd->begin_epoch(0), ktg->begin_epoch(0);
    Tape one, other;
    for (int step = 0; step < 3; ++step) {
        Batch batch = golden_batch(cpu(), step);
        batch.step = Tensor::integers(cpu(), {});
        const StepResult a = trained(*ffsd, one, batch, of_ffsd), b = trained(*ktg, other, batch, of_ktg);
        for (const auto& [ours, theirs] : {std::pair<size_t, size_t>{0, 0}, {1, 1}, {2, 3}, {3, 2}}) {
            CAPTURE(step);
            CHECK(a.named[ours].value().item() == doctest::Approx(b.named[theirs].value().item()).epsilon(1e-6));
        }
    }
    check_values(
        "student 1", ffsd->parameters().to_file("student1.").at("conv1.weight").data,
        [&] {
            const auto data = ktg->parameters().to_file("node1.").at("conv1.weight").data;
            return std::vector<double>(data.begin(), data.end());
        }(),
        1e-6);
}

TEST_CASE("ffsd: each switch leaves out what it says, in losses and in modules") {
    const std::vector<std::string> all = made({})->loss_names();
    CHECK(all == std::vector<std::string>{"loss_ce_0", "loss_kl_0", "loss_ce_1", "loss_kl_1", "loss_diversity_1", "loss_sd_1",
                                          "loss_ce_fusion", "loss_kl_fusion", "loss_ce_leader", "loss_kl_leader", "loss_map_leader",
                                          "loss_trans_leader", "loss_sd_leader", "loss_sd_feature_1", "loss_sd_attention_1",
                                          "loss_sd_feature_leader", "loss_sd_attention_leader"});
    struct Case {
        bool FfsdOptions::*off;
        std::vector<std::string> losses, modules;  ///< that go
    };
    const std::string tr = "leader.trans_fusion_module.";
    const std::vector<Case> cases = {
        {&FfsdOptions::no_diversity, {"loss_diversity_1", "loss_sd_1", "loss_sd_feature_1", "loss_sd_attention_1"}, {"sd1."}},
        {&FfsdOptions::no_self,
         {"loss_sd_1", "loss_sd_leader", "loss_sd_feature_1", "loss_sd_attention_1", "loss_sd_feature_leader", "loss_sd_attention_leader"},
         {"sd1.", "sd_leader."}},
        {&FfsdOptions::no_fusion_map,
         {"loss_map_leader", "loss_trans_leader", "loss_sd_leader", "loss_sd_feature_leader", "loss_sd_attention_leader"},
         {tr, "sd_leader."}},
        {&FfsdOptions::no_trans, {"loss_trans_leader"}, {tr}},
        {&FfsdOptions::no_shift, {}, {}},
        {&FfsdOptions::no_leader,
         {"loss_ce_leader", "loss_kl_leader", "loss_map_leader", "loss_trans_leader", "loss_sd_leader", "loss_sd_feature_leader",
          "loss_sd_attention_leader"},
         {tr, "sd_leader.", "student0."}},
    };
    const std::vector<std::string> modules = {"student.", "student0.", "student1.", "fusion.", tr, "sd1.", "sd_leader."};
    Tape tape;
    for (const Case& c : cases) {
        FfsdOptions own;
        own.*c.off = true;
        const auto method = made(own);
        std::vector<std::string> expected;
        for (const std::string& loss : all)
            if (std::find(c.losses.begin(), c.losses.end(), loss) == c.losses.end()) expected.push_back(loss);
        CHECK(method->loss_names() == expected);
        for (const std::string& module : modules)
            CHECK((method->parameters().count(module) == 0) == (std::find(c.modules.begin(), c.modules.end(), module) != c.modules.end()));
        const StepResult r = recorded_step(*method, tape, golden_batch(cpu(), 0, 16));
        CHECK(r.named.size() == expected.size());
        tape.clear();
    }
}

TEST_CASE("ffsd: the shift is what a student's module sees, the ensemble what a leader may learn from") {
    const Batch batch = golden_batch(cpu(), 0, 16);
    const auto losses = [&](const FfsdOptions& own) {
        const auto method = made(own, cpu(), 100);
        method->begin_epoch(9);
        const StepResult r = method->step(batch);
        std::map<std::string, float> named;
        for (size_t i = 0; i < r.named.size(); ++i) named[method->loss_names()[i]] = r.named[i].value().item();
        return named;
    };
    FfsdOptions unshifted, ensemble;
    unshifted.no_shift = true;
    ensemble.leader_target = "ensemble";
    const auto usual = losses({}), a = losses(unshifted), b = losses(ensemble);
    for (const auto& [name, value] : usual) {
        CAPTURE(name);
        CHECK((a.at(name) == value) == (name != "loss_sd_1"));
        CHECK((b.at(name) == value) == (name != "loss_kl_leader"));
    }
}

TEST_CASE("ffsd: the warm-up rises as exp(-5(1 - e/5)^2), e from 1, on the lambda terms alone") {
    const Batch batch = golden_batch(cpu(), 0, 32);
    const auto method = made({}, cpu(), 100, 32);
    const auto losses = [&](int epoch) {
        method->begin_epoch(epoch);
        std::map<std::string, double> named;
        const StepResult r = method->step(batch);
        for (size_t i = 0; i < r.named.size(); ++i) named[method->loss_names()[i]] = r.named[i].value().item();
        return named;
    };
    const Tensor statistics = Tensor::like(method->parameters().buffers());
    Tensor(statistics).copy_from(method->parameters().buffers());
    const auto full = losses(4);
    for (const auto& [epoch, part] : {std::pair{0, 0.040762}, {1, 0.165299}, {3, 0.818731}, {100, 1.0}}) {
        Tensor(method->parameters().buffers()).copy_from(statistics);
        for (const auto& [name, value] : losses(epoch)) {
            const bool flat = name.find("_ce_") != std::string::npos || name.find("_kl_") != std::string::npos;
            CHECK(value == doctest::Approx(full.at(name) * (flat ? 1 : part)).epsilon(1e-5));
        }
    }
}

TEST_CASE("ffsd: the warm-up is an option whose part of the training --epochs keeps, and 0 is none") {
    for (const auto& [epochs, warmup] : {std::pair{299, 5}, {300, 5}, {60, 1}, {30, 1}, {598, 10}}) {
        CommandLine line;
        OptionTable table;
        Options options;
        FfsdOptions own;
        options.epochs = 299;
        add_training_options(table, options, true);
        own.add_to(table);
        table.attach(line);
        line.run({"--epochs", std::to_string(epochs)});
        scale_with_epochs(table, options);
        CHECK(own.kd_warmup == warmup);
    }
    const Batch batch = golden_batch(cpu(), 0, 32);
    const auto leaders_map = [&](int warmup, int epoch) {
        FfsdOptions own;
        own.kd_warmup = warmup;
        const auto method = made(own, cpu(), 100, 32);
        method->begin_epoch(epoch);
        const std::vector<std::string> names = method->loss_names();
        const auto at = std::find(names.begin(), names.end(), "loss_map_leader");
        return static_cast<double>(method->step(batch).named.at(static_cast<size_t>(at - names.begin())).value().item());
    };
    const double full = leaders_map(0, 0);
    CHECK(full > 0);
    CHECK(leaders_map(1, 0) == full);
    CHECK(leaders_map(2, 0) == doctest::Approx(full * std::exp(-1.25)).epsilon(1e-5));
    CHECK(leaders_map(2, 1) == full);
}

TEST_CASE("ffsd: answers are the student's, the others', the mean of their logits, and the fusion module's, of the same passes") {
    std::map<bool, int64_t> work;
    int64_t one = 0;
    for (const bool leads : {true, false}) {
        FfsdOptions own;
        own.students = 3;
        own.no_leader = !leads;
        const auto method = made(own, cpu(), 100, 32);
        const Batch batch = golden_batch(cpu(), 1);
        for (int pass = 0; pass < 3; ++pass) method->step(batch);  // running statistics
        std::vector<std::string> names;
        std::vector<Var> students;
        for (const OtherNetwork& other : method->others()) {
            names.push_back(other.name);
            if (other.network) students.push_back(other.network->forward(batch.images, Mode::evaluate).logits);
        }
        CHECK(names == (leads ? std::vector<std::string>{"0", "1", "2", "ensemble", "fusion"}
                              : std::vector<std::string>{"1", "2", "ensemble", "fusion"}));
        const int64_t before = multiply_accumulates();
        std::vector<Var> found = method->answers(batch.images);
        const int64_t between = multiply_accumulates();
        const Var leader = method->student().forward(batch.images, Mode::evaluate).logits;
        work[leads] = between - before, one = multiply_accumulates() - between;
        REQUIRE(found.size() == 1 + names.size());
        CHECK(found.front().value().to_host() == leader.value().to_host());
        found.erase(found.begin());
        std::vector<Var> all = students;
        if (!leads) all.push_back(leader);
        std::vector<double> mean(static_cast<size_t>(all[0].shape().size()));
        for (const Var& logits : all) {
            const std::vector<float> values = logits.value().to_host();
            for (size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / 3.0;
        }
        for (size_t i = 0; i < students.size(); ++i) CHECK(found[i].value().to_host() == students[i].value().to_host());
        check_values("ensemble", found[students.size()].value().to_host(), mean, 1e-5);
        CHECK(method->test_columns().front() == "test_acc_mean");
        const std::vector<double> values =
            method->test_values({1, 50}, leads ? std::vector<Evaluation>{{1, 10}, {2, 20}, {3, 60}, {4, 99}, {5, 98}}
                                               : std::vector<Evaluation>{{2, 20}, {3, 60}, {4, 99}, {5, 98}});
        CHECK(values[0] == doctest::Approx(leads ? 30 : 130 / 3.0));
        CHECK(values.size() == method->test_columns().size());
        CHECK(values.back() == 5);
    }
    CHECK(one > 0);
    CHECK(work.at(true) == work.at(false) + one);  // the leader's alone; common student 0, where it is the student, passes once
}

TEST_CASE("ffsd: modules start by the authors' rule") {
    FfsdOptions own;
    const auto method = made(own);
    const auto spread = [&](const char* name) {
        const auto data = method->parameters().to_file().at(name).data;
        double squares = 0, largest = 0;
        for (const float v : data) squares += static_cast<double>(v) * v, largest = std::max(largest, std::fabs(static_cast<double>(v)));
        return std::pair(std::sqrt(squares / static_cast<double>(data.size())), largest);
    };
    // A depthwise convolution by all its outputs, not by its group's: √(2/(9·128)).
    CHECK(spread("fusion.conv1.weight").first == doctest::Approx(0.0417).epsilon(0.08));
    CHECK(spread("leader.trans_fusion_module.conv1.weight").first == doctest::Approx(0.0589).epsilon(0.08));
    CHECK(spread("fusion.conv1_1.weight").first == doctest::Approx(0.1768).epsilon(0.05));
    const auto [rms, largest] = spread("sd1.layer0.convtranpose.weight");  // U(±1/√(9·32))
    CHECK(largest <= 0.058926);
    CHECK(rms == doctest::Approx(0.058926 / std::sqrt(3.0)).epsilon(0.03));
    const auto file = method->parameters().to_file();
    CHECK(file.at("sd_leader.layer1.convtranpose.weight").shape == std::vector<int64_t>{32, 16, 3, 3});
    CHECK(file.at("leader.trans_fusion_module.conv1_1.weight").shape == std::vector<int64_t>{128, 64, 1, 1});
    CHECK(file.at("student.conv1.weight").data != file.at("student0.conv1.weight").data);
    CHECK(file.at("student1.conv1.weight").data != file.at("student0.conv1.weight").data);
}

TEST_CASE("ffsd: a file of ours from before the authors' spelling of the transposed convolutions is taken") {
    const auto method = made({});
    Parameters& p = method->parameters();
    const WeightFile now = formula_start(p, "leader.");
    WeightFile once;
    size_t renamed = 0;
    for (const auto& [name, tensor] : now.tensors) {
        const std::string spelling = "convtranpose";
        const size_t at = name.find(spelling);
        renamed += at != std::string::npos ? 1 : 0;
        once.tensors[at == std::string::npos ? name : std::string(name).replace(at, spelling.size(), "convtranspose")] = tensor;
    }
    CHECK(renamed == 4);
    method->take_start(once, "an older file");
    p.from_file(once, "an older file");
    const auto after = p.to_file();
    for (const char* name : {"sd1.layer0.convtranpose.weight", "sd_leader.layer1.convtranpose.weight"})
        CHECK_MESSAGE(after.at(name).data == now.tensors.at(name).data, name);
}

TEST_CASE("ffsd: a run keeps the leader alone as its student, the others beside it, and tests all of them" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, line + "r --epochs 2 --lr-steps 1 --log-steps --save kept.safetensors");
    const CsvTable epochs = read_csv(folder / "r/epochs.csv");
    for (size_t row = 0; row < 2; ++row) {
        CHECK(epochs.cell_number(row, "test_acc_mean") ==
              doctest::Approx((epochs.cell_number(row, "test_acc_0") + epochs.cell_number(row, "test_acc_1")) / 2));
        for (const char* column : {"test_loss_0", "test_loss_1", "test_loss_ensemble", "test_loss_fusion"})
            CHECK(epochs.cell_number(row, column) > 0);
        for (const char* column : {"test_acc_ensemble", "test_acc_fusion"}) CHECK(epochs.cell_number(row, column) >= 0);
    }
    const Config config = read_config(folder / "r/config.csv");
    for (const auto& [option, value] :
         {std::pair{"weight-decay", "0.0001"}, {"nesterov", "on"}, {"crop-pad", "reflect"}, {"common-students", "2"}})
        CHECK_MESSAGE(value_of(config, option) == value, option);
    const WeightFile student = read_safetensors(folder / "r/student.safetensors"),
                     helpers = read_safetensors(folder / "r/helpers.safetensors");
    CHECK(read_file(folder / "r/student.safetensors") == read_file(folder / "kept.safetensors"));
    for (const auto& [name, tensor] : student.tensors) CHECK(name.find("trans_fusion") == std::string::npos);
    for (const char* name : {"fusion.conv1.weight", "fusion.fc2.bias", "leader.trans_fusion_module.bn1_1.running_var",
                             "sd1.layer0.norm.weight", "sd_leader.layer1.convtranpose.weight"})
        CHECK_MESSAGE(helpers.tensors.count(name) == 1, name);
    for (const auto& [name, tensor] : helpers.tensors) CHECK(name.rfind("student", 0) != 0);
    check_rejected(folder, line + "r --resume --students 3", {"--common-students 3", "was started with 2"});
    check_rejected(folder, line + "r --resume --epochs 4 --students 3", {"--common-students 3", "was started with 2"});
    CHECK(says(run(folder, "eval --dataset s --weights r/student1.safetensors").out, {"resnet8 on s: test accuracy"}));
    CHECK(says(run(folder, "ffsd --help").out, {"--epochs INT=299", "--lr-steps TEXT=150,225", "--weight-decay NUMBER=0.0001",
                                                "--lambda-self NUMBER=1000", "--leader-target"}));
}

TEST_CASE("ffsd: --init sets every network and module from one file, or the leader alone from a network's own" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, line + "first");
    write_safetensors(folder / "all.safetensors", weights_of_run(folder / "first", all_networks));
    succeed(folder, line + "still --init all.safetensors --lr 0 --self-lr 0");
    const WeightFile before = weights_of_run(folder / "first", all_networks), after = weights_of_run(folder / "still", all_networks);
    CHECK(before.tensors.size() == after.tensors.size());
    for (const auto& [name, tensor] : before.tensors)
        if (name.find("running_") == std::string::npos) CHECK_MESSAGE(after.tensors.at(name).data == tensor.data, name);
    succeed(folder, line + "leader --init a.safetensors --lr 0 --self-lr 0");
    const auto of_leader = read_safetensors(folder / "leader/student.safetensors").tensors;
    CHECK(of_leader.at("conv1.weight").data == read_safetensors(folder / "a.safetensors").tensors.at("conv1.weight").data);
    CHECK(read_safetensors(folder / "leader/student0.safetensors").tensors.at("conv1.weight").data != of_leader.at("conv1.weight").data);
    // Without a leader student 0 is the run's, and what is of no use is not taken.
    const Ended end = run(folder, line + "none --init all.safetensors --no-leader --lr 0 --self-lr 0");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"note: all.safetensors:", "are not taken"}));
    CHECK(end.out.find("note: all.safetensors:") == end.out.rfind("note: all.safetensors:"));
    CHECK(read_safetensors(folder / "none/student.safetensors").tensors.at("conv1.weight").data ==
          before.tensors.at("student0.conv1.weight").data);

    WeightFile less = before;
    for (const char* name : {"fusion.fc2.bias", "leader.conv1.weight", "sd1.layer0.norm.weight"}) less.tensors.erase(name);
    write_safetensors(folder / "less.safetensors", less);
    check_rejected(folder, line + "r --init less.safetensors",
                   {"less.safetensors", "lacks 3 of", "fusion.fc2.bias", "leader.conv1.weight", "sd1.layer0.norm.weight"});
    less = before;
    less.tensors["student2.conv1.weight"] = before.tensors.at("student1.conv1.weight");
    write_safetensors(folder / "more.safetensors", less);
    check_rejected(folder, line + "r --init more.safetensors", {"more.safetensors", "student2.conv1.weight"});
    less = before;
    less.tensors.at("fusion.fc2.bias") = {{5}, std::vector<float>(5)};
    write_safetensors(folder / "shape.safetensors", less);
    check_rejected(folder, line + "r --init shape.safetensors", {"fusion.fc2.bias", "[5]", "[4]"});
}

TEST_CASE("ffsd: --init takes a leader's own file as its authors write it, Tr where it is used" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, line + "first");
    const WeightFile first = weights_of_run(folder / "first", all_networks);
    const std::string leader = "leader.", tr = "trans_fusion_module.";
    WeightFile own;
    for (const auto& [name, tensor] : first.tensors)
        if (starts_with(name, leader)) own.tensors[name.substr(leader.size())] = tensor;
    CHECK(own.tensors.count(tr + "conv1_1.weight") == 1);
    write_safetensors(folder / "own.safetensors", own);
    succeed(folder, line + "taken --init own.safetensors --lr 0 --self-lr 0");
    const WeightFile taken = weights_of_run(folder / "taken", all_networks);
    for (const auto& [name, tensor] : first.tensors) {
        if (name.find("running_") != std::string::npos) continue;
        if (starts_with(name, leader)) CHECK_MESSAGE(taken.tensors.at(name).data == tensor.data, name);
    }
    for (const char* name : {"student0.conv1.weight", "fusion.conv1.weight", "sd_leader.layer0.convtranpose.weight"})
        CHECK_MESSAGE(taken.tensors.at(name).data != first.tensors.at(name).data, name);

    const Ended end = run(folder, line + "without --init own.safetensors --no-trans --lr 0 --self-lr 0");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"note: own.safetensors:", "are not taken", tr}));
    CHECK(read_safetensors(folder / "without/student.safetensors").tensors.at("conv1.weight").data == own.tensors.at("conv1.weight").data);

    own.tensors.erase(tr + "bn1.weight");
    write_safetensors(folder / "less.safetensors", own);
    check_rejected(folder, line + "r --init less.safetensors", {"less.safetensors", "missing: leader.trans_fusion_module.bn1.weight"});
}

TEST_CASE("ffsd: what cannot be is refused before there is a run" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    check_rejected(folder, line + "r --students 1", {"--students", "1"});
    check_rejected(folder, line + "r --students two", {"--students", "two"});
    check_rejected(folder, line + "r --temperature 0", {"--temperature"});
    check_rejected(folder, line + "r --lambda-fusion -1", {"--lambda-fusion"});
    check_rejected(folder, line + "r --leader-target mean", {"--leader-target", "ensemble"});
    check_rejected(folder, line + "r --no-shift --no-diversity", {"--no-shift", "--no-diversity"});
    check_rejected(folder, line + "r --no-shift --no-self", {"--no-shift", "--no-self"});
    check_rejected(folder, line + "r --no-trans --no-leader", {"--no-trans", "--no-leader"});
    check_rejected(folder, line + "r --no-trans --no-fusion-map", {"--no-trans", "--no-fusion-map"});
    check_rejected(folder, line + "r --no-fusion-map --no-leader", {"--no-fusion-map", "--no-leader"});
    check_rejected(folder, line + "r --leader-target ensemble --no-leader", {"--leader-target", "--no-leader"});
    check_rejected(folder, line + "r --net vgg8", {"ffsd: vgg8 on images of 16x16", "expected each twice"});
    check_rejected(folder, line + "r --net MobileNetV2", {"ffsd: MobileNetV2", "maps are"});
    check_rejected(folder, "ffsd --dataset s --run r", {"--net", "no network"});
}
