#include "cpu_aligned_floats.h"

#include <cstring>

#include "base_error.h"

namespace distill {

float* AlignedFloats::at_least(int64_t n) {
    if (n > size_) {
        constexpr int64_t float_bytes = sizeof(float);
        const int64_t bytes = rounded_up(n * float_bytes, cache_line_bytes);
        memory_.reset(static_cast<float*>(std::aligned_alloc(cache_line_bytes, static_cast<size_t>(bytes))));
        if (!memory_) failure("out of memory: ", bytes, " bytes asked for as scratch; choose a smaller --batch");
        std::memset(memory_.get(), 0, static_cast<size_t>(bytes));
        size_ = bytes / float_bytes;
    }
    return memory_.get();
}

}  // namespace distill
