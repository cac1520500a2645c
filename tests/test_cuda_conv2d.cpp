// The GPU's convolutions against the CPU's, at the shapes that our networks have; and, on any machine, what follows a bare convolution.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base_error.h"
#include "base_files.h"
#include "core_conv_plan_store.h"
#include "core_philox.h"
#include "core_tensor.h"
#include "device.h"
#include "gpu_or_skip.h"
#include "launch_conv_epilogue.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

namespace {

std::vector<float> draws(int64_t size, uint64_t key) {  // uniform in (-1, 1)
    std::vector<float> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 2 * uniform(philox(key, i).v[0]) - 1;
    return values;
}

/// The values in a tensor of `type`, on any backend.
Tensor placed(Backend& on, Shape shape, const std::vector<float>& values, DType type) {
    if (type == DType::f32) return Tensor::from_host(on, shape, values);
    Tensor t(on, shape, DType::bf16);
    const std::vector<bfloat16> stored(values.begin(), values.end());
    on.upload(t.raw(), stored.data(), t.bytes());
    on.synchronize();  // `stored` goes
    return t;
}

/// As they are after storing them as `type`.
std::vector<float> stored_as(std::vector<float> values, DType type) {
    if (type == DType::bf16)
        for (float& v : values) v = bfloat16(v);
    return values;
}

}  // namespace

TEST_CASE("conv epilogue: bias, residual and ReLU in place, in float and bfloat16") {
    const auto cpu = make_cpu_backend();
    const Shape shape{2, 3, 5, 7};
    const std::vector<float> sums = draws(shape.size(), 1), extra = draws(shape.size(), 3), bias = draws(shape.c, 5);
    for (const DType type : {DType::f32, DType::bf16})
        for (int flags = 0; flags < 8; ++flags) {
            CAPTURE(flags);
            const Tensor y = placed(*cpu, shape, sums, type), residual = placed(*cpu, shape, extra, type);
            const Tensor b = Tensor::from_host(*cpu, {1, 1, 1, shape.c}, bias);
            const ConvEpilogue epilogue{flags & 1 ? b.data() : nullptr, flags & 2 ? residual.raw() : nullptr, (flags & 4) != 0};
            conv_epilogue(*cpu, shape, type, epilogue, y.raw());
            std::vector<float> expected = stored_as(sums, type);
            const std::vector<float> e = stored_as(extra, type);
            for (size_t i = 0; i < expected.size(); ++i) {
                if (flags & 2) expected[i] += e[i];
                if (flags & 1) expected[i] += bias[i % static_cast<size_t>(shape.c)];
                if (flags & 4) expected[i] = std::max(0.0f, expected[i]);
            }
            CHECK(y.to_host() == stored_as(expected, type));
        }
    const Tensor narrow = placed(*cpu, shape, sums, DType::bf16), wide(*cpu, shape);
    widen(*cpu, shape.size(), narrow.halves(), wide.data());
    CHECK(wide.to_host() == stored_as(sums, DType::bf16));
}

#ifdef DISTILL_CUDA
#include "gpu_status.h"

