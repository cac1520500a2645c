// The GPU: memory, streams and matrix products. Convolution and BatchNorm are done in files of their own; elementwise and row operations
// come from launch_cuda.h.
#include "cuda_backend.h"

#include <mutex>
#include <shared_mutex>

#include "cuda_batchnorm.h"
#include "cuda_captures.h"
#include "cuda_conv2d.h"
#include "gpu_compute_capability.h"

namespace distill {
namespace {

/// While this thread captures a stream, what cannot be part of a graph (cudaMalloc, say) is refused unless the thread says that it knows.
class BesideCapture {
  public:
    BesideCapture() { DISTILL_CUDA_CHECK(cudaThreadExchangeStreamCaptureMode(&mode_)); }
    ~BesideCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }

  private:
    cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  ///< then the one before
};

class CudaArena final : public Arena {
  public:
    ~CudaArena() override {
        for (const auto& block : blocks_) cudaFree(block->memory);
    }

  private:
    void* system_allocate(size_t bytes) override {
        const BesideCapture allowed;
        void* memory = nullptr;
        const cudaError_t status = cudaMalloc(&memory, bytes);
        if (status == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // or the next kernel launch would be blamed
            size_t free = 0, total = 0;
            DISTILL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
            throw OutOfMemory(
                text("out of GPU memory: ", bytes, " bytes asked for, ", free, " free of ", total, ", ", system_bytes(), " in use here"));
        }
        DISTILL_CUDA_CHECK(status);
        return memory;
    }
};

/// A CUDA graph made ready to run, and the memory that its kernels work on.
class CudaReplay final : public Replay {
  public:
    using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
    CudaReplay(Backend& backend, const Graph& graph, std::vector<BlockRef> memory) : backend_(backend), memory_(std::move(memory)) {
        graph_ = create<Ready>([&](cudaGraphExec_t* ready) { return cudaGraphInstantiate(ready, graph.get(), 0); });
    }
    void run() override { DISTILL_CUDA_CHECK(cudaGraphLaunch(graph_.get(), static_cast<cudaStream_t>(backend_.native_stream()))); }

  private:
    using Ready = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;
    Backend& backend_;
    std::vector<BlockRef> memory_;
    Ready graph_;  // goes before its memory does
};

ConvOperands operands(const void* x, const void* w, const void* y, const ConvEpilogue& epilogue = {}) {
    // cuDNN has no const memory; inputs are only read
    return {const_cast<void*>(x), const_cast<void*>(w), const_cast<void*>(y), epilogue};
}

}  // namespace

CudaBackend::CudaBackend(const DeviceOptions& options) : Backend(options.precision), arena_(std::make_unique<CudaArena>()) {
    DISTILL_CUDA_CHECK(cudaSetDevice(options.index));
    DISTILL_CUDA_CHECK(cudaGetDeviceProperties(&properties_, options.index));
    require_compute_capability(properties_.name, 10 * properties_.major + properties_.minor, DISTILL_GPU_ARCHS);
    if (options.precision == Precision::bf16 && properties_.major < 8)
        input_error("--precision bf16: needs a GPU of compute capability 8.0 or later; ", properties_.name, " has ", properties_.major, '.',
                    properties_.minor, "; use fp32 or --device cpu");
    arena_->owner = this;
    const std::unique_lock<std::shared_mutex> nobody_captures(captures());
    // As created, cuBLAS computes fp32 in fp32 (no TF32) and without atomics, so a product repeats bit for bit.
    // Before cuDNN, which looks for cuBLASLt by its name alone, and so finds it loaded.
    cublas_ = create_cublas();
    use_stream(0);
    convolutions_ = std::make_unique<CudaConvolutions>(*this, properties_.name, options.deterministic);
}

CudaBackend::~CudaBackend() {
    const std::unique_lock<std::shared_mutex> nobody_captures(captures());
    marks_.clear();
    convolutions_.reset();
    cublas_ = Cublas();
    lanes_.clear();
    arena_.reset();
}

double CudaBackend::peak_multiply_accumulates_per_ms() {
    int index = 0, kilohertz = 0;
    DISTILL_CUDA_CHECK(cudaGetDevice(&index));
    DISTILL_CUDA_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, index));
    // Multiply-adds of a multiprocessor in a clock. fp32 units: 64 in A100, 128 in every later card. Tensor cores, dense: A100's white
    // paper gives 1024 in bf16 and half of that in TF32, H100's twice as many; of other cards we know no published figure, so there the
    // bound is the fp32 units', which tensor cores may well beat.
    const bool a100 = properties_.major == 8 && properties_.minor == 0, hopper = properties_.major == 9 && properties_.minor == 0;
    double each_clock = a100 ? 64 : 128;
    if (precision() != Precision::fp32 && (a100 || hopper)) each_clock = (precision() == Precision::bf16 ? 1024 : 512) * (hopper ? 2 : 1);
    return each_clock * properties_.multiProcessorCount * kilohertz;
}

