// cpu_aligned_floats.h: cache lines, and scratch memory of whole ones.
// defines: cache_line_bytes, rounded_up, AlignedFloats
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace distill {

constexpr int64_t cache_line_bytes = 64;

/// The least multiple of `step` that is not below n.
template <class T>
constexpr T rounded_up(T n, T step) {
    return (n + step - 1) / step * step;
}

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
