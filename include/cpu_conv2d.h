// cpu_conv2d.h: the CPU backend's ways to convolve, with its cache of prepared convolutions.
// defines: ConvPlans, conv_implementations, adds_residual_rightly
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>

#include "core_backend.h"
#include "cpu_winograd.h"

namespace distill {

class ConvPlan;

/// How this backend convolves: by minimal filtering where that is faster, else by oneDNN primitives, made on first use and kept by everything
/// that changes them: direction, geometry, what the epilogue adds, threads, type.
struct ConvPlans {
    using Key = std::array<int64_t, 19>;
    explicit ConvPlans(bool winograd);
    ~ConvPlans();
    bool by_winograd(const Conv2dGeometry& g) const { return use_winograd && Winograd::pays(g); }
    const bool use_winograd;
    Winograd winograd;
    std::map<Key, std::unique_ptr<ConvPlan>> by_key;
};

/// oneDNN's names for what computes the three directions, "jit:avx512_core" or the like; "ref…" are its loops over single numbers.
std::array<std::string, 3> conv_implementations(const Conv2dGeometry&);

/// Whether the residual may go into a oneDNN primitive of this name; else the plan adds it after the convolution alone. Where no direct
/// kernel takes the addition, oneDNN 2.6.3 falls back to a matrix product ("x64:gemm:jit"), which takes it and adds wrong values: for
/// groups of few channels on AVX2, for most residuals below that, for a few bf16 shapes on AVX-512. Of 5,040 geometries tried under seven
/// instruction sets the direct kernels ("jit:avx2", "jit_1x1:…", "jit_dw:…", "jit_bf16:…") were right in all that they took. No other
/// name is relied on ("ref:any" is right, and far slower than what the plain convolution then finds), nor is "jit_bf16_1x1:…", which adds
/// wrong values to maps made of 1 or 3 channels.
bool adds_residual_rightly(const std::string& implementation);

}  // namespace distill
