// The leading right singular vectors of each sample's map X (H·W, C), and the backward pass.
// With n = min(H·W, C), the Gram matrix of the smaller side (XᵀX, or XXᵀ of a wide map) is summed in double: its eigenvalues are squares,
// and in float the weaker ones would drown. Its leading eigenvectors (op_symmetric_eigen.h) are v, or u, from which v = Xᵀu/s.
#include "base_error.h"
#include "launch.h"
#include "op_product.h"
#include "op_symmetric_eigen.h"
#include "ops.h"

namespace distill {
namespace {

/// Below this part of the largest singular value (about a hundred roundings of a float) values count as zero; and so do differences, where
/// the vectors are made of the map's rounding: 1/(s_k² − s_j²) becomes g/(g² + δ²), g = s_k² − s_j², δ = cut_off·s_1·s_k.
constexpr double cut_off = 1e-5;

/// What a sample's numbers in double are and where they lie.
struct Layout {
    int rows, columns, count;
    DISTILL_HD bool wide() const { return rows < columns; }
    DISTILL_HD int n() const { return wide() ? rows : columns; }
    DISTILL_HD int terms() const { return wide() ? columns : rows; }  ///< of an element of the Gram matrix
    DISTILL_HD int stride() const { return multiple_of(SerialLane::width, n()); }
    DISTILL_HD int vectors() const { return multiple_of(eigen::at_once, count); }
    // Kept for the backward pass: Tridiagonal's matrix (stride rows, the last ones of no use) and diagonals, the eigenvalues.
    DISTILL_HD int64_t kept() const { return (stride() + 2) * int64_t{stride()} + vectors(); }
    DISTILL_HD Tridiagonal tridiagonal(double* kept) const {
        double* const after = kept + int64_t{stride()} * stride();
        return {n(), stride(), kept, after, after + stride()};
    }
    DISTILL_HD double* eigenvalues(double* kept) const { return kept + (stride() + 2) * int64_t{stride()}; }
    // Scratch: vectors of n, then of C, then numbers for pairs of vectors, then room for the longest of the steps.
    static constexpr int panel = 32;  ///< of the contracted index, converted to double at once: C = 64 takes 16 KiB
    DISTILL_HD int64_t scratch() const { return vectors() * (int64_t{stride()} + columns + count) + work(); }
    DISTILL_HD double* long_vectors(double* scratch) const { return scratch + vectors() * int64_t{stride()}; }
    DISTILL_HD double* pairs(double* scratch) const { return long_vectors(scratch) + vectors() * int64_t{columns}; }
    DISTILL_HD double* room(double* scratch) const { return pairs(scratch) + vectors() * int64_t{count}; }

