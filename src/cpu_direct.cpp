// A block of places goes through in one piece: gathered to rows of taps·channels, multiplied by panels of filters, written. Vectors run over
// the channels that are written.
#include "cpu_direct.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu_products.h"

namespace distill {
namespace {

/// One direction of the maps: place i of `places` reads source rows i·step + first + t for tap t, and is row i·to_step + to_first of the map
/// that is written.
struct Axis {
    int64_t places, step, first, taps;
    int64_t to_step = 1, to_first = 0;
    int64_t filter_first = 0, filter_step = 1;  ///< tap t is row filter_first + t·filter_step of the filter
};

Axis forward_axis(int64_t places, int64_t filter, int stride, int pad) { return {places, stride, -pad, filter}; }

/// Of the rows i·stride + residue of x: those rows r of the filter with r ≡ residue + pad (mod stride) reach them, the later ones from earlier
/// rows of y.
Axis backward_axis(int64_t rows, int64_t filter, int stride, int pad, int64_t residue) {
    const int64_t least = (residue + pad) % stride;  // the first such r
    const int64_t taps = least < filter ? (filter - 1 - least) / stride + 1 : 0, last = least + (taps - 1) * stride;
    return {(rows - residue + stride - 1) / stride, 1, (residue + pad - last) / stride, taps, stride, residue, last, -stride};
}

/// Of a channel group: what is read and what is written, in one class of places.
struct Problem {
    Axis down, across;
    int64_t depth() const { return down.taps * across.taps * channels; }
    int64_t images, height, width, stride;  ///< of the maps read: floats from pixel to pixel
    int64_t channels;                       ///< read, of the group
    int64_t to_height, to_width, to_stride;
    int64_t columns;  ///< channels written, of the group
    int64_t places() const { return images * down.places * across.places; }
};

struct Place {
    int64_t image, i, j;
};
Place place(const Problem& p, int64_t index) {
    const int64_t row = index / p.across.places;
    return {row / p.down.places, row % p.down.places, index % p.across.places};
}
void advance(const Problem& p, Place& at) {
    if (++at.j == p.across.places) at.j = 0, ++at.i;
    if (at.i == p.down.places) at.i = 0, ++at.image;
}

/// Copies what a place sees to one row of depth() floats, zero outside the map.
void gather_place(const Problem& p, const float* from, const Place& at, float* row) {
    const int64_t top = at.i * p.down.step + p.down.first, left = at.j * p.across.step + p.across.first;
    const int64_t before = std::clamp<int64_t>(-left, 0, p.across.taps), after = std::clamp<int64_t>(left + p.across.taps - p.width, 0, p.across.taps - before);
    const int64_t there = p.across.taps - before - after, c = p.channels;
    const float* const map = from + at.image * p.height * p.width * p.stride;
    for (int64_t t = 0; t < p.down.taps; ++t, row += p.across.taps * c) {
        const int64_t y = top + t;
        if (y < 0 || y >= p.height) {
            std::fill_n(row, p.across.taps * c, 0.0f);
            continue;
        }
        const float* source = map + (y * p.width + left + before) * p.stride;
        std::fill_n(row, before * c, 0.0f);
        if (c == p.stride) {
            std::memcpy(row + before * c, source, static_cast<size_t>(there * c) * sizeof(float));
        } else {
            for (int64_t s = 0; s < there; ++s) std::memcpy(row + (before + s) * c, source + s * p.stride, static_cast<size_t>(c) * sizeof(float));
        }
        std::fill_n(row + (before + there) * c, after * c, 0.0f);
    }
}

/// Gathers n places from number `first` on, a row of row_size floats each; what is left of a row, and rows up to `rows`, are zero.
void gather(const Problem& p, const float* from, int64_t first, int64_t n, int64_t rows, int64_t row_size, float* v) {
    Place at = place(p, first);
    const int64_t depth = p.depth();
    for (int64_t r = 0; r < n; ++r, advance(p, at)) {
        gather_place(p, from, at, v + r * row_size);
        std::fill_n(v + r * row_size + depth, row_size - depth, 0.0f);
    }
    std::fill_n(v + n * row_size, (rows - n) * row_size, 0.0f);
}

/// A 1×1 filter at stride 1 sees the map as it lies.
bool lies_gathered(const Problem& p) {
    return p.down.taps == 1 && p.across.taps == 1 && p.down.step == 1 && p.across.step == 1 && p.down.first == 0 && p.across.first == 0 &&
           p.down.places == p.height && p.across.places == p.width;
}

/// Writes `count` columns from `column` on of n places, whose sums lie in m, a row of `width` each.
void write(const Problem& p, int64_t first, int64_t n, const float* m, int64_t width, int64_t column, int64_t count, const ConvEpilogue& epilogue,
           float* to) {
    Place at = place(p, first);
    const float* residual = static_cast<const float*>(epilogue.residual);
    for (int64_t r = 0; r < n; ++r, m += width, advance(p, at)) {
        const int64_t i = at.i * p.down.to_step + p.down.to_first, j = at.j * p.across.to_step + p.across.to_first;
        const int64_t pixel = ((at.image * p.to_height + i) * p.to_width + j) * p.to_stride + column;
        const auto put = [&](int64_t k, auto value) {
            using V = decltype(value);
            const auto plus = [&](const float* more) {
                V v;
                std::memcpy(&v, more, sizeof v);
                value += v;
            };
            if (epilogue.bias) plus(epilogue.bias + column + k);
            if (residual) plus(residual + pixel + k);
            if (epilogue.relu) value = value < 0 ? V{} : value;  // a NaN stays one
            std::memcpy(to + pixel + k, &value, sizeof value);
        };
        int64_t k = 0;
        for (; k + lanes <= count; k += lanes) put(k, load_lanes(m + k));
        for (; k < count; ++k) put(k, m[k]);
    }
}

constexpr int64_t cached_floats = 32768;  // of a block's rows: 128 KiB, a part of the second cache
constexpr int64_t depth_at_once = 128;    // of a panel: 16 KiB of filters stay in the first cache while all rows go by

/// Filters by panels, u[panel][depth][P·lanes], columns past the last zero. weight(t, s, channel, column) is an element of the filter.
template <class Weight>
void pack(const Problem& p, int64_t panel, int64_t width, const Weight& weight, float* u) {
    for (int64_t t = 0; t < p.down.taps; ++t)
        for (int64_t s = 0; s < p.across.taps; ++s)
            for (int64_t c = 0; c < p.channels; ++c, u += width)
                for (int64_t k = 0; k < width; ++k) {
                    const int64_t column = panel * width + k;
                    u[k] = column < p.columns ? weight(p.down.filter_first + t * p.down.filter_step,
                                                       p.across.filter_first + s * p.across.filter_step, c, column)
                                              : 0.0f;
                }
}

/// A problem's places and its part of the weights, the maps and the tasks.
struct Part {
    Problem problem;
    int64_t group;
    int64_t panels, at_once, blocks, shares;
    int64_t first_task, u_offset;
    int64_t u_size(int64_t width) const { return problem.depth() * width; }
};

/// weight(group, r, s, channel, column); channels of a group lie behind each other in both maps.
template <int P, class Weight>
void convolve(std::vector<Part> parts, const float* from, const ConvEpilogue& epilogue, float* to, const Weight& weight, AlignedFloats& weights,
              AlignedFloats& scratch) {
    constexpr int64_t width = P * lanes;
    const int64_t threads = omp_get_max_threads();
    int64_t tasks = 0, u_total = 0, panels = 0, largest = 0;
    for (Part& part : parts) {
        const Problem& p = part.problem;
        part.panels = (p.columns + width - 1) / width;
        part.at_once = std::clamp(cached_floats / std::max<int64_t>(1, p.depth()) / row_multiple, int64_t{1}, int64_t{4}) * row_multiple;
        part.blocks = (p.places() + part.at_once - 1) / part.at_once;
        // Where blocks are few, threads share one: each has some of its panels, and gathers the rows itself.
        part.shares = std::min(part.panels, std::max<int64_t>(1, 4 * threads / std::max<int64_t>(1, part.blocks)));
        part.first_task = tasks, part.u_offset = u_total;
        tasks += part.blocks * part.shares, u_total += part.panels * part.u_size(width), panels = std::max(panels, part.panels);
        largest = std::max(largest, part.at_once * (p.depth() + width));
    }
    const int64_t neighbours = std::max<int64_t>(1, tasks / (16 * threads)), count = static_cast<int64_t>(parts.size());
    float* const u = weights.at_least(u_total);
    float* const all_scratch = scratch.at_least(threads * largest);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < count * panels; ++i) {
            const Part& part = parts[static_cast<size_t>(i / panels)];
            const int64_t panel = i % panels;
            if (panel < part.panels)
                pack(part.problem, panel, width, [&](int64_t r, int64_t s, int64_t c, int64_t k) { return weight(part.group, r, s, c, k); },
                     u + part.u_offset + panel * part.u_size(width));
        }
#pragma omp for schedule(dynamic, neighbours)
        for (int64_t task = 0; task < tasks; ++task) {
            const auto after = std::upper_bound(parts.begin(), parts.end(), task, [](int64_t t, const Part& q) { return t < q.first_task; });
            const Part& part = *(after - 1);
            const Problem& p = part.problem;
            const int64_t local = task - part.first_task, first = local / part.shares * part.at_once, share = local % part.shares;
            const int64_t n = std::min(part.at_once, p.places() - first), rows = rounded_up(n, rows_at_once<P>), depth = p.depth();
            float* const v = all_scratch + omp_get_thread_num() * largest;
            float* const m = v + part.at_once * depth;
            const float* const source = from + part.group * p.channels;
            const bool lies = lies_gathered(p) && rows == n;
            if (!lies) gather(p, source, first, n, rows, depth, v);
            const float* const a = lies ? source + first * p.stride : v;
            const int64_t a_row = lies ? p.stride : depth;
            for (int64_t panel = share * part.panels / part.shares; panel < (share + 1) * part.panels / part.shares; ++panel) {
                const float* const filters = u + part.u_offset + panel * part.u_size(width);
                int64_t d = 0;
                do {
                    multiply_panel<P>(rows, std::min(depth_at_once, depth - d), a + d, a_row, filters + d * width, m, d > 0);
                    d += depth_at_once;
                } while (d < depth);
                write(p, first, n, m, width, part.group * p.columns + panel * width, std::min(width, p.columns - panel * width), epilogue, to);
            }
        }
    }
}

