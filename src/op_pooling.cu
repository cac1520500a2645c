// Pooling and resizing. All but the maximum are weighted sums over windows, which an Axis describes, for rows and columns alike: which
// sources a target collects and how much they weigh. Back is the same sum with the parts exchanged: each input element collects from
// the outputs that saw it, so that no two threads write one place.
#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

DISTILL_HD inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- axes ------------------------------------------------------------------------------------------------------------------
// sources(t): what target t collects; the sum is weighted with source_weight(s) and target_weight(t).

/// Output t sees inputs t·stride − pad … + size − 1, as far as there are any.
struct Strided {
    int size, stride, pad, inputs;
    DISTILL_HD Span sources(int t) const {
        const int first = t * stride - pad, end = first + size;
        return {first < 0 ? 0 : first, end < inputs ? end : inputs};
    }
    DISTILL_HD float target_weight(int) const { return 1.0f / static_cast<float>(size); }
    DISTILL_HD float source_weight(int) const { return 1; }
};
struct StridedBack {
    int size, stride, pad, outputs;
    DISTILL_HD Span sources(int t) const {
        const int last = (t + pad) / stride, before = t + pad - size;  // output `first − 1` ends at or before t
        return {before < 0 ? 0 : before / stride + 1, last + 1 < outputs ? last + 1 : outputs};
    }
    DISTILL_HD float target_weight(int) const { return 1.0f / static_cast<float>(size); }
    DISTILL_HD float source_weight(int) const { return 1; }
};

/// Output t averages the inputs from ⌊t·inputs/outputs⌋ to ⌈(t+1)·inputs/outputs⌉ − 1.
struct Cells {
    int inputs, outputs;
    DISTILL_HD Span sources(int t) const { return {t * inputs / outputs, ceil_div((t + 1) * inputs, outputs)}; }
    DISTILL_HD float target_weight(int t) const {
        const Span cell = sources(t);
        return 1.0f / static_cast<float>(cell.end - cell.first);
    }
    DISTILL_HD float source_weight(int) const { return 1; }
};
/// Solving those bounds for the output gives the same bounds with the extents exchanged.
struct CellsBack {
    Cells forward;
    DISTILL_HD Span sources(int t) const { return Cells{forward.outputs, forward.inputs}.sources(t); }
    DISTILL_HD float target_weight(int) const { return 1; }
    DISTILL_HD float source_weight(int s) const { return forward.target_weight(s); }
};

/// Output t is input ⌊t·inputs/outputs⌋.
struct Nearest {
    int inputs, outputs;
    DISTILL_HD Span sources(int t) const {
        const int at = t * inputs / outputs;
        return {at, at + 1};
    }
    DISTILL_HD float target_weight(int) const { return 1; }
    DISTILL_HD float source_weight(int) const { return 1; }
};
struct NearestBack {
    Nearest forward;
    DISTILL_HD Span sources(int t) const {
        return {ceil_div(t * forward.outputs, forward.inputs), ceil_div((t + 1) * forward.outputs, forward.inputs)};
    }
    DISTILL_HD float target_weight(int) const { return 1; }
    DISTILL_HD float source_weight(int) const { return 1; }
};

// ---- sums --------------------------------------------------------------------------------------------------------------------

struct Add {
    DISTILL_HD float start() const { return 0; }
    DISTILL_HD float operator()(float a, float b) const { return a + b; }
};

/// The images that one functor reads (from) and writes (to).
struct Extents {
    int from_h, from_w, to_h, to_w, channels;
    Extents(const Shape& from, const Shape& to)
        : from_h(static_cast<int>(from.h)),
          from_w(static_cast<int>(from.w)),
          to_h(static_cast<int>(to.h)),
          to_w(static_cast<int>(to.w)),
          channels(static_cast<int>(to.c)) {}
    DISTILL_HD int row(int64_t line) const { return static_cast<int>(line % to_h); }
    DISTILL_HD int64_t image(int64_t line) const { return line / to_h * from_h * from_w * channels; }  ///< where its source begins
};

