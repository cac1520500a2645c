// cuDNN's acceptance of our graphs, on any machine: cuDNN 9.8 and later make plans for a GPU described by its properties alone. Engines
// that compile at run time need a driver even for that, so what only they can do is left to test_cuda_conv2d.cpp.
#ifdef DISTILL_CUDA
#include "cudnn_graph.h"

#include <algorithm>
#include <set>

#include "testing.h"

using namespace distill;

namespace {

using Notes = std::vector<cudnnBackendNumericalNote_t>;

ConvKey key_of(ConvDirection direction, Shape x, Shape w, int stride, int pad, Precision precision) {
    ConvKey key;
    key.direction = direction;
    Conv2dGeometry& g = key.geometry;
    g.x = x;
    g.w = w;
    g.stride_h = g.stride_w = stride;
    g.pad_h = g.pad_w = pad;
    g.groups = static_cast<int>(x.c / w.c);
    g.y = {x.n, (x.h + 2 * pad - w.h) / stride + 1, (x.w + 2 * pad - w.w) / stride + 1, w.n};
    g.type = precision == Precision::bf16 ? DType::bf16 : DType::f32;
    key.precision = precision;
    return key;
}

struct Layer {
    const char* name;
    Shape x, w;
    int stride, pad;
};
const Layer layers[] = {{"image", {128, 32, 32, 3}, {16, 3, 3, 3}, 1, 1},        {"3x3", {128, 32, 32, 16}, {16, 3, 3, 16}, 1, 1},
                        {"3x3 stride 2", {128, 32, 32, 16}, {32, 3, 3, 16}, 2, 1}, {"1x1", {64, 8, 8, 64}, {256, 1, 1, 64}, 1, 0},
                        {"1x1 stride 2", {128, 16, 16, 32}, {64, 1, 1, 32}, 2, 0}, {"depthwise", {128, 16, 16, 32}, {32, 3, 3, 1}, 1, 1},
                        {"grouped 1x1", {128, 8, 8, 240}, {240, 1, 1, 80}, 1, 0},  {"to two maps", {64, 8, 8, 512}, {2, 1, 1, 512}, 1, 0},
                        {"last batch", {16, 1, 1, 256}, {512, 1, 1, 256}, 1, 0}};
constexpr ConvDirection directions[] = {ConvDirection::forward, ConvDirection::backward_data, ConvDirection::backward_weights};
constexpr Precision precisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

}  // namespace

