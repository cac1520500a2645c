// op_product.h: a product of matrices inside an operation: counted as work, timed under a name, done by the backend.
// defines: timed_product, timed_products
#pragma once
#include "core_backend.h"
#include "core_profile.h"
#include "core_tensor.h"
#include "core_work_count.h"

namespace distill {

inline void timed_product(Backend& backend, const char* name, const GemmShape& s, const float* a, const float* b, float* c) {
    count_work(s.count * s.m * s.n * s.k);
    const Profiled timed(backend, name, work_of(s));
    backend.gemm(s, a, b, c);
}

/// op(a)·op(b) of each sample; a, b and c hold one matrix a sample, dense.
inline void timed_products(const char* name, const Tensor& a, const Tensor& b, const Tensor& c, GemmShape s) {
    s.count = c.shape().n;
    s.step_a = a.shape().per_sample();
    s.step_b = b.shape().per_sample();
    s.step_c = c.shape().per_sample();
    timed_product(c.backend(), name, s, a.data(), b.data(), c.data());
}

}  // namespace distill
