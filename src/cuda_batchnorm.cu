// Batch normalisation on the GPU, with the arithmetic of cpu_batchnorm.cpp. Bound by memory, so each direction is two passes:
//   forward:  Σ(x − p), Σ(x − p)²  |  y = relu(a·x + b + residual)             p: the first row, against cancellation
//   backward: Σg, Σg·(x − mean)    |  dx = a·g + u·x + v                       g = dy where y > 0, kept as dresidual if asked
// Bytes that an element moves, in float (half of that in bfloat16): forward 12 (x | x, y), with a residual 16; backward 20 without
// ReLU (x, dy | x, dy, dx), 28 with it (x, y, dy | x, y, dy, dx), 28 with a residual's gradient beside (x, y, dy, g | x, g, dx).
// The bound is bytes over bandwidth: a map (128,32,32,16) has 2.1 M elements, so 25 MB forward and 59 MB backward in float, 7.5 and
// 18 µs at 3.35 TB/s; less where the second pass finds its maps in the L2 cache.
//
// A thread takes 16 bytes of neighbouring channels (one channel where their number or the address does not allow it) of many rows;
// a block is a tile of `lanes` threads along the channels and `row_lanes` down the rows, so that a warp reads whole stretches of
// memory for every number of channels. Sums: float in a thread and in its block, double across blocks, each in a fixed order. Across
// blocks the last block to finish adds up: a kernel of its own would be a third launch, and these maps are so small that a launch counts.
#include "cuda_batchnorm.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base_error.h"
#include "gpu.h"

namespace distill {
namespace {

constexpr int block_threads = 256, widest_tile = 32;
constexpr int sum_blocks = 512, apply_blocks = 1024;  // fill the largest card; constants, so that every card gives the same bits
constexpr int most_channels = 16384, most_tiles = most_channels / widest_tile, most_vector = 8;

// ---- vectors -----------------------------------------------------------------------------------------------------------------

template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Vector {
    T v[V];
};

template <int V, class T>
__device__ Vector<T, V> load(const T* p) {
    return *reinterpret_cast<const Vector<T, V>*>(p);
}
template <int V>
__device__ void store(float* p, const Vector<float, V>& value) {
    *reinterpret_cast<Vector<float, V>*>(p) = value;
}
template <int V>
__device__ void store(bfloat16* p, const Vector<float, V>& value) {
    Vector<bfloat16, V> rounded;
    for (int i = 0; i < V; ++i) rounded.v[i] = value.v[i];
    *reinterpret_cast<Vector<bfloat16, V>*>(p) = rounded;
}

// ---- tiles -------------------------------------------------------------------------------------------------------------------

struct Tile {
    int64_t rows, channels;
    int vector, lanes, row_lanes, across;  ///< `across` tiles cover the channels

    Tile(const BatchNormShape& s, int vector_) : rows(s.rows), channels(s.channels), vector(vector_) {
        const int vectors = static_cast<int>(s.channels) / vector;
        across = (vectors + widest_tile - 1) / widest_tile;
        lanes = (vectors + across - 1) / across;
        row_lanes = block_threads / lanes;
    }
    int threads() const { return lanes * row_lanes; }
    /// At most `most` blocks, but each thread has four rows to work on if there are as many.
    dim3 blocks(int most) const {
        const int64_t down = (rows + 4 * row_lanes - 1) / (4 * row_lanes);
        return dim3(static_cast<unsigned>(std::clamp<int64_t>(down, 1, std::max(1, most / across))), static_cast<unsigned>(across));
    }
};

/// Where a thread stands: its first channel, and its rows.
struct Place {
    int lane, row_lane;
    int64_t channel, row, stride;
    bool inside;