  private:
    DISTILL_HD int64_t work() const {
        const int64_t solver = vectors() * (int64_t{eigen::solver_numbers} * stride() + 4 + count), gram = int64_t{panel} * stride();
        const int64_t counting = stride() + (2 + eigen::points) * int64_t{vectors()}, larger = solver > gram ? solver : gram;
        return larger > counting ? larger : counting;
    }
};

Tensor doubles(Backend& backend, int64_t samples, int64_t each) { return Tensor(backend, {samples, 1, 1, 2 * each}); }
double* as_doubles(const Tensor& t) { return reinterpret_cast<double*>(t.data()); }

/// g (stride², all of it) = the Gram matrix of x's smaller side.
template <class Lane>
DISTILL_HD void gram_matrix(const Lane& lane, const Layout& l, const float* x, double* g, double* panel) {
    constexpr int tall = Lane::width > 1 ? 8 : 4, broad = Lane::width > 1 ? 16 : 4;  // a tile's sums stay in registers
    const int n = l.n(), stride = l.stride(), columns = l.columns, across = stride / broad;
    lane.each(int64_t{stride} * stride, [=](int64_t i) { g[i] = 0; });
    lane.each(int64_t{Layout::panel} * stride, [=](int64_t i) { panel[i] = 0; });
    for (int first = 0; first < l.terms(); first += Layout::panel) {
        const int length = l.terms() - first < Layout::panel ? l.terms() - first : Layout::panel;
        if (l.wide())
            lane.grid(n, length, [=](int i, int p) { panel[p * stride + i] = x[i * columns + first + p]; });
        else
            lane.grid(length, n, [=](int p, int i) { panel[p * stride + i] = x[(first + p) * columns + i]; });
        lane.tasks(stride / tall * across, [=](int task) {
            const int i0 = task / across * tall, j0 = task % across * broad;
            if (j0 >= i0 + tall) return;  // symmetric
            double sum[tall][broad];
            for (int i = 0; i < tall; ++i)
#pragma omp simd
                for (int j = 0; j < broad; ++j) sum[i][j] = g[(i0 + i) * stride + j0 + j];
            for (int p = 0; p < length; ++p) {
                const double *const left = panel + p * stride + i0, *const right = panel + p * stride + j0;
                for (int i = 0; i < tall; ++i)
#pragma omp simd
                    for (int j = 0; j < broad; ++j) sum[i][j] += left[i] * right[j];
            }
            for (int i = 0; i < tall; ++i)
#pragma omp simd
                for (int j = 0; j < broad; ++j) g[(i0 + i) * stride + j0 + j] = sum[i][j];
        });
    }
    lane.grid(n, n, [=](int i, int j) {
        if (j > i) g[i * stride + j] = g[j * stride + i];
    });
}

/// A singular value that counts as zero: its vector is any one that X sends to 0, without a gradient. So does one that a float's gradient,
/// of the size of 1/s, could not follow. A NaN does not vanish, so that it is seen in the vectors.
DISTILL_HD inline bool vanishes(const double* eigenvalues, int k) {
    return eigenvalues[k] <= cut_off * cut_off * eigenvalues[0] || eigenvalues[k] <= 1e-60;
}

struct LeadingVectors {
    Layout l;
    const float* x;
    double *kept, *scratch;
    float* v;

    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const Layout layout = l;
        const int rows = layout.rows, columns = layout.columns, count = layout.count, stride = layout.stride();
        const float* const in = x + sample * rows * columns;
        float* const out = v + sample * count * columns;
        double *const own = kept + sample * layout.kept(), *const mine = scratch + sample * layout.scratch();
        double *const room = layout.room(mine), *const values = layout.eigenvalues(own);
        gram_matrix(lane, layout, in, own, room);
        const Tridiagonal t = layout.tridiagonal(own);
        tridiagonalize(lane, t, room);
        const double end = largest_eigenvalues(lane, t, count, values, room);
        leading_eigenvectors(lane, t, count, end, values, mine, room);
        for (int k = 0; k < count; ++k) {
            const double* const u = mine + k * stride;
            double* line = mine + k * stride;
            if (layout.wide()) {
                line = layout.long_vectors(mine);
                if (vanishes(values, k))
                    any_orthogonal(lane, k, out, line);
                else
                    lane.column_sums(
                        rows, columns, [=](int i, int c) { return in[i * columns + c] * u[i]; }, [=](int c, double sum) { line[c] = sum; });
            }
            const double squares = lane.sum(columns, [=](int64_t c) { return line[c] * line[c]; });
            const double total = lane.sum(columns, [=](int64_t c) { return line[c]; });
            const double factor = (total < 0 ? -1 : 1) / sqrt(squares);
            float* const result = out + k * columns;
            lane.each(columns, [=](int64_t c) { result[c] = static_cast<float>(line[c] * factor); });
        }
    }

