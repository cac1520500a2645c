// conv2d against seven nested loops, and its gradients; conv_transpose2d as its backward pass.
#include <algorithm>

#include "base_error.h"
#include "cpu_conv2d.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct Setting {
    std::string name;
    Shape x, w;
    Conv2dOptions o;
    bool bias = false;
    int output_pad = 0;  ///< of the transposed one
};

/// Kernels, strides, paddings and groups as networks use them, and some that none does; odd sizes, C = 1, 3, 4, 16, 20.
const std::vector<Setting>& settings() {
    static const std::vector<Setting> all = {
        {"1x1", {2, 5, 7, 3}, {4, 1, 1, 3}, {1, 1, 0, 0, 1}},
        {"1x1 stride 2", {2, 7, 5, 16}, {20, 1, 1, 16}, {2, 2, 0, 0, 1}},
        {"3x3 pad 1", {2, 5, 7, 3}, {5, 3, 3, 3}, {1, 1, 1, 1, 1}},
        {"3x3 pad 1, 16 channels", {2, 8, 8, 16}, {16, 3, 3, 16}, {1, 1, 1, 1, 1}},
        {"3x3 pad 1, 20 channels", {1, 5, 5, 20}, {20, 3, 3, 20}, {1, 1, 1, 1, 1}},
        {"3x3 stride 2 pad 1", {1, 7, 5, 16}, {20, 3, 3, 16}, {2, 2, 1, 1, 1}},
        {"3x3 stride 2 pad 1, even", {2, 8, 6, 3}, {16, 3, 3, 3}, {2, 2, 1, 1, 1}},
        {"3x3 unpadded", {3, 4, 5, 1}, {2, 3, 3, 1}, {1, 1, 0, 0, 1}},
        {"5x3, stride (2,1), pad (2,0)", {2, 9, 6, 3}, {4, 5, 3, 3}, {2, 1, 2, 0, 1}},
        {"1x3, stride (1,3), pad (0,1)", {1, 3, 8, 4}, {3, 1, 3, 4}, {1, 3, 0, 1, 1}},
        {"3x3 with bias", {2, 5, 4, 3}, {4, 3, 3, 3}, {1, 1, 1, 1, 1}, true},
        {"1x1 with bias", {2, 3, 3, 8}, {2, 1, 1, 8}, {1, 1, 0, 0, 1}, true},
        {"2 groups", {2, 5, 5, 4}, {6, 3, 3, 2}, {1, 1, 1, 1, 2}},
        {"4 groups, 1x1", {1, 4, 3, 8}, {4, 1, 1, 2}, {1, 1, 0, 0, 4}},
        {"depthwise", {2, 5, 5, 20}, {20, 3, 3, 1}, {1, 1, 1, 1, 20}},
        {"depthwise stride 2", {1, 7, 6, 16}, {16, 3, 3, 1}, {2, 2, 1, 1, 16}},
        {"depthwise, two outputs each", {1, 5, 5, 3}, {6, 3, 3, 1}, {1, 1, 1, 1, 3}},
        {"kernel as large as the image", {2, 4, 3, 3}, {5, 4, 3, 3}, {1, 1, 0, 0, 1}},
    };
    return all;
}

std::vector<OpCase> cases() {
    std::vector<OpCase> all;
    for (const Setting& s : settings()) {
        OpCase op{"conv2d " + s.name, {uniform_input("x " + s.name, s.x), uniform_input("w " + s.name, s.w)}, {}};
        if (s.bias) op.inputs.push_back(uniform_input("b " + s.name, {1, 1, 1, s.w.n}));
        op.run = [o = s.o](const Inputs& in) { return conv2d(in[0], in[1], o, in.size() > 2 ? in[2] : Var()); };
        all.push_back(op);
    }
    return all;
}

