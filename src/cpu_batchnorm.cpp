// Batch normalisation on the CPU. It is bound by memory, so it makes two passes each way and nothing else touches the map:
//   forward:  Σ(x − p), Σ(x − p)²  |  y = relu(a·x + b + residual)             p: the first row, against cancellation
//   backward: Σg, Σg·(x − mean)    |  dx = a·g + (u·x + v)                      g = dy where y > 0, kept as dresidual if asked
// Without a residual y > 0 where γ·(x − mean)/√(var + ε) + β > 0: the backward pass reads a third less.
// Rows are summed in chunks whose size depends on the shape alone: float inside a chunk, double across chunks, in order. The result
// is the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cpu_backend.h"
#include "cpu_simd.h"

namespace distill {
namespace {

/// How many channels lie in one register.
template <int Width>
constexpr int in_register = Width < lanes ? Width : lanes;
template <int Width>
constexpr int registers = Width / in_register<Width>;

/// `Width` neighbouring channels of one row, in registers.
template <int Width>
struct Channels {
    Floats<in_register<Width>> v[registers<Width>];
};

template <int Width, class T>
inline Channels<Width> load(const T* p) {
    Channels<Width> r;
    if constexpr (Width == 1)
        r.v[0] = *p;
    else if constexpr (Width < lanes)
        for (int k = 0; k < Width; ++k) r.v[0][k] = p[k];
    else
        for (int i = 0; i < registers<Width>; ++i) r.v[i] = load_lanes(p + i * lanes);
    return r;
}
template <int Width, class T>
inline void store(T* p, const Channels<Width>& r) {
    if constexpr (Width == 1)
        *p = r.v[0];
    else if constexpr (Width < lanes)
        for (int k = 0; k < Width; ++k) p[k] = r.v[0][k];
    else
        for (int i = 0; i < registers<Width>; ++i) store_lanes(p + i * lanes, r.v[i]);
}

/// Of a number or a vector of them; NaN stays.
template <class V>
inline V positive_part(V v) {
    return v < V{} ? V{} : v;
}
template <class V>
inline V where_positive(V y, V g) {
    return y > V{} ? g : V{};
}

/// Calls f(width, first) so that blocks of 64, 32, 16, 8, 4, 2 and 1 channels cover all of them.
template <class F>
void for_channel_blocks(int64_t channels, const F& f) {
    int64_t c = 0;
    for (; c + 64 <= channels; c += 64) f(std::integral_constant<int, 64>{}, c);
    const auto rest = [&](auto width) {
        if (c + width <= channels) f(width, c), c += width;
    };
    rest(std::integral_constant<int, 32>{}), rest(std::integral_constant<int, 16>{}), rest(std::integral_constant<int, 8>{});
    rest(std::integral_constant<int, 4>{}), rest(std::integral_constant<int, 2>{}), rest(std::integral_constant<int, 1>{});
}

/// Rows cut into chunks of about 64 KiB.
struct Chunks {
    int64_t rows, per_chunk, count;
    explicit Chunks(const BatchNormShape& s)
        : rows(s.rows), per_chunk(std::clamp<int64_t>(16384 / s.channels, 64, 1024)), count((rows + per_chunk - 1) / per_chunk) {}
    int64_t begin(int64_t chunk) const { return chunk * per_chunk; }
    int64_t end(int64_t chunk) const { return std::min(rows, (chunk + 1) * per_chunk); }
};

template <class F>
void for_chunks(const Chunks& chunks, int64_t channels, const F& f) {
#pragma omp parallel for schedule(static) if (chunks.rows * channels > 16384)
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk)
        for_channel_blocks(channels, [&](auto width, int64_t c) { f(width, c, chunk, chunks.begin(chunk), chunks.end(chunk)); });
}

/// Adds the chunks' pairs of sums, in order: first[c] and second[c] in double.
template <class F>
void combine(const std::vector<float>& partial, const Chunks& chunks, int64_t channels, const F& f) {
    std::vector<double> sums(static_cast<size_t>(2 * channels));
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
        const float* const part = partial.data() + 2 * channels * chunk;
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(part[i]);
    }
    for (int64_t c = 0; c < channels; ++c) f(c, sums[static_cast<size_t>(c)], sums[static_cast<size_t>(channels + c)]);
}

template <int Width, class T>
void sums_forward(const T* x, const T* pivot, int64_t stride, int64_t begin, int64_t end, float* sums, float* squares) {
    constexpr int n = registers<Width>;
    const auto p = load<Width>(pivot);
    Channels<Width> s{}, q{};
    for (int64_t row = begin; row < end; ++row) {
        const auto value = load<Width>(x + row * stride);
        for (int i = 0; i < n; ++i) {
            const auto d = value.v[i] - p.v[i];
            s.v[i] += d;
            q.v[i] += d * d;
        }
    }
    store(sums, s);
    store(squares, q);
}

