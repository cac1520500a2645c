// What is trained before the student: its own rates and SGD, losses that are not finite, stops at any step.
#include <cmath>
#include <limits>

#include "base_training_failed.h"
#include "command.h"
#include "complaints.h"
#include "queued_backend.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// Prepares the student's own parameters, as FSP and AB do: first its last map shall be the teacher's, times `weight`. Then cross-entropy.
class MapFirst final : public StudentMethod {
  public:
    MapFirst(const Setting& setting, const Options& o, float map_weight = 1)
        : StudentMethod(setting, o), weight(map_weight), teacher_(setting.teacher()) {
        parameters_.allocate(o.seed);
    }
    std::vector<std::string> loss_names() const override { return {"loss_ce"}; }
    std::vector<Phase> phases() override {
        Phase p;
        p.epochs = 3;
        p.parameters = &parameters_;
        p.loss = "loss_map";
        p.rate = [](int epoch) { return epoch < 2 ? 0.1 : 0.01; };
        p.sgd = {0.5f, 0.25f, false};
        p.step = [this](const Batch& batch) {
            look_at(batch);
            const Beside<Output> shown = teacher_(batch.images);
            const Var own = student_->forward(batch.images, Mode::train).map();
            return scale(mse(own, shown->map()), weight);
        };
        if (phases_of_two) {
            Phase again = p;
            again.name = "again";
            again.epochs = 1;
            again.rate = {};
            return {p, again};
        }
        return {p};
    }
    StepResult step(const Batch& batch) override {
        look_at(batch);
        if (first_values.empty()) first_values = parameters_.values().to_host(), first_momenta = parameters_.momenta().to_host();
        const Var logits = student_->forward(batch.images, Mode::train).logits;
        const Var ce = cross_entropy(logits, batch.labels);
        return {ce, {ce}, logits};
    }
    float weight;
    bool phases_of_two = false;
    std::vector<float> first_values, first_momenta;  ///< at the student's first step
    struct Seen {
        std::vector<int32_t> records;
        std::vector<float> images;
    };
    bool looks = false;      ///< at what it is given
    std::vector<Seen> seen;  ///< one a step

  private:
    void look_at(const Batch& batch) {
        if (looks) seen.push_back({batch.records.ints_to_host(), batch.images.value().to_host()});
    }
    const Teacher& teacher_;
};

std::unique_ptr<Method> map_first(const Setting& s, const Options& o) { return std::make_unique<MapFirst>(s, o); }

constexpr float infinite = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("preparation: its own rates and SGD; the student begins with its weights and without momentum") {
    SmallTraining t;
    t.options.epochs = 1;
    MapFirst method(t.setting(), t.options, 0);  // no gradient but the decay's
    const std::vector<float> start = method.parameters().values().to_host();
    t.train("run", method);
    const CsvTable rows = read_csv(t.path("run") / "preparation.csv");
    CHECK(rows.columns == std::vector<std::string>{"epoch", "lr", "loss_map", "seconds"});
    REQUIRE(rows.rows.size() == 3);
    double factor = 1, velocity = 0;  // of a weight that starts as 1: v ← 0.5·v + 0.25·w, w ← w − lr·v
    for (size_t epoch = 0; epoch < 3; ++epoch) {
        const double rate = epoch < 2 ? 0.1 : 0.01;
        CHECK(rows.cell_number(epoch, "lr") == doctest::Approx(rate));
        for (int step = 0; step < 4; ++step) velocity = 0.5 * velocity + 0.25 * factor, factor -= rate * velocity;
    }
    REQUIRE(method.first_values.size() == start.size());
    double worst = 0;
    for (size_t i = 0; i < start.size(); ++i)
        worst = worse(worst, std::fabs(static_cast<double>(method.first_values[i]) - factor * static_cast<double>(start[i])));
    CHECK(worst < 1e-6);
    for (const float v : method.first_momenta) REQUIRE(v == 0);
}

TEST_CASE("preparation: each phase and the student see batches and crops of their own, without shuffling and crops the same") {
    for (const bool drawn : {true, false}) {
        SmallTraining t;
        t.options.epochs = 1;
        t.options.shuffle = drawn;
        t.options.augment = drawn ? "crop-flip" : "none";
        MapFirst method(t.setting(), t.options);
        method.phases_of_two = method.looks = true;
        t.train("run", method);
        REQUIRE(method.seen.size() == (3 + 1 + 1) * 4);
        const size_t first[] = {0, 3 * 4, 4 * 4};  // steps of the phases and of the student, of epoch 0 each
        for (const auto& [a, b] : {std::pair{0, 1}, {0, 2}, {1, 2}}) {
            CHECK((method.seen[first[a]].records != method.seen[first[b]].records) == drawn);
            CHECK((method.seen[first[a]].images != method.seen[first[b]].images) == drawn);
        }
    }
}

