#include "gradcheck.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base_error.h"
#include "core_philox.h"
#include "cpu_backend.h"
#include "device.h"
#include "launch.h"
#include "ops.h"

namespace distill::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<float> random_values(const std::string& name, int64_t n, float low, float high) {
    std::vector<float> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) values[i] = low + (high - low) * uniform(philox(hash_name(name), i).v[0]);
    return values;
}

/// The fixed direction that results are projected on. Away from zero, so that no element goes unseen.
std::vector<float> projection(int64_t n) {
    std::vector<float> r = random_values("projection", n, 0.5f, 1.5f);
    const std::vector<float> sign = random_values("projection sign", n, -1, 1);
    for (size_t i = 0; i < r.size(); ++i) r[i] = sign[i] < 0 ? -r[i] : r[i];
    return r;
}

double objective(const Operation& run, const Inputs& inputs) {
    const std::vector<float> y = run(inputs).value().to_host(), r = projection(static_cast<int64_t>(y.size()));
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * r[i];
    return sum;
}

float largest(const std::vector<float>& values) {
    float top = 0;
    for (float v : values) top = std::max(top, std::fabs(v));
    return top;
}

/// d(objective)/d(element), from objectives one and two steps to both sides.
double numeric_gradient(const Operation& run, const Inputs& inputs, size_t input, size_t element, const HostTensor& at, float step) {
    Tensor leaf = inputs[input].value();
    const auto moved = [&](float by) {
        std::vector<float> values = at.values;
        values[element] += by;
        leaf.upload(values.data());
        const double f = objective(run, inputs);
        leaf.upload(at.values.data());
        return std::pair(f, static_cast<double>(values[element]) - at.values[element]);  // as rounded
    };
    const auto [far_right, dfr] = moved(2 * step);
    const auto [right, dr] = moved(step);
    const auto [left, dl] = moved(-step);
    const auto [far_left, dfl] = moved(-2 * step);
    return (4 * (right - left) / (dr - dl) - (far_right - far_left) / (dfr - dfl)) / 3;
}

/// At most 40 elements: 30 spread over the tensor, and the 10 whose analytic gradients are the largest (few may differ from zero).
std::vector<size_t> sample(const std::vector<float>& analytic) {
    constexpr size_t spread = 30, largest_ones = 10;
    const size_t n = analytic.size();
    std::vector<size_t> chosen(n);
    std::iota(chosen.begin(), chosen.end(), size_t{0});
    if (n <= spread + largest_ones) return chosen;
    const auto larger = [&](size_t i, size_t j) { return std::fabs(analytic[i]) > std::fabs(analytic[j]); };
    std::partial_sort(chosen.begin(), chosen.begin() + largest_ones, chosen.end(), larger);
    chosen.resize(largest_ones);
    for (size_t i = 0; i < spread; ++i) chosen.push_back((i * n + philox(n, i).v[0] % n) / spread);
    return chosen;
}

std::vector<float> gradient_of(const Var& leaf) { return leaf.node().has_gradient ? leaf.node().gradient.to_host() : std::vector<float>(); }

/// The result and, one by one, the gradients of what wants one; from the gradient `dy` of the result.
std::vector<std::vector<float>> all_values(Backend& backend, const OpCase& op, const std::vector<float>& dy, DType maps = DType::f32) {
    const Inputs inputs = upload(backend, op.inputs, maps);
    const Var y = run_backward(op.run, inputs, dy);
    std::vector<std::vector<float>> values{y.value().to_host()};
    for (const Var& input : inputs) {
        values.push_back(gradient_of(input));
        if (input.node().has_gradient) CHECK_MESSAGE(input.node().gradient.type() == input.type(), op.name, ": a gradient of another type");
    }
    return values;
}
std::vector<std::vector<float>> all_values(Backend& backend, const OpCase& op) {
    return all_values(backend, op, projection(op.run(upload(backend, op.inputs)).shape().size()));
}

}  // namespace

Backend& cpu() {
    static const std::unique_ptr<Backend> backend = make_backend("cpu");
    return *backend;
}

Backend& exact_cpu() {
    static const std::unique_ptr<Backend> backend = make_cpu_backend({0, Precision::fp32, true, false});
    return *backend;
}

Backend* bf16_cpu_or_skip() {
    static std::unique_ptr<Backend> backend;
    try {
        if (!backend) backend = make_cpu_backend({0, Precision::bf16});
    } catch (const InputError& e) {
        skip(e.what());
    }
    return backend.get();
}

HostTensor uniform_input(const std::string& name, Shape shape, float low, float high) {
    return {shape, random_values(name, shape.size(), low, high)};
}

