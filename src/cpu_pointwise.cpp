#include "cpu_pointwise.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>

#include "base_error.h"
#include "launch.h"
#include "launch_conv_epilogue.h"

namespace distill {
namespace {

/// Channels of one group, which x, y and w have side by side.
struct Group {
    int64_t in, out;
    explicit Group(const Conv2dGeometry& g) : in(g.x.c / g.groups), out(g.y.c / g.groups) {}
};

void require(bool done, const Conv2dGeometry& g) {
    if (!done) failure("oneDNN: the products of a convolution x ", to_string(g.x), ", w ", to_string(g.w), " failed");
}

/// y = or, where `add`, += w applied to x, pixel by pixel and group by group: `in` numbers of x become `out` of y. w lies in rows of `in`, or,
/// transposed, in rows of `out`. In blocks of pixels that stay in a core's cache while all groups pass over them, smaller ones where else
/// some threads had none.
void apply_to_pixels(const Conv2dGeometry& g, int64_t in, int64_t out, const float* x, const float* w, bool transposed, bool add,
                     float* y) {
    constexpr int64_t least = 64, most = 512;
    const int64_t pixels = g.x.pixels(), row_x = in * g.groups, row_y = out * g.groups;
    const int64_t per_block = std::clamp(pixels / omp_get_max_threads(), least, most), blocks = (pixels + per_block - 1) / per_block;
    bool done = true;
#pragma omp parallel for schedule(static) reduction(&& : done) if (blocks > 1)
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t begin = block * per_block, count = std::min(per_block, pixels - begin);
        for (int64_t k = 0; k < g.groups; ++k)
            done = dnnl_sgemm('N', transposed ? 'N' : 'T', count, out, in, 1.0f, x + begin * row_x + k * in, row_x, w + k * out * in,
                              transposed ? out : in, add ? 1.0f : 0.0f, y + begin * row_y + k * out, row_y) == dnnl_success &&
                   done;
    }
    require(done, g);
}

}  // namespace

bool Pointwise::fits(const Conv2dGeometry& g) {
    return g.w.h == 1 && g.w.w == 1 && g.stride_h == 1 && g.stride_w == 1 && g.pad_h == 0 && g.pad_w == 0 && g.type == DType::f32;
}

bool Pointwise::pays_forward(const Conv2dGeometry& g) { return fits(g) && (g.groups > 1 || std::min(g.x.c, g.y.c) < 64); }

void Pointwise::forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
    const Group of(g);
    apply_to_pixels(g, of.in, of.out, static_cast<const float*>(x), static_cast<const float*>(w), false, false, static_cast<float*>(y));
    if (epilogue.bias || epilogue.residual || epilogue.relu) conv_epilogue_here(g.y, g.type, epilogue, y);
}

void Pointwise::backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    const Group of(g);
    apply_to_pixels(g, of.out, of.in, static_cast<const float*>(dy), static_cast<const float*>(w), true, add, static_cast<float*>(dx));
}

/// Each thread sums over its part of the pixels, with the wider map on the right, where the product is faster: where that is dy, sums and
/// gradient are each other's transposes.
void Pointwise::backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    constexpr int64_t at_once = 256;
    const Group of(g);
    const bool transposed = of.out > of.in;
    const float *const left = static_cast<const float*>(transposed ? x : dy), *const right = static_cast<const float*>(transposed ? dy : x);
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
            for (int64_t k = 0; k < g.groups; ++k)
                done = dnnl_sgemm('T', 'N', rows, columns, count, 1.0f, left + begin * rows * g.groups + k * rows, rows * g.groups,
                                  right + begin * columns * g.groups + k * columns, columns * g.groups, block > first ? 1.0f : 0.0f,
                                  sums + part * size + k * rows * columns, columns) == dnnl_success &&
                       done;
        }
    }
    require(done, g);
#pragma omp parallel for schedule(static) if (size > parallel_threshold)
    for (int64_t k = 0; k < g.y.c; ++k)
        for (int64_t c = 0; c < of.in; ++c) {
            const int64_t group = k / of.out, row = transposed ? c : k % of.out, column = transposed ? k % of.out : c;
            float sum = 0;
            for (int64_t part = 0; part < parts; ++part) sum += sums[part * size + (group * rows + row) * columns + column];
            dw[k * of.in + c] = sum;
        }
}

}  // namespace distill
