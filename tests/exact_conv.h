// exact_conv.h: convolutions of any geometry as sums in double, all three directions, for tests of ways to convolve.
// defines: testing::normal, testing::Answers, testing::answers, testing::ByBackend, testing::Exact, testing::exact, testing::error, testing::error_bound
#pragma once
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "core_backend.h"
#include "testing.h"

namespace distill::testing {

inline std::vector<float> normal(int64_t n, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> draw;
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = draw(random);
    return values;
}

/// One convolution's three directions, from the same numbers.
struct Answers {
    std::vector<float> y, dx, dw;
};
template <class Convolve>  // anything with Backend's three functions' arguments
Answers answers(Convolve& by, const Conv2dGeometry& g) {
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), dy = normal(g.y.size(), 3);
    Answers a{std::vector<float>(dy.size()), std::vector<float>(x.size()), std::vector<float>(w.size())};
    by.forward(g, x.data(), w.data(), {}, a.y.data());
    by.backward_data(g, dy.data(), w.data(), a.dx.data());
    by.backward_weights(g, x.data(), dy.data(), a.dw.data());
    return a;
}

/// What a backend does, whichever way it takes.
struct ByBackend {
    std::unique_ptr<Backend> backend;
    void forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& e, void* y) {
        backend->conv2d_forward(g, x, w, e, y);
    }
    void backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx) {
        backend->conv2d_backward_data(g, dy, w, dx, false);
    }
    void backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
        backend->conv2d_backward_weights(g, x, dy, dw);
    }
};

struct Exact {
    std::vector<double> y, dx, dw;
};
inline Exact exact(const Conv2dGeometry& g) {
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), dy = normal(g.y.size(), 3);
    Exact e{std::vector<double>(dy.size()), std::vector<double>(x.size()), std::vector<double>(w.size())};
    const int64_t in = g.w.c, out = g.y.c, filters = out / g.groups;
    for (int64_t n = 0; n < g.y.n; ++n)
        for (int64_t i = 0; i < g.y.h; ++i)
            for (int64_t j = 0; j < g.y.w; ++j)
                for (int64_t r = 0; r < g.w.h; ++r)
                    for (int64_t s = 0; s < g.w.w; ++s) {
                        const int64_t row = i * g.stride_h + r - g.pad_h, column = j * g.stride_w + s - g.pad_w;
                        if (row < 0 || row >= g.x.h || column < 0 || column >= g.x.w) continue;
                        const int64_t pixel = ((n * g.x.h + row) * g.x.w + column) * g.x.c, at_y = ((n * g.y.h + i) * g.y.w + j) * out;
                        for (int64_t k = 0; k < out; ++k) {
                            const int64_t at_w = ((k * g.w.h + r) * g.w.w + s) * in, at_x = pixel + k / filters * in;
                            const double gradient = dy[static_cast<size_t>(at_y + k)];
                            double sum = 0;
#pragma omp simd reduction(+ : sum)
                            for (int64_t c = 0; c < in; ++c) {
                                sum += double{x[static_cast<size_t>(at_x + c)]} * w[static_cast<size_t>(at_w + c)];
                                e.dx[static_cast<size_t>(at_x + c)] += gradient * w[static_cast<size_t>(at_w + c)];
                                e.dw[static_cast<size_t>(at_w + c)] += gradient * x[static_cast<size_t>(at_x + c)];
                            }
                            e.y[static_cast<size_t>(at_y + k)] += sum;
                        }
                    }
    return e;
}

/// The largest difference over the root mean square of what is right; infinite where one is no number.
inline double error(const std::vector<float>& found, const std::vector<double>& right) {
    double squares = 0;
    for (const double r : right) squares += r * r;
    return largest_difference(found, right) / std::sqrt(squares / static_cast<double>(right.size()));
}

/// What a sum of `depth` products may be off: errors of its terms add up as a random walk; each may be some tens of roundings.
inline double error_bound(int64_t depth) { return 64 * std::ldexp(1.0, -24) * std::sqrt(static_cast<double>(depth)); }

}  // namespace distill::testing
