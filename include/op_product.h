// op_product.h: a product of matrices inside an operation: counted as work, timed under a name, done by the backend.
// defines: timed_product
#pragma once
#include "core_backend.h"
#include "core_profile.h"
#include "core_work_count.h"

namespace distill {

inline void timed_product(Backend& backend, const char* name, const GemmShape& s, const float* a, const float* b, float* c) {
    count_work(s.count * s.m * s.n * s.k);
    const Profiled timed(backend, name, work_of(s));
    backend.gemm(s, a, b, c);
}

}  // namespace distill
