// A step recorded once and replayed: on a backend that records pointers and numbers as they are, as a GPU does.
#include "base_files.h"
#include "complaints.h"
#include "core_streams.h"
#include "device.h"
#include "forwarding_method.h"
#include "launch_kernels.h"
#include "ops.h"
#include "queued_backend.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

constexpr Order orders[] = {Order::main_first, Order::sides_first, Order::shuffled};
const Shape vector{1, 1, 1, 1000};

std::vector<float> all(float value) { return std::vector<float>(1000, value); }

}  // namespace

TEST_CASE("replay: the CPU records nothing and calls nothing") {
    const auto backend = make_backend("cpu");
    int calls = 0;
    CHECK(backend->capture([&] { ++calls; }) == nullptr);
    CHECK(calls == 0);
}

TEST_CASE("replay: recorded work runs only when replayed, as often as asked, on memory of its own") {
    QueuedBackend backend(Order::main_first);
    const Tensor total = Tensor::zeros(backend, vector), one(backend, vector);
    fill(one, 1);
    const auto replay = backend.capture([&] {
        Var doubled;
        {
            const OnStream beside(backend, 1);
            doubled = scale(Var(one), 2);
        }
        const Var tripled = scale(Var(one), 3);
        join(backend);
        add_tensors(total, add(doubled, tripled).value(), total);
    });
    CHECK(total.to_host() == all(0));
    for (int run = 1; run <= 3; ++run) {
        replay->run();
        backend.arena().begin_step();
        std::vector<Tensor> others;  // made while the replay waits in the queue, and overwritten behind it
        for (int i = 0; i < 10; ++i) others.emplace_back(backend, vector), fill(others.back(), -1);
        CHECK(total.to_host() == all(5.0f * static_cast<float>(run)));
        for (const Tensor& other : others) CHECK(other.to_host() == all(-1));
        replay->run();
        replay->run();
        for (const Tensor& other : others) CHECK(other.to_host() == all(-1));
        fill(total, 5.0f * static_cast<float>(run));
    }
}

TEST_CASE("replay: an exception while recording comes through, and the backend is as before") {
    QueuedBackend backend(Order::main_first);
    const Tensor x(backend, vector);
    fill(x, 3);
    backend.arena().begin_step();
    const Tensor host(backend, vector);
    const auto fails = [&](const std::function<void()>& last) {
        return complaint<std::runtime_error>([&] {
            backend.capture([&] {
                fill(x, 7);
                const OnStream beside(backend, 1);
                tanh(Var(x));
                last();
            });
        });
    };
    CHECK(says(fails([] { failure("stop here"); }), {"stop here"}));
    CHECK(backend.current_stream() == 0);
    for (const std::string& said :
         {fails([&] { Tensor(host).upload(all(1).data()); }), fails([&] { x.to_host(); }), fails([&] { backend.synchronize(); })})
        CHECK(says(said, {"in a step that is being captured"}));
    CHECK(x.to_host() == all(3));  // nothing of it ran
    join(backend);
    backend.arena().begin_step();
    const auto replay = backend.capture([&] { fill(x, 7); });
    replay->run();
    CHECK(x.to_host() == all(7));
}

TEST_CASE("replay: trainings equal the CPU's to the bit, and each step but two is one launch") {
    for (const auto& [name, make] : {std::pair<std::string, Make>{"supervised", supervised}, {"kd", kd}, {"reviewkd", reviewkd}}) {
        CAPTURE(name);
        SmallTraining plain;
        const Outcome expected = plain.outcome("run", make);
        for (const Order order : orders) {
            auto owned = std::make_unique<QueuedBackend>(order);
            const QueuedBackend& backend = *owned;
            SmallTraining queued(std::move(owned));
            CHECK(queued.outcome("run", make) == expected);
            CHECK(read_file(queued.path("run") / "steps.csv") == read_file(plain.path("run") / "steps.csv"));
            // Three epochs of three batches of 32 and one of 4: steps 0 and 3 run as they are, steps 1 and 7 are recorded.
            REQUIRE(backend.captured.size() == 2);
            REQUIRE(backend.step_queued.size() == 12);
            CHECK(backend.step_queued[3] == backend.captured[1]);  // an eager step queues what a record holds
            for (const size_t step : {1, 2, 5, 6, 7, 9, 10, 11}) CHECK(backend.step_queued[step] == 1);
        }
    }
}

TEST_CASE("replay: an interrupted training goes on to the bit, from the middle of an epoch too") {
    SmallTraining plain;
    const Outcome expected = plain.outcome("run", kd);
    // Counted in calls of step(): the first of 32 images, the one recorded, the first of 4 (step 3), that size's record (step 7).
    for (const int64_t call : {0, 1, 2, 3}) {
        CAPTURE(call);
        SmallTraining queued(std::make_unique<QueuedBackend>(Order::shuffled));
        const auto cut = [&](int64_t at, bool resume) {
            queued.disturbed(
                "cut", kd, at, [](StepResult&) { std::raise(SIGINT); }, resume);
        };
        CHECK_THROWS_AS(cut(call, false), Interrupted);
        if (call == 0) CHECK_THROWS_AS(cut(1, true), Interrupted);
        CHECK(queued.outcome("cut", kd, true) == expected);
        CHECK(read_file(queued.path("cut") / "steps.csv") == read_file(plain.path("run") / "steps.csv"));
    }
}

TEST_CASE("replay: a number that the host changes from step to step would be seen") {
    /// Weights the loss by a host variable that moves: what Method::step() must not do.
    struct Drifting final : Forwarding {
        using Forwarding::Forwarding;
        StepResult step(const Batch& batch) override {
            StepResult r = Forwarding::step(batch);
            r.loss = scale(r.loss, factor *= 0.5f);
            return r;
        }
        float factor = 1;
    };
    const auto drifting = [](const Setting& s, const Options& o) -> std::unique_ptr<Method> {
        return std::make_unique<Drifting>(supervised(s, o));
    };
    SmallTraining plain, queued(std::make_unique<QueuedBackend>(Order::main_first));
    CHECK_FALSE(queued.outcome("run", drifting) == plain.outcome("run", drifting));
}

TEST_CASE("replay: a loss that is not finite is told at the epoch's end") {
    SmallTraining queued(std::make_unique<QueuedBackend>(Order::main_first));
    queued.options.lr = 1e38;
    const auto method = supervised(queued.setting(), queued.options);
    const std::string said = complaint<std::runtime_error>([&] { queued.train("run", *method); });
    CHECK(says(said, {"epoch 0, step 1 ", "the loss is ", "loss_ce ", "try a smaller --lr", "No checkpoint had been written"}));
}

TEST_CASE("replay: after the second epoch nothing is taken from the system") {
    std::vector<size_t> allocations;
    for (const int epochs : {2, 6}) {
        SmallTraining queued(std::make_unique<QueuedBackend>(Order::shuffled));
        queued.options.epochs = epochs;
        queued.outcome("run", reviewkd);
        allocations.push_back(queued.backend().arena().system_allocations());
    }
    CHECK(allocations[0] == allocations[1]);
}

TEST_SUITE_END();
