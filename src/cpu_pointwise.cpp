#include "cpu_pointwise.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>

#include "base_error.h"
#include "launch_conv_epilogue.h"

namespace distill {
namespace {

/// c (m × n, rows of `row_c`) = a·b, or + a·b where `add`; a and b as they are stored, or transposed. In a parallel region one thread does
/// it, else all do. Returns whether oneDNN could.
struct Product {
    int64_t m, n, k;
    char transpose_a, transpose_b;
    int64_t row_a, row_b, row_c;
    bool add;
    bool operator()(const float* a, const float* b, float* c) const {
        return dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, row_a, b, row_b, add ? 1.0f : 0.0f, c, row_c) == dnnl_success;
    }
};

/// Channels of one group, which x, y and w have side by side.
struct Group {
    int64_t in, out;
    explicit Group(const Conv2dGeometry& g) : in(g.x.c / g.groups), out(g.y.c / g.groups) {}
};

void require(bool done, const Conv2dGeometry& g) {
    if (!done) failure("oneDNN: the products of a convolution x ", to_string(g.x), ", w ", to_string(g.w), " failed");
}

/// Calls f(begin, pixels) for blocks of pixels that stay in a core's cache while all groups pass over them, smaller ones where else some
/// threads had none. Returns whether all calls did.
template <class F>
bool for_blocks(int64_t pixels, const F& f) {
    constexpr int64_t least = 64, most = 512;
    const int64_t per_block = std::clamp(pixels / omp_get_max_threads(), least, most), blocks = (pixels + per_block - 1) / per_block;
    bool done = true;
#pragma omp parallel for schedule(static) reduction(&& : done) if (blocks > 1)
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t begin = block * per_block;
        done = f(begin, std::min(per_block, pixels - begin)) && done;
    }
    return done;
}

}  // namespace

bool Pointwise::fits(const Conv2dGeometry& g) {
    return g.w.h == 1 && g.w.w == 1 && g.stride_h == 1 && g.stride_w == 1 && g.pad_h == 0 && g.pad_w == 0 && g.type == DType::f32;
}

bool Pointwise::pays_forward(const Conv2dGeometry& g) { return fits(g) && (g.groups > 1 || std::min(g.x.c, g.y.c) < 64); }

void Pointwise::forward(const Conv2dGeometry& g, const float* x, const float* w, const ConvEpilogue& epilogue, float* y) {
    const Group of(g);
    const bool done = for_blocks(g.x.pixels(), [&](int64_t begin, int64_t pixels) {
        const Product multiply{pixels, of.out, of.in, 'N', 'T', g.x.c, of.in, g.y.c, false};
        bool all = true;
        for (int64_t k = 0; k < g.groups; ++k)
            all &= multiply(x + begin * g.x.c + k * of.in, w + k * of.out * of.in, y + begin * g.y.c + k * of.out);
        return all;
    });
    require(done, g);
    if (epilogue.bias || epilogue.residual || epilogue.relu) conv_epilogue_here(g.y, g.type, epilogue, y);
}

void Pointwise::backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx, bool add) {
    const Group of(g);
    const bool done = for_blocks(g.x.pixels(), [&](int64_t begin, int64_t pixels) {
        const Product multiply{pixels, of.in, of.out, 'N', 'N', g.y.c, of.in, g.x.c, add};
        bool all = true;
        for (int64_t k = 0; k < g.groups; ++k)
            all &= multiply(dy + begin * g.y.c + k * of.out, w + k * of.out * of.in, dx + begin * g.x.c + k * of.in);
        return all;
    });
    require(done, g);
}

/// Each thread sums over its part of the pixels, with the wider map on the right, where the product is faster: where that is dy, sums and
/// gradient are each other's transposes.
void Pointwise::backward_weights(const Conv2dGeometry& g, const float* x, const float* dy, float* dw) {
    constexpr int64_t at_once = 256;
    const Group of(g);
    const bool transposed = of.out > of.in;
    const int64_t rows = std::min(of.in, of.out), columns = std::max(of.in, of.out), size = g.groups * rows * columns;
    const int64_t pixels = g.x.pixels(), blocks = (pixels + at_once - 1) / at_once;
    const int64_t parts = std::clamp<int64_t>(blocks, 1, omp_get_max_threads());
    float* const sums = sums_.at_least(parts * size);
    bool done = true;
#pragma omp parallel for schedule(static, 1) reduction(&& : done) if (parts > 1)
    for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = blocks * part / parts;
        for (int64_t block = first; block < blocks * (part + 1) / parts; ++block) {
            const int64_t begin = block * at_once, count = std::min(at_once, pixels - begin);
            const Product multiply{rows,    columns,      count, 'T', 'N', transposed ? g.x.c : g.y.c, transposed ? g.y.c : g.x.c,
                                   columns, block > first};
            for (int64_t k = 0; k < g.groups; ++k) {
                const float *in = x + begin * g.x.c + k * of.in, *out = dy + begin * g.y.c + k * of.out;
                done = multiply(transposed ? in : out, transposed ? out : in, sums + part * size + k * rows * columns) && done;
            }
        }
    }
    require(done, g);
#pragma omp parallel for schedule(static) if (size > 16384)
    for (int64_t k = 0; k < g.y.c; ++k)
        for (int64_t c = 0; c < of.in; ++c) {
            const int64_t group = k / of.out, row = transposed ? c : k % of.out, column = transposed ? k % of.out : c;
            float sum = 0;
            for (int64_t part = 0; part < parts; ++part) sum += sums[part * size + (group * rows + row) * columns + column];
            dw[k * of.in + c] = sum;
        }
}

}  // namespace distill
