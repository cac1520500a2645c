// Convolution on the GPU by cuDNN's graph API.
#include "cuda_conv2d.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "core_tensor.h"
#include "cuda_captures.h"
#include "cuda_owned.h"
#include "launch_conv_epilogue.h"

namespace distill {
namespace {

/// Of each heuristic. cuDNN ranks what it offers; what stands further down was never close to the best in its authors' measurements.
constexpr size_t candidates_each = 8;
/// A plan that wants more is not tried: its gain would be paid with memory on every stream.
constexpr size_t most_workspace = size_t{256} << 20;

/// Device memory for the trials alone, so that the arena does not keep what only they needed.
class TrialWorkspace {
  public:
    /// Null if the device has not as much left.
    void* of(size_t bytes) {
        if (bytes <= bytes_) return memory_.get();
        memory_.reset();
        bytes_ = 0;
        void* memory = nullptr;
        if (cudaMalloc(&memory, bytes) != cudaSuccess) {
            cudaGetLastError();  // or the next kernel launch would be blamed
            return nullptr;
        }
        memory_.reset(static_cast<char*>(memory));
        bytes_ = bytes;
        return memory;
    }

  private:
    Owned<char*, cudaFree> memory_;
    size_t bytes_ = 0;
};

using Event = Owned<cudaEvent_t, cudaEventDestroy>;
Event timing_event() {
    return create<Event>([](cudaEvent_t* e) { return cudaEventCreate(e); });
}

/// Keeps a stream waiting while the host queues what is to be timed; the device then works without gaps.
void CUDART_CB hold_stream(void*) { std::this_thread::sleep_for(std::chrono::microseconds(300)); }

cudnnHandle_t cudnn_handle() {
    cudnnHandle_t handle = nullptr;
    DISTILL_CUDA_CHECK(cudnnCreate(&handle));
    return handle;
}

/// Once in a process.
void note_missing_engines(const ConvKey& key, const CudnnConvGraph& graph) {
    static std::atomic<bool> said{false};
    if (said || missing_engines_note(key, false, cudnnGetVersion()).empty()) return;  // before the heuristics are asked once more
    const std::string note = missing_engines_note(key, graph.offers_compiled_engines(), cudnnGetVersion());
    if (!note.empty() && !said.exchange(true)) std::printf("%s\n", note.c_str());
}

}  // namespace

struct CudaConvolutions::Prepared {
    bool fused;
    std::vector<int64_t> uids;
    CudnnPlan plan;
    Prepared(const CudnnConvGraph& graph, const ConvChoice& choice) : fused(choice.fused), uids(graph.uids()), plan(graph.plan(choice)) {}
};

CudaConvolutions::CudaConvolutions(Backend& backend, const std::string& device_name, bool deterministic)
    : backend_(backend),
      deterministic_(deterministic),
      cudnn_(cudnn_handle()),
      target_(cudnn_.get()),
      plans_(device_name, cudnn_version()) {}

CudaConvolutions::~CudaConvolutions() = default;

void CudaConvolutions::run(ConvDirection direction, const Conv2dGeometry& geometry, const ConvOperands& o) {
    for (const void* p : std::initializer_list<const void*>{o.x, o.w, o.y, o.epilogue.residual, o.epilogue.bias})
        if (reinterpret_cast<uintptr_t>(p) % 16) failure("convolution: an operand at ", p, " ---> place it on a multiple of 16 bytes");
    const ConvEpilogue& e = o.epilogue;
    const ConvKey key{direction, geometry, e.bias != nullptr, e.residual != nullptr, e.relu, backend_.precision(), deterministic_};
    DISTILL_CUDA_CHECK(cudnnSetStream(cudnn_.get(), stream()));
    const Prepared& plan = prepared(key, o);
    execute(key, plan, o, workspace(key, plan.plan.workspace_bytes()));
}

CudaConvolutions::Prepared& CudaConvolutions::prepared(const ConvKey& key, const ConvOperands& o) {
    if (adoptions_ != plans_.adoptions()) {  // a run brought its plans along: what was prepared before (for its teacher's test) may differ
        for (auto& [numbers, plan] : prepared_) retired_.push_back(std::move(plan));
        prepared_.clear();
        adoptions_ = plans_.adoptions();
    }
    std::unique_ptr<Prepared>& slot = prepared_[key.numbers()];
    if (slot) return *slot;
    refuse_while_capturing(key, "has no plan yet");
    const std::string name = to_string(key);
    const auto build = [&](const ConvChoice& choice) {
        return std::make_unique<Prepared>(CudnnConvGraph(key, choice.fused, target_), choice);
    };
    const auto measured = [&] { return measure(key, o); };
    const ConvChoice choice = plans_.choose(name, measured);
    try {
        slot = build(choice);
    } catch (const std::runtime_error& refusal) {
        std::printf("note: cuDNN refuses the stored plan '%s' of convolution %s: chosen anew (%s)\n", to_string(choice).c_str(),
                    name.c_str(), refusal.what());
        plans_.forget(name);
        slot = build(plans_.choose(name, measured));
    }
    return *slot;
}

/// Tries what cuDNN offers for the fused graph, where there is something to fuse, and for the bare convolution.
ConvChoice CudaConvolutions::measure(const ConvKey& key, const ConvOperands& o) {
    const bool narrow_gradient = key.direction == ConvDirection::backward_weights && key.geometry.type == DType::bf16;
    const bool can_fuse = narrow_gradient || (key.direction == ConvDirection::forward && key.has_epilogue());
    std::vector<ConvChoice> timed;
    std::string last_refusal = "it offers no engine of this precision";
    const std::unique_lock<std::shared_mutex> nobody_captures(captures());
    TrialWorkspace memory;
    for (const bool fused : {true, false}) {
        if (fused && !can_fuse) continue;
        try {
            const CudnnConvGraph graph(key, fused, target_);
            if (!fused) note_missing_engines(key, graph);
            for (ConvChoice& choice : graph.candidates(candidates_each)) {
                try {
                    const Prepared plan(graph, choice);
                    const size_t bytes = plan.plan.workspace_bytes();
                    void* const place = bytes <= most_workspace ? memory.of(bytes) : nullptr;
                    if (bytes > 0 && !place) continue;
                    choice.ms = milliseconds(key, plan, o, place);
                    timed.push_back(choice);
                } catch (const std::runtime_error& refusal) {  // one engine of many: the heuristics do not know all that it cannot do
                    last_refusal = refusal.what();
                    cudaGetLastError();  // or the next kernel launch would be blamed
                }
            }
        } catch (const std::runtime_error& refusal) {
            last_refusal = refusal.what();
        }
    }
    DISTILL_CUDA_CHECK(cudaStreamSynchronize(stream()));  // an engine that broke the device is told here, not by the next step
    if (timed.empty()) failure("cuDNN has no plan for convolution ", to_string(key), ": ", last_refusal);
    return best_choice(key, timed);
}

/// The best of three rounds of five runs, after one to warm up (which also loads the kernel).
float CudaConvolutions::milliseconds(const ConvKey& key, const Prepared& plan, const ConvOperands& o, void* place) {
    constexpr int rounds = 3, runs = 5;
    const Event begin = timing_event(), end = timing_event();
    execute(key, plan, o, place);
    float best = 0;
    for (int round = 0; round < rounds; ++round) {
        DISTILL_CUDA_CHECK(cudaStreamSynchronize(stream()));
        DISTILL_CUDA_CHECK(cudaLaunchHostFunc(stream(), hold_stream, nullptr));
        DISTILL_CUDA_CHECK(cudaEventRecord(begin.get(), stream()));
        for (int i = 0; i < runs; ++i) execute(key, plan, o, place);
        DISTILL_CUDA_CHECK(cudaEventRecord(end.get(), stream()));
        DISTILL_CUDA_CHECK(cudaEventSynchronize(end.get()));
        float ms = 0;
        DISTILL_CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
        best = round == 0 ? ms / runs : std::min(best, ms / runs);
    }
    return best;
}

void CudaConvolutions::execute(const ConvKey& key, const Prepared& plan, const ConvOperands& o, void* place) {
    const Conv2dGeometry& g = key.geometry;
    const bool narrow_gradient = key.direction == ConvDirection::backward_weights && g.type == DType::bf16 && !plan.fused;
    const Tensor narrow = narrow_gradient ? Tensor(backend_, g.w, DType::bf16) : Tensor();
    std::vector<void*> pointers;
    for (const int64_t uid : plan.uids) switch (uid) {
            case CudnnConvGraph::x: pointers.push_back(o.x); break;
            case CudnnConvGraph::w: pointers.push_back(narrow_gradient ? narrow.raw() : o.w); break;
            case CudnnConvGraph::y: pointers.push_back(o.y); break;
            case CudnnConvGraph::residual: pointers.push_back(const_cast<void*>(o.epilogue.residual)); break;
            default: pointers.push_back(const_cast<float*>(o.epilogue.bias));
        }
    plan.plan.execute(cudnn_.get(), plan.uids, pointers, place);
    if (narrow_gradient) widen(backend_, g.w.size(), narrow.halves(), static_cast<float*>(o.w));
    if (!plan.fused && key.has_epilogue()) conv_epilogue(backend_, g.y, g.type, o.epilogue, o.y);
}

/// A stream's own: what runs beside it must not write there. A captured graph may still use what was outgrown, so that is never given
/// back; hence growth by doubling, and little is lost.
void* CudaConvolutions::workspace(const ConvKey& key, size_t bytes) {
    if (bytes == 0) return nullptr;
    BlockRef& held = workspaces_[stream()];
    const size_t had = held.get() ? held.get()->bytes : 0;
    if (had < bytes) {
        refuse_while_capturing(key, "needs more workspace than this stream has");
        outgrown_.push_back(held);
        held = BlockRef(backend_.arena().obtain(std::max(bytes, std::min(2 * had, most_workspace))));
    }
    return held.get()->memory;
}

void CudaConvolutions::refuse_while_capturing(const ConvKey& key, const char* what) const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    DISTILL_CUDA_CHECK(cudaStreamIsCapturing(stream(), &status));
    if (status != cudaStreamCaptureStatusNone)
        failure("convolution ", to_string(key), " ", what, " while a CUDA graph is captured ---> run one eager step of these shapes first");
}

}  // namespace distill