template <int Width, bool HasResidual, bool Relu, class T>
void apply_forward(const T* x, const T* residual, const float* a, const float* b, int64_t stride, int64_t begin, int64_t end, T* y) {
    constexpr int n = registers<Width>;
    const auto scale = load<Width>(a), shift = load<Width>(b);
    for (int64_t row = begin; row < end; ++row) {
        auto value = load<Width>(x + row * stride);
        Channels<Width> extra{};
        if (HasResidual) extra = load<Width>(residual + row * stride);
        for (int i = 0; i < n; ++i) {
            value.v[i] = value.v[i] * scale.v[i] + shift.v[i];
            if (HasResidual) value.v[i] += extra.v[i];
            if (Relu) value.v[i] = positive_part(value.v[i]);
        }
        store(y + row * stride, value);
    }
}

/// What lets a gradient through: everything, what y says, or what x says.
enum class Mask { none, by_y, by_x };

/// Per channel, y before ReLU is x·a + b.
struct Line {
    const float *a, *b;
};

/// Zeroes g where there was nothing to let through.
template <Mask mask, int Width, class T>
inline void apply_mask(const Channels<Width>& x, const T* y, const Channels<Width>& scale, const Channels<Width>& shift,
                       Channels<Width>& g) {
    if constexpr (mask == Mask::by_y) {
        const auto out = load<Width>(y);
        for (int i = 0; i < registers<Width>; ++i) g.v[i] = where_positive(out.v[i], g.v[i]);
    } else if constexpr (mask == Mask::by_x) {
        for (int i = 0; i < registers<Width>; ++i) g.v[i] = where_positive(x.v[i] * scale.v[i] + shift.v[i], g.v[i]);
    }
}

template <int Width, Mask mask, bool Keep, class T>
void sums_backward(const T* x, const T* y, const T* dy, const float* mean, const Line& line, int64_t stride, int64_t begin, int64_t end,
                   T* kept, float* sums, float* products) {
    constexpr int n = registers<Width>;
    const auto m = load<Width>(mean);
    const auto scale = load<Width>(line.a), shift = load<Width>(line.b);
    Channels<Width> s{}, q{};
    for (int64_t row = begin; row < end; ++row) {
        auto g = load<Width>(dy + row * stride);
        const auto value = load<Width>(x + row * stride);
        apply_mask<mask>(value, y + row * stride, scale, shift, g);
        if (Keep) store(kept + row * stride, g);
        for (int i = 0; i < n; ++i) {
            s.v[i] += g.v[i];
            q.v[i] += g.v[i] * (value.v[i] - m.v[i]);
        }
    }
    store(sums, s);
    store(products, q);
}

template <int Width, Mask mask, class T>
void apply_backward(const T* x, const T* y, const T* g, const float* a, const float* u, const float* v, const Line& line, int64_t stride,
                    int64_t begin, int64_t end, T* dx) {
    constexpr int n = registers<Width>;
    const auto scale = load<Width>(a), slope = load<Width>(u), shift = load<Width>(v);
    const auto line_a = load<Width>(line.a), line_b = load<Width>(line.b);
    for (int64_t row = begin; row < end; ++row) {
        auto value = load<Width>(g + row * stride);
        const auto in = load<Width>(x + row * stride);
        apply_mask<mask>(in, y + row * stride, line_a, line_b, value);
        for (int i = 0; i < n; ++i) value.v[i] = value.v[i] * scale.v[i] + (in.v[i] * slope.v[i] + shift.v[i]);
        store(dx + row * stride, value);
    }
}

/// Turns run-time flags into template arguments.
template <class F>
void with_flag(bool flag, const F& f) {
    flag ? f(std::true_type{}) : f(std::false_type{});
}

template <class T>
void forward(const BatchNormShape& s, const BatchNormForward& t, std::vector<float>& scratch) {
    const auto *x = static_cast<const T*>(t.x), *added = static_cast<const T*>(t.residual);
    auto* y = static_cast<T*>(t.y);
    const Chunks chunks(s);
    const int64_t channels = s.channels;
    scratch.resize(std::max(scratch.size(), static_cast<size_t>((2 * chunks.count + 3) * channels)));
    float* partial = scratch.data();
    float* a = partial + 2 * chunks.count * channels;
    float* b = a + channels;

    for_chunks(chunks, channels, [&](auto width, int64_t c, int64_t chunk, int64_t begin, int64_t end) {
        float* sums = partial + 2 * chunk * channels + c;
        sums_forward<width>(x + c, x + c, channels, begin, end, sums, sums + channels);
    });
    const double rows = static_cast<double>(s.rows);
    combine(scratch, chunks, channels, [&](int64_t c, double sum, double squares) {
        const double offset = sum / rows, mean = static_cast<double>(static_cast<float>(x[c])) + offset;
        const double variance = std::max(0.0, squares / rows - offset * offset);
        const double inverse_std = 1.0 / std::sqrt(variance + static_cast<double>(s.epsilon));
        t.mean[c] = static_cast<float>(mean);
        t.inverse_std[c] = static_cast<float>(inverse_std);
        a[c] = static_cast<float>(static_cast<double>(t.gamma[c]) * inverse_std);
        b[c] = static_cast<float>(static_cast<double>(t.beta[c]) - mean * static_cast<double>(t.gamma[c]) * inverse_std);
        if (!t.running_mean) return;
        const double unbiased = variance * rows / std::max(1.0, rows - 1);
        t.running_mean[c] += s.momentum * (t.mean[c] - t.running_mean[c]);
        t.running_var[c] += s.momentum * (static_cast<float>(unbiased) - t.running_var[c]);
    });
    with_flag(t.residual != nullptr, [&](auto has_residual) {
        with_flag(s.relu, [&](auto relu) {
            for_chunks(chunks, channels, [&](auto width, int64_t c, int64_t, int64_t begin, int64_t end) {
                const T* residual = has_residual ? added + c : nullptr;
                apply_forward<width, has_residual, relu>(x + c, residual, a + c, b + c, channels, begin, end, y + c);
            });
        });
    });
}

