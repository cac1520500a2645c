// --precision bf16: each operation on rounded maps beside the same in float; types and casts; gradients that meet.
#include <cmath>

#include "device.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr double order = 1e-4;             // sums in another order
constexpr double from_result = 1.0 / 256;  // the backward reads its own result, which was rounded

const std::vector<Shape> shapes{{2, 6, 8, 3}, {2, 4, 4, 16}, {1, 5, 9, 20}, {4, 8, 16, 32}};  // two threads work on the last

std::vector<OpCase> map_cases() {
    std::vector<OpCase> all;
    for (const Shape& s : shapes) {
        const HostTensor x = as_map(off_zero_input("bf16 x", s)), y = as_map(off_zero_input("bf16 y", s));
        const HostTensor bias = uniform_input("bf16 bias", {1, 1, 1, s.c});
        const auto op = [&](const char* name, const std::vector<HostTensor>& in, const Operation& run, double tolerance = order) {
            all.push_back({name + (' ' + to_string(s)), in, run, tolerance});
        };
        op("relu", {x}, [](const Inputs& in) { return relu(in[0]); });
        op("leaky_relu", {x}, [](const Inputs& in) { return leaky_relu(in[0], 0.1f); });
        op(
            "sigmoid", {x}, [](const Inputs& in) { return sigmoid(in[0]); }, from_result);
        op(
            "tanh", {x}, [](const Inputs& in) { return distill::tanh(in[0]); }, from_result);
        op("add", {x, y}, [](const Inputs& in) { return add(in[0], in[1]); });
        op("mul", {x, y}, [](const Inputs& in) { return mul(in[0], in[1]); });
        op("scale", {x}, [](const Inputs& in) { return scale(in[0], 0.3f); });
        op("dropout", {x}, [](const Inputs& in) { return dropout(in[0], 0.4f, 7, Tensor::from_host(in[0].backend(), {}, {3})); });
        op("add_bias", {x, bias}, [](const Inputs& in) { return add_bias(in[0], in[1]); });
        op("concat_channels", {x, y}, [](const Inputs& in) { return concat_channels(in[0], in[1]); });
        op("slice_channels", {x}, [](const Inputs& in) { return slice_channels(in[0], 1, 2); });
        op("two slices of one map", {x}, [](const Inputs& in) { return add(slice_channels(in[0], 0, 2), slice_channels(in[0], 1, 2)); });
        op("interleave_channels", {x, y}, [](const Inputs& in) { return interleave_channels(in[0], in[1]); });
        op("pad_channels", {x}, [](const Inputs& in) { return pad_channels(in[0], 2, 3); });
        op("attention_fusion", {x, y, uniform_input("w", {2, 1, 1, 2 * s.c}), uniform_input("bias", {1, 1, 1, 2})},
           [](const Inputs& in) { return attention_fusion(in[0], in[1], in[2], in[3]); });
        op("flatten", {x}, [](const Inputs& in) { return flatten(in[0]); });
        op("max_pool", {x}, [](const Inputs& in) { return max_pool(in[0], {3, 2, 1}); });
        op("avg_pool", {x}, [](const Inputs& in) { return avg_pool(in[0], {2, 2, 0}); });
        op("adaptive_avg_pool", {x}, [](const Inputs& in) { return adaptive_avg_pool(in[0], 3, 2); });
        op("global_avg_pool", {x}, [](const Inputs& in) { return global_avg_pool(in[0]); });
        op("resize_nearest", {x}, [](const Inputs& in) { return resize_nearest(in[0], 11, 7); });
        op("subsample", {x}, [](const Inputs& in) { return subsample(in[0], 2); });
        op(
            "l2_normalize", {x}, [](const Inputs& in) { return l2_normalize(in[0]); }, from_result);
        op("mse", {x, y}, [](const Inputs& in) { return mse(in[0], in[1]); });
        op("l1", {x, y}, [](const Inputs& in) { return l1(in[0], in[1]); });
        op("mean", {x}, [](const Inputs& in) { return mean(in[0]); });
        const Shape vector{1, 1, 1, s.c};
        const HostTensor gamma = uniform_input("bf16 gamma", vector, 0.5f, 1.5f), beta = uniform_input("bf16 beta", vector);
        for (const bool relu : {false, true})
            for (const bool with_residual : {false, true}) {
                std::vector<HostTensor> in{x, gamma, beta};
                if (with_residual) in.push_back(y);
                op(relu ? "batchnorm, relu" : "batchnorm", in, [=](const Inputs& v) {
                    return batchnorm(v[0], v[1], v[2], {}, {1e-5f, 0.1f, relu}, with_residual ? v[3] : Var());
                });
                op(relu ? "batchnorm_running, relu" : "batchnorm_running", in, [=](const Inputs& v) {
                    Backend& b = v[0].backend();
                    const RunningStatistics running{Tensor::from_host(b, vector, uniform_input("mean", vector).values),
                                                    Tensor::from_host(b, vector, uniform_input("variance", vector, 0.5f, 2).values)};
                    return batchnorm_running(v[0], v[1], v[2], running, {1e-5f, 0.1f, relu}, with_residual ? v[3] : Var());
                });
            }
    }
    return all;
}

