// The weights' gradient of a depthwise convolution is bound by memory: 9 multiply-adds for each number read. So each map is walked once, row
// by row as it lies, in blocks of a few neighbouring outputs, whose inputs are loaded once, a vector of channels at a time. Where a row's
// inputs lie is looked up once for all channels; outside of the map they are zeros, so that edges are no case of their own.
#include "cpu_depthwise.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cpu_simd.h"
#include "launch.h"

namespace distill {
namespace {

constexpr int side = 3, taps = side * side;

// ---- vectors of channels -------------------------------------------------------------------------------------------------
template <int Width>
inline Floats<Width> load(const float* p) {
    Floats<Width> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

/// How vectors cover the channels of a pixel: the last one ends with them, and where they are no multiple it overlaps its neighbour, so
/// that both compute some channels, alike.
template <int Width>
struct Cover {
    int64_t channels, vectors;
    explicit Cover(int64_t channels_) : channels(channels_), vectors((channels_ + Width - 1) / Width) {}
    int64_t first(int64_t vector) const { return std::min(vector * Width, channels - Width); }
    int64_t taps_size() const { return vectors * taps * Width; }
};

/// Calls f(width) with the widest vector that the channels fill.
template <int Width = lanes, class F>
void with_width(int64_t channels, const F& f) {
    if constexpr (Width > 1)
        if (channels < Width) return with_width<Width / 2>(channels, f);
    f(std::integral_constant<int, Width>{});
}
/// Calls f(outputs): so many of a row of `width` are computed at once.
template <class F>
void with_outputs(int64_t width, const F& f) {
    width <= 2 ? f(std::integral_constant<int, 2>{}) : f(std::integral_constant<int, 4>{});
}
template <class F>
void with_stride(int stride, const F& f) {
    stride == 1 ? f(std::integral_constant<int, 1>{}) : f(std::integral_constant<int, 2>{});
}

// ---- maps ----------------------------------------------------------------------------------------------------------------
/// The maps of a batch.
struct Map {
    const float* data;
    const Shape& shape;
    int64_t row() const { return shape.w * shape.c; }  ///< from one to the next
};

/// Asks for memory that the next row of outputs reads: what lies so much further than each of these pixels. Inline by force: GCC 12 takes a
/// function that only prefetches for one without any effect and leaves its calls out.
template <int Count>
[[gnu::always_inline]] inline void fetch(const float* const* pixel, int64_t further) {
    for (int k = 0; k < Count; ++k) __builtin_prefetch(pixel[k] + further);
}

/// Where the pixels of `Rows` neighbouring rows of a map lie; those outside of it are zeros.
template <int Rows>
class Lines {
  public:
    explicit Lines(const Map& map)
        : map_(map), zeros_(static_cast<size_t>(map.shape.c)), pixels_(static_cast<size_t>(Rows * length()), zeros_.data()) {}
    void look_up(int64_t image, int64_t top) {
        const Shape& s = map_.shape;
        for (int r = 0; r < Rows; ++r) {
            const bool inside = top + r >= 0 && top + r < s.h;
            const float* const first = inside ? map_.data + (image * s.h + top + r) * map_.row() : zeros_.data();
            const int64_t step = inside ? s.c : 0;
            const float** const line = pixels_.data() + r * length() + 1;
            for (int64_t column = 0; column < s.w; ++column) line[column] = first + column * step;
        }
    }
    /// Row r from a column on, −1 the first.
    const float* const* from(int r, int64_t column) const { return pixels_.data() + r * length() + 1 + column; }

  private:
    int64_t length() const { return map_.shape.w + 8; }  // from −1 to where the last block of outputs may reach: 4 of stride 2

    const Map map_;
    std::vector<float> zeros_;
    std::vector<const float*> pixels_;
};

// ---- sums ----------------------------------------------------------------------------------------------------------------
/// Rows of dy are summed in chunks that depend on the shape alone: float inside a chunk, double across chunks, in order.
template <int Width, int Stride, int Outputs>
void sum_products(const Map& x, const Map& dy, float* dw, AlignedFloats& scratch) {
    using V = Floats<Width>;
    constexpr int inputs = (Outputs - 1) * Stride + side;
    const Shape& out = dy.shape;
    const Cover<Width> cover(out.c);
    const int64_t rows = out.n * out.h, pixels = std::clamp<int64_t>(32768 / out.c, 64, 1024),
                  chunks = std::min(rows, (rows * out.w / pixels + 8) / 8 * 8);  // a multiple of 8, for so many threads
    float* const partial = scratch.at_least(chunks * cover.taps_size());
#pragma omp parallel if (x.shape.size() > parallel_threshold)
    {
        Lines<side> lines(x);
        Lines<1> gradients(dy);
#pragma omp for schedule(static)
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
            float* const chunk_sums = partial + chunk * cover.taps_size();
            std::fill_n(chunk_sums, cover.taps_size(), 0.0f);
            for (int64_t row = chunk * rows / chunks; row < (chunk + 1) * rows / chunks; ++row) {
                lines.look_up(row / out.h, row % out.h * Stride - 1);
                gradients.look_up(row / out.h, row % out.h);
                for (int64_t vector = 0; vector < cover.vectors; ++vector) {
                    const int64_t c = cover.first(vector);
                    float* const sums = chunk_sums + vector * taps * Width;
                    V sum[taps];
#pragma GCC unroll 9
                    for (int t = 0; t < taps; ++t) sum[t] = load<Width>(sums + t * Width);
                    for (int64_t column = 0; column < out.w; column += Outputs) {
                        V g[Outputs];
#pragma GCC unroll 4
                        for (int o = 0; o < Outputs; ++o) g[o] = load<Width>(gradients.from(0, column)[o] + c);
                        fetch<Outputs>(gradients.from(0, column), c + dy.row());
#pragma GCC unroll 3
                        for (int r = 0; r < side; ++r) {
                            const float* const* const pixel = lines.from(r, column * Stride - 1);
                            if (r >= side - Stride) fetch<Outputs * Stride>(pixel + 1, c + Stride * x.row());
                            V in[inputs];
#pragma GCC unroll 9
                            for (int k = 0; k < inputs; ++k) in[k] = load<Width>(pixel[k] + c);
#pragma GCC unroll 3
                            for (int q = 0; q < side; ++q)
#pragma GCC unroll 4
                                for (int o = 0; o < Outputs; ++o) sum[r * side + q] += in[o * Stride + q] * g[o];
                        }
                    }
#pragma GCC unroll 9
                    for (int t = 0; t < taps; ++t) std::memcpy(sums + t * Width, &sum[t], sizeof sum[t]);
                }
            }
        }
#pragma omp for schedule(static)
        for (int64_t vector = 0; vector < cover.vectors; ++vector) {
            double total[taps * Width] = {};
            for (int64_t chunk = 0; chunk < chunks; ++chunk) {
                const float* const sums = partial + chunk * cover.taps_size() + vector * taps * Width;
                for (int i = 0; i < taps * Width; ++i) total[i] += static_cast<double>(sums[i]);
            }
            for (int64_t c = vector * Width; c < std::min(out.c, (vector + 1) * Width); ++c)
                for (int t = 0; t < taps; ++t) dw[c * taps + t] = static_cast<float>(total[t * Width + c - cover.first(vector)]);
        }
    }
}

}  // namespace

bool DepthwiseWeights::fits(const Conv2dGeometry& g) {
    return g.groups == g.x.c && g.x.c == g.y.c && g.w.h == side && g.w.w == side && g.pad_h == 1 && g.pad_w == 1 &&
           g.stride_h == g.stride_w && (g.stride_h == 1 || g.stride_h == 2) && g.type == DType::f32;
}

void DepthwiseWeights::backward(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    const Map images{static_cast<const float*>(x), g.x}, gradients{static_cast<const float*>(dy), g.y};
    with_width(g.x.c, [&](auto width) {
        with_stride(g.stride_h, [&](auto stride) {
            with_outputs(g.y.w, [&](auto outputs) { sum_products<width, stride, outputs>(images, gradients, dw, sums_); });
        });
    });
}

}  // namespace distill
