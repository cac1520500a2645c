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

/// Tiles that go through together: few enough for V and M to stay in the second cache, or, of many channels, as many as repay reading the
/// weights or their sums from behind it.
struct TileBlock {
    static constexpr int64_t most = 96;
    int64_t n;  ///< of them
    Tiles::Place at[most];
    TileBlock(const Tiles& tiles, int64_t first, int64_t at_once) : n(std::max<int64_t>(0, std::min(at_once, tiles.count - first))) {
        if (n > 0) at[0] = tiles.place(first);
        for (int64_t t = 1; t < n; ++t) at[t] = tiles.after(at[t - 1]);
    }
};

/// One matrix of packed products, and then the next: a line more, so that not all of them fall into one set of the cache.
constexpr int64_t product_step(int64_t rows, int64_t channels, int pack) { return rows * channels * pack + cache_line; }

// ---- the three transforms of maps ----------------------------------------------------------------------------------------
/// How a tile's channels lie in a matrix of V or M: `wide` of them beside each other, and such panels every `step` floats.
struct Panels {
    int64_t wide, step;

    /// use(channel, at): each vector of `channels`, and where it lies in what begins at `first`.
    template <int pack, class Use>
    [[gnu::always_inline]] void each(int64_t channels, float* first, const Use& use) const {
        for (int64_t panel = 0; panel < channels; panel += wide, first += step)
            for (int64_t c = 0; c < wide; c += lanes) use(panel + c, first + c * pack);
    }
};

/// V: tile d of a map (height, width, channels) at (top, left), zero outside the map, to Bᵀ·d·B. `inside`: no part of it is outside.
template <int pack, bool inside, class T>
[[gnu::always_inline]] inline void transform_inputs(const T* map, int64_t height, int64_t width, int64_t channels, int64_t top,
                                                    int64_t left, float* v, int64_t step, Panels panels) {
    static const T zeros[lanes] = {};
    const T* const corner = map + (top * width + left) * channels;  // read only where it lies in the map
    panels.each<pack>(channels, v, [&](int64_t c, float* at) {
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
            StoreProducts<pack>{at, step});
    });
}
template <int pack, class T>
void transform_inputs(const T* map, int64_t height, int64_t width, int64_t channels, int64_t top, int64_t left, float* v, int64_t step,
                      Panels panels) {
    if (top >= 0 && left >= 0 && top + inputs <= height && left + inputs <= width)
        transform_inputs<pack, true>(map, height, width, channels, top, left, v, step, panels);
    else
        transform_inputs<pack, false>(map, height, width, channels, top, left, v, step, panels);
}