HostTensor off_zero_input(const std::string& name, Shape shape) {
    HostTensor t{shape, random_values(name, shape.size(), -0.8f, 0.8f)};
    for (float& v : t.values) v += v < 0 ? -0.2f : 0.2f;
    return t;
}

HostTensor distinct_input(const std::string& name, Shape shape) {
    HostTensor t{shape, std::vector<float>(static_cast<size_t>(shape.size()))};
    const size_t n = t.values.size();
    for (size_t i = 0; i < n; ++i) t.values[i] = n > 1 ? -1 + 2 * static_cast<float>(i) / static_cast<float>(n - 1) : 1;
    for (size_t i = n; i-- > 1;) std::swap(t.values[i], t.values[philox(hash_name(name), i).v[0] % (i + 1)]);
    return t;
}

HostTensor without_gradient(HostTensor input) {
    input.wanted = false;
    return input;
}

HostTensor as_map(HostTensor input) {
    input.map = true;
    return input;
}

Inputs upload(Backend& backend, const std::vector<HostTensor>& inputs, DType maps) {
    Inputs vars;
    for (const HostTensor& t : inputs) {
        Tensor values(backend, t.shape, t.map ? maps : DType::f32);
        values.upload(t.values.data());
        vars.emplace_back(values, t.wanted);
    }
    return vars;
}

Var gated(const Var& x, const Var& gate, int64_t channel) {  // the gate's channel spread by a 1×1 convolution
    const int64_t channels = x.shape().c, gates = gate.shape().c;
    std::vector<float> weights(static_cast<size_t>(channels * gates));
    for (int64_t c = 0; c < channels; ++c) weights[static_cast<size_t>(c * gates + channel)] = 1;
    return mul(x, conv2d(gate, Var(Tensor::from_host(x.backend(), {channels, 1, 1, gates}, weights))));
}

Var run_backward(const Operation& run, const Inputs& inputs, const std::vector<float>& dy) {
    Tape tape;
    const Recording recording(&tape);
    Var y = run(inputs);
    if (y.needs_gradient()) {
        y.node().gradient = Tensor::like(y.value());
        y.node().gradient.upload(dy.data());
        y.node().has_gradient = true;
    }
    // The gradient is set by hand: the checker must not lean on the operations that it checks. The tape's own loss is a constant.
    tape.backward(Var(Tensor::zeros(y.backend(), {1, 1, 1, 1})));
    return y;
}

GradientError worst_gradient_error(Backend& backend, const std::vector<HostTensor>& host, const Operation& run) {
    const Inputs inputs = upload(backend, host);
    run_backward(run, inputs, projection(run(inputs).shape().size()));

    GradientError error;
    const auto consider = [&](double e, const std::string& where) {
        if (std::isnan(e)) e = infinity;
        if (error.where.empty() || e > error.worst) error = {e, where};
    };
    for (size_t k = 0; k < inputs.size(); ++k) {
        const std::string input = text("input ", k, " ", to_string(host[k].shape));
        const std::vector<float> analytic = gradient_of(inputs[k]);
        if (!host[k].wanted) {
            if (!analytic.empty()) consider(infinity, input + " got a gradient that it did not want");
            continue;
        }
        if (analytic.empty()) {
            consider(infinity, input + " got no gradient");
            continue;
        }
        const auto odd = std::find_if(analytic.begin(), analytic.end(), [](float v) { return !std::isfinite(v); });
        if (odd != analytic.end()) {
            consider(infinity, text(input, "[", odd - analytic.begin(), "]: analytic ", *odd));
            continue;
        }

        const std::vector<size_t> elements = sample(analytic);
        std::vector<double> numeric;
        double scale = 0;
        for (const size_t i : elements) {
            numeric.push_back(numeric_gradient(run, inputs, k, i, host[k], 0.02f * largest(host[k].values)));
            if (!std::isfinite(numeric.back())) scale = infinity;
            scale = std::max(scale, std::fabs(numeric.back()));
        }
        if (!(scale > 0) || std::isinf(scale)) {
            consider(infinity, text(input, ": the largest numeric gradient is ", scale));
            continue;
        }
        for (size_t i = 0; i < elements.size(); ++i)
            consider(std::fabs(numeric[i] - analytic[elements[i]]) / scale,
                     text(input, "[", elements[i], "]: numeric ", numeric[i], ", analytic ", analytic[elements[i]]));
    }
    if (error.where.empty()) consider(infinity, "no input wants a gradient");
    return error;
}

