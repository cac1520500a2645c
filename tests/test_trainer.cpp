#include <algorithm>
#include <cmath>
#include <limits>

#include "base_files.h"
#include "complaints.h"
#include "device.h"
#include "forwarding_method.h"
#include "gradcheck.h"
#include "method_features.h"
#include "small_training.h"
#include "train_checkpoint.h"

using namespace distill;
using namespace distill::testing;

namespace {

void append(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::app) << bytes; }

}  // namespace

TEST_CASE("trainer: epochs.csv and steps.csv have a row an epoch and a step, the schedule's rates, and agree") {
    SmallTraining bench;
    for (const auto& [name, make] : {std::pair<std::string, Make>{"supervised", supervised}, {"kd", kd}, {"reviewkd", reviewkd}}) {
        CAPTURE(name);
        const Outcome out = bench.outcome(name, make);
        const CsvTable& epochs = out.epochs;
        const CsvTable steps = read_csv(bench.path(name) / "steps.csv");
        std::vector<std::string> losses = {"loss_ce"};
        if (name != "supervised") losses.push_back(text("loss_", name));
        std::vector<std::string> columns = {"epoch", "lr", "train_loss"}, step_columns = {"step", "lr", "loss"};
        columns.insert(columns.end(), losses.begin(), losses.end());
        step_columns.insert(step_columns.end(), losses.begin(), losses.end());
        for (const char* c : {"train_acc", "test_loss", "test_acc", "best_acc", "seconds"}) columns.push_back(c);
        CHECK(epochs.columns == columns);
        CHECK(steps.columns == step_columns);
        REQUIRE(epochs.rows.size() == 3);
        REQUIRE(steps.rows.size() == 12);
        for (size_t e = 0; e < 3; ++e) {
            CHECK(epochs.cell(e, "epoch") == std::to_string(e));
            CHECK(epochs.cell(e, "lr") == (e < 2 ? "0.05" : "0.005"));
            const double n[4] = {32, 32, 32, 4};  // an epoch's loss is the mean over its images
            double mean = 0;
            for (size_t s = 0; s < 4; ++s) {
                const size_t row = 4 * e + s;
                CHECK(steps.cell(row, "step") == std::to_string(row));
                CHECK(steps.cell(row, "lr") == epochs.cell(e, "lr"));
                mean += n[s] / 100 * steps.cell_number(row, "loss");
                double sum = 0;
                for (const std::string& l : losses) sum += steps.cell_number(row, l);
                CHECK(sum == doctest::Approx(steps.cell_number(row, "loss")).epsilon(1e-5));
            }
            CHECK(epochs.cell_number(e, "train_loss") == doctest::Approx(mean).epsilon(1e-6));
            for (const char* c : {"train_acc", "test_acc"}) CHECK((epochs.cell_number(e, c) >= 0 && epochs.cell_number(e, c) <= 100));
        }
        if (name == "reviewkd") CHECK(steps.cell_number(0, "loss_reviewkd") == 0);  // its weight rises from 0
    }
}

TEST_CASE("trainer: last, best and the best's epoch are those of the table") {
    SmallTraining bench;
    bench.options.epochs = 5;
    bench.options.lr = 0.2;
    bench.options.lr_steps = "";
    const Outcome out = bench.outcome("run", supervised);
    double best = -1;
    size_t best_epoch = 0;
    for (size_t e = 0; e < 5; ++e) {
        const double accuracy = out.epochs.cell_number(e, "test_acc");
        if (accuracy > best) best = accuracy, best_epoch = e;
        CHECK(out.epochs.cell_number(e, "best_acc") == best);
    }
    CHECK(out.result.best == best);
    CHECK(out.result.best_epoch == static_cast<int>(best_epoch));
    CHECK(out.result.last == out.epochs.cell_number(4, "test_acc"));
}

TEST_CASE("trainer: it learns, and evaluation is the same in any batches") {
    SmallTraining bench;
    bench.options.epochs = 40;
    bench.options.lr_steps = "32";
    const auto method = supervised(bench.setting(), bench.options);
    const TrainingResult result = bench.train("run", *method);
    CHECK(result.last > 60);  // chance is 25 %; 97 to 100 with each of six seeds
    const CsvTable epochs = read_csv(bench.path("run") / "epochs.csv");
    CHECK(epochs.cell_number(39, "train_loss") < 0.7 * epochs.cell_number(0, "train_loss"));
    for (const int64_t batch : {7, 32, 100}) {
        bench.options.batch = batch;
        const Loader loader = bench.loader();
        const Evaluation e = evaluate(bench.backend(), loader, method->student());
        CHECK(e.accuracy == result.last);
        CHECK(e.loss == doctest::Approx(epochs.cell_number(39, "test_loss")).epsilon(1e-5));
    }
}

