// The profiler's stopwatch on the GPU.
#include <chrono>
#include <thread>

#include "cuda_backend.h"

namespace distill {
namespace {

class CudaStopwatch final : public Stopwatch {
  public:
    explicit CudaStopwatch(Backend& backend) : backend_(backend) {}

    void restart() override {
        backend_.synchronize();
        used_ = 0;
        constexpr auto late = [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(30)); };
        DISTILL_CUDA_CHECK(cudaLaunchHostFunc(stream(), late, nullptr));
    }
    size_t mark() override {
        if (used_ == events_.size()) events_.push_back(create<Event>([](cudaEvent_t* e) { return cudaEventCreate(e); }));
        if (used_ > 0) DISTILL_CUDA_CHECK(cudaStreamWaitEvent(stream(), events_[used_ - 1].get(), 0));
        DISTILL_CUDA_CHECK(cudaEventRecord(events_[used_].get(), stream()));
        return used_++;
    }
    double ms_between(size_t earlier, size_t later) override {
        float ms = 0;
        DISTILL_CUDA_CHECK(cudaEventSynchronize(events_[later].get()));
        DISTILL_CUDA_CHECK(cudaEventElapsedTime(&ms, events_[earlier].get(), events_[later].get()));
        return static_cast<double>(ms);
    }

  private:
    using Event = Owned<cudaEvent_t, cudaEventDestroy>;
    cudaStream_t stream() const { return static_cast<cudaStream_t>(backend_.native_stream()); }
    Backend& backend_;
    std::vector<Event> events_;  ///< grown once, then used again
    size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Stopwatch> CudaBackend::stopwatch() { return std::make_unique<CudaStopwatch>(*this); }

}  // namespace distill
