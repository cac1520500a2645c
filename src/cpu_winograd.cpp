// A block of tiles goes through all three stages while it lies in the second cache: inputs to 36 products each (V), 36 small matrix
// products with the transformed weights (M = V·U), back to outputs. Vectors run over channels, which lie next to each other; where
// products are packed (cpu_products.h), the two numbers of each channel do.
#include "cpu_winograd.h"

#include <omp.h>

#include <algorithm>

#include "cpu_products.h"
#include "cpu_winograd_transforms.h"

namespace distill {
namespace {

using namespace winograd;

/// Tiles of 4×4 outputs over `images` maps of height×width, row by row.
struct Tiles {
    int64_t images, height, width, down, across, count;
    Tiles(int64_t images_, int64_t height_, int64_t width_)
        : images(images_),
          height(height_),
          width(width_),
          down((height + outputs - 1) / outputs),
          across((width + outputs - 1) / outputs),
          count(images * down * across) {}
    struct Place {
        int64_t image, row, column;  ///< of its first output
    };
    Place place(int64_t tile) const {
        const int64_t row = tile / across % down;
        return {tile / (across * down), row * outputs, tile % across * outputs};
    }
    Place after(Place p) const {
        p.column += outputs;
        if (p.column >= width) p.column = 0, p.row += outputs;
        if (p.row >= height) p.row = 0, ++p.image;
        return p;
    }
};

/// Tiles that go through together: few enough for V and M to stay in the second cache.
template <int64_t at_once>
struct TileBlock {
    int64_t n;  ///< of them
    Tiles::Place at[at_once];
    TileBlock(const Tiles& tiles, int64_t first) : n(std::max<int64_t>(0, std::min(at_once, tiles.count - first))) {
        if (n > 0) at[0] = tiles.place(first);
        for (int64_t t = 1; t < n; ++t) at[t] = tiles.after(at[t - 1]);
    }
};

/// One matrix of a block's packed products, and then the next: a line more, so that not all of them fall into one set of the cache.
constexpr int64_t product_step(int64_t tiles, int64_t channels, int pack) { return tiles * channels * pack + 16; }

// ---- the three transforms of maps ----------------------------------------------------------------------------------------
/// V: tile d of a map (height, width, channels) at (top, left), zero outside the map, to Bᵀ·d·B. `inside`: no part of it is outside.
template <int pack, bool inside, class T>
[[gnu::always_inline]] inline void transform_inputs(const T* map, int64_t height, int64_t width, int64_t channels, int64_t top,
                                                    int64_t left, float* v, int64_t step) {
    static const T zeros[lanes] = {};
    const T* const corner = map + (top * width + left) * channels;  // read only where it lies in the map
    for (int64_t c = 0; c < channels; c += lanes) {
        const T* row[inputs];
        int64_t next[inputs];
        for (int i = 0; i < inputs; ++i) {
            const bool there = inside || (top + i >= 0 && top + i < height);
            row[i] = there ? corner + i * width * channels + c : zeros;
            next[i] = there ? channels : 0;
        }
        both_ways<ToProducts>(
            [&](int j, vfloat(&x)[inputs]) {
                const bool there = inside || (left + j >= 0 && left + j < width);
#pragma GCC unroll 6
                for (int i = 0; i < inputs; ++i) x[i] = there ? load_lanes(row[i] + j * next[i]) : vfloat{};
            },
            StoreProducts<pack>{v + c * pack, step});
    }
}
template <int pack, class T>
void transform_inputs(const T* map, int64_t height, int64_t width, int64_t channels, int64_t top, int64_t left, float* v, int64_t step) {
    if (top >= 0 && left >= 0 && top + inputs <= height && left + inputs <= width)
        transform_inputs<pack, true>(map, height, width, channels, top, left, v, step);
    else
        transform_inputs<pack, false>(map, height, width, channels, top, left, v, step);
}

/// A·dy·Aᵀ: channels first … first + n of the 4×4 outputs' gradients at (row, column), zero outside the map.
template <int pack, class T>
void transform_output_gradients(const T* map, const Tiles& tiles, int64_t channels, const Tiles::Place& at, int64_t first, int64_t n,
                                float* m, int64_t step) {
    const int64_t rows = std::min<int64_t>(outputs, tiles.height - at.row), columns = std::min<int64_t>(outputs, tiles.width - at.column);
    const T* corner = map + (at.row * tiles.width + at.column) * channels + first;
    for (int64_t k = 0; k < n; k += lanes) {
        both_ways<FromOutputs>(
            [&](int j, vfloat(&y)[outputs]) {
#pragma GCC unroll 6
                for (int i = 0; i < outputs; ++i)
                    y[i] = i < rows && j < columns ? load_lanes(corner + (i * tiles.width + j) * channels + k) : vfloat{};
            },
            StoreProducts<pack>{m + k * pack, step});
    }
}

/// Aᵀ·M·A, and the epilogue: channels first … first + n of the 4×4 outputs at (row, column), those that lie in the map.
template <int pack, class T>
void transform_outputs(const float* m, int64_t step, const Tiles& tiles, int64_t channels, const Tiles::Place& at, int64_t first, int64_t n,
                       const ConvEpilogue& epilogue, T* y) {
    const int64_t rows = std::min<int64_t>(outputs, tiles.height - at.row), columns = std::min<int64_t>(outputs, tiles.width - at.column);
    const int64_t corner = ((at.image * tiles.height + at.row) * tiles.width + at.column) * channels + first;
    const T* residual = static_cast<const T*>(epilogue.residual);
    for (int64_t k = 0; k < n; k += lanes) {
        const vfloat bias = epilogue.bias ? load_lanes(epilogue.bias + first + k) : vfloat{};
        both_ways<ToOutputs>([&](int j, vfloat(&in)[inputs]) { load_products<pack>(m + k * pack, step, j, in); },
                             [&](int i, const vfloat(&out)[outputs]) {
                                 if (i >= rows) return;
#pragma GCC unroll 6
                                 for (int j = 0; j < outputs; ++j) {
                                     if (j >= columns) break;
                                     const int64_t place = corner + (i * tiles.width + j) * channels + k;
                                     vfloat value = out[j] + bias;
                                     if (residual) value += load_lanes(residual + place);
                                     if (epilogue.relu) value = value < 0 ? vfloat{} : value;  // a NaN stays one
                                     store_lanes(y + place, value);
                                 }
                             });
    }
}

/// Asks for the memory of a tile's 4×4 new places in a map, `channels` of them of `stride` each, before they are read or written: the jumps
/// from row to row are more than the caches foresee. Inline by force: GCC 12 takes a function that only prefetches for one without any
/// effect and leaves its calls out.
template <bool write, class T>
[[gnu::always_inline]] inline void fetch_tile(const T* map, const Tiles& tiles, const Tiles::Place& at, int64_t stride, int64_t channels) {
    constexpr int64_t line = 64 / sizeof(T);
    const int64_t rows = std::min<int64_t>(outputs, tiles.height - at.row), columns = std::min<int64_t>(outputs, tiles.width - at.column);
    for (int64_t i = 0; i < rows; ++i) {
        const T* row = map + ((at.image * tiles.height + at.row + i) * tiles.width + at.column) * stride;
        if (channels == stride) {
            for (int64_t k = 0; k < columns * stride; k += line) __builtin_prefetch(row + k, write, 2);
        } else {
            for (int64_t j = 0; j < columns; ++j)
                for (int64_t k = 0; k < channels; k += line) __builtin_prefetch(row + j * stride + k, write, 2);
        }
    }
}

// ---- weights -------------------------------------------------------------------------------------------------------------
/// Writes G·g·Gᵀ of `lanes` filters to u, packed products every `step` floats.
template <int pack>
void transform_filters(const vfloat (&g)[taps][taps], float* u, int64_t step) {
    both_ways<FromTaps>(
        [&](int j, vfloat(&column)[taps]) {
            for (int i = 0; i < taps; ++i) column[i] = g[i][j];
        },
        StoreProducts<pack>{u, step});
}

/// U of panel `panel` (P·lanes columns), u[packed products][depth][P·lanes]. Forward: depth runs over input channels, columns over output
/// channels.
template <int P, class T>
void transform_weights(const Conv2dGeometry& g, const T* w, int64_t panel, float* u) {
    constexpr int pack = products_packed<P>;
    constexpr int64_t width = P * lanes;
    const int64_t in = g.x.c;
    float lying[taps * taps][lanes][lanes];
    for (int64_t column = 0; column < width; column += lanes)
        for (int64_t c = 0; c < in; c += lanes) {
            for (int l = 0; l < lanes; ++l) {
                const T* filter = w + (panel * width + column + l) * taps * taps * in + c;
                for (int t = 0; t < taps * taps; ++t)
                    for (int i = 0; i < lanes; ++i) lying[t][i][l] = filter[t * in + i];
            }
            for (int i = 0; i < lanes; ++i) {
                vfloat filter[taps][taps];
                for (int t = 0; t < taps * taps; ++t) filter[t / taps][t % taps] = load_lanes(lying[t][i]);
                transform_filters<pack>(filter, u + ((c + i) * width + column) * pack, in * width * pack);
            }
        }
}
/// Backward to the data: depth runs over output channels, columns over input channels, and the filters are turned by half.
template <int P, class T>
void transform_turned_weights(const Conv2dGeometry& g, const T* w, int64_t panel, float* u) {
    constexpr int pack = products_packed<P>;
    constexpr int64_t width = P * lanes;
    const int64_t in = g.x.c, out = g.y.c;
    for (int64_t k = 0; k < out; ++k)
        for (int64_t column = 0; column < width; column += lanes) {
            vfloat filter[taps][taps];
            for (int t = 0; t < taps * taps; ++t)
                filter[t / taps][t % taps] = load_lanes(w + (k * taps * taps + (taps * taps - 1 - t)) * in + panel * width + column);
            transform_filters<pack>(filter, u + (k * width + column) * pack, out * width * pack);
        }
}

// ---- a convolution -------------------------------------------------------------------------------------------------------
/// What is convolved with what: maps of `depth` channels, padded by pad_h and pad_w, to maps of `columns` channels over `tiles`.
struct Problem {
    int64_t height, width, depth;  ///< of the maps read
    int64_t pad_h, pad_w;
    Tiles tiles;
    int64_t columns;  ///< channels of the maps written
};

/// weigh(P, panel, u) writes a panel of the transformed weights; P is a type's constant.
template <class T, int P, class Weigh>
void convolve(const Problem& p, const T* from, const ConvEpilogue& epilogue, T* to, const Weigh& weigh, AlignedFloats& weights,
              AlignedFloats& scratch, StageTimes* times) {
    constexpr int pack = products_packed<P>, packs = products / pack;
    constexpr int64_t at_once = row_multiple, panel_width = P * lanes, m_step = product_step(at_once, panel_width, pack);
    const int64_t panels = p.columns / panel_width, v_step = product_step(at_once, p.depth, pack);
    const int64_t u_step = p.depth * panel_width * pack, u_size = packs * u_step;
    const int64_t blocks = (p.tiles.count + at_once - 1) / at_once, threads = omp_get_max_threads();
    // Where blocks are few, threads share one: each has some of its panels, and makes V itself.
    const int64_t shares = std::min(panels, std::max<int64_t>(1, 4 * threads / blocks));
    // A thread takes some blocks that follow each other, for it fetches the next one's maps while it works on one.
    const int64_t neighbours = std::max<int64_t>(1, blocks * shares / (16 * threads));
    const Tiles read(p.tiles.images, p.height, p.width);
    float* const u = weights.at_least(panels * u_size);
    const int64_t scratch_size = packs * (v_step + m_step);
    float* const all_scratch = scratch.at_least(threads * scratch_size);
#pragma omp parallel
    {
        float* const v = all_scratch + omp_get_thread_num() * scratch_size;
        float* const m = v + packs * v_step;
        StageClock clock(times);
#pragma omp for schedule(dynamic, 1)
        for (int64_t panel = 0; panel < panels; ++panel) {
            weigh(std::integral_constant<int, P>(), panel, u + panel * u_size);
            clock.lap(Winograd::stage_weights);
        }
        clock.skip();
#pragma omp for schedule(dynamic, neighbours)
        for (int64_t task = 0; task < blocks * shares; ++task) {
            const int64_t first = task / shares * at_once, share = task % shares;
            const TileBlock<at_once> block(p.tiles, first), next(p.tiles, first + at_once);
            const int64_t n = block.n;
            for (int64_t t = 0; t < n; ++t) {
                const Tiles::Place& at = block.at[t];
                transform_inputs<pack>(from + at.image * p.height * p.width * p.depth, p.height, p.width, p.depth, at.row - p.pad_h,
                                       at.column - p.pad_w, v + t * p.depth * pack, v_step);
            }
            clock.lap(Winograd::stage_inputs);
            for (int64_t panel = share * panels / shares; panel < (share + 1) * panels / shares; ++panel) {
                for (int f = 0; f < packs; ++f) {
                    for (int64_t t = f * n / packs; t < (f + 1) * n / packs; ++t) {
                        fetch_tile<true>(to + panel * panel_width, p.tiles, block.at[t], p.columns, panel_width);
                        if (panel == 0 && t < next.n) fetch_tile<false>(from, read, next.at[t], p.depth, p.depth);
                    }
                    multiply_panel<P>(rounded_up(n, rows_at_once<P * pack>), p.depth, v + f * v_step, u + panel * u_size + f * u_step,
                                      m + f * m_step);
                }
                clock.lap(Winograd::stage_products);
                for (int64_t t = 0; t < n; ++t)
                    transform_outputs<pack>(m + t * panel_width * pack, m_step, p.tiles, p.columns, block.at[t], panel * panel_width,
                                            panel_width, epilogue, to);
                clock.lap(Winograd::stage_outputs);
            }
        }
    }
}

template <class T, class Weigh>
void convolve(const Problem& p, const void* from, const ConvEpilogue& epilogue, void* to, const Weigh& weigh, AlignedFloats& weights,
              AlignedFloats& scratch, StageTimes* times) {
    const auto run = panels_wide(p.columns) == 2 ? convolve<T, 2, Weigh> : convolve<T, 1, Weigh>;
    run(p, static_cast<const T*>(from), epilogue, static_cast<T*>(to), weigh, weights, scratch, times);
}

template <class T, int pack>
void weights_gradient(const Conv2dGeometry& g, const T* x, const T* dy, float* dw, AlignedFloats& sums, AlignedFloats& scratch,
                      StageTimes* times) {
    constexpr int packs = products / pack;
    constexpr int64_t at_once = 48;  // more than forward: each block's sums are read and written again
    const int64_t in = g.x.c, out = g.y.c, threads = omp_get_max_threads();
    const Tiles tiles(g.y.n, g.y.h, g.y.w), read(g.x.n, g.x.h, g.x.w);
    const int64_t blocks = (tiles.count + at_once - 1) / at_once;
    // Small filters: every piece of the tiles has sums of its own, added up at the end. Large ones: every piece of the output channels
    // goes over all tiles, and makes V itself. A thread's pieces are many, so that one that is held up leaves the others something to take,
    // while their sums are small.
    const bool by_tiles = in * out <= 64 * 64;
    const int64_t many = std::clamp<int64_t>(512 * 1024 / (products * in * out), 2, 8);
    const int64_t pieces = by_tiles ? std::min(blocks, many * threads) : 1, shares = by_tiles ? 1 : std::min(out / lanes, 4 * threads);
    const int64_t du_step = out * in * pack + 16, du_size = packs * du_step;
    const int64_t v_step = product_step(at_once, in, pack), m_step = product_step(at_once, out, pack),
                  scratch_size = packs * (v_step + m_step);
    float* const du = sums.at_least(pieces * du_size);
    float* const all_scratch = scratch.at_least(threads * scratch_size);
#pragma omp parallel
    {
        float* const v = all_scratch + omp_get_thread_num() * scratch_size;
        float* const m = v + packs * v_step;
        StageClock clock(times);
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < pieces * shares; ++task) {
            const int64_t piece = task / shares, share = task % shares;
            const int64_t k0 = share * (out / lanes) / shares * lanes, rows = (share + 1) * (out / lanes) / shares * lanes - k0;
            const int64_t begin = piece * blocks / pieces, end = (piece + 1) * blocks / pieces;
            for (int64_t b = begin; b < end; ++b) {
                const TileBlock<at_once> block(tiles, b * at_once), next(tiles, (b + 1) * at_once);
                const int64_t n = block.n;
                for (int64_t t = 0; t < n; ++t) {
                    const Tiles::Place& at = block.at[t];
                    transform_inputs<pack>(x + at.image * g.x.per_sample(), g.x.h, g.x.w, in, at.row - g.pad_h, at.column - g.pad_w,
                                           v + t * in * pack, v_step);
                    transform_output_gradients<pack>(dy + at.image * g.y.per_sample(), tiles, out, at, k0, rows, m + t * rows * pack,
                                                     m_step);
                }
                clock.lap(Winograd::stage_inputs);
                for (int f = 0; f < packs; ++f) {
                    for (int64_t t = f * n / packs; t < std::min((f + 1) * n / packs, next.n); ++t) {
                        fetch_tile<false>(dy + k0, tiles, next.at[t], out, rows);
                        fetch_tile<false>(x, read, next.at[t], in, in);
                    }
                    multiply_transposed<pack>(n, rows, in, m + f * m_step, v + f * v_step,
                                              du + piece * du_size + f * du_step + k0 * in * pack, b > begin);
                }
                clock.lap(Winograd::stage_products);
            }
        }
        clock.skip();
#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < out; ++k)
            for (int64_t c = 0; c < in; c += lanes) {
                both_ways<ToTaps>(
                    [&](int j, vfloat(&column)[inputs]) {
                        const float* const at = du + (k * in + c) * pack;
                        load_products<pack>(at, du_step, j, column);
                        for (int64_t piece = 1; piece < pieces; ++piece) {
                            vfloat more[inputs];
                            load_products<pack>(at + piece * du_size, du_step, j, more);
                            for (int i = 0; i < inputs; ++i) column[i] += more[i];
                        }
                    },
                    [&](int i, const vfloat(&row)[taps]) {
                        for (int j = 0; j < taps; ++j) store_lanes(dw + ((k * taps + i) * taps + j) * in + c, row[j]);
                    });
            }
        clock.lap(Winograd::stage_weights);
    }
}

}  // namespace