namespace {

struct Layer {
    std::string name;
    Conv2dGeometry g;
};

Layer layer(const std::string& name, Shape x, Shape w, int stride, int pad) {
    Conv2dGeometry g;
    g.x = x;
    g.w = w;
    g.y = {x.n, (x.h + 2 * pad - w.h) / stride + 1, (x.w + 2 * pad - w.w) / stride + 1, w.n};
    g.stride_h = g.stride_w = stride;
    g.pad_h = g.pad_w = pad;
    g.groups = static_cast<int>(x.c / w.c);
    return {name, g};
}

/// resnet's and resnet x4's, ReviewKD's 1x1 and 3x3 in its fusion modules, and the depthwise and grouped ones of mobile networks.
std::vector<Layer> layers() {
    std::vector<Layer> all = {
        layer("image", {8, 32, 32, 3}, {16, 3, 3, 3}, 1, 1),
        layer("3x3", {8, 32, 32, 16}, {16, 3, 3, 16}, 1, 1),
        layer("3x3, wide", {8, 8, 8, 256}, {256, 3, 3, 256}, 1, 1),
        layer("3x3 stride 2", {8, 32, 32, 16}, {32, 3, 3, 16}, 2, 1),
        layer("1x1", {8, 16, 16, 64}, {128, 1, 1, 64}, 1, 0),
        layer("1x1 stride 2", {8, 16, 16, 32}, {64, 1, 1, 32}, 2, 0),
        layer("1x1 on one pixel", {8, 1, 1, 64}, {256, 1, 1, 64}, 1, 0),
        layer("1x1 to two channels", {8, 8, 8, 128}, {2, 1, 1, 128}, 1, 0),
        layer("depthwise", {8, 16, 16, 32}, {32, 3, 3, 1}, 1, 1),
        layer("depthwise stride 2", {8, 16, 16, 32}, {32, 3, 3, 1}, 2, 1),
        layer("grouped 1x1", {8, 8, 8, 24}, {48, 1, 1, 8}, 1, 0),
        layer("odd extents", {3, 7, 5, 20}, {12, 3, 3, 20}, 2, 1),
    };
    all.push_back(layer("5x3, stride (2,1), pad (2,0)", {2, 9, 6, 8}, {4, 5, 3, 8}, 1, 0));
    Conv2dGeometry& g = all.back().g;
    g.stride_h = 2, g.pad_h = 2, g.y.h = (9 + 4 - 5) / 2 + 1;
    return all;
}

/// What a backend makes of one layer: y, dx and dw, from the same values (as the type stores them).
struct Results {
    std::vector<float> y, dx, dw;
};
Results results_of(Backend& on, Conv2dGeometry g, DType type, const ConvEpilogue& flags = {}) {
    g.type = type;
    const auto values = [&](const Shape& s, uint64_t key) { return stored_as(draws(s.size(), key), type); };
    const Tensor x = placed(on, g.x, values(g.x, 1), type), w = placed(on, g.w, values(g.w, 2), type);
    const Tensor dy = placed(on, g.y, values(g.y, 3), type), residual = placed(on, g.y, values(g.y, 4), type);
    const Tensor bias = Tensor::from_host(on, {1, 1, 1, g.y.c}, draws(g.y.c, 5));
    const Tensor y(on, g.y, type), dx(on, g.x, type), dw(on, g.w);
    const ConvEpilogue epilogue{flags.bias ? bias.data() : nullptr, flags.residual ? residual.raw() : nullptr, flags.relu};
    on.conv2d_forward(g, x.raw(), w.raw(), epilogue, y.raw());
    on.conv2d_backward_data(g, dy.raw(), w.raw(), dx.raw(), false);
    on.conv2d_backward_weights(g, x.raw(), dy.raw(), dw.data());
    return {y.to_host(), dx.to_host(), dw.to_host()};
}
/// The CPU's in float, from the values as `type` stores them.
Results expected_of(Backend& cpu, const Conv2dGeometry& g, DType type, const ConvEpilogue& flags = {}) {
    const auto values = [&](const Shape& s, uint64_t key) { return Tensor::from_host(cpu, s, stored_as(draws(s.size(), key), type)); };
    const Tensor x = values(g.x, 1), w = values(g.w, 2), dy = values(g.y, 3), residual = values(g.y, 4);
    const Tensor bias = Tensor::from_host(cpu, {1, 1, 1, g.y.c}, draws(g.y.c, 5));
    const Tensor y(cpu, g.y), dx(cpu, g.x), dw(cpu, g.w);
    const ConvEpilogue epilogue{flags.bias ? bias.data() : nullptr, flags.residual ? residual.data() : nullptr, flags.relu};
    cpu.conv2d_forward(g, x.data(), w.data(), epilogue, y.data());
    cpu.conv2d_backward_data(g, dy.data(), w.data(), dx.data(), false);
    cpu.conv2d_backward_weights(g, x.data(), dy.data(), dw.data());
    return {y.to_host(), dx.to_host(), dw.to_host()};
}

/// The largest difference over the largest value; infinite where one is no number.
double distance(const std::vector<float>& found, const std::vector<float>& expected) {
    float largest = 0;
    for (const float e : expected) largest = std::max(largest, std::fabs(e));
    return largest_difference(found, expected) / largest;
}

constexpr struct {
    Precision precision;
    const char* name;
    float tolerance;  ///< sums in another order; 10 bits of mantissa in the operands; 8 bits in the results
} precisions[] = {{Precision::fp32, "fp32", 1e-5f}, {Precision::tf32, "tf32", 2e-3f}, {Precision::bf16, "bf16", 2e-2f}};

DeviceOptions options_of(Precision precision) {
    DeviceOptions options;
    options.precision = precision;
    return options;
}

}  // namespace

