// The gradient checker is itself checked: every mistake planted here must be found.
#include <cmath>
#include <limits>

#include "exact_conv.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

const double tolerance = OpCase{}.tolerance;

/// mean(x²) by hand, its backward scaled and offset by what the test plants.
Operation mean_square_with(float factor, float offset) {
    return [=](const Inputs& in) {
        const Var x = in[0];
        const std::vector<float> values = x.value().to_host();
        const auto n = static_cast<float>(values.size());
        double sum = 0;
        for (float v : values) sum += static_cast<double>(v) * v;
        Var y = result_of(Tensor::from_host(x.backend(), {1, 1, 1, 1}, {static_cast<float>(sum / n)}), x);
        record(y, [=] {
            const float dy = take_gradient(y).item();
            std::vector<float> dx = values;
            for (float& v : dx) v = dy * factor * 2 * v / n + offset;
            give_gradient(x, Tensor::from_host(x.backend(), x.shape(), dx));
        });
        return y;
    };
}

double error_of(const Operation& run, const HostTensor& x) { return worst_gradient_error(cpu(), {x}, run).worst; }

}  // namespace

TEST_CASE("gradcheck: a right gradient passes, also where it is small") {
    for (const int64_t n : {3, 400, 2000}) {  // at 2000 the largest gradient is 1e-3: a tolerance with a floor of 1 would pass anything
        const double error = error_of(mean_square_with(1, 0), uniform_input("x", {1, 1, 1, n}));
        CHECK(error <= tolerance);
        CHECK(error > 0);
    }
}

TEST_CASE("gradcheck: planted mistakes are found") {
    const HostTensor x = uniform_input("x", {1, 1, 1, 400});
    CHECK(error_of(mean_square_with(-1, 0), x) == doctest::Approx(2).epsilon(0.01));     // a flipped sign
    CHECK(error_of(mean_square_with(400, 0), x) == doctest::Approx(399).epsilon(0.01));  // a dropped 1/N
    CHECK(error_of(mean_square_with(0, 0), x) == doctest::Approx(1).epsilon(0.01));      // zero
    CHECK(error_of(mean_square_with(0.99f, 0), x) > tolerance);                          // one per cent too small
    CHECK(error_of(mean_square_with(1, 5e-5f), x) > tolerance);                          // one per cent of the largest beside it
    CHECK(std::isinf(error_of(mean_square_with(std::nanf(""), 0), x)));
    CHECK(std::isinf(error_of(mean_square_with(std::numeric_limits<float>::infinity(), 0), x)));
}

TEST_CASE("gradcheck: one wrong element among many is found") {
    const Operation run = [](const Inputs& in) {
        const Var x = in[0];
        Var y = result_of(Tensor::from_host(x.backend(), x.shape(), x.value().to_host()), x);
        record(y, [=] {
            std::vector<float> dx = take_gradient(y).to_host();
            dx[17] = std::nanf("");  // not among the elements with numeric gradients
            give_gradient(x, Tensor::from_host(x.backend(), x.shape(), dx));
        });
        return y;
    };
    CHECK(std::isinf(error_of(run, uniform_input("x", {1, 1, 1, 1000}))));
}

TEST_CASE("gradcheck: gradients that are missing, unwanted or say nothing are found") {
    const HostTensor x = uniform_input("x", {2, 1, 1, 5});
    const Operation cut = [](const Inputs& in) { return in[0].detached(); };
    CHECK(worst_gradient_error(cpu(), {x}, cut).where.find("got no gradient") != std::string::npos);
    CHECK(worst_gradient_error(cpu(), {without_gradient(x)}, cut).where == "no input wants a gradient");

    // The objective does not move with x: a test that passed here would pass a missing gradient, too.
    const Operation zero = [](const Inputs& in) { return scale(in[0], 0.0f); };
    CHECK(worst_gradient_error(cpu(), {x}, zero).where.find("largest numeric gradient is 0") != std::string::npos);

    const Operation forced = [](const Inputs& in) {
        in[1].node().gradient = in[1].value();
        in[1].node().has_gradient = true;
        return scale(in[0], 2.0f);
    };
    CHECK(worst_gradient_error(cpu(), {x, without_gradient(x)}, forced).where.find("did not want") != std::string::npos);
}

TEST_CASE("gradcheck: what compares numbers finds one that is none, wherever it stands") {
    const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    CHECK(worse(1, nan) == infinity);
    CHECK(worse(nan, 1) == infinity);
    CHECK(worse(infinity, 1) == infinity);
    CHECK(worse(1, 2) == 2);
    const std::vector<double> right{1, -2, 3};
    CHECK(largest_difference(std::vector<float>{1, -4, 3}, right) == 2);
    for (size_t at = 0; at < right.size(); ++at) {
        std::vector<float> found{1, -2, 3};
        CHECK(largest_difference(found, right) == 0);
        found[at] = std::nanf("");
        CHECK(largest_difference(found, right) == infinity);
        CHECK(error(found, right) == infinity);
        found[at] = std::numeric_limits<float>::infinity();
        CHECK(largest_difference(found, right) == infinity);
    }
}

TEST_CASE("gradcheck: a result that is not finite is found") {
    const Operation run = [](const Inputs& in) { return scale(in[0], std::numeric_limits<float>::infinity()); };
    CHECK(std::isinf(error_of(run, uniform_input("x", {1, 1, 1, 4}))));
}
