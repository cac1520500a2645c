// base_time.h: how much time has passed.
// defines: seconds_since
#pragma once
#include <chrono>

namespace distill {

inline double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace distill