std::vector<double> naive(const Setting& s, const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias) {
    const int64_t oh = (s.x.h + 2 * s.o.pad_h - s.w.h) / s.o.stride_h + 1, ow = (s.x.w + 2 * s.o.pad_w - s.w.w) / s.o.stride_w + 1;
    const int64_t per_group = s.w.n / s.o.groups;
    std::vector<double> y;
    for (int64_t n = 0; n < s.x.n; ++n)
        for (int64_t i = 0; i < oh; ++i)
            for (int64_t j = 0; j < ow; ++j)
                for (int64_t k = 0; k < s.w.n; ++k) {
                    double sum = bias.empty() ? 0 : bias[static_cast<size_t>(k)];
                    for (int64_t r = 0; r < s.w.h; ++r)
                        for (int64_t q = 0; q < s.w.w; ++q)
                            for (int64_t c = 0; c < s.w.c; ++c) {
                                const int64_t h = i * s.o.stride_h - s.o.pad_h + r, v = j * s.o.stride_w - s.o.pad_w + q;
                                if (h < 0 || h >= s.x.h || v < 0 || v >= s.x.w) continue;
                                const int64_t channel = k / per_group * s.w.c + c;
                                sum += static_cast<double>(x[static_cast<size_t>(((n * s.x.h + h) * s.x.w + v) * s.x.c + channel)]) *
                                       w[static_cast<size_t>(((k * s.w.h + r) * s.w.w + q) * s.w.c + c)];
                            }
                    y.push_back(sum);
                }
    return y;
}

/// More channels and groups than the naive loops have time for: the convolution in one pass beside the same alone, then the addition.
void check_residual(Backend& backend, double tolerance) {
    const auto check = [&](int64_t channels, int64_t outputs, int side, int groups) {
        const std::string name = text("residual of ", channels, " to ", outputs, " channels, ", side, 'x', side, ", groups ", groups);
        const Conv2dOptions o{1, 1, side / 2, side / 2, groups};
        const Inputs in = upload(
            backend,
            {as_map(uniform_input("x " + name, {2, 5, 6, channels})), uniform_input("w " + name, {outputs, side, side, channels / groups}),
             as_map(uniform_input("r " + name, {2, 5, 6, outputs}))},
            backend.activation_type());
        const std::vector<float> extra = in[2].value().to_host();
        std::vector<double> sum;
        for (const float v : conv2d_inference(in[0], in[1], {}, o, {}, false).value().to_host()) sum.push_back(v + extra[sum.size()]);
        check_values(name, conv2d_inference(in[0], in[1], {}, o, in[2], false).value().to_host(), sum, tolerance);
        for (double& v : sum) v = std::max(0.0, v);
        check_values(name + ", ReLU", conv2d_inference(in[0], in[1], {}, o, in[2], true).value().to_host(), sum, tolerance);
    };
    for (const int64_t channels : {1, 3, 8, 16, 20, 32, 64})
        for (const int64_t outputs : {4, 16, 20, 64})
            for (const int side : {1, 3})
                for (const int groups : {1, 2, 4, 16})
                    if (channels % groups == 0 && outputs % groups == 0) check(channels, outputs, side, groups);
}

std::vector<OpCase> transposed_cases() {
    std::vector<OpCase> all;
    for (const Setting& s : {Setting{"3x3 pad 1", {2, 5, 7, 4}, {4, 3, 3, 3}, {1, 1, 1, 1, 1}},
                             Setting{"3x3 stride 2 pad 1 with bias", {2, 4, 3, 5}, {5, 3, 3, 4}, {2, 2, 1, 1, 1}, true},
                             Setting{"2x3, stride (2,1), pad (0,1)", {1, 3, 5, 2}, {2, 2, 3, 6}, {2, 1, 0, 1, 1}},
                             Setting{"4x4 stride 2 pad 1", {2, 3, 4, 3}, {3, 4, 4, 2}, {2, 2, 1, 1, 1}},
                             Setting{"3x3 stride 2 pad 1 output pad 1", {2, 3, 4, 3}, {3, 3, 3, 4}, {2, 2, 1, 1, 1}, false, 1},
                             Setting{"3x3 stride 3 output pad 2", {1, 2, 3, 2}, {2, 3, 3, 3}, {3, 3, 0, 0, 1}, true, 2}}) {
        OpCase op{"conv_transpose2d " + s.name, {uniform_input("tx " + s.name, s.x), uniform_input("tw " + s.name, s.w)}, {}};
        if (s.bias) op.inputs.push_back(uniform_input("tb " + s.name, {1, 1, 1, s.w.c}));
        op.run = [o = s.o, pad = s.output_pad](const Inputs& in) {
            return conv_transpose2d(in[0], in[1], o, in.size() > 2 ? in[2] : Var(), pad);
        };
        all.push_back(op);
    }
    return all;
}

}  // namespace