TEST_CASE("cuda conv2d: forward and both gradients agree with the CPU in fp32, tf32 and bf16, and repeat bit for bit") {
    const auto cpu = make_cpu_backend();
    for (const auto& p : precisions) {
        const auto gpu = gpu_or_skip(options_of(p.precision));
        if (!gpu) return;
        for (const Layer& l : layers()) {
            CAPTURE(l.name);
            CAPTURE(p.name);
            const Results found = results_of(*gpu, l.g, gpu->activation_type()), expected = expected_of(*cpu, l.g, gpu->activation_type());
            CHECK(distance(found.y, expected.y) <= p.tolerance);
            CHECK(distance(found.dx, expected.dx) <= p.tolerance);
            CHECK(distance(found.dw, expected.dw) <= p.tolerance);
            const Results again = results_of(*gpu, l.g, gpu->activation_type());
            CHECK(again.y == found.y);
            CHECK(again.dx == found.dx);
            CHECK(again.dw == found.dw);
        }
    }
}

TEST_CASE("cuda conv2d: bias, residual and ReLU in every combination") {
    const auto cpu = make_cpu_backend();
    const float some = 0;
    for (const auto& p : precisions) {
        const auto gpu = gpu_or_skip(options_of(p.precision));
        if (!gpu) return;
        for (const Layer& l : layers())
            for (int flags = 1; flags < 8; ++flags) {
                if (flags != 5 && flags != 7 && l.name != "3x3") continue;  // folded networks have a bias and a ReLU, some a residual
                CAPTURE(l.name);
                CAPTURE(p.name);
                CAPTURE(flags);
                const ConvEpilogue asked{flags & 1 ? &some : nullptr, flags & 2 ? &some : nullptr, (flags & 4) != 0};
                const DType type = gpu->activation_type();
                CHECK(distance(results_of(*gpu, l.g, type, asked).y, expected_of(*cpu, l.g, type, asked).y) <= p.tolerance);
            }
    }
}

TEST_CASE("cuda conv2d: faster engines that may differ from run to run stay close too") {
    DeviceOptions options = options_of(Precision::fp32);
    options.deterministic = false;
    const auto gpu = gpu_or_skip(options);
    if (!gpu) return;
    const auto cpu = make_cpu_backend();
    const Layer l = layers()[1];
    CHECK(distance(results_of(*gpu, l.g, DType::f32).dw, expected_of(*cpu, l.g, DType::f32).dw) <= 1e-5f);
}

TEST_CASE("cuda conv2d: a second backend takes the plans of the first, also from a file") {
    const TempFolder folder;
    const auto first = gpu_or_skip();
    if (!first) return;
    const Layer l = layers()[3];
    const Results found = results_of(*first, l.g, DType::f32);
    CHECK(first->conv_plans()->choices().size() == 3);
    save_conv_plans(*first, folder / "conv_plans.csv");

    const auto second = make_cuda_backend(), third = make_cuda_backend();
    const Results beside = results_of(*second, l.g, DType::f32);
    load_conv_plans(*third, folder / "conv_plans.csv");
    const Results resumed = results_of(*third, l.g, DType::f32);
    for (const Results* r : {&beside, &resumed}) {
        CHECK(r->y == found.y);
        CHECK(r->dx == found.dx);
        CHECK(r->dw == found.dw);
    }
    save_conv_plans(*third, folder / "again.csv");
    CHECK(read_file(folder / "again.csv") == read_file(folder / "conv_plans.csv"));
}

