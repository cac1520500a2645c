// cpu_products.h: small matrix products whose sums stay in registers; what the CPU's convolutions are made of. Two of equal size may be
// packed: their matrices lie number by number beside each other, and one pass makes both.
// defines: cache_line, panels_wide, products_packed, rows_at_once, row_multiple, multiply, multiply_panel, multiply_transposed_panel
#pragma once
#include <cstdint>

#include "cpu_aligned_floats.h"
#include "cpu_simd.h"

namespace distill {

constexpr int64_t cache_line = cache_line_bytes / sizeof(float);  ///< floats

/// c (R × V vectors) = a·b, or + a·b where `add`. Element (r, d) of a lies at r·a_row + d·a_depth. Of two packed products that is a pair, and
/// a row of b and c is V·lanes/2 pairs. `fetch`: asks for a line for each d, from `soon` on.
template <int R, int V, int pack, bool fetch = false>
[[gnu::always_inline]] inline void multiply(int64_t depth, const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t b_depth,
                                            float* c, int64_t c_row, bool add, const float* soon = nullptr) {
    vfloat sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = add ? load_lanes(c + r * c_row + v * lanes) : vfloat{};
    for (int64_t d = 0; d < depth; ++d) {
        if (fetch) __builtin_prefetch(soon + d * cache_line, 0, 2);
        vfloat right[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) right[v] = load_lanes(b + d * b_depth + v * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const float* const element = a + r * a_row + d * a_depth;
            const vfloat left = pack == 2 ? broadcast_pair(element) : broadcast(*element);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store_lanes(c + r * c_row + v * lanes, sum[r][v]);
}

/// How many vectors wide the panels are that `columns` are cut into: as wide as leaves registers for enough rows of sums, since each number
/// that is loaded is multiplied with as many vectors.
constexpr int panels_wide(int64_t columns) { return lanes == 16 && columns % (4 * lanes) == 0 ? 4 : columns % (2 * lanes) == 0 ? 2 : 1; }

/// How many products are packed where panels are P vectors wide. Cores of Intel's with vectors of 16 numbers load little more than one a cycle
/// while they multiply two, so there each number of a that is loaded is multiplied with two vectors.
template <int P>
constexpr int products_packed = P == 1 && lanes == 16 ? 2 : 1;

/// Rows that are multiplied at once with V vectors, so that their sums fill the registers.
template <int V>
constexpr int rows_at_once = V == 1        ? 8
                             : V == 4      ? 6
                             : lanes == 16 ? 12
                                           : 6;
/// A multiple of each of them.
constexpr int64_t row_multiple = 24;

/// c (rows × P·lanes) = a (rows × depth) · b (depth × P·lanes), of products_packed<P> products, for whole rows_at_once
/// of their vectors. What comes after is asked for meanwhile: as many numbers as b has, from `soon` on (nullptr: nothing).
template <int P>
void multiply_panel(int64_t rows, int64_t depth, const float* a, const float* b, float* c, const float* soon) {
    constexpr int pack = products_packed<P>, V = P * pack, R = rows_at_once<V>;
    int64_t r = 0;
    for (int64_t lines = V * lanes / cache_line; soon && lines > 0 && r < rows; --lines, r += R, soon += depth * cache_line)
        multiply<R, V, pack, true>(depth, a + r * depth * pack, depth * pack, pack, b, V * lanes, c + r * V * lanes, V * lanes, false,
                                   soon);
    for (; r < rows; r += R)
        multiply<R, V, pack>(depth, a + r * depth * pack, depth * pack, pack, b, V * lanes, c + r * V * lanes, V * lanes, false);
}

/// c (lanes × P·lanes) (+)= aᵀ·b, a (depth × lanes), b (depth × P·lanes), of products_packed<P> products.
template <int P>
void multiply_transposed_panel(int64_t depth, const float* a, const float* b, float* c, bool add) {
    constexpr int pack = products_packed<P>, V = P * pack;
    constexpr int R = lanes == 16 ? (V == 4 ? 4 : 8) : (lanes == 8 && V == 1 ? 8 : 4);
    for (int r = 0; r < lanes; r += R)
        multiply<R, V, pack>(depth, a + r * pack, pack, lanes * pack, b, V * lanes, c + r * V * lanes, V * lanes, add);
}

}  // namespace distill