/// Operations that know floats alone: a bfloat16 input is cast, its gradient is cast back.
std::vector<OpCase> float_cases() {
    const HostTensor x = as_map(uniform_input("logits", {6, 1, 1, 10})), w = uniform_input("weights", {7, 1, 1, 10});
    return {{"linear", {x, w, uniform_input("bias", {1, 1, 1, 7})}, [](const Inputs& in) { return linear(in[0], in[1], in[2]); }, order},
            {"softmax", {x}, [](const Inputs& in) { return softmax(in[0]); }, order},
            {"cross_entropy",
             {x},
             [](const Inputs& in) {
                 return cross_entropy(in[0], integers(in[0].backend(), {1, 9, 0, 4, 4, 7}));
             },
             order},
            {"kl_divergence",
             {x, without_gradient(as_map(uniform_input("teacher", {6, 1, 1, 10})))},
             [](const Inputs& in) { return kl_divergence(in[0], in[1].value(), 4); },
             order}};
}

std::vector<OpCase> convolutions() {
    struct Setting {
        Shape x, w;
        Conv2dOptions o;
        bool bias;
    };
    std::vector<OpCase> all;
    for (const Setting& s : {Setting{{4, 12, 12, 3}, {16, 3, 3, 3}, {1, 1, 1, 1, 1}, false},
                             {{4, 8, 8, 16}, {32, 3, 3, 16}, {2, 2, 1, 1, 1}, false},
                             {{3, 8, 8, 16}, {32, 1, 1, 16}, {2, 2, 0, 0, 1}, true},
                             {{2, 7, 5, 20}, {6, 3, 3, 20}, {1, 1, 1, 1, 1}, true},
                             {{2, 6, 6, 32}, {32, 3, 3, 1}, {1, 1, 1, 1, 32}, false},
                             {{2, 6, 6, 8}, {12, 3, 3, 4}, {1, 1, 1, 1, 2}, false},
                             {{9, 1, 1, 64}, {64, 1, 1, 64}, {}, false},
                             {{2, 9, 9, 128}, {2, 1, 1, 128}, {}, true}}) {
        std::vector<HostTensor> in{as_map(uniform_input("conv x", s.x)), uniform_input("conv w", s.w)};
        if (s.bias) in.push_back(uniform_input("conv bias", {1, 1, 1, s.w.n}));
        // The bias is added to a result that was rounded already.
        all.push_back({"conv2d " + to_string(s.x) + " * " + to_string(s.w), in,
                       [s](const Inputs& v) { return conv2d(v[0], v[1], s.o, s.bias ? v[2] : Var()); }, s.bias ? from_result : order});
    }
    return all;
}

Var map_on(Backend& backend, const std::string& name, const Shape& shape, DType type = DType::bf16) {
    Tensor t(backend, shape, type);
    t.upload(uniform_input(name, shape).values.data());
    return Var(t, true);
}

}  // namespace