TEST_CASE("conv2d: a worked example") {
    // 1 2 3        the sums of each 2x2 square, times 1 and times -10 in the second output
    // 4 5 6
    const Var x(Tensor::from_host(cpu(), {1, 2, 3, 1}, {1, 2, 3, 4, 5, 6}));
    const Var w(Tensor::from_host(cpu(), {2, 2, 2, 1}, {1, 1, 1, 1, -10, -10, -10, -10}));
    const Var y = conv2d(x, w);
    CHECK(y.shape() == Shape{1, 1, 2, 2});
    CHECK(y.value().to_host() == std::vector<float>{12, -120, 16, -160});
    // Neither flipped nor transposed: 1·w(0,0) + 2·w(0,1) + 4·w(1,0) + 5·w(1,1)
    const Var place(Tensor::from_host(cpu(), {1, 2, 2, 1}, {1, 10, 100, 1000}));
    CHECK(conv2d(x, place).value().to_host() == std::vector<float>{5421, 6532});
    const Var bias(Tensor::from_host(cpu(), {1, 1, 1, 1}, {0.5f}));
    CHECK(conv2d(x, place, {}, bias).value().to_host() == std::vector<float>{5421.5f, 6532.5f});
}

TEST_CASE("conv2d: forward like the naive loops") {
    const std::vector<OpCase> ops = cases();
    for (size_t i = 0; i < ops.size(); ++i) {
        const std::vector<HostTensor>& in = ops[i].inputs;
        const std::vector<float> y = ops[i].run(upload(cpu(), in)).value().to_host();
        check_values(ops[i].name, y, naive(settings()[i], in[0].values, in[1].values, in.size() > 2 ? in[2].values : std::vector<float>()));
    }
}

TEST_CASE("conv2d: gradients") { check_gradients(cases()); }

TEST_CASE("conv2d: gradients into one of the inputs") {
    for (OpCase op : {cases()[2], cases()[10], cases()[14]})
        for (size_t only = 0; only < op.inputs.size(); ++only) {
            OpCase one = op;
            for (size_t i = 0; i < one.inputs.size(); ++i) one.inputs[i].wanted = i == only;
            one.name += only == 0 ? ", x alone" : only == 1 ? ", w alone" : ", bias alone";
            check_gradients(one);
        }
}

TEST_CASE("conv2d: with residual and ReLU in one pass, as a frozen network runs") {
    for (const Setting& s : settings()) {
        const HostTensor x = uniform_input("x " + s.name, s.x), w = uniform_input("w " + s.name, s.w);
        const HostTensor bias = uniform_input("bias " + s.name, {1, 1, 1, s.w.n});
        const Inputs in = upload(cpu(), {x, w, bias});
        for (const bool relu : {false, true})
            for (const bool with_residual : {false, true}) {
                std::vector<double> expected = naive(s, x.values, w.values, bias.values);
                Var residual;
                if (with_residual) {
                    const Shape shape = conv2d(in[0], in[1], s.o).shape();
                    const HostTensor extra = uniform_input("residual " + s.name, shape);
                    residual = upload(cpu(), {extra})[0];
                    for (size_t i = 0; i < expected.size(); ++i) expected[i] += extra.values[i];
                }
                if (relu)
                    for (double& v : expected) v = std::max(0.0, v);
                const Var y = conv2d_inference(in[0], in[1], in[2].value(), s.o, residual, relu);
                check_values("conv2d_inference " + s.name, y.value().to_host(), expected);
                CHECK(!y.needs_gradient());
            }
        const Var plain = conv2d_inference(in[0], in[1], {}, s.o, {}, false);
        check_values("conv2d_inference without bias " + s.name, plain.value().to_host(), naive(s, x.values, w.values, {}));
    }
}

TEST_CASE("conv2d: oneDNN adds the residual where its direct kernels do, else we do") {
    for (const char* name : {"jit:sse41", "jit:avx2", "jit:avx512_core", "jit_1x1:avx2", "jit_dw:avx512_core", "jit_bf16:avx512_core_bf16"})
        CHECK_MESSAGE(adds_residual_rightly(name), name);
    for (const char* name : {"x64:gemm:jit", "gemm:ref", "ref:any", "brgconv:avx512_core", "jit_bf16_1x1:avx512_core_bf16", ""})
        CHECK_MESSAGE(!adds_residual_rightly(name), name);
}