/// One line of the target.
template <class Axis, class T>
struct WindowSum {
    Axis rows, columns;
    Extents e;
    const T* from;
    T* to;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int h = e.row(line), n = e.channels, width = e.from_w;
        const T* in = from + e.image(line);
        T* out = to + line * e.to_w * n;
        const Axis down = rows, across = columns;
        const float weight = down.target_weight(h);
        lane.fold_windows(
            e.to_w, n, down.sources(h), Add{}, [=](int w) { return across.sources(w); },
            [=](int, int r, int c, int j) { return in[(r * width + c) * n + j] * (down.source_weight(r) * across.source_weight(c)); },
            [=](int w, int j, float sum) { out[w * n + j] = sum * (weight * across.target_weight(w)); });
    }
};

template <class F>
void for_each_line(Backend& backend, const Shape& from, const Shape& to, const F& f) {
    const int64_t lines = to.n * to.h;
    for_each_row(backend, lines, std::max(from.size(), to.size()) / lines, f);
}

template <class Axis>
void window_sum(Axis rows, Axis columns, const Tensor& from, const Tensor& to) {
    with_type(from.type(), [&](auto t) {
        using T = decltype(t);
        for_each_line(to.backend(), from.shape(), to.shape(),
                      WindowSum<Axis, T>{rows, columns, {from.shape(), to.shape()}, from.as<T>(), to.as<T>()});
    });
}

/// y of the shape `to` by two axes; back by theirs.
template <class Axis, class Back>
Var pooled(const Var& x, const Shape& to, Axis rows, Axis columns, Back rows_back, Back columns_back) {
    Var y = result_of(Tensor(x.backend(), to, x.type()), x);
    window_sum(rows, columns, x.value(), y.value());
    record(y, [x, y, rows_back, columns_back] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) window_sum(rows_back, columns_back, dy, dx.tensor());
    });
    return y;
}

// ---- maxima ------------------------------------------------------------------------------------------------------------------

struct Larger {
    DISTILL_HD float start() const { return -INFINITY; }
    DISTILL_HD float operator()(float a, float b) const { return b > a || b != b ? b : a; }  // NaN is passed on
};
struct Smaller {
    DISTILL_HD float start() const { return INFINITY; }
    DISTILL_HD float operator()(float a, float b) const { return b < a ? b : a; }
};

template <class T>
struct MaxForward {
    Strided rows, columns;
    Extents e;
    const T* x;
    T* y;
    int32_t* winner;  ///< place of the window's first maximum in its image, row·W + column; null: not kept
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int n = e.channels, width = e.from_w;
        const T* in = x + e.image(line);
        T* out = y + line * e.to_w * n;
        const Strided across = columns;
        const auto span = [=](int w) { return across.sources(w); };
        const Span window = rows.sources(e.row(line));
        lane.fold_windows(
            e.to_w, n, window, Larger{}, span, [=](int, int r, int c, int j) { return in[(r * width + c) * n + j]; },
            [=](int w, int j, float top) { out[w * n + j] = top; });
        if (!winner) return;
        int32_t* at = winner + line * e.to_w * n;
        const auto place = [=](int w, int r, int c, int j) {  // exact in float for images below 2²⁴ pixels
            const float v = in[(r * width + c) * n + j];
            return v == out[w * n + j] || v != v ? static_cast<float>(r * width + c) : INFINITY;
        };
        lane.fold_windows(e.to_w, n, window, Smaller{}, span, place,
                          [=](int w, int j, float first) { at[w * n + j] = static_cast<int32_t>(first); });
    }
};
template <class T>
struct MaxBackward {
    StridedBack rows, columns;
    Extents e;
    const int32_t* winner;
    const T* dy;
    T* dx;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int h = e.row(line), n = e.channels, outputs = e.from_w, width = e.to_w;
        const int32_t* at = winner + e.image(line);
        const T* dout = dy + e.image(line);
        T* din = dx + line * width * n;
        const StridedBack across = columns;
        lane.fold_windows(
            width, n, rows.sources(h), Add{}, [=](int w) { return across.sources(w); },
            [=](int w, int r, int c, int j) {
                const int i = (r * outputs + c) * n + j;
                return at[i] == h * width + w ? static_cast<float>(dout[i]) : 0.0f;
            },
            [=](int w, int j, float sum) { din[w * n + j] = sum; });
    }
};

