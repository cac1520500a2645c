// cpu_conv2d.h: the CPU's ways to convolve, with a cache of prepared convolutions.
// defines: CpuConvolutions, adds_residual_rightly
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>

#include "core_backend.h"
#include "cpu_depthwise.h"
#include "cpu_pointwise.h"
#include "cpu_winograd.h"

namespace distill {

/// Convolves by minimal filtering, products of matrices or loops of our own where that is faster, else by oneDNN primitives, made on first
/// use and kept by everything that changes them: direction, geometry, what the epilogue adds, threads, type. The calls are Backend's; the
/// backend is the one whose profiler is told.
class CpuConvolutions {
  public:
    explicit CpuConvolutions(bool winograd);
    ~CpuConvolutions();
    void forward(Backend& backend, const Conv2dGeometry&, const void* x, const void* w, const ConvEpilogue&, void* y);
    /// add: only where adds_backward_data().
    void backward_data(Backend& backend, const Conv2dGeometry&, const void* dy, const void* w, void* dx, bool add);
    void backward_weights(Backend& backend, const Conv2dGeometry&, const void* x, const void* dy, float* dw);
    bool by_winograd(const Conv2dGeometry& g) const { return use_winograd_ && Winograd::pays(g); }
    bool adds_backward_data(const Conv2dGeometry& g) const { return by_winograd(g) || Pointwise::fits(g); }

    /// oneDNN's names for what computes the three directions, "jit:avx512_core" or the like; "ref…" are its loops over single numbers.
    static std::array<std::string, 3> implementations(const Conv2dGeometry&);

  private:
    using Key = std::pair<Conv2dGeometry::Numbers, std::array<int64_t, 3>>;
    enum class Direction { forward, backward_data, backward_weights };
    class Plan;

    Plan& plan(const Conv2dGeometry& g, Direction direction, const ConvEpilogue& epilogue = {});

    const bool use_winograd_;
    Winograd winograd_;
    Pointwise pointwise_;
    DepthwiseWeights depthwise_;
    std::map<Key, std::unique_ptr<Plan>> plans_;
};

/// Whether the residual may go into a oneDNN primitive of this name; else the plan adds it after the convolution alone. Where no direct
/// kernel takes the addition, oneDNN 2.6.3 falls back to a matrix product ("x64:gemm:jit"), which takes it and adds wrong values: for
/// groups of few channels on AVX2, for most residuals below that, for a few bf16 shapes on AVX-512. Of 5,040 geometries tried under seven
/// instruction sets the direct kernels ("jit:avx2", "jit_1x1:…", "jit_dw:…", "jit_bf16:…") were right in all that they took. No other
/// name is relied on ("ref:any" is right, and far slower than what the plain convolution then finds), nor is "jit_bf16_1x1:…", which adds
/// wrong values to maps made of 1 or 3 channels.
bool adds_residual_rightly(const std::string& implementation);

}  // namespace distill
