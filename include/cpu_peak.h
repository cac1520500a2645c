// cpu_peak.h: how fast the CPU's threads move bytes and multiply when nothing else is asked of them: the lower bounds of `distill bench`.
// Both are measured on as many threads as OpenMP has here, in pieces far shorter than the scheduler's turns, each thread by itself: a busy
// neighbour takes turns away, but most pieces run unbroken, and nothing waits for another thread. What cores share, memory above all, a
// thread may have to itself while the others have no turn: beside neighbours the bound is rather too low than none.
// defines: cpu_bytes_per_ms, cpu_multiply_accumulates_per_ms
#pragma once
#include "core_backend.h"

namespace distill {

/// Read and written by a copy within the backend's memory, 512 MiB of it: larger than the caches.
double cpu_bytes_per_ms(Backend& cpu);
/// fp32, or bf16's pairs where the CPU has them, by the widest instructions that it has, whatever this program was compiled for.
double cpu_multiply_accumulates_per_ms(Precision precision);

}  // namespace distill