TEST_CASE("bf16: rounding to nearest, ties to even") {
    const auto is = [](float v, float expected) { CHECK(static_cast<float>(bfloat16(v)) == expected); };
    is(0, 0), is(1, 1), is(-2.5f, -2.5f);
    is(1 + 1.0f / 128, 1 + 1.0f / 128);  // the next one after 1
    is(1 + 1.0f / 256, 1);               // halfway: to the even neighbour
    is(1 + 3.0f / 256, 1 + 2.0f / 128);
    is(1 + 1.01f / 256, 1 + 1.0f / 128);
    is(std::ldexp(225.7f, 120), std::ldexp(226.0f, 120));
    CHECK(std::isinf(static_cast<float>(bfloat16(3.4e38f))));
    CHECK(std::isnan(static_cast<float>(bfloat16(NAN))));
}

TEST_CASE("bf16: operations on rounded maps are the float ones, rounded") { check_rounding(map_cases()); }
TEST_CASE("bf16: what knows floats alone casts, forth and back") { check_rounding(float_cases()); }

TEST_CASE("bf16: convolutions of rounded maps are the float ones, rounded") {
    if (Backend* backend = bf16_cpu_or_skip()) check_rounding(convolutions(), *backend);
}

TEST_CASE("bf16: CUDA like the CPU") {
#ifdef DISTILL_CUDA
    if (cuda_device_count() == 0) return skip("no CUDA device");
    const auto backend = make_cuda_backend({0, Precision::bf16});
    for (const auto& ops : {map_cases(), float_cases(), convolutions()}) check_rounding(ops, *backend);
#else
    skip("built without CUDA");
#endif
}

TEST_CASE("bf16: types are handed on; two maps of different types meet in float") {
    const Shape s{2, 4, 4, 5};
    const Var half = map_on(cpu(), "a", s), other = map_on(cpu(), "b", s), whole = map_on(cpu(), "c", s, DType::f32);
    const Var w = map_on(cpu(), "w", {2, 1, 1, 10}, DType::f32), bias = map_on(cpu(), "bias", {1, 1, 1, 2}, DType::f32);
    CHECK(add(half, other).type() == DType::bf16);
    CHECK(attention_fusion(half, other, w, bias).type() == DType::bf16);
    CHECK(relu(half).type() == DType::bf16);
    CHECK(global_avg_pool(half).type() == DType::bf16);
    CHECK(relu(whole).type() == DType::f32);
    for (const Var& y :
         {add(half, whole), mul(whole, half), concat_channels(half, whole), attention_fusion(half, whole, w, bias), mse(half, whole)})
        CHECK(y.type() == DType::f32);
    CHECK(mse(half, other).type() == DType::f32);
    CHECK(softmax(half).type() == DType::f32);
    CHECK(cast(half, DType::bf16).value().raw() == half.value().raw());  // no copy
    CHECK(to_float(whole).value().raw() == whole.value().raw());
    CHECK_THROWS_AS(half.data(), std::runtime_error);

    const Operation mixed = [](const Inputs& in) { return add(in[0], in[1]); };
    run_backward(mixed, {half, whole}, std::vector<float>(160, 0.3f));
    CHECK(half.node().gradient.type() == DType::bf16);
    CHECK(whole.node().gradient.type() == DType::f32);
    CHECK(half.node().gradient.to_host() == rounded(std::vector<float>(160, 0.3f)));
    CHECK(whole.node().gradient.to_host() == std::vector<float>(160, 0.3f));
}

TEST_CASE("bf16: two gradients of one map are added in float and stored rounded") {
    const Shape s{2, 3, 3, 5};
    const HostTensor dy = uniform_input("dy", s);
    const auto check = [&](const Operation& run, float one, float two) {
        const Var x = map_on(cpu(), "x", s);
        run_backward(run, {x}, dy.values);
        CHECK(x.node().gradient.type() == DType::bf16);
        std::vector<float> first = rounded(dy.values), second = first;
        for (float& v : first) v *= one;
        for (float& v : second) v *= two;
        first = rounded(first), second = rounded(second);
        for (size_t i = 0; i < first.size(); ++i) first[i] += second[i];
        CHECK(x.node().gradient.to_host() == rounded(first));
    };
    check([](const Inputs& in) { return add(scale(in[0], 0.3f), scale(in[0], 0.7f)); }, 0.3f, 0.7f);  // two targets
    check([](const Inputs& in) { return add(in[0], scale(in[0], 0.7f)); }, 1, 0.7f);                  // one handed on, one target
    check([](const Inputs& in) { return add(in[0], in[0]); }, 1, 1);                                  // one tensor handed on twice
}
