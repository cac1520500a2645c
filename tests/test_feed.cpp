// FEED and Factor Transfer: the losses, what is trained and kept, several teachers, chains, resuming. (Beside PyTorch: test_golden_ops.)
#include <algorithm>
#include <cmath>
#include <csignal>

#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "method_feed.h"
#include "method_ft.h"
#include "method_kd.h"
#include "parameter_inputs.h"
#include "run_session.h"
#include "setting.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

const std::string training = " --dataset s --batch 32 --epochs 2 --lr 0.01 --lr-steps 1 --threads 1 --quiet --log-steps ";
const std::string parallel = "feed parallel --student resnet8" + training;

std::string value_of(const fs::path& run, const std::string& key) {
    for (const auto& [name, value] : read_config(run / "config.csv"))
        if (name == key) return value;
    return "";
}

std::unique_ptr<Method> factor_transfer(const Setting& s, const Options& o) {
    FtOptions own;
    own.paraphraser_epochs = 2;
    return std::make_unique<FactorTransfer>(s, o, own);
}

std::string preparation_of(const fs::path& run) { return without_seconds(run / "preparation.csv"); }

}  // namespace

TEST_CASE("feed: the distance worked by hand") {
    // (3,4)/5 and (4,3)/5: |−0.2| + |0.2| = 0.4 a sample, its squares 0.08; the second sample agrees but for its length.
    const Var s(Tensor::from_host(cpu(), {2, 1, 1, 2}, {3, 4, 5, 0})), t(Tensor::from_host(cpu(), {2, 1, 1, 2}, {8, 6, 7, 0}));
    const auto distance = [&](bool squared, bool over_batch) { return feature_loss(s, t, {squared, over_batch}).value().item(); };
    CHECK(distance(false, false) == doctest::Approx(0.4 / 4));
    CHECK(distance(false, true) == doctest::Approx(0.4 / 2));
    CHECK(distance(true, false) == doctest::Approx(0.08 / 4));
    CHECK(distance(true, true) == doctest::Approx(0.08 / 2));
    CHECK_THROWS_WITH_AS(feature_loss(s, Var(Tensor::zeros(cpu(), {2, 1, 1, 3})), {}), doctest::Contains("(2,1,1,3)"), std::runtime_error);
}

TEST_CASE("feed: the sum of its parts, a layer for each teacher, any widths and sizes") {
    Options o;
    o.student = "resnet8";
    Teachers teachers;
    for (const char* name : {"resnet8", "wrn-10-2", "resnet8x4"}) {
        o.teacher = name;
        teachers.push_back(std::make_unique<Teacher>(cpu(), o, 10, static_cast<int>(teachers.size()) + 1));
    }
    Feed feed(setting(cpu(), 10, pointers(teachers)), o, {});
    CHECK(feed.loss_names() == std::vector<std::string>{"loss_ce", "loss_feed_0", "loss_feed_1", "loss_feed_2"});
    const auto file = feed.parameters().to_file();
    CHECK(file.at("ntl.0.conv0.weight").shape == std::vector<int64_t>{64, 64, 3, 3});
    CHECK(file.at("ntl.1.conv0.weight").shape == std::vector<int64_t>{128, 64, 3, 3});
    CHECK(file.at("ntl.1.conv2.bias").shape == std::vector<int64_t>{128});
    CHECK(file.at("ntl.2.conv2.weight").shape == std::vector<int64_t>{256, 256, 3, 3});
    const auto images = uniform_input("feed images", {4, 16, 16, 3});
    const Batch batch{Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {1, 2, 3, 4})};
    Tape tape;
    const StepResult r = recorded_step(feed, tape, batch);
    double sum = 0;
    for (const Var& part : r.named) {
        sum += part.value().item();
        CHECK(part.value().item() > 0);
    }
    CHECK(r.named.size() == 4);
    CHECK(r.loss.value().item() == doctest::Approx(sum).epsilon(1e-6));
    feed.parameters().begin_backward();
    tape.backward(r.loss);
    for (const auto& [name, g] : gradients_of(feed.parameters()))
        if (name.find("running_") == std::string::npos)
            CHECK_MESSAGE(std::any_of(g.data.begin(), g.data.end(), [](float v) { return v != 0; }), name, " gets no gradient");
    // All of them from a file, and a plain student as well.
    const TempFolder folder;
    const std::string whole = (folder / "whole.safetensors").string(), plain = (folder / "plain.safetensors").string();
    write_safetensors(whole, {file, {}});
    write_safetensors(plain, {feed.parameters().to_file(student_prefix), {}});
    o.seed = 7;
    Feed other(setting(cpu(), 10, pointers(teachers)), o, {});
    CHECK(other.parameters().values().to_host() != feed.parameters().values().to_host());
    other.parameters().from_file(read_safetensors(whole), whole);
    CHECK(other.parameters().values().to_host() == feed.parameters().values().to_host());
    load_weights(other.parameters(), plain, other.student());
}

