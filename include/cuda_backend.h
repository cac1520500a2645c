// cuda_backend.h: the GPU's implementation of core_backend.h: cuDNN convolutions, cuBLAS products, kernels of our own for the rest.
// defines: CudaBackend
#pragma once
#include <vector>

#include "core_backend.h"
#include "cuda_cublas.h"

namespace distill {

class CudaConvolutions;  // cuda_conv2d.h

class CudaBackend final : public Backend {
  public:
    explicit CudaBackend(const DeviceOptions& options);
    ~CudaBackend() override;
    Device device() const override { return Device::cuda; }
    std::string description() const override;
    Arena& arena() override { return *arena_; }
    /// Fused multiply-adds at the highest clock: of the tensor cores in tf32 and bf16, where their rate is known, else of the fp32 units.
    double peak_multiply_accumulates_per_ms() override;

    void upload(void* to_device, const void* from_host, size_t bytes) override;
    void download(void* to_host, const void* from_device, size_t bytes) override;
    void copy(void* to, const void* from, size_t bytes) override;
    void zero(void* memory, size_t bytes) override;
    void synchronize() override;

    bool immediate() const override { return false; }
    void wait(int other) override;
    void* native_stream() override { return stream(); }
    /// Side streams become branches of one CUDA graph. Memory that has to be taken from the system meanwhile is no part of it.
    std::unique_ptr<Replay> capture(const std::function<void()>& work) override;
    std::unique_ptr<Stopwatch> stopwatch() override;
    void pace() override;

    void conv2d_forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y) override;
    void conv2d_backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add) override;
    void conv2d_backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw) override;
    void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) override;
    void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) override;
    void gemm(const GemmShape& s, const float* a, const float* b, float* c) override;
    ConvPlanStore* conv_plans() override;

  private:
    using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
    using Event = Owned<cudaEvent_t, cudaEventDestroy>;

    /// A stream, the event by which others wait for it, and cuBLAS's scratch memory while it works on it: of a fixed address (a
    /// captured graph keeps it) and one for each stream (products on two streams at once would overwrite each other's; from
    /// cuBLAS's own pool, its choice of algorithm would depend on what else runs).
    struct Lane {
        Stream stream;
        Event event;
        BlockRef workspace, batchnorm;  ///< of cuBLAS and of cuda_batchnorm.h
    };

    /// What NVIDIA recommends (cublasSetWorkspace): 32 MiB from Hopper on, 4 MiB before.
    size_t workspace_bytes() const { return size_t{properties_.major >= 9 ? 32u : 4u} << 20; }

    cudaStream_t stream() const { return lanes_[static_cast<size_t>(current_stream())].stream.get(); }
    void select_stream(int index) override;
    /// What needs the host at the moment the device gets there cannot be replayed.
    void refuse_in_capture(const char* what) const;

    /// Made on demand. Non-blocking: they do not order themselves after the legacy default stream, which a graph could not capture.
    const Lane& lane_of(int index);

    cudaDeviceProp properties_{};
    std::unique_ptr<Arena> arena_;  // before what works on its memory, so freed after it
    std::vector<Lane> lanes_;
    Cublas cublas_;
    std::unique_ptr<CudaConvolutions> convolutions_;
    bool capturing_ = false;
    std::vector<Event> marks_;  ///< where the last steps end: a ring
    size_t paced_ = 0;
};

}  // namespace distill
