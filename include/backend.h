// backend.h: what a device can do. One method per operation and direction; elementwise and row operations are functors (launch.h).
// defines: Device, Precision, DeviceOptions, Conv2dGeometry, ConvEpilogue, BatchNormShape, BatchNormForward, BatchNormBackward, GemmShape,
//          Backend, make_backend
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "arena.h"
#include "tensor.h"

namespace distill {

class Profiler;

enum class Device { cpu, cuda };

/// Of convolutions and matrix products. fp32: IEEE single throughout. tf32: operands rounded to 10 bits of mantissa inside the tensor
/// cores (a GPU's; the CPU computes fp32). bf16: activations are stored as bfloat16 too; sums, weights, statistics and losses stay fp32.
enum class Precision { fp32, tf32, bf16 };

/// `threads`: OpenMP threads of the CPU's work, 0 = as the environment says. `deterministic`: the same bits each time on one machine.
struct DeviceOptions {
    int threads = 0;
    Precision precision = Precision::fp32;
    bool deterministic = true;
    int index = 0;  ///< of the GPU
};

/// y (N,OH,OW,K) = conv(x (N,H,W,C), w (K,R,S,C/groups)); OH = (H + 2·pad_h − R)/stride_h + 1, OW alike. x, w, y and the gradients of
/// x and y are of `type` (f32 or bf16); the gradient of w is always float, as are all sums.
struct Conv2dGeometry {
    Shape x, w, y;
    int stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, groups = 1;
    DType type = DType::f32;
    int64_t multiply_accumulates() const { return y.size() * w.per_sample(); }
};

/// What a forward convolution does to its sum before it writes: + bias (K floats), + residual (of y's shape and type), max(0, ·); each if given.
struct ConvEpilogue {
    const float* bias = nullptr;
    const void* residual = nullptr;
    bool relu = false;
};

/// Batch normalisation of `rows` rows of `channels` (rows = N·H·W), then + residual if given, then ReLU if asked.
/// x, y, residual and their gradients are of `type`; everything per channel is float.
struct BatchNormShape {
    int64_t rows = 0, channels = 0;
    bool relu = false;
    float epsilon = 1e-5f, momentum = 0.1f;
    DType type = DType::f32;
};
struct BatchNormForward {
    const void *x, *residual;  ///< residual may be null
    const float *gamma, *beta;
    void* y;
    float *mean, *inverse_std;             ///< mean and 1/√(var+ε) of the batch: saved for backward
    float *running_mean, *running_var;         ///< updated: r ← (1−m)·r + m·batch (variance unbiased); null: left alone
};
struct BatchNormBackward {
    const void *x, *y, *dy;  ///< y is read only with ReLU (its mask)
    const float *gamma, *mean, *inverse_std;
    void *dx, *dresidual;  ///< overwritten, as all below; dresidual may be null; dx may be dy
    float *dgamma, *dbeta;
};

/// c (m×n) = op(a)·op(b), row-major and dense; op transposes where asked: a is m×k, or k×m stored.
struct GemmShape {
    int64_t m = 0, n = 0, k = 0;
    bool transpose_a = false, transpose_b = false;
};

/// A device with its memory, its stream of work and its library handles. Work is queued in order; nothing here waits for the
/// device except download() and synchronize(), which a training step never calls. Pointers are the device's.
/// An operation that a backend does not have yet throws InputError naming it.
class Backend {
  public:
    virtual ~Backend() = default;
    Profiler* profiler = nullptr;  ///< while one measures a step (profile.h)
    virtual Device device() const = 0;
    Precision precision() const { return precision_; }
    /// Of the maps between convolutions.
    DType activation_type() const { return precision_ == Precision::bf16 ? DType::bf16 : DType::f32; }
    virtual std::string description() const = 0;  ///< for config.csv: the device and its libraries' versions
    virtual Arena& arena() = 0;
    /// Multiply-accumulates in fp32 that the device can do in a millisecond at the very most (for the benchmark's lower bound).
    virtual double peak_multiply_accumulates_per_ms() = 0;

    virtual void upload(void* to_device, const void* from_host, size_t bytes) = 0;
    virtual void download(void* to_host, const void* from_device, size_t bytes) = 0;  ///< waits
    virtual void copy(void* to, const void* from, size_t bytes) = 0;
    virtual void zero(void* memory, size_t bytes) = 0;
    virtual void synchronize() = 0;

    /// Streams: work goes to the current one (0 at first). `wait` makes the current stream wait for all queued on `other`.
    /// A device that runs in order has one queue, and both hold by themselves.
    virtual void use_stream(int stream) = 0;
    virtual void wait(int other) = 0;
    virtual void* native_stream() = 0;  ///< cudaStream_t for launches; null on the CPU

    virtual void conv2d_forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y) = 0;
    virtual void conv2d_backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx) = 0;
    virtual void conv2d_backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw) = 0;
    virtual void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) = 0;
    virtual void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) = 0;
    virtual void gemm(const GemmShape&, const float* a, const float* b, float* c) = 0;

  protected:
    explicit Backend(Precision precision) : precision_(precision) {}

  private:
    Precision precision_;
};

/// "cpu", "cuda" or "auto" (the CPU as long as the CUDA backend lacks operations). InputError: unknown name; cuda without a GPU or without
/// CUDA in the build.
std::unique_ptr<Backend> make_backend(const std::string& name, const DeviceOptions& options = {});
std::unique_ptr<Backend> make_cpu_backend(const DeviceOptions& options = {});
#ifdef DISTILL_CUDA
std::unique_ptr<Backend> make_cuda_backend(const DeviceOptions& options = {});
int cuda_device_count();  ///< 0 where there is no driver or no GPU
#endif

}  // namespace distill
