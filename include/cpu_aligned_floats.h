// cpu_aligned_floats.h: scratch memory of whole cache lines.
// defines: AlignedFloats
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace distill {

/// Floats that start at a cache line, zero when new; it grows and never shrinks.
class AlignedFloats {
  public:
    /// At least n of them; what was in them is lost where it grows.
    float* at_least(int64_t n);

  private:
    struct Free {
        void operator()(float* p) const { std::free(p); }
    };
    std::unique_ptr<float, Free> memory_;
    int64_t size_ = 0;
};

}  // namespace distill
