// bench_feed.h: `distill bench feed`: what N teachers cost in time and memory, beside what they must cost.
// defines: bench_feed
#pragma once
#include "bench_training.h"

namespace distill {

/// Prints, and writes to options.csv if named: a step of parallel FEED with options.teachers teachers, beside the teachers' forward
/// passes + 1.15 × the student's plain step + the transformation layers' own forward and backward passes (each by itself, in turns with
/// the whole); and what each teacher from the first to the last adds to the memory, beside what it may: its weights, its layer with
/// activations, gradients and momentum, its last map, and one forward pass's scratch.
void bench_feed(BenchOptions options);

}  // namespace distill
