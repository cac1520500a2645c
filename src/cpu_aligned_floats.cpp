#include "cpu_aligned_floats.h"

#include <cstring>

#include "base_error.h"

namespace distill {

float* AlignedFloats::at_least(int64_t n) {
    if (n > size_) {
        constexpr int64_t line = 16;
        const int64_t rounded = (n + line - 1) / line * line;
        memory_.reset(static_cast<float*>(std::aligned_alloc(line * sizeof(float), static_cast<size_t>(rounded) * sizeof(float))));
        if (!memory_) failure("out of memory: ", rounded * 4, " bytes asked for as scratch; choose a smaller --batch");
        std::memset(memory_.get(), 0, static_cast<size_t>(rounded) * sizeof(float));
        size_ = rounded;
    }
    return memory_.get();
}

}  // namespace distill
