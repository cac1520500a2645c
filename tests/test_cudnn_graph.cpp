// cuDNN's acceptance of our graphs, on any machine: cuDNN 9.8 and later make plans for a GPU described by its properties alone. Engines
// that compile at run time need a driver even for that, so what only they can do is left to test_cuda_conv2d.cpp. From 9.27 on all of
// it needs a driver's library; `make test-cudnn` lends the toolkit's stub of one. What changed from version to version: docs/cudnn.md.
#ifdef DISTILL_CUDA
#include "cuda_cublas.h"
#include "cudnn_graph.h"
#include "device.h"

#include <dlfcn.h>

#include <algorithm>
#include <set>

#include "testing.h"

using namespace distill;
using namespace distill::testing;

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
const Layer layers[] = {{"image", {128, 32, 32, 3}, {16, 3, 3, 3}, 1, 1},          {"3x3", {128, 32, 32, 16}, {16, 3, 3, 16}, 1, 1},
                        {"3x3 stride 2", {128, 32, 32, 16}, {32, 3, 3, 16}, 2, 1}, {"1x1", {64, 8, 8, 64}, {256, 1, 1, 64}, 1, 0},
                        {"1x1 stride 2", {128, 16, 16, 32}, {64, 1, 1, 32}, 2, 0}, {"depthwise", {128, 16, 16, 32}, {32, 3, 3, 1}, 1, 1},
                        {"grouped 1x1", {128, 8, 8, 240}, {240, 1, 1, 80}, 1, 0},  {"to two maps", {64, 8, 8, 512}, {2, 1, 1, 512}, 1, 0},
                        {"last batch", {16, 1, 1, 256}, {512, 1, 1, 256}, 1, 0}};
constexpr ConvDirection directions[] = {ConvDirection::forward, ConvDirection::backward_data, ConvDirection::backward_weights};
constexpr Precision precisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

/// A plain tensor is finalised, or the running case was recorded as skipped: without a driver, cuDNN 9.27 and later finalise nothing.
bool finalises_or_skip() {
    cublas();  // as a backend does: cuDNN looks for cuBLASLt by its name alone, and so finds it loaded
    try {
        CudnnDescriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, int64_t{1});
        t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT);
        t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<int64_t>{1, 1, 1, 1});
        t.set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<int64_t>{1, 1, 1, 1});
        t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16});
        t.finalize();
        return true;
    } catch (const std::runtime_error& refusal) {
        const bool no_library = std::string(refusal.what()).find("CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED") != std::string::npos;
        if (!no_library || cuda_device_count() > 0) throw;
        skip(cudnn_version() + " finalises nothing without a driver: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED");
        return false;
    }
}

bool can_load(const std::string& library) { return dlopen(library.c_str(), RTLD_LAZY) != nullptr; }

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
    if (!finalises_or_skip()) return;
    std::string message;
    try {
        CudnnDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR).finalize();
    } catch (const std::runtime_error& e) {
        message = e.what();
    }
    CHECK(message.find("cudnn_graph.h:") != std::string::npos);
    CHECK(message.find("CUDNN_STATUS_BAD_PARAM") != std::string::npos);
}

TEST_CASE("cudnn: a depthwise convolution without engines compiled at run time is said to lack them, from 9.10 on") {
    const ConvKey depthwise = key_of(ConvDirection::forward, layers[5].x, layers[5].w, 1, 1, Precision::fp32);
    const std::string note = missing_engines_note(depthwise, false, 91002);
    for (const char* part : {"note: cuDNN 9.", "depthwise", "libnvrtc.so.1", "LD_LIBRARY_PATH"})
        CHECK_MESSAGE(note.find(part) != std::string::npos, part);
    CHECK(note.find('\n') == std::string::npos);
    CHECK(missing_engines_note(depthwise, true, 91002).empty());
    CHECK(missing_engines_note(depthwise, false, 90900).empty());  // precompiled ones, then
    const ConvKey grouped = key_of(ConvDirection::forward, layers[6].x, layers[6].w, 1, 0, Precision::fp32);
    const ConvKey whole = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, Precision::fp32);
    for (const ConvKey& other : {grouped, whole}) CHECK(missing_engines_note(other, false, 91002).empty());
}

#if CUDNN_VERSION >= 90800