TEST_CASE("trainer: the same seed gives the same run to the bit, another seed another one") {
    SmallTraining bench;
    const Outcome first = bench.outcome("first", supervised);
    CHECK(bench.outcome("again", supervised) == first);
    CHECK(read_file(bench.path("first") / "steps.csv") == read_file(bench.path("again") / "steps.csv"));
    bench.options.seed = 2;
    CHECK_FALSE(bench.outcome("other", supervised) == first);
}

TEST_CASE("trainer: a run interrupted at any step and resumed equals the uninterrupted one, to the bit" *
          doctest::test_suite("no kernels")) {
    for (const Make& make : {Make(supervised), Make(reviewkd)}) {
        SmallTraining bench;
        const Outcome whole = bench.outcome("whole", make);
        // The first step, inside an epoch, an epoch's last step, the very last step.
        for (const int64_t at : {0, 5, 7, 11}) {
            CAPTURE(at);
            const std::string run = text("cut", at);
            for (const int signal : {SIGINT, SIGTERM}) {
                fs::remove_all(bench.path(run));
                const auto ask = [signal](StepResult&) { std::raise(SIGHUP), std::raise(signal); };  // as the end of an ssh session does
                const std::string said = complaint<Interrupted>([&] { bench.disturbed(run, make, at, ask); });
                CHECK(says(said, {text("epoch ", at / 4 + 1, " after step ", at % 4 + 1), "--resume --run " + bench.path(run).string()}));
                CHECK(read_checkpoint(bench.path(run) / "checkpoint.bin").counters.at("global_step") == at + 1);
            }
            CHECK(bench.outcome(run, make, true) == whole);
            CHECK(read_file(bench.path(run) / "steps.csv") == read_file(bench.path("whole") / "steps.csv"));
        }
    }
}

TEST_CASE("trainer: in bfloat16, the same seed gives the same run, and a resumed run equals the uninterrupted one, to the bit") {
    if (!bf16_cpu_or_skip()) return;
    for (const Make& make : {Make(supervised), Make(reviewkd)}) {
        SmallTraining bench(make_backend("cpu", {1, Precision::bf16}));
        const Outcome whole = bench.outcome("whole", make);
        CHECK(bench.outcome("again", make) == whole);
        CHECK(whole.values != rounded(whole.values));  // the master weights are float, in the checkpoint too
        for (const int64_t at : {2, 7}) {
            const std::string run = text("cut", at);
            CHECK_THROWS_AS(bench.disturbed(run, make, at, [](StepResult&) { std::raise(SIGINT); }), Interrupted);
            const std::vector<float> saved = read_checkpoint(bench.path(run) / "checkpoint.bin").floats.at("values");
            CHECK(saved != rounded(saved));
            CHECK(bench.outcome(run, make, true) == whole);
            CHECK(read_file(bench.path(run) / "steps.csv") == read_file(bench.path("whole") / "steps.csv"));
        }
        SmallTraining plain;
        CHECK_FALSE(plain.outcome("float", make) == whole);
    }
}

TEST_CASE("trainer: a run that was cut off is resumed from its last epoch, torn rows and all") {
    SmallTraining bench;
    const Outcome whole = bench.outcome("whole", kd);
    for (const int64_t at : {2, 4, 10}) {  // before the first checkpoint; at an epoch's first step; inside the last epoch
        CAPTURE(at);
        const std::string run = text("cut", at);
        CHECK_THROWS_AS(bench.disturbed(run, kd, at, [](StepResult&) { throw PowerCut(); }), PowerCut);
        CHECK(fs::exists(bench.path(run) / "checkpoint.bin") == (at >= 4));
        append(bench.path(run) / "epochs.csv", "7,0.5,1,1,1,50,1,5");
        append(bench.path(run) / "steps.csv", "99,0.5,1,1,1\n100,0.");
        CHECK(bench.outcome(run, kd, true) == whole);
        CHECK(read_file(bench.path(run) / "steps.csv") == read_file(bench.path("whole") / "steps.csv"));
    }
    CHECK(bench.outcome("cut10", kd, true).result.best_epoch == whole.result.best_epoch);  // resuming a finished run changes nothing
    CHECK(bench.outcome("cut10", kd, true) == whole);
}