TEST_CASE("conv2d: oneDNN has a kernel for every number of channels, in all directions") {
    for (const auto& [in, out] :
         std::vector<std::pair<int64_t, int64_t>>{{3, 16}, {3, 24}, {3, 8}, {8, 8}, {12, 72}, {4, 4}, {58, 58}, {16, 12}, {64, 96}})
        for (const int64_t kernel : {1, 3}) {
            Conv2dGeometry g;
            g.x = {4, 16, 16, in}, g.w = {out, kernel, kernel, in}, g.y = {4, 16, 16, out};
            g.pad_h = g.pad_w = static_cast<int>(kernel / 2);
            if (Pointwise::pays_forward(g)) continue;  // 1×1 of so few channels is no convolution of oneDNN
            CAPTURE(to_string(g.w));
            for (const std::string& name : CpuConvolutions::implementations(g)) CHECK(name.compare(0, 3, "ref") != 0);
        }
}

TEST_CASE("conv2d: the residual in one pass is the residual added, whichever kernel oneDNN takes") { check_residual(cpu(), 1e-5); }

TEST_CASE("conv2d: the residual in one pass is the residual added, in bfloat16") {
    // 2⁻⁸ of a value for each of two roundings: of the convolution alone, of the sum.
    if (Backend* backend = bf16_cpu_or_skip()) check_residual(*backend, 2.0 / 256);
}

TEST_CASE("conv2d: shapes that do not fit name both") {
    const auto message = [](Shape x, Shape w, Conv2dOptions o) {
        try {
            conv2d(Var(Tensor::zeros(cpu(), x)), Var(Tensor::zeros(cpu(), w)), o);
        } catch (const std::runtime_error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    for (const auto& [x, w, o] : {std::tuple{Shape{2, 5, 5, 3}, Shape{4, 3, 3, 4}, Conv2dOptions{}},
                                  std::tuple{Shape{2, 2, 5, 3}, Shape{4, 3, 3, 3}, Conv2dOptions{}},
                                  std::tuple{Shape{2, 5, 5, 4}, Shape{3, 3, 3, 2}, Conv2dOptions{1, 1, 0, 0, 2}}}) {
        const std::string m = message(x, w, o);
        CHECK(m.find(to_string(x)) != std::string::npos);
        CHECK(m.find(to_string(w)) != std::string::npos);
        CHECK(m.find("---> ") != std::string::npos);
    }
}

TEST_CASE("conv_transpose2d: each pixel leaves its kernel, overlaps add up") {
    const Var x(Tensor::from_host(cpu(), {1, 1, 2, 1}, {1, 10})), w(Tensor::from_host(cpu(), {1, 2, 2, 1}, {1, 2, 3, 4}));
    CHECK(conv_transpose2d(x, w).value().to_host() == std::vector<float>{1, 12, 20, 3, 34, 40});
    const Var wide = conv_transpose2d(x, w, {1, 2, 0, 0, 1});
    CHECK(wide.shape() == Shape{1, 2, 4, 1});
    CHECK(wide.value().to_host() == std::vector<float>{1, 2, 10, 20, 3, 4, 30, 40});
    const Var padded = conv_transpose2d(x, w, {3, 3, 0, 0, 1}, {}, 1);
    CHECK(padded.shape() == Shape{1, 3, 6, 1});  // the last row and column are reached by no kernel
    CHECK(padded.value().to_host() == std::vector<float>{1, 2, 0, 10, 20, 0, 3, 4, 0, 30, 40, 0, 0, 0, 0, 0, 0, 0});
    CHECK_THROWS_WITH_AS(conv_transpose2d(x, w, {2, 2, 0, 0, 1}, {}, 2), doctest::Contains("output_pad 2"), std::runtime_error);
    CHECK_THROWS_WITH_AS(conv_transpose2d(Var(Tensor::zeros(cpu(), {1, 2, 2, 3})), w), doctest::Contains("(1,2,2,3)"), std::runtime_error);
}

TEST_CASE("conv_transpose2d: gradients") { check_gradients(transposed_cases()); }

TEST_CASE("conv_transpose2d: CUDA like the CPU") { compare_backends(transposed_cases()); }

TEST_CASE("conv2d: CUDA like the CPU") { compare_backends(cases()); }
