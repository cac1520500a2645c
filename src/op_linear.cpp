// Products of matrices (rows,1,1,columns), and of maps sample by sample, by the backend's gemm.
#include "base_error.h"
#include "op_product.h"
#include "ops.h"

namespace distill {
namespace {

void require_matrix(const char* operation, const Shape& s) {
    if (s.h != 1 || s.w != 1) failure(operation, ": shape ", to_string(s), " is not (rows,1,1,columns) ---> flatten() it first");
}

void product(Backend& backend, const GemmShape& s, const float* a, const float* b, float* c) {
    timed_product(backend, "matrix product", s, a, b, c);
}

void products(const Tensor& a, const Tensor& b, const Tensor& c, const GemmShape& s) { timed_products("matrix product", a, b, c, s); }

}  // namespace

Var matmul(const Var& left, const Var& right, bool transpose_a, bool transpose_b, bool exact) {
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
    const auto multiply = [exact](Backend& device, GemmShape shape, const float* one, const float* other, float* into) {
        shape.exact = exact;
        product(device, shape, one, other, into);
    };
    multiply(backend, {m, n, k, transpose_a, transpose_b}, a.data(), b.data(), y.data());
    record(y, [a, b, y, m, n, k, transpose_a, transpose_b, multiply] {
        const Tensor dy = take_gradient(y);
        Backend& device = a.backend();
        {  // y = A·B: dA = dy·Bᵀ, stored transposed where a is
            const GradTarget da(a);
            if (da.wanted() && !transpose_a) multiply(device, {m, k, n, false, !transpose_b}, dy.data(), b.data(), da.data());
            if (da.wanted() && transpose_a) multiply(device, {k, m, n, transpose_b, true}, b.data(), dy.data(), da.data());
        }
        const GradTarget db(b);  // dB = Aᵀ·dy
        if (db.wanted() && !transpose_b) multiply(device, {k, n, m, !transpose_a, false}, a.data(), dy.data(), db.data());
        if (db.wanted() && transpose_b) multiply(device, {n, k, m, true, transpose_a}, dy.data(), a.data(), db.data());
    });
    return y;
}

Var flow_matrix(const Var& given_top, const Var& given_bottom) {
    const Var top = to_float(given_top), bottom = to_float(given_bottom);
    const Shape s = top.shape(), t = bottom.shape();
    if (s.n != t.n || s.h != t.h || s.w != t.w)
        failure("flow_matrix: maps ", to_string(s), " and ", to_string(t), " must have one size ---> pool the larger one");
    const int64_t pixels = s.h * s.w, a = s.c, b = t.c;
    Var y = result_of(Tensor(top.backend(), {s.n, 1, a, b}), top, bottom);
    products(top.value(), bottom.value(), y.value(), {a, b, pixels, true, false});
    record(y, [top, bottom, y, pixels, a, b] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget d_top(top);
            if (d_top.wanted()) products(bottom.value(), dy, d_top.tensor(), {pixels, a, b, false, true});
        }
        const GradTarget d_bottom(bottom);
        if (d_bottom.wanted()) products(top.value(), dy, d_bottom.tensor(), {pixels, b, a, false, false});
    });
    return scale(y, 1.0f / static_cast<float>(pixels));
}

Var linear(const Var& x, const Var& w, const Var& bias) {
    Var y = matmul(x, w, false, true);
    return traced("linear", bias.defined() ? add_bias(y, bias) : y, {&x}, {&w.value(), bias.defined() ? &bias.value() : nullptr});
}

}  // namespace distill
