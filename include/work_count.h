// work_count.h: counts multiply-accumulates as operations run, for `distill info` and the benchmark's lower bound.
// defines: count_work, multiply_accumulates
#pragma once
#include <cstdint>

namespace distill {

void count_work(int64_t multiply_accumulates);

/// Of all convolutions and matrix products of this thread so far; the difference of two calls is what lay between.
int64_t multiply_accumulates();

}  // namespace distill
