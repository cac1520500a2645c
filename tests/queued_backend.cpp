#include "queued_backend.h"

#include <cstring>

#include "base_error.h"

namespace distill::testing {

/// Holds the memory that its program works on.
class QueuedBackend::Recorded final : public Replay {
  public:
    Recorded(QueuedBackend& backend, Program program, std::vector<BlockRef> memory)
        : backend_(backend), program_(std::make_shared<Program>(std::move(program))), memory_(std::move(memory)) {}
    void run() override {
        backend_.enqueue([&backend = backend_, program = program_] { backend.execute(*program); });
    }

  private:
    QueuedBackend& backend_;
    std::shared_ptr<const Program> program_;
    std::vector<BlockRef> memory_;
};

void QueuedBackend::execute(const Program& program) {
    std::map<int, size_t> done;
    const auto runnable = [&](int stream, const std::vector<Item>& items) {
        const size_t at = done[stream];
        if (at == items.size()) return false;
        return items[at].run || done[items[at].other] >= items[at].count;
    };
    for (;;) {
        std::vector<int> ready;
        for (const auto& [stream, items] : program)
            if (runnable(stream, items)) ready.push_back(stream);
        if (ready.empty()) break;
        const int stream = order_ == Order::main_first    ? ready.front()
                           : order_ == Order::sides_first ? ready.back()
                                                          : ready[random_() % ready.size()];
        const Item& item = program.at(stream)[done[stream]++];
        if (item.run) item.run();
    }
    for (const auto& [stream, items] : program)
        if (done[stream] != items.size()) failure("QueuedBackend: stream ", stream, " waits for ever");
}

void QueuedBackend::finish() {
    Program program;
    std::swap(program, program_);
    execute(program);
}

void QueuedBackend::refuse_in_capture(const char* what) const {
    if (capturing_) failure("QueuedBackend: ", what, " in a step that is being captured");
}

void QueuedBackend::enqueue(std::function<void()> work) {
    program_[current_stream()].push_back({std::move(work), 0, 0});
    if (!capturing_) ++queued;
}

void QueuedBackend::wait(int other) {
    if (other == current_stream()) return;
    program_[current_stream()].push_back({nullptr, other, program_[other].size()});
}

void QueuedBackend::upload(void* to_device, const void* from_host, size_t bytes) {
    refuse_in_capture("upload");
    const auto* from = static_cast<const char*>(from_host);
    enqueue([to_device, values = std::vector<char>(from, from + bytes)] { std::memcpy(to_device, values.data(), values.size()); });
}
void QueuedBackend::download(void* to_host, const void* from_device, size_t bytes) {
    refuse_in_capture("download");
    finish();
    std::memcpy(to_host, from_device, bytes);
}
void QueuedBackend::synchronize() {
    refuse_in_capture("synchronize");
    finish();
}
void QueuedBackend::copy(void* to, const void* from, size_t bytes) {
    enqueue([=] { CpuBackend::copy(to, from, bytes); });
}
void QueuedBackend::zero(void* memory, size_t bytes) {
    enqueue([=] { CpuBackend::zero(memory, bytes); });
}

std::unique_ptr<Replay> QueuedBackend::capture(const std::function<void()>& work) {
    join();
    arena().begin_capture();
    Program before;
    std::swap(before, program_);
    capturing_ = true;
    const auto end = [&] {
        std::swap(before, program_);
        capturing_ = false;
        return arena().end_capture();
    };
    try {
        work();
        join();
    } catch (...) {
        end();
        throw;
    }
    auto memory = end();
    size_t pieces = 0;
    for (const auto& [stream, items] : before)
        for (const Item& item : items) pieces += item.run ? 1 : 0;
    captured.push_back(pieces);
    return std::make_unique<Recorded>(*this, std::move(before), std::move(memory));
}

void QueuedBackend::pace() {
    step_queued.push_back(queued - paced_at_);
    paced_at_ = queued;
}

void QueuedBackend::conv2d_forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
    enqueue([=] { CpuBackend::conv2d_forward(g, x, w, epilogue, y); });
}
void QueuedBackend::conv2d_backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    enqueue([=] { CpuBackend::conv2d_backward_data(g, dy, w, dx, add); });
}
void QueuedBackend::conv2d_backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    enqueue([=] { CpuBackend::conv2d_backward_weights(g, x, dy, dw); });
}
void QueuedBackend::batchnorm_forward(const BatchNormShape& s, const BatchNormForward& f) {
    enqueue([=] { CpuBackend::batchnorm_forward(s, f); });
}
void QueuedBackend::batchnorm_backward(const BatchNormShape& s, const BatchNormBackward& b) {
    enqueue([=] { CpuBackend::batchnorm_backward(s, b); });
}
void QueuedBackend::gemm(const GemmShape& s, const float* a, const float* b, float* c) {
    enqueue([=] { CpuBackend::gemm(s, a, b, c); });
}

}  // namespace distill::testing
