// Products of matrices (rows,1,1,columns), by the backend's gemm.
#include "backend.h"
#include "error.h"
#include "ops.h"
#include "profile.h"
#include "work_count.h"

namespace distill {
namespace {

void require_matrix(const char* operation, const Shape& s) {
    if (s.h != 1 || s.w != 1) failure(operation, ": shape ", to_string(s), " is not (rows,1,1,columns) ---> flatten() it first");
}

void product(Backend& backend, const GemmShape& s, const float* a, const float* b, float* c) {
    count_work(s.m * s.n * s.k);
    const Profiled timed(backend, "matrix product", work_of(s));
    backend.gemm(s, a, b, c);
}

}  // namespace

Var matmul(const Var& left, const Var& right, bool transpose_a, bool transpose_b) {
    const Var a = to_float(left), b = to_float(right);
    require_matrix("matmul", a.shape());
    require_matrix("matmul", b.shape());
    const int64_t m = transpose_a ? a.shape().c : a.shape().n, k = transpose_a ? a.shape().n : a.shape().c;
    const int64_t n = transpose_b ? b.shape().n : b.shape().c, kb = transpose_b ? b.shape().c : b.shape().n;
    if (k != kb)
        failure("matmul: inner extents ", k, " and ", kb, " of ", to_string(a.shape()), " and ", to_string(b.shape()),
                " differ ---> transpose one, or check the layer's width");
    Backend& backend = a.backend();
    Var y = result_of(Tensor(backend, {m, 1, 1, n}), a, b);
    product(backend, {m, n, k, transpose_a, transpose_b}, a.data(), b.data(), y.data());
    record(y, [a, b, y, m, n, k, transpose_a, transpose_b] {
        const Tensor dy = take_gradient(y);
        Backend& device = a.backend();
        {  // y = A·B: dA = dy·Bᵀ, stored transposed where a is
            const GradTarget da(a);
            if (da.wanted() && !transpose_a) product(device, {m, k, n, false, !transpose_b}, dy.data(), b.data(), da.data());
            if (da.wanted() && transpose_a) product(device, {k, m, n, transpose_b, true}, b.data(), dy.data(), da.data());
        }
        const GradTarget db(b);  // dB = Aᵀ·dy
        if (db.wanted() && !transpose_b) product(device, {k, n, m, !transpose_a, false}, a.data(), dy.data(), db.data());
        if (db.wanted() && transpose_b) product(device, {n, k, m, true, transpose_a}, dy.data(), a.data(), db.data());
    });
    return y;
}

Var linear(const Var& x, const Var& w, const Var& bias) {
    Var y = matmul(x, w, false, true);
    return bias.defined() ? add_bias(y, bias) : y;
}

}  // namespace distill
