// core_work_count.h: counts multiply-accumulates as operations run, for `distill info` and the benchmark's lower bound.
// defines: count_work, count_saved_work, multiply_accumulates, saved_multiply_accumulates
#pragma once
#include <cstdint>

namespace distill {

void count_work(int64_t multiply_accumulates);
/// Of what is counted as written, so many need not be made, because there is a shorter way.
void count_saved_work(int64_t multiply_accumulates);

/// Of all convolutions and matrix products of this thread so far, as they are written; the difference of two calls is what lay between.
int64_t multiply_accumulates();
/// Of those, the ones that were not made.
int64_t saved_multiply_accumulates();

}  // namespace distill