template <class Weight>
void convolve(std::vector<Part> parts, const float* from, const ConvEpilogue& epilogue, float* to, const Weight& weight, AlignedFloats& weights,
              AlignedFloats& scratch) {
    const auto run = parts.front().problem.columns > lanes ? convolve<2, Weight> : convolve<1, Weight>;
    run(std::move(parts), from, epilogue, to, weight, weights, scratch);
}

Problem forward_problem(const Conv2dGeometry& g) {
    return {forward_axis(g.y.h, g.w.h, g.stride_h, g.pad_h), forward_axis(g.y.w, g.w.w, g.stride_w, g.pad_w), g.x.n, g.x.h, g.x.w, g.x.c, g.w.c,
            g.y.h, g.y.w, g.y.c, g.y.c / g.groups};
}

}  // namespace

bool DirectConv::fits(const Conv2dGeometry& g) { return g.type == DType::f32 && (g.groups == 1 || g.w.c > 1); }

void DirectConv::forward(const Conv2dGeometry& g, const float* x, const float* w, const ConvEpilogue& epilogue, float* y) {
    std::vector<Part> parts;
    for (int64_t group = 0; group < g.groups; ++group) parts.push_back({forward_problem(g), group, 0, 0, 0, 0, 0, 0});
    const int64_t out = g.y.c / g.groups;
    convolve(
        std::move(parts), x, epilogue, y,
        [&](int64_t group, int64_t r, int64_t s, int64_t c, int64_t k) {
            return w[(((group * out + k) * g.w.h + r) * g.w.w + s) * g.w.c + c];
        },
        weights_, scratch_);
}

