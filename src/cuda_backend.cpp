// The GPU: memory, streams and matrix products. Convolution and BatchNorm have files of their own; elementwise and row operations
// come from launch_cuda.h.
#include "cuda_backend.h"

#include "cuda_batchnorm.h"
#include "cuda_conv2d.h"

namespace distill {
namespace {

/// The arena hands a freed block out again at once, in the order of the host's calls. On one stream that is safe: the next owner's
/// work is queued behind the last one's. Between streams it is not: a block freed under stream 1 and obtained under stream 2 may
/// still be in use by 1, so 2 must wait(1) between the two (and where 2's work reads what 1 wrote it has to anyway).
class CudaArena final : public Arena {
  public:
    ~CudaArena() override {
        for (const auto& block : blocks_) cudaFree(block->memory);
    }

  private:
    void* system_allocate(size_t bytes) override {
        void* memory = nullptr;
        const cudaError_t status = cudaMalloc(&memory, bytes);
        if (status == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // or the next kernel launch would be blamed
            size_t free = 0, total = 0;
            DISTILL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
            failure("out of GPU memory: ", bytes, " bytes asked for, ", free, " free of ", total, ", ", system_bytes(),
                    " in use here; choose a smaller --batch");
        }
        DISTILL_CUDA_CHECK(status);
        return memory;
    }
};

}  // namespace

CudaBackend::CudaBackend(const DeviceOptions& options) : Backend(options.precision), arena_(std::make_unique<CudaArena>()) {
    DISTILL_CUDA_CHECK(cudaSetDevice(options.index));
    DISTILL_CUDA_CHECK(cudaGetDeviceProperties(&properties_, options.index));
    arena_->owner = this;
    // As created, cuBLAS computes fp32 in fp32 (no TF32) and without atomics, so a product repeats bit for bit.
    cublas_ = create<Cublas>([](cublasHandle_t* handle) { return cublasCreate(handle); });
    use_stream(0);
    convolutions_ = std::make_unique<CudaConvolutions>(*this, properties_.name, options.deterministic);
}

CudaBackend::~CudaBackend() = default;

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
    DISTILL_CUDA_CHECK(cudaMemcpyAsync(to_device, from_host, bytes, cudaMemcpyHostToDevice, stream()));
}

void CudaBackend::download(void* to_host, const void* from_device, size_t bytes) {
    DISTILL_CUDA_CHECK(cudaMemcpyAsync(to_host, from_device, bytes, cudaMemcpyDeviceToHost, stream()));
    DISTILL_CUDA_CHECK(cudaStreamSynchronize(stream()));
}

void CudaBackend::copy(void* to, const void* from, size_t bytes) {
    if (to != from) DISTILL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()));
}

void CudaBackend::zero(void* memory, size_t bytes) { DISTILL_CUDA_CHECK(cudaMemsetAsync(memory, 0, bytes, stream())); }

void CudaBackend::synchronize() {
    for (const Lane& lane : lanes_) DISTILL_CUDA_CHECK(cudaStreamSynchronize(lane.stream.get()));
}

void CudaBackend::use_stream(int index) {
    const Lane& lane = lane_of(index);
    DISTILL_CUDA_CHECK(cublasSetStream(cublas_.get(), lane.stream.get()));  // forgets the workspace, so in this order
    DISTILL_CUDA_CHECK(cublasSetWorkspace(cublas_.get(), lane.workspace, workspace_bytes()));
    current_ = index;
}

void CudaBackend::wait(int other) {
    if (other == current_) return;
    const Lane& lane = lane_of(other);
    DISTILL_CUDA_CHECK(cudaEventRecord(lane.event.get(), lane.stream.get()));
    DISTILL_CUDA_CHECK(cudaStreamWaitEvent(stream(), lane.event.get(), 0));
}

const CudaBackend::Lane& CudaBackend::lane_of(int index) {
    if (index < 0) failure("CudaBackend: stream ", index, "; streams count from 0");
    while (lanes_.size() <= static_cast<size_t>(index)) {
        Lane lane;
        lane.stream = create<Stream>([](cudaStream_t* s) { return cudaStreamCreateWithFlags(s, cudaStreamNonBlocking); });
        lane.event = create<Event>([](cudaEvent_t* e) { return cudaEventCreateWithFlags(e, cudaEventDisableTiming); });
        lane.workspace = arena_->obtain(workspace_bytes())->memory;
        lane.batchnorm = arena_->obtain(batchnorm_scratch_bytes())->memory;
        DISTILL_CUDA_CHECK(cudaMemsetAsync(lane.batchnorm, 0, batchnorm_scratch_bytes(), lane.stream.get()));
        lanes_.push_back(std::move(lane));
    }
    return lanes_[static_cast<size_t>(index)];
}

void CudaBackend::batchnorm_forward(const BatchNormShape& s, const BatchNormForward& t) {
    launch_batchnorm_forward(*this, lane_of(current_).batchnorm, s, t);
}
void CudaBackend::batchnorm_backward(const BatchNormShape& s, const BatchNormBackward& t) {
    launch_batchnorm_backward(*this, lane_of(current_).batchnorm, s, t);
}

std::string CudaBackend::description() const {
    int driver = 0, runtime = 0, cublas = 0;
    DISTILL_CUDA_CHECK(cudaDriverGetVersion(&driver));
    DISTILL_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    DISTILL_CUDA_CHECK(cublasGetVersion(cublas_.get(), &cublas));
    const auto cuda = [](int version) { return text(version / 1000, '.', version % 1000 / 10); };  // 12040 is 12.4
    return text("cuda, ", properties_.name, ", compute capability ", properties_.major, '.', properties_.minor, ", ",
                properties_.totalGlobalMem >> 20, " MiB, driver for CUDA ", cuda(driver), ", CUDA runtime ", cuda(runtime), ", cuBLAS ",
                cublas / 10000, '.', cublas % 10000 / 100, '.', cublas % 100, ", ", convolutions_->plans().library());
}

/// cuBLAS counts by columns, where our row-major matrices appear transposed: cᵀ (n×m) = op(b)ᵀ·op(a)ᵀ needs no transposition but
/// the operands in the other order.
void CudaBackend::gemm(const GemmShape& s, const float* a, const float* b, float* c) {
    const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const cublasComputeType_t compute = precision() == Precision::tf32   ? CUBLAS_COMPUTE_32F_FAST_TF32
                                        : precision() == Precision::bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF
                                                                         : CUBLAS_COMPUTE_32F;
    const float one = 1, zero = 0;
    DISTILL_CUDA_CHECK(cublasGemmEx_64(cublas_.get(), operation(s.transpose_b), operation(s.transpose_a), s.n, s.m, s.k, &one, b,
                                       CUDA_R_32F, s.transpose_b ? s.k : s.n, a, CUDA_R_32F, s.transpose_a ? s.m : s.k, &zero, c,
                                       CUDA_R_32F, s.n, compute, CUBLAS_GEMM_DEFAULT));
}

int cuda_device_count() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<Backend> make_cuda_backend(const DeviceOptions& options) {
    int count = 0;
    if (const char* words = error_words(cudaGetDeviceCount(&count)))
        input_error("--device cuda: no GPU here (", words, "); use --device cpu");
    if (options.index < 0 || options.index >= count)
        input_error("--device cuda: GPU ", options.index, " was asked for, there are ", count, ", counted from 0");
    return std::make_unique<CudaBackend>(options);
}

}  // namespace distill