    __device__ explicit Place(const Tile& t)
        : lane(static_cast<int>(threadIdx.x) % t.lanes),
          row_lane(static_cast<int>(threadIdx.x) / t.lanes),
          channel((static_cast<int64_t>(blockIdx.y) * t.lanes + lane) * t.vector),
          row(static_cast<int64_t>(blockIdx.x) * t.row_lanes + row_lane),
          stride(static_cast<int64_t>(gridDim.x) * t.row_lanes),
          inside(channel < t.channels) {}
};

/// pass.use(at, what pass.read(at) gave) for each of the thread's rows; two are read before the first is used, to wait for both at once.
template <class Pass, class Use>
__device__ void for_rows(const Tile& tile, const Place& p, const Pass& pass, const Use& use) {
    int64_t row = p.row;
    for (; row + p.stride < tile.rows; row += 2 * p.stride) {
        const int64_t first = row * tile.channels + p.channel, second = first + p.stride * tile.channels;
        const auto one = pass.read(first), two = pass.read(second);
        use(first, one);
        use(second, two);
    }
    if (row < tile.rows) use(row * tile.channels + p.channel, pass.read(row * tile.channels + p.channel));
}

// ---- sums --------------------------------------------------------------------------------------------------------------------

struct Scratch {
    unsigned* arrived;    ///< blocks of each column of tiles that have left their sums; 0 between launches
    float* coefficients;  ///< 3 for each channel: a, b or a, u, v
    float* partial;       ///< (blocks down, 2, channels)

    static constexpr size_t coefficients_at = most_tiles * sizeof(unsigned);
    static constexpr size_t partial_at = coefficients_at + 3 * most_channels * sizeof(float);
    static constexpr size_t bytes = partial_at + size_t{2} * sum_blocks * widest_tile * most_vector * sizeof(float);

    explicit Scratch(void* memory)
        : arrived(static_cast<unsigned*>(memory)),
          coefficients(reinterpret_cast<float*>(static_cast<char*>(memory) + coefficients_at)),
          partial(reinterpret_cast<float*>(static_cast<char*>(memory) + partial_at)) {}
};

template <int V>
struct BlockSums {
    float lanes[2][V][block_threads];
    double totals[2][block_threads];
    bool last;
};

/// Adds up what the row lanes have, into row lane 0: add(i) adds the value of thread `me + i` to one's own.
template <class Add>
__device__ void fold_rows(int row_lane, int row_lanes, int width, const Add& add) {
    for (int alive = row_lanes; alive > 1;) {
        const int half = (alive + 1) / 2;
        __syncthreads();
        if (row_lane + half < alive) add(half * width);
        alive = half;
    }
}

/// The pair of sums of every channel; pass.finish(channel, first, second) gets them.
template <class Pass>
__global__ void __launch_bounds__(block_threads) sums_kernel(Pass pass, Tile tile, Scratch scratch) {
    constexpr int V = Pass::width;
    __shared__ Shared<BlockSums<V>> shared;
    BlockSums<V>& sums = shared.value;
    const Place p(tile);
    const int me = static_cast<int>(threadIdx.x);

    Vector<float, V> first{}, second{};
    if (p.inside) {
        const auto reference = pass.reference(p.channel);
        for_rows(tile, p, pass, [&](int64_t at, const auto& in) { pass.add(at, in, reference, first, second); });
    }
    for (int i = 0; i < V; ++i) {
        sums.lanes[0][i][me] = first.v[i];
        sums.lanes[1][i][me] = second.v[i];
    }
    fold_rows(p.row_lane, tile.row_lanes, tile.lanes, [&](int step) {
        for (int i = 0; i < V; ++i) {
            sums.lanes[0][i][me] += sums.lanes[0][i][me + step];
            sums.lanes[1][i][me] += sums.lanes[1][i][me + step];
        }
    });
    if (p.row_lane == 0 && p.inside)
        for (int k = 0; k < 2; ++k)
            for (int i = 0; i < V; ++i) scratch.partial[(2 * blockIdx.x + k) * tile.channels + p.channel + i] = sums.lanes[k][i][me];

    __threadfence();  // the sums are seen before the block counts as arrived
    __syncthreads();
    if (me == 0) sums.last = atomicAdd(&scratch.arrived[blockIdx.y], 1u) == gridDim.x - 1;
    __syncthreads();
    if (!sums.last) return;
    __threadfence();

    const int width = tile.lanes * V, helpers = static_cast<int>(blockDim.x) / width, helper = me / width;  // a channel a thread
    const int64_t channel = static_cast<int64_t>(blockIdx.y) * width + me % width;
    const bool inside = channel < tile.channels && helper < helpers;
    for (int k = 0; k < 2; ++k) {
        double total = 0;
        if (inside)
            for (unsigned block = static_cast<unsigned>(helper); block < gridDim.x; block += static_cast<unsigned>(helpers))
                total += static_cast<double>(scratch.partial[(2 * block + static_cast<unsigned>(k)) * tile.channels + channel]);
        sums.totals[k][me] = total;
    }
    fold_rows(helper, helpers, width, [&](int step) {
        sums.totals[0][me] += sums.totals[0][me + step];
        sums.totals[1][me] += sums.totals[1][me + step];
    });
    if (inside && helper == 0) pass.finish(channel, sums.totals[0][me], sums.totals[1][me]);
    if (me == 0) scratch.arrived[blockIdx.y] = 0;
}

template <class T, int V>
struct ForwardSums {
    static constexpr int width = V;
    BatchNormForward t;
    const T* x;
    int64_t rows, channels;
    float epsilon, momentum;
    float* coefficients;