TEST_CASE("cuda conv2d: a stored plan that is none is replaced") {
    const TempFolder folder;
    const auto gpu = gpu_or_skip(options_of(Precision::tf32));
    if (!gpu) return;
    const Layer l = layer("seen nowhere else", {3, 8, 8, 16}, {24, 3, 3, 16}, 1, 1);
    const ConvKey key{ConvDirection::forward, l.g, false, false, false, Precision::tf32, true};
    ConvChoice none;
    none.engine = 9999;
    gpu->conv_plans()->adopt({{to_string(key), none}});
    const auto cpu = make_cpu_backend();
    CHECK(distance(results_of(*gpu, l.g, DType::f32).y, expected_of(*cpu, l.g, DType::f32).y) <= 2e-3f);
    CHECK(gpu->conv_plans()->choices().at(to_string(key)).engine != 9999);
}

TEST_CASE("cuda conv2d: on two streams at once, each with its own workspace") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Layer l = layers()[2];
    const Results alone = results_of(*gpu, l.g, DType::f32);
    gpu->use_stream(1);
    gpu->wait(0);
    CHECK(results_of(*gpu, l.g, DType::f32).dw == alone.dw);
    gpu->use_stream(0);
    gpu->wait(1);
    CHECK(results_of(*gpu, l.g, DType::f32).dw == alone.dw);
}

TEST_CASE("cuda conv2d: a capture needs its plans beforehand, and then repeats what was run") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Conv2dGeometry g = layer("captured", {5, 8, 8, 16}, {16, 3, 3, 16}, 1, 1).g;
    const Tensor x = Tensor::from_host(*gpu, g.x, draws(g.x.size(), 1)), w = Tensor::from_host(*gpu, g.w, draws(g.w.size(), 2));
    const Tensor y(*gpu, g.y);
    const auto stream = static_cast<cudaStream_t>(gpu->native_stream());
    const auto captured = [&] {
        DISTILL_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        std::string complaint;
        try {
            gpu->conv2d_forward(g, x.data(), w.data(), {}, y.data());
        } catch (const std::runtime_error& e) {
            complaint = e.what();
        }
        cudaGraph_t graph = nullptr;
        DISTILL_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
        if (complaint.empty()) {
            cudaGraphExec_t runnable = nullptr;
            DISTILL_CUDA_CHECK(cudaGraphInstantiate(&runnable, graph, 0));
            DISTILL_CUDA_CHECK(cudaGraphLaunch(runnable, stream));
            DISTILL_CUDA_CHECK(cudaStreamSynchronize(stream));
            DISTILL_CUDA_CHECK(cudaGraphExecDestroy(runnable));
        }
        DISTILL_CUDA_CHECK(cudaGraphDestroy(graph));
        return complaint;
    };
    const std::string complaint = captured();
    for (const char* part : {"has no plan yet while a CUDA graph is captured", "x 5x8x8x16", "---> run one eager step"})
        CHECK(complaint.find(part) != std::string::npos);
    gpu->conv2d_forward(g, x.data(), w.data(), {}, y.data());
    const std::vector<float> eager = y.to_host();
    Tensor(y).zero();
    CHECK(captured() == "");
    CHECK(y.to_host() == eager);
}

TEST_CASE("cuda conv2d: an operand that lies askew is refused") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Conv2dGeometry g = layers()[1].g;
    const Tensor x(*gpu, g.x), w(*gpu, g.w), y(*gpu, g.y);
    CHECK_THROWS_AS(gpu->conv2d_forward(g, x.data() + 1, w.data(), {}, y.data()), std::runtime_error);
}

#endif