/// From pageable memory the values are taken before this returns; page-locked memory must stay as it is until the stream got there.
void CudaBackend::upload(void* to_device, const void* from_host, size_t bytes) {
    refuse_in_capture("upload");
    DISTILL_CUDA_CHECK(cudaMemcpyAsync(to_device, from_host, bytes, cudaMemcpyHostToDevice, stream()));
}

void CudaBackend::download(void* to_host, const void* from_device, size_t bytes) {
    refuse_in_capture("download");
    DISTILL_CUDA_CHECK(cudaMemcpyAsync(to_host, from_device, bytes, cudaMemcpyDeviceToHost, stream()));
    DISTILL_CUDA_CHECK(cudaStreamSynchronize(stream()));
}

void CudaBackend::copy(void* to, const void* from, size_t bytes) {
    if (to != from) DISTILL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()));
}

void CudaBackend::zero(void* memory, size_t bytes) { DISTILL_CUDA_CHECK(cudaMemsetAsync(memory, 0, bytes, stream())); }

void CudaBackend::synchronize() {
    refuse_in_capture("synchronize");
    for (const Lane& lane : lanes_) DISTILL_CUDA_CHECK(cudaStreamSynchronize(lane.stream.get()));
}

void CudaBackend::select_stream(int index) {
    const Lane& lane = lane_of(index);
    DISTILL_CUDA_CHECK(cublas().set_stream(cublas_.get(), lane.stream.get()));  // forgets the workspace, so in this order
    DISTILL_CUDA_CHECK(cublas().set_workspace(cublas_.get(), lane.workspace.get()->memory, workspace_bytes()));
    arena_->use_stream(index);
}

void CudaBackend::wait(int other) {
    if (other == current_stream()) return;
    const Lane& lane = lane_of(other);
    DISTILL_CUDA_CHECK(cudaEventRecord(lane.event.get(), lane.stream.get()));
    DISTILL_CUDA_CHECK(cudaStreamWaitEvent(stream(), lane.event.get(), 0));
}

const CudaBackend::Lane& CudaBackend::lane_of(int index) {
    while (lanes_.size() <= static_cast<size_t>(index)) {
        const BesideCapture allowed;
        arena_->use_stream(static_cast<int>(lanes_.size()));  // memory from its own pool: no other stream is at work on it
        Lane lane;
        lane.stream = create<Stream>([](cudaStream_t* s) { return cudaStreamCreateWithFlags(s, cudaStreamNonBlocking); });
        lane.event = create<Event>([](cudaEvent_t* e) { return cudaEventCreateWithFlags(e, cudaEventDisableTiming); });
        lane.workspace = BlockRef(arena_->obtain(workspace_bytes()));
        lane.batchnorm = BlockRef(arena_->obtain(batchnorm_scratch_bytes()));
        DISTILL_CUDA_CHECK(cudaMemsetAsync(lane.batchnorm.get()->memory, 0, batchnorm_scratch_bytes(), lane.stream.get()));
        DISTILL_CUDA_CHECK(cudaStreamSynchronize(lane.stream.get()));  // done before any graph that is being captured
        lanes_.push_back(std::move(lane));
        arena_->use_stream(current_stream());
    }
    return lanes_[static_cast<size_t>(index)];
}

void CudaBackend::refuse_in_capture(const char* what) const {
    if (capturing_) failure("CudaBackend::", what, ": in a step that is being captured ---> do it before the step, or from device memory");
}

std::unique_ptr<Replay> CudaBackend::capture(const std::function<void()>& work) {
    join();
    const std::shared_lock<std::shared_mutex> nobody_ends(captures());
    arena_->begin_capture();
    const cudaStream_t origin = stream();
    const auto end = [&](cudaGraph_t* graph) {
        capturing_ = false;
        return cudaStreamEndCapture(origin, graph);
    };
    CudaReplay::Graph graph;
    try {
        DISTILL_CUDA_CHECK(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal));
        capturing_ = true;
        work();
        join();
        graph = create<CudaReplay::Graph>(end);
    } catch (...) {
        cudaGraph_t broken = nullptr;
        if (capturing_) end(&broken);  // side streams may not have been joined, which it complains of: no news
        if (broken) cudaGraphDestroy(broken);
        cudaGetLastError();
        arena_->end_capture();
        throw;
    }
    return std::make_unique<CudaReplay>(*this, graph, arena_->end_capture());
}

