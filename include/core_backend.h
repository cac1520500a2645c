// core_backend.h: what a device can do. One method per operation and direction; elementwise and row operations are functors (launch.h).
// defines: Device, Precision, DeviceOptions, Conv2dGeometry, ConvEpilogue, BatchNormShape, BatchNormForward, BatchNormBackward, GemmShape,
//          Replay, Backend
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core_arena.h"
#include "core_dtype.h"
#include "core_shape.h"
#include "core_stopwatch.h"

namespace distill {

class Profiler;

enum class Device { cpu, cuda };

/// Of convolutions and matrix products. fp32: IEEE single throughout. tf32: operands rounded to 10 bits of mantissa inside the tensor
/// cores (a GPU's; the CPU computes fp32). bf16: activations are stored as bfloat16 too; sums, weights, statistics and losses stay fp32.
enum class Precision { fp32, tf32, bf16 };

/// `threads`: OpenMP threads of the CPU's work, 0 = as the environment says. `deterministic`: the same bits each time on one machine.
/// `winograd`: the CPU's 3×3 convolutions by minimal filtering where that is faster (cpu_winograd.h); off: every product as it is written.
struct DeviceOptions {
    int threads = 0;
    Precision precision = Precision::fp32;
    bool deterministic = true, winograd = true;
    int index = 0;  ///< of the GPU, which becomes the calling thread's; another thread that uses the backend calls cudaSetDevice itself
};

/// y (N,OH,OW,K) = conv(x (N,H,W,C), w (K,R,S,C/groups)); OH = (H + 2·pad_h − R)/stride_h + 1, OW alike. x, w, y and the gradients of
/// x and y are of `type` (f32 or bf16); the gradient of w is always float, as are all sums.
struct Conv2dGeometry {
    Shape x, w, y;
    int stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, groups = 1;
    DType type = DType::f32;
    int64_t multiply_accumulates() const { return y.size() * w.per_sample(); }
    /// All of it, for the look-up of what was prepared for it.
    using Numbers = std::array<int64_t, 18>;
    Numbers numbers() const {
        return {x.n, x.h, x.w, x.c,      w.n,      w.h,   w.w,   w.c,    y.n,
                y.h, y.w, y.c, stride_h, stride_w, pad_h, pad_w, groups, static_cast<int64_t>(type)};
    }
};

/// What a forward convolution does to its sum before it writes: + bias (K floats), + residual (of y's shape and type), max(0, ·); each if
/// given.
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
    float *mean, *inverse_std;          ///< mean and 1/√(var+ε) of the batch: saved for backward
    float *running_mean, *running_var;  ///< updated: r ← (1−m)·r + m·batch (variance unbiased); null: left alone
};
struct BatchNormBackward {
    const void *x, *y, *dy;  ///< y is read only with ReLU (its mask)
    const float *gamma, *mean, *inverse_std;
    const float* beta;     ///< where y had no residual, else null: the mask then follows from x as well
    void *dx, *dresidual;  ///< overwritten, as all below; dresidual may be null; dx may be dy
    float *dgamma, *dbeta;
};

/// c (m×n) = op(a)·op(b), row-major; op transposes where asked: a is m×k, or k×m stored. `count` such products at once.
struct GemmShape {
    int64_t m = 0, n = 0, k = 0;
    bool transpose_a = false, transpose_b = false;
    int64_t count = 1, step_a = 0, step_b = 0, step_c = 0;  ///< elements from one product's matrix to the next's; 0: all share it (a, b)
    int64_t row_a = 0, row_b = 0, row_c = 0;                ///< elements from one row, as stored, to the next; 0: dense
    bool exact = false;                                     ///< fp32 whatever the precision
    int64_t stored_row_a() const { return row_a > 0 ? row_a : transpose_a ? m : k; }
    int64_t stored_row_b() const { return row_b > 0 ? row_b : transpose_b ? k : n; }
    int64_t stored_row_c() const { return row_c > 0 ? row_c : n; }
};

class ConvPlanStore;  // core_conv_plan_store.h

/// Work that was recorded once and is queued again by one call. It holds the memory that it works on, and must not outlive its backend.
class Replay {
  public:
    virtual ~Replay() = default;
    virtual void run() = 0;
};

