// cpu_products.h: small matrix products whose sums stay in registers; what the CPU's convolutions are made of. Two of equal size may be
// packed: their matrices lie number by number beside each other, and one pass makes both.
// defines: rounded_up, rows_at_once, row_multiple, panels_wide, products_packed, multiply, multiply_panel, multiply_transposed
#pragma once
#include <cstdint>

#include "cpu_simd.h"

namespace distill {

constexpr int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// c (R × V vectors) = a·b, or + a·b where `add`. Element (r, d) of a lies at r·a_row + d·a_depth. Of two packed products that is a pair, and
/// a row of b and c is V·lanes/2 pairs.
template <int R, int V, int pack = 1>
[[gnu::always_inline]] inline void multiply(int64_t depth, const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t b_depth,
                                            float* c, int64_t c_row, bool add) {
    vfloat sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] = add ? load_lanes(c + r * c_row + v * lanes) : vfloat{};
    for (int64_t d = 0; d < depth; ++d) {
        vfloat right[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) right[v] = load_lanes(b + d * b_depth + v * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const float* const element = a + r * a_row + d * a_depth;
            const vfloat left = pack == 2 ? broadcast_pair(element) : broadcast(*element);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sum[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) store_lanes(c + r * c_row + v * lanes, sum[r][v]);
}

/// How many vectors wide the panels are that `columns` are cut into.
constexpr int panels_wide(int64_t columns) { return columns % (2 * lanes) == 0 ? 2 : 1; }

/// How many products are packed where panels are P vectors wide. Cores of Intel's with vectors of 16 numbers load little more than one a cycle
/// while they multiply two, so there each number of a that is loaded is multiplied with two vectors.
template <int P>
constexpr int products_packed = P == 1 && lanes == 16 ? 2 : 1;

/// Rows that are multiplied at once with V vectors, so that their sums fill the registers.
template <int V>
constexpr int rows_at_once = V == 1        ? 8
                             : lanes == 16 ? 12
                                           : 6;
/// A multiple of each of them.
constexpr int64_t row_multiple = 24;

/// c (rows × P·lanes) = a (rows × depth) · b (depth × P·lanes), of products_packed<P> products, for whole rows_at_once
/// of their vectors.
template <int P>
void multiply_panel(int64_t rows, int64_t depth, const float* a, const float* b, float* c) {
    constexpr int pack = products_packed<P>, V = P * pack, R = rows_at_once<V>;
    for (int64_t r = 0; r < rows; r += R)
        multiply<R, V, pack>(depth, a + r * depth * pack, depth * pack, pack, b, V * lanes, c + r * V * lanes, V * lanes, false);
}

/// c (rows × columns) (+)= aᵀ·b, a (depth × rows), b (depth × columns), of `pack` products; rows and columns are multiples of `lanes`.
template <int pack>
void multiply_transposed(int64_t depth, int64_t rows, int64_t columns, const float* a, const float* b, float* c, bool add) {
    constexpr int R = lanes >= 16 ? 8 : 4, R1 = lanes >= 8 ? 8 : 4;
    const int64_t a_depth = rows * pack, width = columns * pack;
    int64_t p = 0;
    for (; p + 2 * lanes <= width; p += 2 * lanes)
        for (int64_t k = 0; k < rows; k += R)
            multiply<R, 2, pack>(depth, a + k * pack, pack, a_depth, b + p, width, c + k * width + p, width, add);
    for (; p < width; p += lanes)
        for (int64_t k = 0; k < rows; k += R1)
            multiply<R1, 1, pack>(depth, a + k * pack, pack, a_depth, b + p, width, c + k * width + p, width, add);
}

}  // namespace distill