namespace {

/// The properties of a GPU as cudaDeviceGetAttribute gives them. Each version of cuDNN wants all that it knows (docs/cudnn.md).
std::string properties(const char* name, int version, int multiprocessors, int clock, int l2, int shared) {
    return text(R"({"deviceName":")", name, R"(","deviceVer":)", version, R"(,"multiProcessorCount":)", multiprocessors,
                R"(,"smClockRateKHz":)", clock, R"(,"memClockRateKHz":1500000,"memoryBusWidth":5120,"l2CacheSize":)", l2,
                R"(,"maxSharedMemoryPerBlockOptin":)", shared,
                R"(,"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"cudaDeviceId":0,"driverVer":13000,)",
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

/// What plans are made for: the GPU that is here, as cuDNN sees it, else two that are described. The last one serves where one is enough.
std::vector<const CudnnTarget*> targets() {
    if (cuda_device_count() == 0) return {&a100(), &h100()};
    static cudnnHandle_t handle = nullptr;  // never closed: at the end of the process the driver may go first
    if (!handle) DISTILL_CUDA_CHECK(cudnnCreate(&handle));
    static const CudnnTarget here(handle);
    return {&here};
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

TEST_CASE("cudnn: every convolution of our networks has plans on the GPU here, else on an A100 and an H100, in every precision") {
    if (!finalises_or_skip()) return;
    for (const CudnnTarget* target : targets())
        for (const Layer& layer : layers)
            for (const Precision precision : precisions)
                for (const ConvDirection direction : directions) {
                    const ConvKey key = key_of(direction, layer.x, layer.w, layer.stride, layer.pad, precision);
                    CAPTURE(to_string(key));
                    CHECK(check_plans(CudnnConvGraph(key, false, *target)) > 0);
                }
}

TEST_CASE("cudnn: determinism leaves engines out, and fp32 the tensor cores") {
    if (!finalises_or_skip()) return;
    const auto offered = [](Precision precision, bool deterministic) {
        ConvKey key = key_of(ConvDirection::backward_weights, layers[1].x, layers[1].w, 1, 1, precision);
        key.deterministic = deterministic;
        return CudnnConvGraph(key, false, *targets().back()).candidates(1000);
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
    if (!finalises_or_skip()) return;
    const ConvKey tf32 = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, Precision::tf32);
    ConvKey fp32 = tf32;
    fp32.precision = Precision::fp32;
    const CudnnConvGraph fast(tf32, false, *targets().back()), exact(fp32, false, *targets().back());
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
    if (!finalises_or_skip()) return;
    for (const Precision precision : precisions)
        for (int flags = 1; flags < 8; ++flags) {
            ConvKey key = key_of(ConvDirection::forward, layers[1].x, layers[1].w, 1, 1, precision);
            key.bias = flags & 1;
            key.residual = flags & 2;
            key.relu = flags & 4;
            CAPTURE(to_string(key));
            const CudnnConvGraph graph(key, true, *targets().back());
            CHECK(graph.uids().size() == 3u + key.bias + key.residual);
            // With a bias, fp32 has precompiled engines; the rest is compiled at run time or done by conv_epilogue.
            if (key.bias && precision != Precision::bf16) CHECK(check_plans(graph) > 0);
        }
    const ConvKey gradient = key_of(ConvDirection::backward_weights, layers[1].x, layers[1].w, 1, 1, Precision::bf16);
    CHECK_NOTHROW(CudnnConvGraph(gradient, true, *targets().back()));
}

TEST_CASE("cudnn: large maps have enough engines in fp32, those too that the heuristics do not name") {
    if (!finalises_or_skip()) return;
    for (const auto& [x, w] : {std::pair{Shape{64, 64, 64, 64}, Shape{64, 3, 3, 64}}, {Shape{64, 32, 32, 128}, Shape{128, 3, 3, 128}}}) {
        const CudnnConvGraph graph(key_of(ConvDirection::forward, x, w, 1, 1, Precision::fp32), false, *targets().back());
        CHECK(check_plans(graph) >= 4);
        const auto offered = graph.candidates(8);
        // An H100's fast one, ranked up to 9.26 and found by its number after.
        if (cuda_device_count() == 0)
            CHECK(std::any_of(offered.begin(), offered.end(), [](const ConvChoice& c) { return c.engine == 70; }));
    }
}

TEST_CASE("cudnn: what a described H100 is offered with a driver's library is as docs/cudnn.md has it of this version") {
    if (!finalises_or_skip()) return;
    if (cuda_device_count() > 0) return skip("there is a GPU, which need not be an H100");
    if (!can_load("libcuda.so.1")) return skip("no driver's library");
    const ConvKey gradient = key_of(ConvDirection::backward_weights, layers[1].x, layers[1].w, 1, 1, Precision::bf16);
    const size_t version = cudnnGetVersion();
    const auto in = [version](size_t first, size_t end) { return version >= first && version < end; };
    const bool named = !CudnnConvGraph(gradient, true, h100()).candidates(8).empty();
    if (in(90900, 91900) || version >= 92500) CHECK(named);
    if (version < 90900 || in(91900, 92300)) CHECK(!named);
    if (!can_load(text("libnvrtc.so.", CUDART_VERSION / 1000))) return skip("no libnvrtc");
    const ConvKey depthwise = key_of(ConvDirection::forward, layers[5].x, layers[5].w, 1, 1, Precision::fp32);
    CHECK(CudnnConvGraph(depthwise, false, h100()).offers_compiled_engines() == (version >= 91002));
}

#endif
#endif
