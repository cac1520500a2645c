// work_count.h: counts multiply-accumulates as operations run, for `distill info` and the benchmark's lower bound.
// defines: count_work
#pragma once
#include <cstdint>

namespace distill {

/// Adds to what multiply_accumulates() (ops.h) returns.
void count_work(int64_t multiply_accumulates);

}  // namespace distill
