// cpu_winograd_transforms.h: minimal filtering F(4×4, 3×3): four outputs of a three-tap filter from six products instead of twelve, in each
// of two directions. y = Aᵀ[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]A for a tile d of 6×6 inputs, a filter g of 3×3 and 4×4 outputs y (Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308). The matrices follow from six points at which polynomials are
// multiplied: 0, ±a, ±b and infinity.
// defines: winograd
#pragma once
#include "cpu_simd.h"

namespace distill::winograd {

constexpr int outputs = 4, taps = 3, inputs = outputs + taps - 1, products = inputs * inputs;

// Largest error over the root mean square in tests/test_winograd.cpp: 2.0e-5; by 1 and 2 8.4e-5, by 1 and ½ 7.6e-5.
constexpr float a = 0.70710678f, b = 1.41421356f, a2 = 0.5f, b2 = 2.0f;

/// Bᵀx: six inputs to where they are multiplied.
struct ToProducts {
    static constexpr int from = inputs, to = inputs;
    [[gnu::always_inline]] void operator()(const vfloat (&x)[inputs], vfloat (&v)[inputs]) const {
        const vfloat even_a = x[4] - b2 * x[2], odd_a = x[3] - b2 * x[1], even_b = x[4] - a2 * x[2], odd_b = x[3] - a2 * x[1];
        v[0] = (x[4] - (a2 + b2) * x[2]) + (a2 * b2) * x[0];
        v[1] = even_a + a * odd_a;
        v[2] = even_a - a * odd_a;
        v[3] = even_b + b * odd_b;
        v[4] = even_b - b * odd_b;
        v[5] = (x[5] - (a2 + b2) * x[3]) + (a2 * b2) * x[1];
    }
};

/// Aᵀm: six products to four outputs.
struct ToOutputs {
    static constexpr int from = inputs, to = outputs;
    [[gnu::always_inline]] void operator()(const vfloat (&m)[inputs], vfloat (&y)[outputs]) const {
        const vfloat sum_a = m[1] + m[2], difference_a = m[1] - m[2], sum_b = m[3] + m[4], difference_b = m[3] - m[4];
        y[0] = m[0] + sum_a + sum_b;
        y[1] = a * difference_a + b * difference_b;
        y[2] = a2 * sum_a + b2 * sum_b;
        y[3] = (a * a2) * difference_a + ((b * b2) * difference_b + m[5]);
    }
};

/// A·y: the transpose of ToOutputs, for gradients of outputs.
struct FromOutputs {
    static constexpr int from = outputs, to = inputs;
    [[gnu::always_inline]] void operator()(const vfloat (&y)[outputs], vfloat (&m)[inputs]) const {
        const vfloat even_a = y[0] + a2 * y[2], odd_a = y[1] + a2 * y[3], even_b = y[0] + b2 * y[2], odd_b = y[1] + b2 * y[3];
        m[0] = y[0];
        m[1] = even_a + a * odd_a;
        m[2] = even_a - a * odd_a;
        m[3] = even_b + b * odd_b;
        m[4] = even_b - b * odd_b;
        m[5] = y[3];
    }
};

constexpr float n0 = 1 / (a2 * b2), na = 1 / (2 * a2 * (a2 - b2)), nb = 1 / (2 * b2 * (b2 - a2));

/// G·g: three taps to where they are multiplied.
struct FromTaps {
    static constexpr int from = taps, to = inputs;
    [[gnu::always_inline]] void operator()(const vfloat (&g)[taps], vfloat (&u)[inputs]) const {
        const vfloat even_a = na * g[0] + (na * a2) * g[2], odd_a = (na * a) * g[1], even_b = nb * g[0] + (nb * b2) * g[2],
                     odd_b = (nb * b) * g[1];
        u[0] = n0 * g[0];
        u[1] = even_a + odd_a;
        u[2] = even_a - odd_a;
        u[3] = even_b + odd_b;
        u[4] = even_b - odd_b;
        u[5] = g[2];
    }
};

/// Gᵀu: the transpose of FromTaps, for gradients of weights.
struct ToTaps {
    static constexpr int from = inputs, to = taps;
    [[gnu::always_inline]] void operator()(const vfloat (&u)[inputs], vfloat (&g)[taps]) const {
        const vfloat sum_a = u[1] + u[2], difference_a = u[1] - u[2], sum_b = u[3] + u[4], difference_b = u[3] - u[4];
        g[0] = n0 * u[0] + (na * sum_a + nb * sum_b);
        g[1] = (na * a) * difference_a + (nb * b) * difference_b;
        g[2] = (na * a2) * sum_a + ((nb * b2) * sum_b + u[5]);
    }
};

/// T·d·Tᵀ: a transform of the columns of a square, then of the rows. read(j, x) fills x with column j of d, write(i, row) takes row i, both
/// in order.
template <class Transform, class Read, class Write>
[[gnu::always_inline]] inline void both_ways(const Read& read, Write&& write) {
    constexpr int from = Transform::from, to = Transform::to;
    vfloat half[to][from];
#pragma GCC unroll 6
    for (int j = 0; j < from; ++j) {
        vfloat column[from], result[to];
        read(j, column);
        Transform()(column, result);
#pragma GCC unroll 6
        for (int i = 0; i < to; ++i) half[i][j] = result[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i) {
        vfloat row[to];
        Transform()(half[i], row);
        write(i, row);
    }
}

/// What both_ways writes to: each product every `step` floats; or, packed by two, those of two rows number by number beside each other,
/// such a pair every `step` floats.
template <int pack>
struct StoreProducts {
    float* to;
    int64_t step;
    vfloat above[inputs] = {};  ///< the row that waits for the next

    [[gnu::always_inline]] void operator()(int i, const vfloat (&row)[inputs]) {
#pragma GCC unroll 6
        for (int j = 0; j < inputs; ++j) {
            float* const place = to + (i / pack * inputs + j) * step;
            if (pack == 1) {
                store_lanes(place, row[j]);
            } else if (i % 2 == 0) {
                above[j] = row[j];
            } else {
                vfloat low, high;
                interleave(above[j], row[j], low, high);
                store_lanes(place, low);
                store_lanes(place + lanes, high);
            }
        }
    }
};

/// What it reads from: column j of products that lie so.
template <int pack>
[[gnu::always_inline]] inline void load_products(const float* from, int64_t step, int j, vfloat (&column)[inputs]) {
#pragma GCC unroll 6
    for (int i = 0; i < inputs; i += pack) {
        const float* const place = from + (i / pack * inputs + j) * step;
        if (pack == 1)
            column[i] = load_lanes(place);
        else
            deinterleave(load_lanes(place), load_lanes(place + lanes), column[i], column[i + 1]);
    }
}

}  // namespace distill::winograd