    __device__ Vector<T, V> read(int64_t at) const { return load<V>(x + at); }
    __device__ Vector<T, V> reference(int64_t c) const { return load<V>(x + c); }
    __device__ void add(int64_t, const Vector<T, V>& in, const Vector<T, V>& pivot, Vector<float, V>& sum,
                        Vector<float, V>& squares) const {
        for (int i = 0; i < V; ++i) {
            const float d = static_cast<float>(in.v[i]) - static_cast<float>(pivot.v[i]);
            sum.v[i] += d;
            squares.v[i] += d * d;
        }
    }
    __device__ void finish(int64_t c, double sum, double squares) const {
        const double n = static_cast<double>(rows), offset = sum / n, mean = static_cast<double>(static_cast<float>(x[c])) + offset;
        const double variance = fmax(0.0, squares / n - offset * offset);
        const double inverse_std = 1.0 / sqrt(variance + static_cast<double>(epsilon));
        const double scale = static_cast<double>(t.gamma[c]) * inverse_std;
        t.mean[c] = static_cast<float>(mean);
        t.inverse_std[c] = static_cast<float>(inverse_std);
        coefficients[c] = static_cast<float>(scale);
        coefficients[channels + c] = static_cast<float>(static_cast<double>(t.beta[c]) - mean * scale);
        if (!t.running_mean) return;
        const double unbiased = variance * n / fmax(1.0, n - 1);
        t.running_mean[c] += momentum * (static_cast<float>(mean) - t.running_mean[c]);
        t.running_var[c] += momentum * (static_cast<float>(unbiased) - t.running_var[c]);
    }
};

/// What a row of the backward passes reads.
template <class T, int V>
struct BackwardInput {
    Vector<T, V> x, y, dy;
    __device__ float gradient(int i, bool relu) const {
        return relu && !(static_cast<float>(y.v[i]) > 0) ? 0.0f : static_cast<float>(dy.v[i]);
    }
};
template <int V, class T>
__device__ BackwardInput<T, V> load_backward(const T* x, const T* y, const T* dy, bool relu, int64_t at) {
    BackwardInput<T, V> in{load<V>(x + at), {}, load<V>(dy + at)};
    if (relu) in.y = load<V>(y + at);
    return in;
}

template <class T, int V>
struct BackwardSums {
    static constexpr int width = V;
    BatchNormBackward t;
    const T *x, *y, *dy;
    T* kept;  ///< null: not kept
    bool relu;
    int64_t rows, channels;
    float* coefficients;