// ---- geometry ------------------------------------------------------------------------------------------------------------------

/// The result's shape; a window of padding alone would have no maximum.
Shape strided_shape(const char* operation, const Shape& x, const PoolOptions& o) {
    if (o.size < 1 || o.stride < 1 || o.pad < 0 || 2 * o.pad > o.size)
        failure(operation, ": size ", o.size, ", stride ", o.stride, ", pad ", o.pad,
                " ---> expected size >= 1, stride >= 1, 0 <= pad <= size/2");
    const auto extent = [&](int64_t n) { return n + 2 * o.pad < o.size ? 0 : (n + 2 * o.pad - o.size) / o.stride + 1; };
    const Shape y{x.n, extent(x.h), extent(x.w), x.c};
    if (y.h < 1 || y.w < 1)
        failure(operation, ": shapes ", to_string(x), " and ", to_string(y), " of input and result: the window of ", o.size,
                " does not fit ---> a smaller window or more padding");
    return y;
}
Strided axis(const PoolOptions& o, int64_t inputs) { return {o.size, o.stride, o.pad, static_cast<int>(inputs)}; }
StridedBack axis_back(const PoolOptions& o, int64_t outputs) { return {o.size, o.stride, o.pad, static_cast<int>(outputs)}; }

Var strided(const char* operation, const Var& x, const PoolOptions& o) {
    const Shape from = x.shape(), to = strided_shape(operation, from, o);
    return pooled(x, to, axis(o, from.h), axis(o, from.w), axis_back(o, to.h), axis_back(o, to.w));
}

template <class Axis, class Back>
Var resized(const char* operation, const Var& x, int64_t h, int64_t w) {
    const Shape from = x.shape(), to{from.n, h, w, from.c};
    if (h < 1 || w < 1)
        failure(operation, ": shapes ", to_string(from), " and ", to_string(to),
                " of input and result ---> height and width must be positive");
    if (from == to) return x;
    const Axis rows{static_cast<int>(from.h), static_cast<int>(h)}, columns{static_cast<int>(from.w), static_cast<int>(w)};
    return pooled(x, to, rows, columns, Back{rows}, Back{columns});
}

}  // namespace

Var max_pool(const Var& x, const PoolOptions& options) {
    const Shape from = x.shape(), to = strided_shape("max_pool", from, options);
    Var y = result_of(Tensor(x.backend(), to, x.type()), x);
    const Tensor winner = y.needs_gradient() ? Tensor::integers(x.backend(), to) : Tensor();
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_line(x.backend(), from, to,
                      MaxForward<T>{axis(options, from.h),
                                    axis(options, from.w),
                                    {from, to},
                                    x.as<T>(),
                                    y.as<T>(),
                                    winner.defined() ? winner.ints() : nullptr});
    });
    record(y, [x, y, winner, from, to, options] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_line(
                x.backend(), to, from,
                MaxBackward<T>{axis_back(options, to.h), axis_back(options, to.w), {to, from}, winner.ints(), dy.as<T>(), dx.as<T>()});
        });
    });
    return traced("max_pool", y, {&x}, {}, {{"size", options.size}, {"stride", options.stride}, {"pad", options.pad}});
}

Var avg_pool(const Var& x, const PoolOptions& options) {
    return traced("avg_pool", strided("avg_pool", x, options), {&x}, {},
                  {{"size", options.size}, {"stride", options.stride}, {"pad", options.pad}});
}
Var adaptive_avg_pool(const Var& x, int64_t h, int64_t w) { return resized<Cells, CellsBack>("adaptive_avg_pool", x, h, w); }
Var global_avg_pool(const Var& x) { return traced("global_avg_pool", resized<Cells, CellsBack>("global_avg_pool", x, 1, 1), {&x}); }
Var resize_nearest(const Var& x, int64_t h, int64_t w) { return resized<Nearest, NearestBack>("resize_nearest", x, h, w); }
Var subsample(const Var& x, int stride) {
    if (stride == 1) return x;
    return traced("subsample", strided("subsample", x, {1, stride, 0}), {&x}, {}, {{"stride", stride}});  // the mean of one pixel
}

}  // namespace distill