/// A·dy·Aᵀ: channels first … first + n of the 4×4 outputs' gradients at (row, column), zero outside the map.
template <int pack, class T>
void transform_output_gradients(const T* map, const Tiles& tiles, int64_t channels, const Tiles::Place& at, int64_t first, int64_t n,
                                float* m, int64_t step, Panels panels) {
    const int64_t rows = std::min<int64_t>(outputs, tiles.height - at.row), columns = std::min<int64_t>(outputs, tiles.width - at.column);
    const T* corner = map + (at.row * tiles.width + at.column) * channels + first;
    panels.each<pack>(n, m, [&](int64_t k, float* to) {
        both_ways<FromOutputs>(
            [&](int j, vfloat(&y)[outputs]) {
#pragma GCC unroll 6
                for (int i = 0; i < outputs; ++i)
                    y[i] = i < rows && j < columns ? load_lanes(corner + (i * tiles.width + j) * channels + k) : vfloat{};
            },
            StoreProducts<pack>{to, step});
    });
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
    constexpr int64_t line = cache_line_bytes / sizeof(T);
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

/// U of panel `panel` (P·lanes columns), `lanes` rows from `row` on: u[packed products][depth][P·lanes], products every `step` floats.
/// Forward: depth runs over input channels, columns over output channels.
template <int P, class T>
void transform_weights(const Conv2dGeometry& g, const T* w, int64_t panel, int64_t row, float* u, int64_t step) {
    constexpr int pack = products_packed<P>;
    constexpr int64_t width = P * lanes;
    const int64_t in = g.x.c;
    for (int64_t column = 0; column < width; column += lanes) {
        vfloat turned[taps * taps][lanes];
        for (int t = 0; t < taps * taps; ++t) {
            for (int l = 0; l < lanes; ++l) turned[t][l] = load_lanes(w + ((panel * width + column + l) * taps * taps + t) * in + row);
            transpose(turned[t]);
        }
        for (int i = 0; i < lanes; ++i) {
            vfloat filter[taps][taps];
            for (int t = 0; t < taps * taps; ++t) filter[t / taps][t % taps] = turned[t][i];
            transform_filters<pack>(filter, u + ((row + i) * width + column) * pack, step);
        }
    }
}
/// Backward to the data: depth runs over output channels, columns over input channels, and the filters are turned by half.
template <int P, class T>
void transform_turned_weights(const Conv2dGeometry& g, const T* w, int64_t panel, int64_t row, float* u, int64_t step) {
    constexpr int pack = products_packed<P>;
    constexpr int64_t width = P * lanes;
    const int64_t in = g.x.c;
    for (int64_t k = row; k < row + lanes; ++k)
        for (int64_t column = 0; column < width; column += lanes) {
            vfloat filter[taps][taps];
            for (int t = 0; t < taps * taps; ++t)
                filter[t / taps][t % taps] = load_lanes(w + (k * taps * taps + (taps * taps - 1 - t)) * in + panel * width + column);
            transform_filters<pack>(filter, u + (k * width + column) * pack, step);
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

/// use(P): P, a type's constant, is how many vectors wide the panels of `columns` are.
template <class Use>
void with_panels(int64_t columns, const Use& use) {
    const int wide = panels_wide(columns);
    if constexpr (lanes == 16) {
        if (wide == 4) return use(std::integral_constant<int, 4>());
    }
    wide == 2 ? use(std::integral_constant<int, 2>()) : use(std::integral_constant<int, 1>());
}

/// weigh(P, panel, row, u, step) writes `lanes` rows of a panel of the transformed weights; P is a type's constant.
template <class T, int P, class Weigh>
void convolve(const Problem& p, const T* from, const ConvEpilogue& epilogue, T* to, const Weigh& weigh, AlignedFloats& weights,
              AlignedFloats& scratch, StageTimes* times) {
    constexpr int pack = products_packed<P>, packs = products / pack;
    constexpr int64_t at_once = row_multiple, width = P * lanes, R = rows_at_once<P * pack>;
    const int64_t panels = p.columns / width, v_step = product_step(at_once, p.depth, pack), m_step = product_step(at_once, width, pack);
    const int64_t u_step = product_step(p.depth, width, pack), u_size = packs * u_step;
    const int64_t blocks = (p.tiles.count + at_once - 1) / at_once, threads = omp_get_max_threads();
    // Where blocks are few, threads share one: each has some of its panels, and makes V itself.
    const int64_t shares = std::min(panels, std::max<int64_t>(1, 4 * threads / blocks));
    // A thread takes some blocks that follow each other, for it fetches the next one's maps while it works on one.
    const int64_t neighbours = std::max<int64_t>(1, blocks * shares / (16 * threads));
    // Weights that fill a good part of the second cache are asked for one product ahead.
    const bool ahead = panels * u_size >= 1 << 17;
    const Tiles read(p.tiles.images, p.height, p.width);
    float* const u = weights.at_least(panels * u_size);
    const int64_t scratch_size = packs * (v_step + m_step);
    float* const all_scratch = scratch.at_least(threads * scratch_size);
#pragma omp parallel
    {
        float* const v = all_scratch + omp_get_thread_num() * scratch_size;
        float* const m = v + packs * v_step;
        StageClock clock(times);
#pragma omp for collapse(2) schedule(static)
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int64_t row = 0; row < p.depth; row += lanes) {
                weigh(std::integral_constant<int, P>(), panel, row, u + panel * u_size, u_step);
                clock.lap(Winograd::stage_weights);
            }
        clock.skip();
#pragma omp for schedule(dynamic, neighbours)
        for (int64_t task = 0; task < blocks * shares; ++task) {
            const int64_t first = task / shares * at_once, share = task % shares;
            const TileBlock block(p.tiles, first, at_once), next(p.tiles, first + at_once, at_once);
            const int64_t n = block.n;
            for (int64_t t = 0; t < n; ++t) {
                const Tiles::Place& at = block.at[t];
                transform_inputs<pack>(from + at.image * p.height * p.width * p.depth, p.height, p.width, p.depth, at.row - p.pad_h,
                                       at.column - p.pad_w, v + t * p.depth * pack, v_step, {p.depth, 0});
            }
            clock.lap(Winograd::stage_inputs);
            for (int64_t panel = share * panels / shares; panel < (share + 1) * panels / shares; ++panel) {
                for (int f = 0; f < packs; ++f) {
                    for (int64_t t = f * n / packs; t < (f + 1) * n / packs; ++t) {
                        fetch_tile<true>(to + panel * width, p.tiles, block.at[t], p.columns, width);
                        if (panel == 0 && t < next.n) fetch_tile<false>(from, read, next.at[t], p.depth, p.depth);
                    }
                    const float* const now = u + panel * u_size + f * u_step;
                    const float* const after = now + u_step < u + panels * u_size ? now + u_step : u;
                    multiply_panel<P>(rounded_up<int64_t>(n, R), p.depth, v + f * v_step, now, m + f * m_step, ahead ? after : nullptr);
                }
                clock.lap(Winograd::stage_products);
                for (int64_t t = 0; t < n; ++t)
                    transform_outputs<pack>(m + t * width * pack, m_step, p.tiles, p.columns, block.at[t], panel * width, width, epilogue,
                                            to);
                clock.lap(Winograd::stage_outputs);
            }
        }
    }
}

template <class T, class Weigh>
void convolve(const Problem& p, const void* from, const ConvEpilogue& epilogue, void* to, const Weigh& weigh, AlignedFloats& weights,
              AlignedFloats& scratch, StageTimes* times) {
    with_panels(p.columns, [&](auto P) {
        convolve<T, P()>(p, static_cast<const T*>(from), epilogue, static_cast<T*>(to), weigh, weights, scratch, times);
    });
}

/// How the weights' gradient is cut: into pieces of the tiles, each with sums of its own that are added up at the end, and each of them into
/// shares of the output channels, which make V themselves.
struct GradientTasks {
    int64_t pieces, shares;
};
GradientTasks gradient_tasks(int64_t blocks, int64_t in, int64_t out, int64_t threads) {
    const int64_t filters = in * out;
    // Small filters: a thread's pieces are many, so that one that is held up leaves the others something to take, while their sums are small.
    if (filters <= 64 * 64) return {std::min(blocks, std::clamp<int64_t>(512 * 1024 / (products * filters), 2, 8) * threads), 1};
    const int64_t tasks = threads == 1 ? 1 : 2 * threads, pieces = filters <= 128 * 128 ? std::min<int64_t>({blocks, tasks, 8}) : 1;
    return {pieces, std::min(out / lanes, (tasks + pieces - 1) / pieces)};
}

template <class T, int P>
void weights_gradient(const Conv2dGeometry& g, const T* x, const T* dy, float* dw, AlignedFloats& sums, AlignedFloats& scratch,
                      StageTimes* times) {
    constexpr int pack = products_packed<P>, packs = products / pack;
    constexpr int64_t width = P * lanes * pack;  // of a panel of packed products
    const int64_t in = g.x.c, out = g.y.c, filters = in * out, threads = omp_get_max_threads();
    const int64_t at_once = filters > 256 * 256 ? TileBlock::most : 48;  // more than forward: each block's sums are read and written again
    const Tiles tiles(g.y.n, g.y.h, g.y.w), read(g.x.n, g.x.h, g.x.w);
    const int64_t blocks = (tiles.count + at_once - 1) / at_once;
    const GradientTasks tasks = gradient_tasks(blocks, in, out, threads);
    const int64_t pieces = tasks.pieces, shares = tasks.shares;
    const int64_t v_panel = at_once * width, m_panel = at_once * lanes * pack, v_step = product_step(at_once, in, pack),
                  m_step = product_step(at_once, out, pack), scratch_size = packs * (v_step + m_step);
    const int64_t du_step = product_step(out, in, pack), du_size = packs * du_step;
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
                const TileBlock block(tiles, b * at_once, at_once), next(tiles, (b + 1) * at_once, at_once);
                const int64_t n = block.n;
                for (int64_t t = 0; t < n; ++t) {
                    const Tiles::Place& at = block.at[t];
                    transform_inputs<pack>(x + at.image * g.x.per_sample(), g.x.h, g.x.w, in, at.row - g.pad_h, at.column - g.pad_w,
                                           v + t * width, v_step, {P * lanes, v_panel});
                    transform_output_gradients<pack>(dy + at.image * g.y.per_sample(), tiles, out, at, k0, rows, m + t * lanes * pack,
                                                     m_step, {lanes, m_panel});
                }
                clock.lap(Winograd::stage_inputs);
                for (int f = 0; f < packs; ++f) {
                    for (int64_t t = f * n / packs; t < std::min((f + 1) * n / packs, next.n); ++t) {
                        fetch_tile<false>(dy + k0, tiles, next.at[t], out, rows);
                        fetch_tile<false>(x, read, next.at[t], in, in);
                    }
                    for (int64_t panel = 0; panel < in / (P * lanes); ++panel)
                        for (int64_t k = 0; k < rows; k += lanes)
                            multiply_transposed_panel<P>(n, m + f * m_step + k / lanes * m_panel, v + f * v_step + panel * v_panel,
                                                         du + piece * du_size + f * du_step + (panel * out + k0 + k) * width, b > begin);
                }
                clock.lap(Winograd::stage_products);
            }
        }
        clock.skip();
#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < out; ++k)
            for (int64_t c = 0; c < in; c += lanes) {
                const float* const at = du + (c / (P * lanes) * out + k) * width + c % (P * lanes) * pack;
                both_ways<ToTaps>(
                    [&](int j, vfloat(&column)[inputs]) {
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
            [&](auto P, int64_t panel, int64_t row, float* u, int64_t step) {
                transform_weights<P()>(g, static_cast<const T*>(w), panel, row, u, step);
            },
            weights_, scratch_, stage_times);
    });
}

void Winograd::backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    const Problem problem{g.y.h, g.y.w, g.y.c, taps - 1 - g.pad_h, taps - 1 - g.pad_w, Tiles(g.x.n, g.x.h, g.x.w), g.x.c};
    with_type(g.type, [&](auto t) {
        using T = decltype(t);
        convolve<T>(
            problem, dy, {nullptr, add ? dx : nullptr, false}, dx,
            [&](auto P, int64_t panel, int64_t row, float* u, int64_t step) {
                transform_turned_weights<P()>(g, static_cast<const T*>(w), panel, row, u, step);
            },
            weights_, scratch_, stage_times);
    });
}

void Winograd::backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    with_type(g.type, [&](auto t) {
        using T = decltype(t);
        with_panels(g.x.c, [&](auto P) {
            weights_gradient<T, P()>(g, static_cast<const T*>(x), static_cast<const T*>(dy), dw, weights_, scratch_, stage_times);
        });
    });
}

}  // namespace distill
