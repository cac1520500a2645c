// cpu_conv2d.h: the CPU backend's cache of prepared convolutions.
// defines: ConvPlans
#pragma once
#include <array>
#include <map>
#include <memory>

#include "backend.h"

namespace distill {

class ConvPlan;

/// oneDNN primitives, made on first use and kept by everything that changes them: direction, geometry, what the epilogue adds, threads,
/// type.
struct ConvPlans {
    using Key = std::array<int64_t, 19>;
    ConvPlans();
    ~ConvPlans();
    std::map<Key, std::unique_ptr<ConvPlan>> by_key;
};

}  // namespace distill
