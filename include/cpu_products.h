// cpu_products.h: small matrix products whose sums stay in registers; what the CPU's convolutions are made of.
// defines: rounded_up, rows_at_once, row_multiple, panels_wide, multiply, multiply_panel, multiply_transposed
#pragma once
#include <cstdint>

#include "cpu_simd.h"

namespace distill {

constexpr int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// c (R × P·lanes) = a·b, or + a·b where `add`. Element (r, d) of a lies at r·a_row + d·a_depth.
template <int R, int P>
[[gnu::always_inline]] inline void multiply(int64_t depth, const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t b_depth,
                                            float* c, int64_t c_row, bool add) {
    vfloat sum[R][P];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) sum[r][p] = add ? load_lanes(c + r * c_row + p * lanes) : vfloat{};
    for (int64_t d = 0; d < depth; ++d) {
        vfloat right[P];
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) right[p] = load_lanes(b + d * b_depth + p * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const vfloat left = broadcast(a[r * a_row + d * a_depth]);
#pragma GCC unroll 2
            for (int p = 0; p < P; ++p) sum[r][p] += left * right[p];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) store_lanes(c + r * c_row + p * lanes, sum[r][p]);
}

/// Rows that are multiplied at once with a panel of P·lanes columns, so that their sums fill the registers.
template <int P>
constexpr int rows_at_once = P == 1        ? 8
                             : lanes == 16 ? 12
                                           : 6;
/// A multiple of each of them.
constexpr int64_t row_multiple = 24;

/// How many vectors wide the panels are that `columns` are cut into.
constexpr int panels_wide(int64_t columns) { return columns % (2 * lanes) == 0 ? 2 : 1; }

/// c (rows × P·lanes) = a (rows × depth) · b (depth × P·lanes), for whole rows_at_once.
template <int P>
void multiply_panel(int64_t rows, int64_t depth, const float* a, const float* b, float* c) {
    constexpr int R = rows_at_once<P>;
    for (int64_t r = 0; r < rows; r += R) multiply<R, P>(depth, a + r * depth, depth, 1, b, P * lanes, c + r * P * lanes, P * lanes, false);
}

/// c (rows × columns) (+)= aᵀ·b, a (depth × rows), b (depth × columns); rows and columns are multiples of `lanes`.
inline void multiply_transposed(int64_t depth, int64_t rows, int64_t columns, const float* a, const float* b, float* c, bool add) {
    constexpr int R = lanes >= 16 ? 8 : 4, R1 = lanes >= 8 ? 8 : 4;
    int64_t p = 0;
    for (; p + 2 * lanes <= columns; p += 2 * lanes)
        for (int64_t k = 0; k < rows; k += R) multiply<R, 2>(depth, a + k, 1, rows, b + p, columns, c + k * columns + p, columns, add);
    for (; p < columns; p += lanes)
        for (int64_t k = 0; k < rows; k += R1) multiply<R1, 1>(depth, a + k, 1, rows, b + p, columns, c + k * columns + p, columns, add);
}

}  // namespace distill
