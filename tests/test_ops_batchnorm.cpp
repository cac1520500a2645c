// Batch normalisation against loops in double, its running statistics, its gradients, and folding it into a convolution.
#include <cmath>

#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct Setting {
    Shape x;
    bool relu, residual;
};
const std::vector<Shape> small_shapes{{4, 3, 5, 3},  {2, 4, 4, 16}, {3, 3, 3, 20}, {5, 2, 3, 1},
                                      {33, 1, 1, 7}, {3, 2, 3, 15}, {2, 3, 2, 95}};  // channels of every block, and of all
const std::vector<Shape> large_shapes{{37, 11, 13, 20}};                             // more than one thread works on them

std::vector<Setting> settings(const std::vector<Shape>& shapes) {
    std::vector<Setting> all;
    for (const Shape& x : shapes)
        for (const bool relu : {false, true})
            for (const bool residual : {false, true}) all.push_back({x, relu, residual});
    return all;
}
std::string name_of(const char* operation, const Setting& s) {
    return std::string(operation) + " " + to_string(s.x) + (s.residual ? " + residual" : "") + (s.relu ? ", relu" : "");
}

/// x, γ, β [, residual], chosen so that no value before the ReLU is near 0: |x̂·γ| > 0.25 > |β| + |residual| and more.
std::vector<HostTensor> inputs_of(const Setting& s) {
    const Shape vector{1, 1, 1, s.x.c};
    HostTensor x = off_zero_input("bn x", s.x);
    for (float& v : x.values) v += v > 0 ? 0.3f : -0.3f;
    std::vector<HostTensor> in{x, uniform_input("bn gamma", vector, 0.7f, 1.3f), uniform_input("bn beta", vector, -0.05f, 0.05f)};
    if (s.residual) in.push_back(uniform_input("bn residual", s.x, -0.05f, 0.05f));
    return in;
}

RunningStatistics running_on(Backend& backend, int64_t channels) {
    const HostTensor mean = uniform_input("running mean", {1, 1, 1, channels}, -0.1f, 0.1f);
    const HostTensor variance = uniform_input("running variance", {1, 1, 1, channels}, 0.5f, 1.5f);
    return {Tensor::from_host(backend, mean.shape, mean.values), Tensor::from_host(backend, variance.shape, variance.values)};
}

std::vector<OpCase> batch_cases(const std::vector<Shape>& shapes = small_shapes) {
    std::vector<OpCase> all;
    for (const Setting& s : settings(shapes))
        all.push_back({name_of("batchnorm", s), inputs_of(s), [relu = s.relu](const Inputs& in) {
                           return batchnorm(in[0], in[1], in[2], {}, {1e-5f, 0.1f, relu}, in.size() > 3 ? in[3] : Var());
                       }});
    return all;
}
std::vector<OpCase> running_cases(const std::vector<Shape>& shapes = small_shapes) {
    std::vector<OpCase> all;
    for (const Setting& s : settings(shapes))
        all.push_back({name_of("batchnorm_running", s), inputs_of(s), [s](const Inputs& in) {
                           return batchnorm_running(in[0], in[1], in[2], running_on(in[0].backend(), s.x.c), {1e-5f, 0.1f, s.relu},
                                                    in.size() > 3 ? in[3] : Var());
                       }});
    return all;
}

struct Moments {
    std::vector<double> mean, variance;  ///< of each channel; the variance biased
};
Moments moments_of(const HostTensor& x) {
    const size_t channels = static_cast<size_t>(x.shape.c), rows = static_cast<size_t>(x.shape.pixels());
    Moments m{std::vector<double>(channels), std::vector<double>(channels)};
    for (size_t i = 0; i < x.values.size(); ++i) m.mean[i % channels] += static_cast<double>(x.values[i]) / static_cast<double>(rows);
    for (size_t i = 0; i < x.values.size(); ++i) {
        const double d = x.values[i] - m.mean[i % channels];
        m.variance[i % channels] += d * d / static_cast<double>(rows);
    }
    return m;
}

std::vector<double> naive(const std::vector<HostTensor>& in, const Moments& m, bool relu) {
    const size_t channels = m.mean.size();
    std::vector<double> y;
    for (size_t i = 0; i < in[0].values.size(); ++i) {
        const size_t c = i % channels;
        double v = in[1].values[c] * (in[0].values[i] - m.mean[c]) / std::sqrt(m.variance[c] + 1e-5) + in[2].values[c];
        if (in.size() > 3) v += in[3].values[i];
        y.push_back(relu && v < 0 ? 0 : v);
    }
    return y;
}