TEST_CASE("preparation: of the student's own parameters, stopped at any step, it goes on to the bit") {
    SmallTraining t;
    t.options.epochs = 2;
    const Outcome whole = t.outcome("whole", map_first);
    for (const int at : {1, 3, 6, 11}) {  // in an epoch, at its end, in another, at the end of all
        const std::string run = "cut" + std::to_string(at);
        {
            DisturbedPreparation method(map_first(t.setting(), t.options), at, [] { std::raise(SIGTERM); });
            const std::string message = complaint<Interrupted>([&] { t.train(run, method); });
            CHECK(says(message, {text("interrupted in epoch ", at / 4 + 1, " of the preparation"), "--resume --run", run}));
        }
        CHECK(t.outcome(run, map_first, true) == whole);
    }
    {
        DisturbedPreparation method(map_first(t.setting(), t.options), 6, [] { std::raise(SIGTERM); });
        CHECK_THROWS_AS(t.train("earlier", method), Interrupted);
        const fs::path file = t.path("earlier") / "checkpoint.bin";
        Checkpoint c = read_checkpoint(file);
        REQUIRE(c.counters.erase("preparation.own_draws") == 1);  // as earlier versions wrote it
        write_checkpoint(file, c);
        CHECK(says(complaint([&] { t.outcome("earlier", map_first, true); }),
                   {file.string(), "its preparation was begun by an earlier version"}));
    }
    CHECK_THROWS_AS(t.disturbed("late", map_first, 5, [](StepResult&) { std::raise(SIGTERM); }), Interrupted);
    CHECK(t.outcome("late", map_first, true) == whole);
}

TEST_CASE("preparation: one phase after the other, stopped in each, before and after, they go on to the bit") {
    SmallTraining t;
    t.options.epochs = 2;
    const Make two = [](const Setting& s, const Options& o) {
        auto method = std::make_unique<MapFirst>(s, o);
        method->phases_of_two = true;
        return method;
    };
    const Outcome whole = t.outcome("whole", two);
    const CsvTable first = read_csv(t.path("whole") / "preparation.csv"), second = read_csv(t.path("whole") / "again.csv");
    CHECK(first.rows.size() == 3);
    REQUIRE(second.rows.size() == 1);
    CHECK(second.cell_number(0, "lr") == t.options.lr);
    CHECK(second.cell_number(0, "loss_map") < first.cell_number(0, "loss_map"));
    CHECK_FALSE(t.outcome("one", map_first) == whole);
    for (const int at : {2, 11}) {
        const std::string run = "cut" + std::to_string(at);
        DisturbedPreparation method(two(t.setting(), t.options), at, [] { std::raise(SIGTERM); });
        CHECK(says(complaint<Interrupted>([&] { t.train(run, method); }), {" of the preparation"}));
        CHECK(t.outcome(run, two, true) == whole);
        CHECK(without_seconds(t.path(run) / "again.csv") == without_seconds(t.path("whole") / "again.csv"));
    }
    for (const int at : {0, 2, 3}) {  // steps of the second phase
        const std::string run = "later" + std::to_string(at);
        auto inner = two(t.setting(), t.options);
        DisturbedPreparation method(
            std::move(inner), at, [] { std::raise(SIGTERM); }, 1);
        CHECK(says(complaint<Interrupted>([&] { t.train(run, method); }), {"interrupted in epoch 1 of the again after step "}));
        CHECK(t.outcome(run, two, true) == whole);
    }
    CHECK_THROWS_AS(t.disturbed("last", two, 5, [](StepResult&) { std::raise(SIGTERM); }), Interrupted);
    CHECK(t.outcome("last", two, true) == whole);
}

TEST_CASE("preparation: --max-steps holds for it by itself") {
    SmallTraining t;
    t.options.max_steps = 6;
    const Outcome o = t.outcome("run", map_first);
    CHECK(read_csv(t.path("run") / "preparation.csv").rows.size() == 2);
    CHECK(o.epochs.rows.size() == 2);
}

TEST_CASE("preparation: a loss that is not finite is noticed at once on the CPU, elsewhere at the epoch's end; weights stay sound") {
    {
        SmallTraining t;
        auto inner = std::make_unique<MapFirst>(t.setting(), t.options);
        float& weight = inner->weight;
        DisturbedPreparation method(std::move(inner), 5, [&weight] { weight = infinite; });
        const std::string message = complaint<TrainingFailed>([&] { t.train("run", method); });
        CHECK(says(message, {"preparation, epoch 1, step 1 (counted from 0): loss_map is", "smaller learning rate"}));
        CHECK(read_csv(t.path("run") / "preparation.csv").rows.size() == 1);
        CHECK(t.outcome("run", map_first, true) == t.outcome("whole", map_first));  // from the checkpoint after epoch 0
    }
    {  // a finite loss, and an update that is not
        SmallTraining t;
        auto inner = map_first(t.setting(), t.options);
        const Parameters* p = inner->phases().front().parameters;
        const float spoilt = std::numeric_limits<float>::quiet_NaN();
        DisturbedPreparation method(std::move(inner), 7, [&] { p->momenta().view(0, {}).upload(&spoilt); });
        const std::string message = complaint<TrainingFailed>([&] { t.train("spoilt", method); });
        CHECK(says(message, {"preparation, epoch 1, step 3 (counted from 0): a weight is not finite after it"}));
        CHECK(read_csv(t.path("spoilt") / "preparation.csv").rows.size() == 1);
    }
    SmallTraining queued(std::make_unique<QueuedBackend>(Order::shuffled));
    MapFirst method(queued.setting(), queued.options, infinite);
    const std::string message = complaint<TrainingFailed>([&] { queued.train("run", method); });
    CHECK(says(message, {"preparation, epoch 0, step 0 (counted from 0): loss_map is"}));
    CHECK_FALSE(fs::exists(queued.path("run") / "checkpoint.bin"));
}