TEST_CASE("cudnn: engines are held to precision and determinism by their notes") {
    const auto kept = [](const Notes& notes, Precision precision, bool deterministic = true) {
        ConvKey key = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, precision);
        key.deterministic = deterministic;
        return keeps_promises(notes, key);
    };
    for (const Precision p : precisions) {
        CHECK(kept({}, p));
        CHECK(kept({CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP}, p));
        CHECK(kept({CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, p) == (p != Precision::fp32));
        CHECK(!kept({CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, p));
        CHECK(kept({CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, p, false));
        CHECK(!kept({CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, p));
        CHECK(!kept({CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}, p));
        CHECK(!kept({CUDNN_NUMERICAL_NOTE_FFT}, p));
        CHECK(!kept({CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4}, p));
    }
}

TEST_CASE("cudnn: a refused descriptor throws the library's words") {
    std::string message;
    try {
        CudnnDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR).finalize();
    } catch (const std::runtime_error& e) {
        message = e.what();
    }
    CHECK(message.find("cudnn_graph.h:") != std::string::npos);
    CHECK(message.find("CUDNN_STATUS_BAD_PARAM") != std::string::npos);
}

#if CUDNN_VERSION >= 90800

namespace {

/// The properties of a GPU as cudaDeviceGetAttribute gives them.
std::string properties(const char* name, int version, int multiprocessors, int clock, int l2, int shared) {
    return text(R"({"deviceName":")", name, R"(","deviceVer":)", version, R"(,"multiProcessorCount":)", multiprocessors,
                R"(,"smClockRateKHz":)", clock, R"(,"memClockRateKHz":1500000,"l2CacheSize":)", l2, R"(,"maxSharedMemoryPerBlockOptin":)",
                shared, R"(,"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"cudaDeviceId":0,"driverVer":13000,)",
                R"("regsPerBlock":65536,"warpSize":32,"maxSharedMemoryPerBlock":49152,"reservedSharedMemoryPerBlock":1024,)",
                R"("maxRegistersPerSM":65536,"pciDeviceId":0,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,)",
                R"("isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":80000000000})");
}
const CudnnTarget& a100() {
    static const CudnnTarget target(properties("NVIDIA A100", 800, 108, 1410000, 41943040, 166912));
    return target;
}
const CudnnTarget& h100() {
    static const CudnnTarget target(properties("NVIDIA H100", 900, 132, 1980000, 52428800, 232448));
    return target;
}

/// How many candidates finalise; each also after a round through its text, with the same workspace.
int check_plans(const CudnnConvGraph& graph) {
    int plans = 0;
    for (const ConvChoice& choice : graph.candidates(8)) {
        const auto read_back = parse_conv_choice(to_string(choice));
        CAPTURE(to_string(choice));
        REQUIRE(read_back.has_value());
        CHECK(read_back->same_plan(choice));
        try {
            const size_t bytes = graph.plan(choice).workspace_bytes();
            CHECK(graph.plan(*read_back).workspace_bytes() == bytes);
            ++plans;
        } catch (const std::runtime_error& refusal) {
            MESSAGE(to_string(choice), ": ", refusal.what());
        }
    }
    return plans;
}

}  // namespace

TEST_CASE("cudnn: every convolution of our networks has plans on an A100 and an H100, in every precision") {
    for (const CudnnTarget* target : {&a100(), &h100()})
        for (const Layer& layer : layers)
            for (const Precision precision : precisions)
                for (const ConvDirection direction : directions) {
                    const ConvKey key = key_of(direction, layer.x, layer.w, layer.stride, layer.pad, precision);
                    CAPTURE(to_string(key));
                    CHECK(check_plans(CudnnConvGraph(key, false, *target)) > 0);
                }
}

TEST_CASE("cudnn: determinism leaves engines out, and fp32 the tensor cores") {
    const auto offered = [](Precision precision, bool deterministic) {
        ConvKey key = key_of(ConvDirection::backward_weights, layers[1].x, layers[1].w, 1, 1, precision);
        key.deterministic = deterministic;
        return CudnnConvGraph(key, false, h100()).candidates(1000);
    };
    const auto engines = [&](Precision precision, bool deterministic) {
        std::set<int64_t> all;
        for (const ConvChoice& choice : offered(precision, deterministic)) all.insert(choice.engine);
        return all;
    };
    const auto has_more = [](const std::set<int64_t>& a, const std::set<int64_t>& b) {
        return std::any_of(a.begin(), a.end(), [&](int64_t engine) { return b.count(engine) == 0; });
    };
    CHECK(has_more(engines(Precision::fp32, false), engines(Precision::fp32, true)));
    CHECK(has_more(engines(Precision::tf32, true), engines(Precision::fp32, true)));
}

TEST_CASE("cudnn: a stored plan that breaks the key's promises is refused") {
    const ConvKey tf32 = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, Precision::tf32);
    ConvKey fp32 = tf32;
    fp32.precision = Precision::fp32;
    const CudnnConvGraph fast(tf32, false, h100()), exact(fp32, false, h100());
    const auto all = fast.candidates(8), kept = exact.candidates(8);
    const auto tensor_core = std::find_if(all.begin(), all.end(), [&](const ConvChoice& c) {
        return std::none_of(kept.begin(), kept.end(), [&](const ConvChoice& k) { return k.engine == c.engine; });
    });
    REQUIRE(tensor_core != all.end());
    CHECK_NOTHROW(fast.plan(*tensor_core));
    CHECK_THROWS_AS(exact.plan(*tensor_core), std::runtime_error);
    ConvChoice none = *tensor_core;
    none.engine = 9999;
    CHECK_THROWS_AS(fast.plan(none), std::runtime_error);
}

TEST_CASE("cudnn: epilogues and float gradients of weights are graphs that cuDNN takes") {
    for (const Precision precision : precisions)
        for (int flags = 1; flags < 8; ++flags) {
            ConvKey key = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, precision);
            key.bias = flags & 1;
            key.residual = flags & 2;
            key.relu = flags & 4;
            CAPTURE(to_string(key));
            const CudnnConvGraph graph(key, true, h100());
            CHECK(graph.uids().size() == 3u + key.bias + key.residual);
            // With a bias, fp32 has precompiled engines; the rest is compiled at run time or done by conv_epilogue.
            if (key.bias && precision != Precision::bf16) CHECK(check_plans(graph) > 0);
        }
    CHECK_NOTHROW(CudnnConvGraph(key_of(ConvDirection::backward_weights, layers[1].x, layers[1].w, 1, 1, Precision::bf16), true, h100()));
}

#endif
#endif