/// Eight steps keep the device busy through any hiccup of the host; a signal then waits for no more than those. The host sleeps
/// meanwhile: trainings side by side must not fight for cores.
void CudaBackend::pace() {
    constexpr size_t steps_ahead = 8;
    while (marks_.size() < steps_ahead)
        marks_.push_back(
            create<Event>([](cudaEvent_t* e) { return cudaEventCreateWithFlags(e, cudaEventDisableTiming | cudaEventBlockingSync); }));
    const cudaEvent_t mark = marks_[paced_++ % steps_ahead].get();
    DISTILL_CUDA_CHECK(cudaEventSynchronize(mark));
    DISTILL_CUDA_CHECK(cudaEventRecord(mark, stream()));
}

void CudaBackend::conv2d_forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
    convolutions_->run(ConvDirection::forward, g, operands(x, w, y, epilogue));
}
void CudaBackend::conv2d_backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool /*add*/) {
    convolutions_->run(ConvDirection::backward_data, g, operands(dx, w, dy));
}
void CudaBackend::conv2d_backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    convolutions_->run(ConvDirection::backward_weights, g, operands(x, dw, dy));
}
ConvPlanStore* CudaBackend::conv_plans() { return &convolutions_->plans(); }

void CudaBackend::batchnorm_forward(const BatchNormShape& s, const BatchNormForward& t) {
    launch_batchnorm_forward(*this, lane_of(current_stream()).batchnorm.get()->memory, s, t);
}
void CudaBackend::batchnorm_backward(const BatchNormShape& s, const BatchNormBackward& t) {
    launch_batchnorm_backward(*this, lane_of(current_stream()).batchnorm.get()->memory, s, t);
}

std::string CudaBackend::description() const {
    int driver = 0, runtime = 0, products = 0;
    DISTILL_CUDA_CHECK(cudaDriverGetVersion(&driver));
    DISTILL_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    DISTILL_CUDA_CHECK(cublas().get_version(cublas_.get(), &products));
    const auto cuda = [](int version) { return text(version / 1000, '.', version % 1000 / 10); };  // 12040 is 12.4
    return text("cuda, ", properties_.name, ", compute capability ", properties_.major, '.', properties_.minor, ", ",
                properties_.totalGlobalMem >> 20, " MiB, driver for CUDA ", cuda(driver), ", CUDA runtime ", cuda(runtime), ", cuBLAS ",
                products / 10000, '.', products % 10000 / 100, '.', products % 100, ", ", convolutions_->plans().library());
}

/// cuBLAS counts by columns, where our row-major matrices appear transposed: cᵀ (n×m) = op(b)ᵀ·op(a)ᵀ needs no transposition but
/// the operands in the other order.
void CudaBackend::gemm(const GemmShape& s, const float* a, const float* b, float* c) {
    const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const Precision inside = s.exact ? Precision::fp32 : precision();
    const cublasComputeType_t compute = inside == Precision::tf32   ? CUBLAS_COMPUTE_32F_FAST_TF32
                                        : inside == Precision::bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF
                                                                    : CUBLAS_COMPUTE_32F;
    const float one = 1, zero = 0;
    if (s.count == 1)
        DISTILL_CUDA_CHECK(cublas().gemm_ex(cublas_.get(), operation(s.transpose_b), operation(s.transpose_a), s.n, s.m, s.k, &one, b,
                                            CUDA_R_32F, s.stored_row_b(), a, CUDA_R_32F, s.stored_row_a(), &zero, c, CUDA_R_32F,
                                            s.stored_row_c(), compute, CUBLAS_GEMM_DEFAULT));
    else
        DISTILL_CUDA_CHECK(cublas().gemm_strided_batched_ex(cublas_.get(), operation(s.transpose_b), operation(s.transpose_a), s.n, s.m,
                                                            s.k, &one, b, CUDA_R_32F, s.stored_row_b(), s.step_b, a, CUDA_R_32F,
                                                            s.stored_row_a(), s.step_a, &zero, c, CUDA_R_32F, s.stored_row_c(), s.step_c,
                                                            s.count, compute, CUBLAS_GEMM_DEFAULT));
}

}  // namespace distill
