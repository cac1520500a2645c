// Captures, side streams and trainings on a GPU. Without one these cases skip: their logic runs on the stand-in (test_streams.cpp,
// test_replay.cpp), and this is what only the device can tell.
#ifdef DISTILL_CUDA
#include "base_files.h"
#include "complaints.h"
#include "core_streams.h"
#include "device.h"
#include "gpu_or_skip.h"
#include "gpu_status.h"
#include "launch_kernels.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

const Shape vector{1, 1, 1, 1 << 20};
std::vector<float> all(float value) { return std::vector<float>(static_cast<size_t>(vector.size()), value); }

}  // namespace

TEST_CASE("cuda replay: one graph with its side streams, on memory of its own, as often as asked") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Tensor total = Tensor::zeros(*gpu, vector), one(*gpu, vector);
    fill(one, 1);
    const auto replay = gpu->capture([&] {
        std::vector<Var> parts;
        for (const int side : {1, 2}) {
            const OnStream beside(*gpu, side);
            parts.push_back(scale(Var(one), static_cast<float>(side)));
        }
        parts.push_back(scale(Var(one), 3));
        join(*gpu);
        add_tensors(total, add(add(parts[0], parts[1]), parts[2]).value(), total);
    });
    REQUIRE(replay);
    CHECK(total.to_host() == all(0));
    for (int run = 0; run < 20; ++run) replay->run();
    std::vector<Tensor> others;
    for (int i = 0; i < 10; ++i) others.emplace_back(*gpu, vector), fill(others.back(), -1);
    for (int run = 0; run < 20; ++run) replay->run();
    CHECK(total.to_host() == all(240));
    for (const Tensor& other : others) CHECK(other.to_host() == all(-1));
}

TEST_CASE("cuda replay: an exception while recording comes through, and the device goes on") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Tensor x(*gpu, vector);
    fill(x, 3);
    const auto fails = [&](const std::function<void()>& last) {
        return complaint<std::runtime_error>([&] {
            gpu->capture([&] {
                fill(x, 7);
                const OnStream beside(*gpu, 1);
                tanh(Var(x));
                last();
            });
        });
    };
    CHECK(says(fails([] { failure("stop here"); }), {"stop here"}));
    CHECK(says(fails([&] { x.to_host(); }), {"in a step that is being captured"}));
    CHECK(says(fails([&] { gpu->synchronize(); }), {"in a step that is being captured"}));
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    CHECK(x.to_host() == all(3));
    join(*gpu);
    gpu->arena().begin_step();
    const auto replay = gpu->capture([&] { fill(x, 7); });
    replay->run();
    CHECK(x.to_host() == all(7));
}

TEST_CASE("cuda replay: pacing lets all work through") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Tensor x(*gpu, vector), one(*gpu, vector);
    fill(x, 0);
    fill(one, 1);
    for (int step = 0; step < 50; ++step) add_tensors(x, one, x), gpu->pace();
    CHECK(x.to_host() == all(50));
}

TEST_CASE("cuda replay: trainings repeat bit for bit, and go on to the bit where they were cut") {
    for (const Make& make : {Make(supervised), Make(kd), Make(reviewkd)}) {
        auto gpu = gpu_or_skip();
        if (!gpu) return;
        SmallTraining training(std::move(gpu));
        const Outcome whole = training.outcome("whole", make);
        CHECK(training.outcome("again", make) == whole);
        CHECK_THROWS_AS(training.disturbed("cut", make, 1, [](StepResult&) { std::raise(SIGINT); }), Interrupted);
        CHECK(training.outcome("cut", make, true) == whole);
        CHECK(read_file(training.path("cut") / "steps.csv") == read_file(training.path("whole") / "steps.csv"));
    }
}
#endif