std::vector<double> as_double(const Tensor& t) {
    const std::vector<float> values = t.to_host();
    return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("batchnorm: a worked example") {
    // Channel 0: 1, 3 → mean 2, variance 1, unbiased 2. Channel 1: 0, 4 → mean 2, variance 4, unbiased 8.
    const Var x(Tensor::from_host(cpu(), {2, 1, 1, 2}, {1, 0, 3, 4}));
    const Var gamma(Tensor::from_host(cpu(), {1, 1, 1, 2}, {1, 2})), beta(Tensor::from_host(cpu(), {1, 1, 1, 2}, {0, 10}));
    const RunningStatistics running{Tensor::zeros(cpu(), {1, 1, 1, 2}), Tensor::from_host(cpu(), {1, 1, 1, 2}, {1, 1})};
    const Var y = batchnorm(x, gamma, beta, running, {0.0f, 0.1f, false});
    check_values("y", y.value().to_host(), {-1, 8, 1, 12}, 1e-6);
    check_values("running mean", running.mean.to_host(), {0.2, 0.2}, 1e-6);
    check_values("running variance", running.variance.to_host(), {0.9 + 0.2, 0.9 + 0.8}, 1e-6);
    check_values("relu", batchnorm(x, gamma, beta, {}, {0.0f, 0.1f, true}).value().to_host(), {0, 8, 1, 12}, 1e-6);
}

TEST_CASE("batchnorm: one value a channel leaves the running statistics alone") {
    const Var x(Tensor::from_host(cpu(), {1, 1, 1, 2}, {1, 5}));
    const Var gamma(Tensor::from_host(cpu(), {1, 1, 1, 2}, {1, 2})), beta(Tensor::from_host(cpu(), {1, 1, 1, 2}, {3, 10}));
    const RunningStatistics running{Tensor::from_host(cpu(), {1, 1, 1, 2}, {7, 8}), Tensor::from_host(cpu(), {1, 1, 1, 2}, {2, 4})};
    check_values("y", batchnorm(x, gamma, beta, running).value().to_host(), {3, 10}, 1e-3);  // β, less x − mean times 1/√ε
    check_values("running mean", running.mean.to_host(), {7, 8}, 0);
    check_values("running variance", running.variance.to_host(), {2, 4}, 0);
}

TEST_CASE("batchnorm: forward and running statistics like loops in double") {
    std::vector<Shape> shapes = small_shapes;
    shapes.insert(shapes.end(), large_shapes.begin(), large_shapes.end());
    for (const Setting& s : settings(shapes)) {
        const std::vector<HostTensor> in = inputs_of(s);
        const Inputs vars = upload(cpu(), in);
        const Var residual = s.residual ? vars[3] : Var();
        const Moments m = moments_of(in[0]);
        const RunningStatistics running = running_on(cpu(), s.x.c);
        const std::vector<double> mean_before = as_double(running.mean), variance_before = as_double(running.variance);
        const Var y = batchnorm(vars[0], vars[1], vars[2], running, {1e-5f, 0.3f, s.relu}, residual);
        check_values(name_of("batchnorm", s), y.value().to_host(), naive(in, m, s.relu));

        const double rows = static_cast<double>(s.x.pixels());
        std::vector<double> mean, variance;
        for (size_t c = 0; c < m.mean.size(); ++c) {
            mean.push_back(0.7 * mean_before[c] + 0.3 * m.mean[c]);
            variance.push_back(0.7 * variance_before[c] + 0.3 * m.variance[c] * rows / (rows - 1));
        }
        check_values("running mean", running.mean.to_host(), mean);
        check_values("running variance", running.variance.to_host(), variance);

        const Moments kept{as_double(running.mean), as_double(running.variance)};
        const Var evaluated = batchnorm_running(vars[0], vars[1], vars[2], running, {1e-5f, 0.3f, s.relu}, residual);
        check_values(name_of("batchnorm_running", s), evaluated.value().to_host(), naive(in, kept, s.relu));
        CHECK(as_double(running.mean) == kept.mean);  // evaluation leaves them alone
        CHECK(as_double(running.variance) == kept.variance);
    }
}

TEST_CASE("batchnorm: a mean far from zero costs no accuracy in the variance") {
    std::vector<HostTensor> in = inputs_of({{16, 8, 8, 3}, false, false});
    for (float& v : in[0].values) v = 1000 + std::round(v * 64) / 64;  // exact
    const Inputs vars = upload(cpu(), in);
    check_values("batchnorm", batchnorm(vars[0], vars[1], vars[2], {}).value().to_host(), naive(in, moments_of(in[0]), false), 1e-4);
}

TEST_CASE("batchnorm: a constant channel becomes its beta") {
    std::vector<HostTensor> in = inputs_of({{4, 2, 2, 3}, false, false});
    for (float& v : in[0].values) v = 0.7f;
    const Inputs vars = upload(cpu(), in);
    check_values("y", batchnorm(vars[0], vars[1], vars[2], {}).value().to_host(), naive(in, moments_of(in[0]), false), 1e-3);
}

TEST_CASE("batchnorm: gradients") { check_gradients(batch_cases()); }
TEST_CASE("batchnorm_running: gradients") { check_gradients(running_cases()); }

TEST_CASE("batchnorm: gradients into one of the inputs") {
    for (const std::vector<OpCase>& ops : {batch_cases(), running_cases()})
        for (const OpCase& op : {ops[0], ops[3]})
            for (size_t only = 0; only < op.inputs.size(); ++only) {
                OpCase one = op;
                for (size_t i = 0; i < one.inputs.size(); ++i) one.inputs[i].wanted = i == only;
                one.name += ", input " + std::to_string(only) + " alone";
                check_gradients(one);
            }
}

TEST_CASE("batchnorm: the input is its own residual") {
    for (const bool relu : {false, true})
        for (const bool kept : {false, true}) {
            OpCase op{"batchnorm(x) + x", inputs_of({{3, 3, 3, 4}, relu, false}), {}};
            op.run = [relu, kept](const Inputs& in) {
                const BatchNormOptions options{1e-5f, 0.1f, relu};
                return kept ? batchnorm_running(in[0], in[1], in[2], running_on(in[0].backend(), 4), options, in[0])
                            : batchnorm(in[0], in[1], in[2], {}, options, in[0]);
            };
            check_gradients(op);
        }
}

TEST_CASE("fold_batchnorm: one convolution does what convolution and batchnorm_running do") {
    for (const Conv2dOptions& o : {Conv2dOptions{1, 1, 1, 1, 1}, Conv2dOptions{2, 2, 1, 1, 2}}) {
        const Inputs in = upload(cpu(), {uniform_input("x", {2, 5, 6, 4}), uniform_input("w", {6, 3, 3, 4 / o.groups}),
                                         uniform_input("gamma", {1, 1, 1, 6}, 0.5f, 1.5f), uniform_input("beta", {1, 1, 1, 6})});
        const RunningStatistics running = running_on(cpu(), 6);
        const Var expected = batchnorm_running(conv2d(in[0], in[1], o), in[2], in[3], running, {1e-3f, 0.1f, true});
        Tensor w, bias;
        fold_batchnorm(in[1].value(), in[2].value(), in[3].value(), running, 1e-3f, w, bias);
        CHECK(w.shape() == in[1].shape());
        CHECK(bias.shape() == Shape{1, 1, 1, 6});
        check_values("folded", conv2d_inference(in[0], Var(w), bias, o, {}, true).value().to_host(), as_double(expected.value()));

        const Var own = upload(cpu(), {uniform_input("conv's bias", {1, 1, 1, 6})})[0];  // as VGG's convolutions have it
        const Var biased = batchnorm_running(conv2d(in[0], in[1], o, own), in[2], in[3], running, {1e-3f, 0.1f, true});
        fold_batchnorm(in[1].value(), in[2].value(), in[3].value(), running, 1e-3f, w, bias, own.value());
        check_values("folded with a bias", conv2d_inference(in[0], Var(w), bias, o, {}, true).value().to_host(), as_double(biased.value()));
    }
}

TEST_CASE("batchnorm: shapes that do not fit name both") {
    const Var x(Tensor::zeros(cpu(), {2, 3, 3, 4})), three(Tensor::zeros(cpu(), {1, 1, 1, 3})), four(Tensor::zeros(cpu(), {1, 1, 1, 4}));
    CHECK_THROWS_WITH_AS(batchnorm(x, three, four, {}), doctest::Contains("(1,1,1,3)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(batchnorm(x, four, three, {}), doctest::Contains("(2,3,3,4)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(batchnorm(x, four, four, {}, {}, four), doctest::Contains("(1,1,1,4)"), std::runtime_error);
}

TEST_CASE("batchnorm: the number of threads changes no bit") {
    check_threads_do_not_matter(batch_cases(large_shapes));
    check_threads_do_not_matter(running_cases(large_shapes));
}

TEST_CASE("batchnorm: CUDA like the CPU") {
    compare_backends(batch_cases());
    compare_backends(running_cases());
}
