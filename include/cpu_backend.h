// cpu_backend.h: the CPU's implementation of core_backend.h: oneDNN convolutions, OpenBLAS products, OpenMP for the rest.
// defines: CpuBackend
#pragma once
#include <vector>

#include "core_backend.h"

namespace distill {

class CpuConvolutions;  // cpu_conv2d.h

class CpuBackend : public Backend {
  public:
    explicit CpuBackend(const DeviceOptions& options);
    ~CpuBackend() override;
    Device device() const override { return Device::cpu; }
    std::string description() const override;
    Arena& arena() override { return *arena_; }
    double peak_multiply_accumulates_per_ms() override;  ///< measured: chains of multiply-adds in registers, all threads

    void upload(void* to_device, const void* from_host, size_t bytes) override { copy(to_device, from_host, bytes); }
    void download(void* to_host, const void* from_device, size_t bytes) override { copy(to_host, from_device, bytes); }
    void copy(void* to, const void* from, size_t bytes) override;
    void zero(void* memory, size_t bytes) override;
    void synchronize() override {}
    bool immediate() const override { return true; }
    void wait(int) override {}
    void* native_stream() override { return nullptr; }
    std::unique_ptr<Replay> capture(const std::function<void()>&) override { return nullptr; }

    void conv2d_forward(const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y) override;
    void conv2d_backward_data(const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add) override;
    bool adds_backward_data(const Conv2dGeometry&) const override;
    void conv2d_backward_weights(const Conv2dGeometry&, const void* x, const void* dy, float* dw) override;
    void batchnorm_forward(const BatchNormShape&, const BatchNormForward&) override;
    void batchnorm_backward(const BatchNormShape&, const BatchNormBackward&) override;
    void gemm(const GemmShape&, const float* a, const float* b, float* c) override;

  protected:
    void select_stream(int) override {}

  private:
    std::unique_ptr<Arena> arena_;
    std::unique_ptr<CpuConvolutions> convolutions_;
    std::vector<float> partial_sums_;  ///< batchnorm's scratch, grown once
};

}  // namespace distill