void DirectConv::backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
    std::vector<Part> parts;
    const int64_t out = g.y.c / g.groups;
    for (int64_t a = 0; a < std::min<int64_t>(g.stride_h, g.x.h); ++a)
        for (int64_t b = 0; b < std::min<int64_t>(g.stride_w, g.x.w); ++b)
            for (int64_t group = 0; group < g.groups; ++group)
                parts.push_back({{backward_axis(g.x.h, g.w.h, g.stride_h, g.pad_h, a), backward_axis(g.x.w, g.w.w, g.stride_w, g.pad_w, b), g.y.n,
                                  g.y.h, g.y.w, g.y.c, out, g.x.h, g.x.w, g.x.c, g.w.c},
                                 group, 0, 0, 0, 0, 0, 0});
    convolve(
        std::move(parts), dy, {}, dx,
        [&](int64_t group, int64_t r, int64_t s, int64_t k, int64_t c) {
            return w[(((group * out + k) * g.w.h + r) * g.w.w + s) * g.w.c + c];
        },
        weights_, scratch_);
}

void DirectConv::backward_weights(const Conv2dGeometry& g, const float* x, const float* dy, float* dw) {
    const Problem p = forward_problem(g);
    const int64_t depth = p.depth(), columns = rounded_up(depth, lanes), out = p.columns, filters = rounded_up(out, transposed_rows);
    const int64_t threads = omp_get_max_threads();
    const int64_t at_once = std::clamp<int64_t>(cached_floats / columns, 32, 192), blocks = (p.places() + at_once - 1) / at_once;
    // As for minimal filtering: small filters have sums for every piece of the places, large ones are split by filters.
    const bool by_places = out * depth <= 9 * 64 * 64;
    const int64_t pieces = by_places ? std::min(blocks, 2 * threads) : 1;
    const int64_t shares = by_places ? 1 : std::min(filters / transposed_rows, 4 * threads);
    const bool lies = lies_gathered(p) && g.groups == 1 && columns == p.stride, copied = g.groups > 1 || filters != p.to_stride;
    const int64_t sums_size = filters * columns, scratch_size = at_once * (columns + filters);
    float* const sums = weights_.at_least(g.groups * pieces * sums_size);
    float* const all_scratch = scratch_.at_least(threads * scratch_size);
#pragma omp parallel
    {
        float* const v = all_scratch + omp_get_thread_num() * scratch_size;
        float* const m = v + at_once * columns;
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < g.groups * pieces * shares; ++task) {
            const int64_t group = task / (pieces * shares), piece = task / shares % pieces, share = task % shares;
            const int64_t k0 = share * (filters / transposed_rows) / shares * transposed_rows;
            const int64_t rows = (share + 1) * (filters / transposed_rows) / shares * transposed_rows - k0;
            const int64_t begin = piece * blocks / pieces, end = (piece + 1) * blocks / pieces;
            for (int64_t b = begin; b < end; ++b) {
                const int64_t first = b * at_once, n = std::min(at_once, p.places() - first);
                if (!lies) gather(p, x + group * p.channels, first, n, n, columns, v);
                const float* gradients = dy + first * p.to_stride + group * out + k0;
                if (copied) {  // rows that no filter stands behind are zero
                    const int64_t real = std::min(rows, out - k0);
                    for (int64_t r = 0; r < n; ++r) {
                        std::memcpy(m + r * rows, gradients + r * p.to_stride, static_cast<size_t>(real) * sizeof(float));
                        std::fill_n(m + r * rows + real, rows - real, 0.0f);
                    }
                }
                multiply_transposed(n, rows, columns, copied ? m : gradients, copied ? rows : p.to_stride, lies ? x + first * columns : v,
                                    sums + (group * pieces + piece) * sums_size + k0 * columns, b > begin);
            }
        }
#pragma omp for schedule(static)
        for (int64_t k = 0; k < g.groups * out; ++k) {
            const float* const row = sums + k / out * pieces * sums_size + k % out * columns;
            for (int64_t d = 0; d < depth; ++d) {
                float sum = row[d];
                for (int64_t piece = 1; piece < pieces; ++piece) sum += row[piece * sums_size + d];
                dw[k * depth + d] = sum;
            }
        }
    }
}

}  // namespace distill