TEST_CASE("trainer: --max-steps ends the run and evaluates it") {
    SmallTraining bench;
    for (const int64_t limit : {1, 4, 6, 12, 100}) {
        CAPTURE(limit);
        bench.options.max_steps = limit;
        const std::string run = text("run", limit);
        const Outcome out = bench.outcome(run, supervised);
        const auto steps = static_cast<size_t>(std::min<int64_t>(limit, 12));
        CHECK(read_csv(bench.path(run) / "steps.csv").rows.size() == steps);
        CHECK(out.epochs.rows.size() == (steps + 3) / 4);
        CHECK(out.epochs.cell_number(out.epochs.rows.size() - 1, "test_acc") == out.result.last);
    }
    const std::string all = read_file(bench.path("run100") / "steps.csv"), some = read_file(bench.path("run6") / "steps.csv");
    CHECK(all.compare(0, some.size(), some) == 0);  // the limit changes nothing before it

    bench.options.max_steps = 6;
    CHECK_THROWS_AS(bench.disturbed("cut", supervised, 5, [](StepResult&) { std::raise(SIGINT); }), Interrupted);
    const Outcome limited = bench.outcome("limited", supervised);
    CHECK(bench.outcome("cut", supervised, true) == limited);
}

TEST_CASE("trainer: a loss that is not finite stops the run, is named, and the last good checkpoint stays") {
    SmallTraining bench;
    SUBCASE("a rate that is far too high") {
        bench.options.lr = 1e38;
        const auto method = supervised(bench.setting(), bench.options);
        const std::string said = complaint<std::runtime_error>([&] { bench.train("run", *method); });
        CHECK(says(said, {"epoch 0, step 1 ", "the loss is ", "loss_ce ", "try a smaller --lr", "No checkpoint had been written"}));
        CHECK_FALSE(fs::exists(bench.path("run") / "checkpoint.bin"));
        CHECK(read_csv(bench.path("run") / "epochs.csv").rows.empty());
    }
    SUBCASE("an epoch's last step spoils the weights") {
        bench.options.lr = 1e38;
        bench.options.batch = 100;
        const auto method = supervised(bench.setting(), bench.options);
        const std::string said = complaint<std::runtime_error>([&] { bench.train("run", *method); });
        CHECK(says(said, {"epoch 0, step 0 ", "the test loss after it is nan", "try a smaller --lr"}));
        CHECK_FALSE(fs::exists(bench.path("run") / "checkpoint.bin"));
        CHECK(read_csv(bench.path("run") / "epochs.csv").rows.empty());
    }
    SUBCASE("after a good epoch") {
        const Outcome whole = bench.outcome("whole", kd);
        const std::string said = complaint<std::runtime_error>(
            [&] { bench.disturbed("run", kd, 6, [](StepResult& r) { r.loss = scale(r.loss, std::numeric_limits<float>::infinity()); }); });
        const fs::path checkpoint = bench.path("run") / "checkpoint.bin";
        CHECK(says(
            said, {"epoch 1, step 2 ", "the loss is inf", "loss_ce ", "loss_kd ", "try a smaller --lr", "kept in " + checkpoint.string()}));
        CHECK(read_checkpoint(checkpoint).counters.at("global_step") == 4);
        CHECK(bench.outcome("run", kd, true) == whole);
    }
}

namespace {

/// Does not allocate.
struct Forgetful final : StudentMethod {
    Forgetful(const Setting& s, const Options& o) : StudentMethod(s, o) {}
    std::vector<std::string> loss_names() const override { return {"loss_ce"}; }
    StepResult step(const Batch&) override { return {}; }
};

/// Gives two losses and names one.
class Talkative final : public FeatureDistillation {
  public:
    Talkative(const Setting& s, const Options& o) : FeatureDistillation(s, o, {}, {"loss_own"}) { parameters_.allocate(o.start()); }

  private:
    std::vector<Var> losses(const Batch& batch, const Output& student, const Answers&) override {
        const Var ce = cross_entropy(student.logits, batch.labels);
        return {ce, ce};
    }
};

/// Names one more than it gives.
struct Boasting final : Forwarding {
    using Forwarding::Forwarding;
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_more"}; }
};

}  // namespace