TEST_CASE("kd: of several teachers the mean of the logits teaches") {
    Options o;
    o.student = o.teacher = "resnet8";
    Teachers teachers;
    for (const uint64_t seed : {1, 2, 3}) {
        o.seed = seed;
        teachers.push_back(std::make_unique<Teacher>(cpu(), o, 10, static_cast<int>(seed)));
    }
    const auto images = uniform_input("ensemble images", {4, 16, 16, 3});
    const Batch batch{Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {1, 2, 3, 4})};
    std::vector<float> mean(40);
    for (const auto& teacher : teachers) {
        const std::vector<float> logits = (*teacher)(batch.images)->logits.value().to_host();
        for (size_t i = 0; i < mean.size(); ++i) mean[i] += logits[i] / 3;
    }
    const StepResult r = KnowledgeDistillation(setting(cpu(), 10, pointers(teachers)), o, {0, 1, 4}).step(batch);
    const Tensor expected = Tensor::from_host(cpu(), {4, 1, 1, 10}, mean);
    CHECK(r.loss.value().item() == doctest::Approx(kd_loss(r.logits, expected, 4).value().item()).epsilon(1e-5));
}

TEST_CASE("factor transfer: factors are a sample's length apart from their size, by the mean absolute difference") {
    const Shape s{3, 2, 2, 4};
    const auto a = uniform_input("student's factor", s), b = uniform_input("teacher's factor", s);
    double expected = 0;
    for (size_t sample = 0; sample < 3; ++sample) {
        double lengths[2] = {0, 0};
        for (size_t i = sample * 16; i < (sample + 1) * 16; ++i) {
            lengths[0] += static_cast<double>(a.values[i]) * static_cast<double>(a.values[i]);
            lengths[1] += static_cast<double>(b.values[i]) * static_cast<double>(b.values[i]);
        }
        for (size_t i = sample * 16; i < (sample + 1) * 16; ++i)
            expected += std::abs(static_cast<double>(a.values[i]) / std::sqrt(lengths[0]) -
                                 static_cast<double>(b.values[i]) / std::sqrt(lengths[1])) /
                        48;
    }
    const Inputs in = upload(cpu(), {a, b});
    CHECK(feed_factors.distance(in[0], in[1]).value().item() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("factor transfer: trained first, then still; stopped at any step of either, it goes on to the bit") {
    SmallTraining t;
    t.options.lr = 0.01;
    t.options.epochs = 2;
    const Outcome whole = t.outcome("whole", factor_transfer);
    const CsvTable rows = read_csv(t.path("whole") / "preparation.csv");
    REQUIRE(rows.rows.size() == 2);
    CHECK(rows.columns == std::vector<std::string>{"epoch", "lr", "loss_paraphraser", "seconds"});
    CHECK(rows.cell_number(1, "loss_paraphraser") != rows.cell_number(0, "loss_paraphraser"));
    const auto resumed = [&](const std::string& run, int at) {
        {
            DisturbedPreparation method(factor_transfer(t.setting(), t.options), at, [] { std::raise(SIGTERM); });
            CHECK_THROWS_AS(t.train(run, method), Interrupted);
        }
        CHECK(t.outcome(run, factor_transfer, true) == whole);
        CHECK(preparation_of(t.path(run)) == preparation_of(t.path("whole")));
    };
    resumed("in the first epoch", 1);
    resumed("at its end", 3);
    resumed("in the second", 6);
    // Like kill -9 in the second epoch: back to the checkpoint after the first.
    {
        DisturbedPreparation method(factor_transfer(t.setting(), t.options), 6, [] { throw PowerCut(); });
        CHECK_THROWS_AS(t.train("cut", method), PowerCut);
    }
    CHECK(t.outcome("cut", factor_transfer, true) == whole);
    CHECK_THROWS_AS(t.disturbed("late", factor_transfer, 5, [](StepResult&) { std::raise(SIGTERM); }), Interrupted);
    CHECK(t.outcome("late", factor_transfer, true) == whole);
}

TEST_CASE("factor transfer: the paraphraser learns, where the best constant answer is no place to stay") {
    SmallTraining t;
    t.options.epochs = 15;
    Supervised taught(t.setting(), t.options);
    t.train("teacher", taught);
    const std::string file = t.path("teacher.safetensors").string();
    write_safetensors(file, {taught.parameters().to_file(student_prefix), {}});
    t.options.teacher_weights = file;
    const auto teacher = Teacher::load(t.backend(), t.options, 4);
    FtOptions own;
    own.paraphraser_epochs = 150;
    own.paraphraser_lr = 0.3;  // so few images are few steps
    Loader loader = t.loader();
    double zero = 0;  // mean |map|: what the answer 0 costs
    for (int64_t step = 0; step < loader.test_steps(); ++step) {
        const Batch batch = loader.test_batch(step);
        const Var map = (*teacher)(batch.images)->map();
        zero += l1(map, scale(map, 0)).value().item() * static_cast<double>(batch.size()) / static_cast<double>(loader.test_records());
    }
    FactorTransfer method(t.setting(*teacher), t.options, own);
    PhaseTraining phase(t.backend(), loader, method.phases().front(), t.options);
    phase.run(RunFolder::create(t.path("run"), t.config()), [] {});
    const CsvTable rows = read_csv(t.path("run") / "preparation.csv");
    MESSAGE("mean difference ", rows.cell(0, "loss_paraphraser"), " to ", phase.last_loss(), ", of the answer 0: ", zero);
    CHECK(phase.last_loss() < 0.8 * zero);
    CHECK(phase.last_loss() < 0.8 * rows.cell_number(0, "loss_paraphraser"));
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("feed: a run's files, and one stage of a chain is the run with one teacher") {
    const FeedWorkplace folder;
    Ended end = run(folder, parallel + "--teachers a.safetensors,wide.safetensors --run two");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"teacher0 resnet8: test accuracy", "teacher1 wrn-10-2: test accuracy", "beta             500"}));
    CHECK(value_of(folder / "two", "info.teacher0_sha256") == sha256_of_file(folder / "a.safetensors"));
    CHECK(value_of(folder / "two", "info.teacher1_map") == "4x4x128");
    CHECK(value_of(folder / "two", "info.student_map") == "4x4x64");
    CHECK(value_of(folder / "two", "teacher-nets") == "resnet8,wrn-10-2");
    CHECK(read_csv(folder / "two/steps.csv").columns ==
          std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_feed_0", "loss_feed_1"});
    // Exactly a plain student: the names and the size of the one that it started as.
    const WeightFile student = read_safetensors(folder / "two/student.safetensors"), start = read_safetensors(folder / "a.safetensors");
    CHECK(student.tensors.size() == start.tensors.size());
    for (const auto& [name, tensor] : start.tensors) CHECK(student.tensors.at(name).shape == tensor.shape);

    REQUIRE(run(folder, parallel + "--teachers a.safetensors --seed 3 --run one").code == 0);
    const std::string chain = "feed sequential" + training + "--teachers a.safetensors --seed 3 --stages 2 --run ";
    end = run(folder, chain + "chain");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    check_same_training(folder / "one", folder / "chain/stage1");
    CHECK(fs::exists(folder / "one/helpers.safetensors"));
    CHECK(value_of(folder / "chain/stage2", "teachers") == "chain/stage1/student.safetensors");
    for (const auto& [stage, generation] : {std::pair{"chain/stage1", "1"}, {"chain/stage2", "2"}}) {
        CHECK(value_of(folder / stage, "seed") == "3");
        CHECK(value_of(folder / stage, "info.role") == "student");
        CHECK(value_of(folder / stage, "info.generation") == generation);
    }
    // Stopped between stages, and in the middle of one.
    fs::remove_all(folder / "chain/stage2");
    check_rejected(folder, chain + "chain", {"chain", "exists", "--resume"});
    REQUIRE(run(folder, "feed sequential --resume --run chain").code == 0);
    REQUIRE(run(folder, chain + "again").code == 0);
    check_same_training(folder / "again/stage2", folder / "chain/stage2");
    CHECK(fs::exists(folder / "again/stage2/helpers.safetensors"));

    REQUIRE(run(folder, chain + "reborn --by ban").code == 0);
    CHECK(read_csv(folder / "reborn/stage2/steps.csv").columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_kd"});
    REQUIRE(run(folder, "kd --method ban --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --nesterov off --seed 3" +
                            training + "--run ban")
                .code == 0);
    CHECK(read_file(folder / "ban/steps.csv") == read_file(folder / "reborn/stage1/steps.csv"));
    CHECK(value_of(folder / "ban", "method") == "ban");
}

TEST_CASE("kd: ensemble and ft from the command line") {
    const FeedWorkplace folder;
    REQUIRE(run(folder, "kd --method ensemble --student resnet8 --teachers a.safetensors,b.safetensors --run e" + training).code == 0);
    CHECK(value_of(folder / "e", "method") == "ensemble");
    CHECK(read_csv(folder / "e/result.csv").cell(0, "teacher") == "resnet8+resnet8");
    const std::string ft =
        "kd --method ft --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --paraphraser-epochs 2" + training;
    REQUIRE(run(folder, ft + "--run ft").code == 0);
    CHECK(read_csv(folder / "ft/preparation.csv").rows.size() == 2);
    CHECK(read_csv(folder / "ft/steps.csv").columns ==
          std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_ft", "loss_paraphraser"});
    CHECK(read_csv(folder / "ft/result.csv").cell(0, "method") == "ft");
    check_rejected(folder, "kd --method kd --resume --run ft", {"--method kd", "ft"});
    // The paraphraser is kept, and serves another run as it is.
    const WeightFile helpers = read_safetensors(folder / "ft/helpers.safetensors");
    CHECK(helpers.tensors.size() == 6 + 12);
    CHECK(helpers.tensors.at("paraphraser.decoder.deconv2.weight").shape == std::vector<int64_t>{64, 64, 3, 3});
    const std::string reuse =
        "kd --method ft --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --paraphraser-epochs 0" + training;
    REQUIRE(run(folder, reuse + "--init ft/helpers.safetensors --seed 4 --run reused").code == 0);
    CHECK_FALSE(fs::exists(folder / "reused/preparation.csv"));
    const WeightFile reused = read_safetensors(folder / "reused/helpers.safetensors");
    for (const auto& [name, tensor] : helpers.tensors)
        CHECK_MESSAGE((reused.tensors.at(name).data == tensor.data) == (name.rfind("paraphraser.", 0) == 0), name);
    WeightFile alone;
    for (const auto& [name, tensor] : helpers.tensors)
        if (name.rfind("paraphraser.", 0) == 0) alone.tensors[name] = tensor;
    write_safetensors(folder / "paraphraser.safetensors", alone);
    REQUIRE(run(folder, reuse + "--init paraphraser.safetensors --max-steps 1 --run alone").code == 0);
    check_rejected(folder, reuse, {"--paraphraser-epochs 0", "--init"});
    check_rejected(folder, reuse + "--init a.safetensors", {"a.safetensors", "paraphraser.", "helpers.safetensors"});
    alone.tensors.erase("paraphraser.encoder.conv1.bias");
    write_safetensors(folder / "paraphraser.safetensors", alone);
    check_rejected(folder, reuse + "--init paraphraser.safetensors",
                   {"paraphraser.safetensors", "missing", "paraphraser.encoder.conv1.bias"});
    CHECK(says(run(folder, "kd --resume --run ft").out, {"finished before"}));
}

TEST_CASE("feed: bad input") {
    const FeedWorkplace folder;
    check_rejected(folder, parallel, {"--teachers", "no teacher", "distill train --net"});
    check_rejected(folder, parallel + "--teachers a.safetensors,,b.safetensors", {"--teachers a.safetensors,,b", "file 1"});
    check_rejected(folder, parallel + "--teachers none.safetensors", {"none.safetensors"});
    check_rejected(folder, parallel + "--teachers ten.safetensors", {"ten.safetensors", "classes", "10", "expected 4"});
    check_rejected(folder, parallel + "--teachers a.safetensors --teacher-nets resnet14",
                   {"a.safetensors", "network", "resnet8", "resnet14"});
    check_rejected(folder, parallel + "--teachers a.safetensors,b.safetensors,wide.safetensors --teacher-nets resnet8,resnet8",
                   {"--teacher-nets", "2 networks for the 3 files"});
    check_rejected(folder, parallel + "--teachers a.safetensors --teacher-min 100", {"a.safetensors", "--teacher-min"});
    check_rejected(folder, parallel + "--teachers a.safetensors --ntl-depth 0", {"--ntl-depth", "0"});
    const std::string chain = "feed sequential" + training;
    check_rejected(folder, chain + "--teachers a.safetensors --stages 0", {"--stages", "0"});
    check_rejected(folder, chain + "--teachers a.safetensors,b.safetensors", {"a chain begins with one teacher"});
    check_rejected(folder, "kd --method ensemble --student resnet8" + training, {"--teachers", "no teacher"});
    check_rejected(folder, "kd --method ft --student resnet8 --teachers a.safetensors" + training,
                   {"--teachers", "ft", "--teacher-weights"});
    const std::string other = (folder / "other.safetensors").string();
    WeightFile elsewhere = read_safetensors(folder / "a.safetensors");
    elsewhere.metadata["dataset"] = "cifar100";
    write_safetensors(other, elsewhere);
    check_rejected(folder, parallel + "--teachers other.safetensors",
                   {"other.safetensors: was trained on data set cifar100, here is s", "--other-classes"});
    const Ended end = run(folder, parallel + "--teachers other.safetensors --other-classes --run warned");
    CHECK(end.code == 0);
    CHECK(says(end.out, {"warning: other.safetensors was trained with dataset cifar100, here it meets s"}));
}

TEST_SUITE_END();