void check_gradients(const OpCase& op, Backend& backend) {
    const GradientError error = worst_gradient_error(backend, op.inputs, op.run);
    CHECK_MESSAGE(error.worst <= op.tolerance, op.name, ": relative error ", error.worst, " at ", error.where);
}

void check_gradients(const std::vector<OpCase>& ops) {
    for (const OpCase& op : ops) check_gradients(op);
}

void check_values(const std::string& what, const std::vector<float>& found, const std::vector<double>& expected, double tolerance) {
    REQUIRE_MESSAGE(found.size() == expected.size(), what, ": ", found.size(), " values, expected ", expected.size());
    double scale = 0, worst = -1;
    size_t at = 0;
    for (double v : expected) scale = std::max(scale, std::fabs(v));
    for (size_t i = 0; i < found.size(); ++i) {
        double e = std::fabs(found[i] - expected[i]);
        if (std::isnan(e)) e = infinity;
        if (e > worst) worst = e, at = i;
    }
    CHECK_MESSAGE(worst <= tolerance * scale, what, "[", at, "]: found ", found[at], ", expected ", expected[at], ", tolerance ",
                  tolerance * scale);
}

void compare_backends(const std::vector<OpCase>& ops) {
#if defined(DISTILL_CUDA) || defined(DISTILL_EMULATE_GPU)
#ifdef DISTILL_CUDA
    if (cuda_device_count() == 0) return skip("no CUDA device");
    const std::unique_ptr<Backend> cuda = make_cuda_backend();
#else
    const std::unique_ptr<Backend> cuda = make_cpu_backend();  // it launches kernels
#endif
    CpuBackend plain({0, Precision::fp32});
    for (const OpCase& op : ops) {
        const std::vector<std::vector<float>> found = all_values(*cuda, op), expected = all_values(plain, op);
        for (size_t k = 0; k < expected.size(); ++k)
            check_values(text(op.name, k == 0 ? ": result" : ": gradient of input ", k == 0 ? "" : std::to_string(k - 1)), found[k],
                         {expected[k].begin(), expected[k].end()}, 1e-4);
    }
#else
    (void)ops;
    skip("built without CUDA");
#endif
}

std::vector<float> rounded(const std::vector<float>& values) {
    const std::vector<bfloat16> stored(values.begin(), values.end());
    return {stored.begin(), stored.end()};
}

void check_rounding(const std::vector<OpCase>& ops, Backend& backend) {
    for (OpCase op : ops) {
        for (HostTensor& input : op.inputs) input.values = rounded(input.values);
        const std::vector<float> dy = rounded(projection(op.run(upload(cpu(), op.inputs)).shape().size()));
        std::vector<std::vector<float>> found;
        try {
            found = all_values(backend, op, dy, DType::bf16);
        } catch (const InputError& missing) {
            skip(missing.what());
            continue;
        }
        const std::vector<std::vector<float>> expected = all_values(cpu(), op, dy);
        for (size_t k = 0; k < expected.size(); ++k) {
            const std::string what = text(op.name, k == 0 ? ": result" : ": gradient of input ", k == 0 ? "" : std::to_string(k - 1));
            REQUIRE_MESSAGE(found[k].size() == expected[k].size(), what);
            const double floor = op.tolerance * largest(expected[k]);
            double worst = 0;  // in units of what is allowed
            for (size_t i = 0; i < found[k].size(); ++i) {
                const double off = std::fabs(static_cast<double>(found[k][i]) - expected[k][i]);
                worst = worse(worst, off == 0 ? 0 : off / (std::fabs(expected[k][i]) / 256 + floor));
            }
            CHECK_MESSAGE(worst <= 1, what, ": ", worst, " times the difference that is allowed");
        }
    }
}

void check_threads_do_not_matter(const std::vector<OpCase>& ops) {
    for (const OpCase& op : ops) {
        int64_t most = 0;
        for (const HostTensor& input : op.inputs) most = std::max(most, input.shape.size());
        REQUIRE_MESSAGE(most > parallel_threshold, op.name, ": too small for a second thread");
    }
    const int before = omp_get_max_threads();
    const auto all_with = [&](int threads) {
        omp_set_num_threads(threads);
        std::vector<std::vector<std::vector<float>>> values;
        for (const OpCase& op : ops) values.push_back(all_values(cpu(), op));
        omp_set_num_threads(before);
        return values;
    };
    const auto alone = all_with(1), shared = all_with(2);
    for (size_t i = 0; i < ops.size(); ++i) CHECK_MESSAGE(alone[i] == shared[i], ops[i].name, ": two threads give other bits than one");
}

}  // namespace distill::testing