/// Likewise for a mask.
template <class F>
void with_mask(Mask mask, const F& f) {
    if (mask == Mask::none) f(std::integral_constant<Mask, Mask::none>{});
    if (mask == Mask::by_y) f(std::integral_constant<Mask, Mask::by_y>{});
    if (mask == Mask::by_x) f(std::integral_constant<Mask, Mask::by_x>{});
}

template <class T>
void backward(const BatchNormShape& s, const BatchNormBackward& t, std::vector<float>& scratch) {
    const auto *x = static_cast<const T*>(t.x), *y = static_cast<const T*>(t.y), *dy = static_cast<const T*>(t.dy);
    auto *dx = static_cast<T*>(t.dx), *dresidual = static_cast<T*>(t.dresidual);
    const Chunks chunks(s);
    const int64_t channels = s.channels;
    scratch.resize(std::max(scratch.size(), static_cast<size_t>((2 * chunks.count + 5) * channels)));
    float* partial = scratch.data();
    float* a = partial + 2 * chunks.count * channels;
    float *u = a + channels, *v = u + channels, *line_a = v + channels, *line_b = line_a + channels;
    for (int64_t c = 0; c < channels; ++c) {
        const double scale = static_cast<double>(t.gamma[c]) * static_cast<double>(t.inverse_std[c]);
        line_a[c] = static_cast<float>(scale);
        line_b[c] = t.beta ? static_cast<float>(static_cast<double>(t.beta[c]) - static_cast<double>(t.mean[c]) * scale) : 0.0f;
    }
    const Mask mask = !s.relu ? Mask::none : t.beta ? Mask::by_x : Mask::by_y;

    with_mask(mask, [&](auto masked) {
        with_flag(dresidual != nullptr, [&](auto keep) {
            for_chunks(chunks, channels, [&](auto width, int64_t c, int64_t chunk, int64_t begin, int64_t end) {
                float* sums = partial + 2 * chunk * channels + c;
                T* kept = keep ? dresidual + c : nullptr;
                sums_backward<width, masked, keep>(x + c, y + c, dy + c, t.mean + c, {line_a + c, line_b + c}, channels, begin, end, kept,
                                                   sums, sums + channels);
            });
        });
    });
    const double rows = static_cast<double>(s.rows);
    combine(scratch, chunks, channels, [&](int64_t c, double sum, double product) {
        const double inverse_std = t.inverse_std[c], mean = t.mean[c], scale = static_cast<double>(t.gamma[c]) * inverse_std;
        t.dbeta[c] = static_cast<float>(sum);
        t.dgamma[c] = static_cast<float>(product * inverse_std);
        // dx = scale·(g − Σg/M − x̂·Σ(g·x̂)/M), with x̂ = (x − mean)·inverse_std
        const double slope = -scale * inverse_std * inverse_std * product / rows;
        a[c] = static_cast<float>(scale);
        u[c] = static_cast<float>(slope);
        v[c] = static_cast<float>(-scale * sum / rows - slope * mean);
    });
    const T* g = dresidual ? dresidual : dy;  // with its mask applied already, in dresidual
    with_mask(dresidual ? Mask::none : mask, [&](auto masked) {
        for_chunks(chunks, channels, [&](auto width, int64_t c, int64_t, int64_t begin, int64_t end) {
            apply_backward<width, masked>(x + c, y + c, g + c, a + c, u + c, v + c, {line_a + c, line_b + c}, channels, begin, end, dx + c);
        });
    });
}

}  // namespace

void CpuBackend::batchnorm_forward(const BatchNormShape& s, const BatchNormForward& t) {
    with_type(s.type, [&](auto zero) { forward<decltype(zero)>(s, t, partial_sums_); });
}

void CpuBackend::batchnorm_backward(const BatchNormShape& s, const BatchNormBackward& t) {
    with_type(s.type, [&](auto zero) { backward<decltype(zero)>(s, t, partial_sums_); });
}

}  // namespace distill