  private:
    /// To the k vectors before, among which are all that X does not send to 0.
    template <class Lane>
    DISTILL_HD void any_orthogonal(const Lane& lane, int k, const float* before, double* line) const {
        const int columns = l.columns;
        lane.each(columns, [=](int64_t c) { line[c] = 0.5 + mix_bits(static_cast<uint64_t>(k) * columns + c) * -0x1p-64; });
        for (int turn = 0; turn < 2; ++turn)
            for (int other = 0; other < k; ++other) {
                const float* const one = before + other * columns;
                const double dot = lane.sum(columns, [=](int64_t c) { return line[c] * one[c]; });
                lane.each(columns, [=](int64_t c) { line[c] -= dot * one[c]; });
            }
    }
};

/// The w_k of X̄ = Σ_k X(w_k v_kᵀ + v_k w_kᵀ), beside the v_k in both orders: left = [w·s; v/s], right = [v/s; w·s], (N,1,2·count,C);
/// s = s_k keeps w, which is of the size of 1/s², within a float's range. Along the vectors at hand w is known (share). Elsewhere, r being
/// v̄ without its parts along them: tall, w = Re R·r, R = (λ + iδ − XᵀX)⁻¹; wide, with R of XXᵀ, w = (r + Xᵀ(Re R + (δ/λ) Im R)Xr)/λ, which
/// gives each eigenvector of XᵀX the tall one's factor, times 1 + δ²/λ².
struct LeadingVectorsBackward {
    Layout l;
    const float *x, *v, *dv;
    double *kept, *scratch;
    float *left, *right;

    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const Layout layout = l;
        const int rows = layout.rows, columns = layout.columns, count = layout.count, stride = layout.stride(), n = layout.n();
        const int vectors = layout.vectors();
        const bool wide = layout.wide();
        const float *const in = x + sample * rows * columns, *const own_v = v + sample * count * columns;
        const float* const own_dv = dv + sample * count * columns;
        double *const mine = kept + sample * layout.kept(), *const y = scratch + sample * layout.scratch();
        double *const r = layout.long_vectors(y), *const pull = layout.pairs(y), *const room = layout.room(y);  // pull[k, o] = v̄_k·v_o
        const double* const values = layout.eigenvalues(mine);
        const Tridiagonal t = layout.tridiagonal(mine);

        for (int k = 0; k < count; ++k) {
            const float* const dvk = own_dv + k * columns;
            double *const rk = r + int64_t{k} * columns, *const yk = y + k * stride, *const row = pull + k * count;
            lane.sums(
                count, columns, [=](int o, int c) { return static_cast<double>(dvk[c]) * own_v[o * columns + c]; },
                [=](int o, double sum) { row[o] = sum; });
            lane.each(columns, [=](int64_t c) { rk[c] = dvk[c]; });
            remove(lane, count, columns, row, own_v, rk);
            if (!wide) lane.each(columns, [=](int64_t c) { yk[c] = rk[c]; });
        }
        for (int k = 0; k < count && wide; ++k) {
            const double* const rk = r + int64_t{k} * columns;
            double* const yk = y + k * stride;
            lane.sums(
                n, columns, [=](int i, int c) { return in[i * columns + c] * rk[c]; }, [=](int i, double sum) { yk[i] = sum; });
        }
        apply_q(lane, t, true, count, y, room);
        double *const lambda = room, *const delta = lambda + vectors, *const re = delta + vectors, *const im = re + vectors;
        lane.each(vectors, [=](int64_t k) {
            const int source = k < count ? static_cast<int>(k) : count - 1;
            const bool none = vanishes(values, source);
            lambda[k] = none ? 0 : values[source];
            delta[k] = none ? 1 : cut_off * sqrt(values[0] * values[source]);
            re[k] = none ? 0 : 1;
            im[k] = wide && !none ? delta[k] / values[source] : 0;
        });
        apply_resolvent(lane, t, count, lambda, delta, re, im, y, room + 4 * vectors);
        apply_q(lane, t, false, count, y, room);
        for (int k = 0; k < count; ++k) {
            const bool none = vanishes(values, k);
            const double value = values[k], size = none ? 1 : sqrt(value);
            double *const wk = r + int64_t{k} * columns, *const yk = y + k * stride, *const rest = room;
            if (wide)
                lane.column_sums(
                    rows, columns, [=](int i, int c) { return in[i * columns + c] * yk[i]; },
                    [=](int c, double sum) { wk[c] = (wk[c] + sum) / value; });
            else
                lane.each(columns, [=](int64_t c) { wk[c] = yk[c]; });
            lane.sums(
                count, columns, [=](int o, int c) { return wk[c] * own_v[o * columns + c]; },
                [=](int o, double sum) { rest[o] = sum - share(values, count, pull, k, o); });
            remove(lane, count, columns, rest, own_v, wk);
            const float* const vk = own_v + k * columns;
            float *const one = left + (sample * 2 * count + k) * columns, *const two = right + (sample * 2 * count + k) * columns;
            const int64_t below = int64_t{count} * columns;
            lane.each(columns, [=](int64_t c) {
                one[c] = two[c + below] = none ? 0 : static_cast<float>(wk[c] * size);
                two[c] = one[c + below] = static_cast<float>(vk[c] / size);
            });
        }
    }