TEST_CASE("trainer: a method that forgets its parameters' memory, or counts its losses wrongly, is told so by name") {
    SmallTraining bench;
    const auto told = [&](const std::string& run, Method& method) {
        return complaint<std::runtime_error>([&] { bench.train(run, method); });
    };
    Forgetful forgetful(bench.setting(), bench.options);
    CHECK(says(told("forgetful", forgetful), {"'student.fc.bias' has no memory ---> call allocate(options.start())"}));
    Talkative talkative(bench.setting(), bench.options);
    CHECK(says(told("talkative", talkative), {"losses() gives 2 values, the constructor 1 names: loss_own"}));
    Boasting boasting(supervised(bench.setting(), bench.options));
    CHECK(says(told("boasting", boasting), {"a step gives 1 losses", "loss_names() has 2: loss_ce, loss_more"}));
}

TEST_CASE("trainer: after the first epoch nothing is taken from the system") {
    /// Looks at the arena before each epoch.
    struct Watched final : Forwarding {
        Watched(std::unique_ptr<Method> m, const Arena& a) : Forwarding(std::move(m)), arena(a) {}
        void begin_epoch(int epoch) override {
            Forwarding::begin_epoch(epoch);
            allocations.push_back(arena.system_allocations());
        }
        const Arena& arena;
        std::vector<size_t> allocations;
    };
    for (const Make& make : {Make(supervised), Make(kd), Make(reviewkd)}) {
        SmallTraining bench;
        bench.options.epochs = 5;
        Watched method(make(bench.setting(), bench.options), bench.backend().arena());
        bench.train("run", method);
        REQUIRE(method.allocations.size() == 5);
        CHECK(method.allocations[1] > method.allocations[0]);
        for (size_t epoch = 2; epoch < 5; ++epoch) CHECK(method.allocations[epoch] == method.allocations[1]);
        CHECK(bench.backend().arena().system_allocations() == method.allocations[1]);
    }
}

TEST_CASE("run folder: two processes do not train in one folder; the lock ends with its holder") {
    const testing::TempFolder folder;
    {
        RunFolder first = RunFolder::create(folder / "run", {{"seed", "0"}});
        first.lock();
        RunFolder second = RunFolder::reopen(folder / "run");
        CHECK(says(complaint([&] { second.lock(); }), {(folder / "run").string(), "another process is training"}));
    }
    RunFolder third = RunFolder::reopen(folder / "run");
    CHECK_NOTHROW(third.lock());
}

TEST_CASE("trainer: a checkpoint of another run is refused, and the run's files stay as they were") {
    SmallTraining bench;
    bench.outcome("one", supervised);
    bench.options.seed = 2;
    CHECK_THROWS_AS(bench.disturbed("two", supervised, 6, [](StepResult&) { throw PowerCut(); }), PowerCut);
    const std::string epochs = read_file(bench.path("two") / "epochs.csv");
    const fs::path checkpoint = bench.path("two") / "checkpoint.bin";
    const auto refused = [&](const Make& make) { return complaint([&] { bench.outcome("two", make, true); }); };

    SUBCASE("of another seed") {
        fs::copy_file(bench.path("one") / "checkpoint.bin", checkpoint, fs::copy_options::overwrite_existing);
        CHECK(says(refused(supervised), {checkpoint.string(), "written with seed = 1, config.csv has 2", "another folder"}));
    }
    SUBCASE("of another method or network") {
        CHECK(says(refused(kd), {checkpoint.string(), "'table' has 16 values, this training has 20", "another training's"}));
        bench.options.student = "resnet14";
        CHECK(says(refused(supervised), {checkpoint.string(), "'values' has ", "another training's"}));
    }
    SUBCASE("cut or damaged") {
        const std::string whole = read_file(checkpoint);
        write_file_atomically(checkpoint, std::string_view(whole).substr(0, whole.size() / 2));
        CHECK(says(refused(supervised), {checkpoint.string(), "cut short"}));
        std::string flipped = whole;
        flipped[whole.size() / 2] ^= 1;
        write_file_atomically(checkpoint, flipped);
        CHECK(says(refused(supervised), {checkpoint.string(), "damaged"}));
    }
    SUBCASE("with fewer rows in the tables than it counts") {
        write_file_atomically(bench.path("two") / "epochs.csv", epochs.substr(0, epochs.find('\n') + 1));
        CHECK(says(refused(supervised), {"epochs.csv", "has 0 whole rows, the checkpoint expects 1", "another folder"}));
        return;
    }
    CHECK(read_file(bench.path("two") / "epochs.csv") == epochs);
}