    __device__ BackwardInput<T, V> read(int64_t at) const { return load_backward<V>(x, y, dy, relu, at); }
    /// One by one: mean is the caller's, of any alignment.
    __device__ Vector<float, V> reference(int64_t c) const {
        Vector<float, V> mean;
        for (int i = 0; i < V; ++i) mean.v[i] = t.mean[c + i];
        return mean;
    }
    __device__ void add(int64_t at, const BackwardInput<T, V>& in, const Vector<float, V>& mean, Vector<float, V>& sum,
                        Vector<float, V>& products) const {
        Vector<float, V> g;
        for (int i = 0; i < V; ++i) {
            g.v[i] = in.gradient(i, relu);
            sum.v[i] += g.v[i];
            products.v[i] += g.v[i] * (static_cast<float>(in.x.v[i]) - mean.v[i]);
        }
        if (kept) store(kept + at, g);
    }
    /// dx = scale·(g − Σg/M − x̂·Σ(g·x̂)/M), with x̂ = (x − mean)·inverse_std.
    __device__ void finish(int64_t c, double sum, double product) const {
        const double n = static_cast<double>(rows), inverse_std = static_cast<double>(t.inverse_std[c]);
        const double scale = static_cast<double>(t.gamma[c]) * inverse_std, slope = -scale * inverse_std * inverse_std * product / n;
        t.dbeta[c] = static_cast<float>(sum);
        t.dgamma[c] = static_cast<float>(product * inverse_std);
        coefficients[c] = static_cast<float>(scale);
        coefficients[channels + c] = static_cast<float>(slope);
        coefficients[2 * channels + c] = static_cast<float>(-scale * sum / n - slope * static_cast<double>(t.mean[c]));
    }
};

// ---- application -------------------------------------------------------------------------------------------------------------

template <class Pass>
__global__ void __launch_bounds__(block_threads) apply_kernel(Pass pass, Tile tile) {
    const Place p(tile);
    if (!p.inside) return;
    const auto own = pass.coefficients_of(p.channel);
    for_rows(tile, p, pass, [&](int64_t at, const auto& in) { pass.write(at, in, own); });
}

template <class T, int V>
struct ForwardApply {
    const T *x, *residual;
    T* y;
    bool relu;
    int64_t channels;
    const float* coefficients;

    struct Input {
        Vector<T, V> x, residual;
    };
    struct Coefficients {
        Vector<float, V> a, b;
    };
    __device__ Input read(int64_t at) const {
        Input in{load<V>(x + at), {}};
        if (residual) in.residual = load<V>(residual + at);
        return in;
    }
    __device__ Coefficients coefficients_of(int64_t c) const { return {load<V>(coefficients + c), load<V>(coefficients + channels + c)}; }
    __device__ void write(int64_t at, const Input& in, const Coefficients& k) const {
        Vector<float, V> out;
        for (int i = 0; i < V; ++i) {
            float v = static_cast<float>(in.x.v[i]) * k.a.v[i] + k.b.v[i];
            if (residual) v += static_cast<float>(in.residual.v[i]);
            out.v[i] = relu && v < 0 ? 0.0f : v;
        }
        store(y + at, out);
    }
};

template <class T, int V>
struct BackwardApply {
    const T *x, *y, *dy;
    T* dx;
    bool relu;
    int64_t channels;
    const float* coefficients;