bool Winograd::fits(const Conv2dGeometry& g) {
    return g.w.h == taps && g.w.w == taps && g.stride_h == 1 && g.stride_w == 1 && g.groups == 1 && g.pad_h < taps && g.pad_w < taps &&
           g.x.c % lanes == 0 && g.y.c % lanes == 0;
}

bool Winograd::pays(const Conv2dGeometry& g) {
    return fits(g) && 5 * products * Tiles(1, g.y.h, g.y.w).count <= 3 * taps * taps * g.y.h * g.y.w;
}

int64_t Winograd::multiply_accumulates(const Conv2dGeometry& g, const Shape& written) {
    return products * Tiles(written.n, written.h, written.w).count * g.x.c * g.y.c;
}

void Winograd::forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
    const Problem problem{g.x.h, g.x.w, g.x.c, g.pad_h, g.pad_w, Tiles(g.y.n, g.y.h, g.y.w), g.y.c};
    with_type(g.type, [&](auto t) {
        using T = decltype(t);
        convolve<T>(
            problem, x, epilogue, y,
            [&](auto P, int64_t panel, float* u) { transform_weights<P()>(g, static_cast<const T*>(w), panel, u); }, weights_, scratch_,
            stage_times);
    });
}

void Winograd::backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    const Problem problem{g.y.h, g.y.w, g.y.c, taps - 1 - g.pad_h, taps - 1 - g.pad_w, Tiles(g.x.n, g.x.h, g.x.w), g.x.c};
    with_type(g.type, [&](auto t) {
        using T = decltype(t);
        convolve<T>(
            problem, dy, {nullptr, add ? dx : nullptr, false}, dx,
            [&](auto P, int64_t panel, float* u) { transform_turned_weights<P()>(g, static_cast<const T*>(w), panel, u); }, weights_,
            scratch_, stage_times);
    });
}

void Winograd::backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    with_type(g.type, [&](auto t) {
        using T = decltype(t);
        const auto gradient = panels_wide(g.x.c) == 2 ? weights_gradient<T, products_packed<2>> : weights_gradient<T, products_packed<1>>;
        gradient(g, static_cast<const T*>(x), static_cast<const T*>(dy), dw, weights_, scratch_, stage_times);
    });
}

}  // namespace distill