  private:
    /// y −= Σ_o part[o]·v_o
    template <class Lane>
    DISTILL_HD static void remove(const Lane& lane, int count, int columns, const double* part, const float* v, double* y) {
        for (int o = 0; o < count; ++o) {
            const double factor = part[o];
            const float* const other = v + o * columns;
            lane.each(columns, [=](int64_t c) { y[c] -= factor * other[c]; });
        }
    }
    /// The part of w_k along v_o. Only its sum with the part of w_o along v_k matters, and both get half: where the values are nearly
    /// equal and the loss depends on the plane alone, two large numbers cancel here.
    DISTILL_HD static double share(const double* values, int count, const double* pull, int k, int o) {
        if (o == k || vanishes(values, k)) return 0;
        const double gap = values[k] - values[o], squared = cut_off * cut_off * values[0] * sqrt(values[k] * values[o]);
        const double mine = pull[k * count + o], others = pull[o * count + k];
        return gap / (gap * gap + squared) * (vanishes(values, o) ? mine : (mine - others) / 2);
    }
};

/// Of a row functor: how many threads share a sample on a GPU (launch_cuda.h: 32, from n = 33 on 128, from 257 on 512).
int64_t work_of_row(const Layout& l) { return 16 * int64_t{l.n()}; }

void pass_back(const Layout& l, const Tensor& x, const Tensor& v, const Tensor& dv, const Tensor& kept, float* dx) {
    Backend& backend = x.backend();
    const int64_t samples = x.shape().n, rows = l.rows, columns = l.columns, pairs = 2 * int64_t{l.count};
    const Tensor left(backend, {samples, 1, pairs, columns}), right = Tensor::like(left), scratch = doubles(backend, samples, l.scratch());
    const LeadingVectorsBackward find_w{l, x.data(), v.data(), dv.data(), as_doubles(kept), as_doubles(scratch), left.data(), right.data()};
    for_each_row(backend, samples, work_of_row(l), find_w);
    const Tensor images(backend, {samples, 1, rows, pairs});
    GemmShape project, combine;  // images = X·leftᵀ, dx = images·right
    project.count = combine.count = samples;
    project.exact = combine.exact = true;
    project.m = combine.m = rows;
    project.k = combine.n = columns;
    project.n = combine.k = pairs;
    project.transpose_b = true;
    project.step_a = combine.step_c = rows * columns;
    project.step_b = combine.step_b = pairs * columns;
    project.step_c = combine.step_a = rows * pairs;
    timed_product(backend, "matrix product", project, x.data(), left.data(), images.data());
    timed_product(backend, "matrix product", combine, images.data(), right.data(), dx);
}

}  // namespace

Var right_singular_vectors(const Var& given, int count) {
    const Shape s = given.shape();
    if (count < 1 || count > s.c)
        failure("right_singular_vectors: ", count, " vectors of maps ", to_string(s), " ---> ask for 1 to ", s.c, ", the maps' channels");
    const Var x = to_float(given);
    Backend& backend = x.backend();
    const Layout l{static_cast<int>(s.h * s.w), static_cast<int>(s.c), count};
    const Var v = result_of(Tensor(backend, {s.n, 1, count, s.c}), x);
    const Tensor kept = doubles(backend, s.n, l.kept());
    {
        const Tensor scratch = doubles(backend, s.n, l.scratch());
        for_each_row(backend, s.n, work_of_row(l), LeadingVectors{l, x.data(), as_doubles(kept), as_doubles(scratch), v.data()});
    }
    record(v, [x, v, kept, l] {
        const Tensor dv = take_gradient(v);
        const GradTarget dx(x);
        if (dx.wanted()) pass_back(l, x.value(), v.value(), dv, kept, dx.data());
    });
    return v;
}

}  // namespace distill