    struct Coefficients {
        Vector<float, V> a, u, v;
    };
    __device__ BackwardInput<T, V> read(int64_t at) const { return load_backward<V>(x, y, dy, relu, at); }
    __device__ Coefficients coefficients_of(int64_t c) const {
        return {load<V>(coefficients + c), load<V>(coefficients + channels + c), load<V>(coefficients + 2 * channels + c)};
    }
    __device__ void write(int64_t at, const BackwardInput<T, V>& in, const Coefficients& k) const {
        Vector<float, V> out;
        for (int i = 0; i < V; ++i) out.v[i] = in.gradient(i, relu) * k.a.v[i] + (static_cast<float>(in.x.v[i]) * k.u.v[i] + k.v.v[i]);
        store(dx + at, out);
    }
};

// ---- launches ----------------------------------------------------------------------------------------------------------------

template <class T, int V>
void forward(Backend& backend, const Scratch& scratch, const BatchNormShape& s, const BatchNormForward& t) {
    const Tile tile(s, V);
    const auto* x = static_cast<const T*>(t.x);
    const ForwardSums<T, V> sums{t, x, s.rows, s.channels, s.epsilon, s.momentum, scratch.coefficients};
    const ForwardApply<T, V> apply{x, static_cast<const T*>(t.residual), static_cast<T*>(t.y), s.relu, s.channels, scratch.coefficients};
    launch_kernel(backend, sums_kernel<ForwardSums<T, V>>, tile.blocks(sum_blocks), tile.threads(), sums, tile, scratch);
    launch_kernel(backend, apply_kernel<ForwardApply<T, V>>, tile.blocks(apply_blocks), tile.threads(), apply, tile);
}

template <class T, int V>
void backward(Backend& backend, const Scratch& scratch, const BatchNormShape& s, const BatchNormBackward& t) {
    const Tile tile(s, V);
    const auto *x = static_cast<const T*>(t.x), *y = static_cast<const T*>(t.y), *dy = static_cast<const T*>(t.dy);
    auto* kept = static_cast<T*>(t.dresidual);
    const BackwardSums<T, V> sums{t, x, y, dy, kept, s.relu, s.rows, s.channels, scratch.coefficients};
    // Where the masked gradient was kept it lies ready.
    const BackwardApply<T, V> apply{x, y, kept ? kept : dy, static_cast<T*>(t.dx), s.relu && !kept, s.channels, scratch.coefficients};
    launch_kernel(backend, sums_kernel<BackwardSums<T, V>>, tile.blocks(sum_blocks), tile.threads(), sums, tile, scratch);
    launch_kernel(backend, apply_kernel<BackwardApply<T, V>>, tile.blocks(apply_blocks), tile.threads(), apply, tile);
}

/// 16 bytes a thread where the channels and all maps allow it, else one element.
bool vectors_fit(const BatchNormShape& s, std::initializer_list<const void*> maps) {
    const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    return s.channels * bytes_of(s.type) % 16 == 0 && std::all_of(maps.begin(), maps.end(), aligned);
}

void require_supported(const BatchNormShape& s) {
    if (s.channels > most_channels) failure("batch normalisation on the GPU: ", s.channels, " channels, at most ", most_channels);
    if (s.type == DType::i32) failure("batch normalisation on the GPU: of integers");
}

}  // namespace

size_t batchnorm_scratch_bytes() { return Scratch::bytes; }

void launch_batchnorm_forward(Backend& backend, void* memory, const BatchNormShape& s, const BatchNormForward& t) {
    require_supported(s);
    const Scratch scratch(memory);
    const bool vectors = vectors_fit(s, {t.x, t.residual, t.y});
    if (s.type == DType::bf16) return vectors ? forward<bfloat16, 8>(backend, scratch, s, t) : forward<bfloat16, 1>(backend, scratch, s, t);
    return vectors ? forward<float, 4>(backend, scratch, s, t) : forward<float, 1>(backend, scratch, s, t);
}

void launch_batchnorm_backward(Backend& backend, void* memory, const BatchNormShape& s, const BatchNormBackward& t) {
    require_supported(s);
    const Scratch scratch(memory);
    const bool vectors = vectors_fit(s, {t.x, t.y, t.dy, t.dx, t.dresidual});
    if (s.type == DType::bf16)
        return vectors ? backward<bfloat16, 8>(backend, scratch, s, t) : backward<bfloat16, 1>(backend, scratch, s, t);
    return vectors ? backward<float, 4>(backend, scratch, s, t) : backward<float, 1>(backend, scratch, s, t);
}

}  // namespace distill
