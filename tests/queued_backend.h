// queued_backend.h: a stand-in for a GPU. Nothing runs when it is asked for: work waits in its stream's queue until the host wants to
// see a result, and then runs in an unkind order: any that streams and waits leave open. Captures are recorded with their pointers and
// numbers baked in and replayed from that record. So a missing wait, memory shared by two streams or with a replay, or a number that
// the host changes from step to step shows as a wrong result.
// defines: testing::Order, testing::QueuedBackend
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "cpu_backend.h"

namespace distill::testing {

/// Which stream goes first where several could.
enum class Order { main_first, sides_first, shuffled };

class QueuedBackend final : public CpuBackend {
  public:
    explicit QueuedBackend(Order order, uint32_t seed = 1) : CpuBackend({0, Precision::fp32}), order_(order), random_(seed) {}

    bool immediate() const override { return false; }
    void enqueue(std::function<void()> work) override;
    void upload(void* to_device, const void* from_host, size_t bytes) override;
    void download(void* to_host, const void* from_device, size_t bytes) override;
    void copy(void* to, const void* from, size_t bytes) override;
    void zero(void* memory, size_t bytes) override;
    void synchronize() override;
    void wait(int other) override;
    std::unique_ptr<Replay> capture(const std::function<void()>& work) override;
    void pace() override;

    void conv2d_forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y) override;
    void conv2d_backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add) override;
    void conv2d_backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw) override;
    void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) override;
    void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) override;
    void gemm(const GemmShape&, const float* a, const float* b, float* c) override;

    std::vector<size_t> captured;     ///< pieces of work in each capture so far
    std::vector<size_t> step_queued;  ///< pieces queued (a replay is one) from one pace() to the next
    size_t queued = 0;                ///< … so far

  private:
    struct Item {
        std::function<void()> run;  ///< or null: wait until `count` items of stream `other` are done
        int other;
        size_t count;
    };
    using Program = std::map<int, std::vector<Item>>;  ///< by stream
    class Recorded;
    void select_stream(int stream) override { arena().use_stream(stream); }
    void execute(const Program& program);
    void finish();
    void refuse_in_capture(const char* what) const;

    Order order_;
    std::mt19937 random_;
    Program program_;
    bool capturing_ = false;
    size_t paced_at_ = 0;
};

}  // namespace distill::testing
