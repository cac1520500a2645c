// NaN stays NaN: no operation makes a number of it that the guards would take for sound, and no row is written of an epoch that it spoilt.
#include <cmath>
#include <limits>

#include "base_training_failed.h"
#include "complaints.h"
#include "gpu_or_skip.h"
#include "gradcheck.h"
#include "net_layers.h"
#include "ops.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

const float nan_value = std::numeric_limits<float>::quiet_NaN();

/// Ones with a NaN in the middle; `channels` of 1, 16 and 20 go through different loops.
Tensor with_nan(Backend& backend, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.size()), -1.0f);
    values[values.size() / 2] = nan_value;
    return Tensor::from_host(backend, shape, values);
}

size_t nans(const Var& v) {
    size_t count = 0;
    for (const float x : v.value().to_host()) count += std::isnan(x);
    return count;
}

void check_all(Backend& backend) {
    for (const int64_t channels : {1, 16, 20, 64}) {
        CAPTURE(channels);
        const Shape s{2, 5, 3, channels};
        const Var x(with_nan(backend, s));
        CHECK(nans(relu(x)) == 1);
        CHECK(nans(leaky_relu(x, 0.1f)) == 1);
        CHECK(nans(max_pool(x, {3, 1, 1})) >= 4);
        for (const float boundary : {-1.0f, 1.0f})
            CHECK(nans(boundary_loss(x, Tensor::from_host(backend, s, std::vector<float>(static_cast<size_t>(s.size()), boundary)))) == 1);

        Parameters p(backend);
        const Conv2d plain(p, "plain", channels, channels, 1),
            biased(p, "biased", channels, channels, 3, 1, ConvInit::framework_default, true);
        const BatchNorm bn(p, "bn", channels);
        p.allocate(1);
        for (const Mode mode : {Mode::train, Mode::evaluate}) CHECK(nans(bn(x, mode, true)) >= 1);
        const NoGrad no_grad;
        const Tensor bias = Tensor::zeros(backend, {1, 1, 1, channels});
        const Var finite(Tensor::zeros(backend, s));
        // One pixel's NaN reaches all its channels: in a convolution by itself, then with each part of its epilogue.
        for (const bool with_bias : {false, true})
            for (const bool residual : {false, true}) {
                CAPTURE(with_bias);
                CAPTURE(residual);
                const Tensor b = with_bias ? bias : Tensor();
                const Var r = residual ? finite : Var();
                CHECK(nans(conv2d_inference(x, plain.weight, b, plain.options, r, true)) == static_cast<size_t>(channels));
                CHECK(nans(conv2d_inference(finite, plain.weight, b, plain.options, residual ? x : Var(), true)) == (residual ? 1 : 0));
            }
        CHECK(nans(conv_bn(x, biased, bn, Mode::evaluate, true)) >= static_cast<size_t>(4 * channels));
    }
}

}  // namespace

TEST_CASE("not finite: NaN goes through ReLU, alone and fused, and through maxima") { check_all(cpu()); }

#ifdef DISTILL_CUDA
TEST_CASE("not finite: on a GPU, NaN goes through ReLU, alone and fused, and through maxima") {
    if (const auto gpu = gpu_or_skip()) check_all(*gpu);
}
#endif

TEST_CASE("not finite: an epoch whose last step spoils a weight leaves no row and no checkpoint, though its loss was finite" *
          doctest::test_suite("no kernels")) {
    SmallTraining t;
    for (const size_t epoch : {0, 1}) {
        CAPTURE(epoch);
        const std::string run = "run" + std::to_string(epoch);
        auto inner = supervised(t.setting(), t.options);
        Parameters& parameters = inner->parameters();
        Disturbed method(std::move(inner), static_cast<int64_t>(4 * epoch + 3),
                         [&](StepResult&) { parameters.momenta().view(0, {}).upload(&nan_value); });
        const std::string said = complaint<TrainingFailed>([&] { t.train(run, method); });
        CHECK(says(said, {epoch == 0 ? "epoch 0, step 3 " : "epoch 1, step 3 ", "a weight is not finite after it", "try a smaller --lr"}));
        CHECK(read_csv(t.path(run) / "epochs.csv").rows.size() == epoch);
        CHECK(read_csv(t.path(run) / "steps.csv").rows.size() == 4 * epoch);
        CHECK(fs::exists(t.path(run) / "checkpoint.bin") == (epoch > 0));
    }
}