/// A device with its memory, its streams of work and its library handles; one thread's. Work is queued in order; nothing here waits
/// for the device except download(), synchronize() and pace(), of which a training step calls none. Pointers are the device's.
class Backend {
  public:
    virtual ~Backend() = default;
    Profiler* profiler = nullptr;  ///< while one measures a step (core_profile.h)
    virtual Device device() const = 0;
    Precision precision() const { return precision_; }
    /// Of the maps between convolutions.
    DType activation_type() const { return precision_ == Precision::bf16 ? DType::bf16 : DType::f32; }
    virtual std::string description() const = 0;  ///< for config.csv: the device and its libraries' versions
    virtual Arena& arena() = 0;
    /// Multiply-accumulates in its precision that the device can do in a millisecond at the very most (for the benchmark's lower bound).
    virtual double peak_multiply_accumulates_per_ms() = 0;

    virtual void upload(void* to_device, const void* from_host, size_t bytes) = 0;
    virtual void download(void* to_host, const void* from_device, size_t bytes) = 0;  ///< waits
    virtual void copy(void* to, const void* from, size_t bytes) = 0;
    virtual void zero(void* memory, size_t bytes) = 0;
    virtual void synchronize() = 0;

    /// Elementwise and row operations on this backend's memory are kernels, not loops.
    virtual bool launches_kernels() const { return device() == Device::cuda; }
    /// Work is done when the call that asked for it returns, in memory that the host reads: the CPU.
    virtual bool immediate() const = 0;
    /// Runs host code in the current stream's order: how a functor runs on a backend that is neither immediate nor a GPU (the tests').
    virtual void enqueue(std::function<void()> work) { work(); }

    /// Streams: work goes to the current one (0 at first). `wait` makes the current stream wait for all queued on `other`.
    /// A device that runs in order has one queue, and both hold by themselves.
    void use_stream(int stream);
    int current_stream() const { return stream_; }
    virtual void wait(int other) = 0;
    virtual void* native_stream() = 0;  ///< cudaStream_t for launches; null on the CPU
    /// Makes a side stream (1, 2, …) current, behind all that stream 0 has been given so far. Side streams run beside 0 and each other;
    /// a step on one may read what it made itself and what was there when it forked, so they depend on each other through 0 alone.
    void fork(int side);
    /// Makes stream 0 current, behind all that side streams were given. Each step ends so.
    void join();
    /// Joins, after a step that threw, too; what side streams gave back to the arena may be had again.
    void begin_step();

    /// Records what `work` queues from stream 0 on, forked side streams included, instead of running it; run() then queues it as often
    /// as asked. Its pointers and numbers are baked in; what differs from run to run it must read from device memory. Null where
    /// recording has no use (the CPU), `work` not called. What `work` throws is thrown, and nothing is left recording.
    virtual std::unique_ptr<Replay> capture(const std::function<void()>& work) = 0;
    /// Events in the device's streams; null where the host's clock will do. What runs on several streams is put in a row, so that each
    /// operation is timed alone, and the device starts a moment late, so that the host is ahead of it and no kernel waits for its launch.
    virtual std::unique_ptr<Stopwatch> stopwatch() { return nullptr; }
    /// Called once a step: waits while the host is more than a few steps ahead, so that a signal or a bad loss is not met late.
    virtual void pace() {}

    virtual void conv2d_forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y) = 0;
    /// add: to what is in dx; only where the backend says that it can.
    virtual void conv2d_backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add) = 0;
    virtual bool adds_backward_data(const Conv2dGeometry&) const { return false; }
    virtual void conv2d_backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw) = 0;
    virtual void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) = 0;
    virtual void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) = 0;
    virtual void gemm(const GemmShape&, const float* a, const float* b, float* c) = 0;

    /// The plans that this device's convolutions take, to be kept with a run; null where there is no choice (the CPU).
    virtual ConvPlanStore* conv_plans() { return nullptr; }

  protected:
    explicit Backend(Precision precision) : precision_(precision) {}
    virtual void select_stream(int stream) = 0;  ///< of use_stream()

  private:
    Precision precision_;
    int stream_ = 0;
    uint64_t turn_ = 0;               ///< counts how often stream 0 was left
    std::map<int, uint64_t> waited_;  ///< by side stream: the turn in which it waited for 0 last
    std::set<int> forked_;            ///< side streams used since the last join
};

}  // namespace distill
