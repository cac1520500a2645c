// op_symmetric_eigen.h: the largest eigenvalues of a symmetric matrix G ≥ 0, their vectors, and functions of G applied to vectors.
// For row functors (launch.h): all threads of a lane work on one matrix. In double; nothing is iterated until it converges, so the work
// is known beforehand and no spectrum (clustered, equal, zero values) is harder than another:
//   G = Q·T·Qᵀ by Householder reflections, T tridiagonal;  eigenvalues of T by counting (Sturm sequences), sixteen points at a time;
//   1/(λ + iδ − T) applied to vectors, a tridiagonal solve: its imaginary part is a filter that passes only eigenvalues within δ of λ
//   (inverse iteration), its real part the inverse of λ − T, cut off smoothly at δ.
// defines: eigen, multiple_of, Tridiagonal, tridiagonalize, apply_q, largest_eigenvalues, apply_resolvent, orthonormalize, leading_eigenvectors
#pragma once
#include <cmath>

#include "core_philox.h"
#include "launch.h"

namespace distill {

/// The smallest multiple of `step` that is not below n.
DISTILL_HD constexpr int multiple_of(int step, int n) { return (n + step - 1) / step * step; }

/// G on entry, then what it was made into. H_i = I − hᵢhᵢᵀ on the first i components, hᵢ the first i elements of row i; Q = H_{n−1} ⋯ H_1.
struct Tridiagonal {
    int n, stride;     ///< elements from row to row: a multiple of SerialLane::width
    double* rows;      ///< (n, stride)
    double* diagonal;  ///< n
    double* beside;    ///< n: beside[j] between j and j + 1, the last one 0
};

namespace eigen {
constexpr int at_once = 8;              ///< vectors that a CPU's thread solves for at once: arrays over vectors are padded to multiples
constexpr int solver_numbers = 7;       ///< kept for each component and vector by apply_resolvent
constexpr int points = 16;              ///< a pass of counting divides the interval by points + 1
constexpr int passes = 9;               ///< 17⁻⁹ = 8e-12 of the interval, which is at most three times the largest eigenvalue
constexpr double filter_width = 1e-11;  ///< δ of the filter, relative to the interval
constexpr double nothing = 1e-300;      ///< beside any square of a pivot: should rounding make one 0, the result stays finite
constexpr int filter_passes = 3;        ///< each leaves (δ/gap)² of a neighbour
}  // namespace eigen

/// work: 2·stride numbers.
template <class Lane>
DISTILL_HD void tridiagonalize(const Lane& lane, const Tridiagonal& t, double* work) {
    constexpr int width = Lane::width;
    const int stride = t.stride;
    double *const a = t.rows, *const w = work, *const p = work + stride;
    lane.each(stride, [=](int64_t j) { w[j] = 0; });
    const double* h = w;  // of the step before, whose G −= h·wᵀ + w·hᵀ is still to be done: each element is touched once a step
    for (int i = t.n - 1; i >= 0; --i) {
        double* const row = a + i * stride;
        const double hi = h[i], wi = w[i], *const before = h;
        lane.each(i + 1, [=](int64_t j) { row[j] -= hi * w[j] + wi * before[j]; });
        if (lane.first()) t.diagonal[i] = row[i];
        if (i == 0) break;
        const double last = row[i - 1];
        const double squares = lane.sum(i, [=](int64_t j) { return row[j] * row[j]; });
        const double image = last > 0 ? -sqrt(squares) : sqrt(squares), half = squares - last * image;
        const double factor = half > 0 ? 1 / sqrt(half) : 0;
        if (lane.first()) t.beside[i - 1] = image;
        lane.each(i, [=](int64_t j) { row[j] = (j == i - 1 ? row[j] - image : row[j]) * factor; });
        lane.tasks((i + width - 1) / width, [=](int task) {  // p = G·row, over columns since G is symmetric
            const int first = task * width;
            double sum[width], wj[width], hj[width];
#pragma omp simd
            for (int k = 0; k < width; ++k) {
                sum[k] = 0;
                wj[k] = w[first + k];
                hj[k] = before[first + k];
            }
            for (int r = 0; r < i; ++r) {
                double* const element = a + r * stride + first;
                const double hr = before[r], wr = w[r], row_r = row[r];
#pragma omp simd
                for (int k = 0; k < width; ++k) {
                    const double value = element[k] - hr * wj[k] - wr * hj[k];
                    element[k] = value;
                    sum[k] += value * row_r;
                }
            }
#pragma omp simd
            for (int k = 0; k < width; ++k) p[first + k] = sum[k];
        });
        const double along = lane.sum(i, [=](int64_t j) { return p[j] * row[j]; }) / 2;
        lane.each(i, [=](int64_t j) { w[j] = p[j] - along * row[j]; });
        h = row;
    }
    if (lane.first()) t.beside[t.n - 1] = 0;
    lane.tasks(0, [](int) {});
}

/// Each of `count` vectors (rows of y, t.stride apart) becomes Q·y, or Qᵀ·y. dots: count numbers.
template <class Lane>
DISTILL_HD void apply_q(const Lane& lane, const Tridiagonal& t, bool transposed, int count, double* y, double* dots) {
    const int stride = t.stride;
    for (int step = 1; step < t.n; ++step) {
        const int i = transposed ? t.n - step : step;
        const double* const h = t.rows + i * stride;
        lane.sums(
            count, i, [=](int k, int j) { return h[j] * y[k * stride + j]; }, [=](int k, double dot) { dots[k] = dot; });
        lane.grid(count, i, [=](int k, int j) { y[k * stride + j] -= dots[k] * h[j]; });
    }
}

/// The `count` largest eigenvalues of T, the largest first, to 1e-11 of the returned interval [0, end] that holds all. work: t.n numbers
/// and 2·count + 16·count more. Those asked for beyond the n-th become 0.
template <class Lane>
DISTILL_HD double largest_eigenvalues(const Lane& lane, const Tridiagonal& t, int count, double* values, double* work) {
    constexpr int width = Lane::width;
    const int n = t.n;
    const double *const d = t.diagonal, *const e = t.beside;
    double *const squares = work, *const low = work + n, *const high = low + count, *const above = high + count;
    // Gershgorin: each eigenvalue is within |e| of some diagonal element. What the sum may lose by rounding is given back.
    double end = 0;
    for (int j = 0; j < n; ++j) {
        const double reach = d[j] + fabs(e[j]) + (j > 0 ? fabs(e[j - 1]) : 0);
        end = reach > end ? reach : end;
    }
    lane.each(n, [=](int64_t j) { squares[j] = e[j] * e[j]; });
    lane.each(count, [=](int64_t k) {
        low[k] = 0;
        high[k] = end;
    });
    const double smallest = end > 0 ? 1e-20 * end : 1;
    for (int pass = 0; pass < eigen::passes; ++pass) {
        lane.tasks(count * eigen::points / width, [=](int task) {
            const int first = task * width;
            double x[width], q[width], below[width];
            const int k = first / eigen::points;
            const double from = low[k], step = (high[k] - low[k]) / (eigen::points + 1);
#pragma omp simd
            for (int s = 0; s < width; ++s) {
                x[s] = from + step * ((first + s) % eigen::points + 1);
                q[s] = d[0] - x[s];
                below[s] = q[s] < 0 ? 1 : 0;
            }
            for (int j = 1; j < n; ++j) {
                const double diagonal = d[j], square = squares[j - 1];
#pragma omp simd
                for (int s = 0; s < width; ++s) {
                    const double pivot = fabs(q[s]) < smallest ? -smallest : q[s];
                    q[s] = diagonal - x[s] - square / pivot;
                    below[s] += q[s] < 0 ? 1 : 0;
                }
            }
#pragma omp simd
            for (int s = 0; s < width; ++s) above[first + s] = n - below[s];
        });
        lane.each(count, [=](int64_t k) {
            const double step = (high[k] - low[k]) / (eigen::points + 1);
            int inside = 0;
            for (int s = 0; s < eigen::points; ++s) inside += above[k * eigen::points + s] > k ? 1 : 0;
            low[k] += step * inside;
            high[k] = low[k] + step;
        });
    }
    lane.each(count, [=](int64_t k) { values[k] = (low[k] + high[k]) / 2; });
    return end;
}

/// Each vector y_k becomes re[k]·Re z + im[k]·Im z, z = (λ_k + iδ_k − T)⁻¹ y_k: Gauss's elimination with exchanged rows; no eigenvalue is
/// nearer to 0 than δ_k. y, and what is given for each vector: padded to a multiple of at_once vectors. work: solver_numbers·t.n for each.
template <class Lane>
DISTILL_HD void apply_resolvent(const Lane& lane, const Tridiagonal& t, int count, const double* lambda, const double* delta,
                                const double* re, const double* im, double* y, double* work) {
    constexpr int width = Lane::width < eigen::at_once ? Lane::width : eigen::at_once;
    const int n = t.n, stride = t.stride, vectors = multiple_of(eigen::at_once, count);
    const double *const d = t.diagonal, *const e = t.beside;
    lane.tasks((count + width - 1) / width, [=](int task) {
        const int k0 = task * width;
        double* const rhs = y + k0 * stride;
        double shift[width], imag[width], pr[width], pi[width], qr[width], qi[width], yr[width], yi[width];
#pragma omp simd
        for (int k = 0; k < width; ++k) {
            shift[k] = lambda[k0 + k];
            imag[k] = delta[k0 + k];
            pr[k] = shift[k] - d[0];
            pi[k] = imag[k];
            qr[k] = -e[0];
            qi[k] = yi[k] = 0;
            yr[k] = rhs[k * stride];
        }
        // (p, q | y) is the row that is left of those so far, (b, a + iδ, c | rhs) the next: the one with the larger first element is kept.
        for (int j = 0; j + 1 < n; ++j) {
            double next[width], *const kept = work + j * eigen::solver_numbers * vectors + k0;
            for (int k = 0; k < width; ++k) next[k] = rhs[k * stride + j + 1];
            const double b = -e[j], bb = b * b, c = -e[j + 1], diagonal = d[j + 1];
#pragma omp simd
            for (int k = 0; k < width; ++k) {
                const double a = shift[k] - diagonal, pp = pr[k] * pr[k] + pi[k] * pi[k];
                const bool other = bb > pp;
                const double inverse = 1 / ((other ? bb : pp) + eigen::nothing);
                const double ur = (other ? b : pr[k]) * inverse, ui = (other ? 0 : -pi[k]) * inverse;
                const double vr = other ? a : qr[k], vi = other ? imag[k] : qi[k];
                const double zr = other ? next[k] : yr[k], zi = other ? 0 : yi[k];
                const double first_r = other ? pr[k] : b, first_i = other ? pi[k] : 0;
                const double mr = first_r * ur - first_i * ui, mi = first_r * ui + first_i * ur;
                pr[k] = (other ? qr[k] : a) - (mr * vr - mi * vi);
                pi[k] = (other ? qi[k] : imag[k]) - (mr * vi + mi * vr);
                qr[k] = other ? -mr * c : c;
                qi[k] = other ? -mi * c : 0;
                yr[k] = (other ? yr[k] : next[k]) - (mr * zr - mi * zi);
                yi[k] = (other ? yi[k] : 0) - (mr * zi + mi * zr);
                kept[k] = ur;
                kept[k + vectors] = ui;
                kept[k + 2 * vectors] = vr;
                kept[k + 3 * vectors] = vi;
                kept[k + 4 * vectors] = other ? c : 0;
                kept[k + 5 * vectors] = zr;
                kept[k + 6 * vectors] = zi;
            }
        }
        double xr[width], xi[width], after_r[width], after_i[width], result[width];
#pragma omp simd
        for (int k = 0; k < width; ++k) {
            const double inverse = 1 / (pr[k] * pr[k] + pi[k] * pi[k] + eigen::nothing);
            xr[k] = (yr[k] * pr[k] + yi[k] * pi[k]) * inverse;
            xi[k] = (yi[k] * pr[k] - yr[k] * pi[k]) * inverse;
            after_r[k] = after_i[k] = 0;
            result[k] = re[k0 + k] * xr[k] + im[k0 + k] * xi[k];
        }
        for (int k = 0; k < width; ++k) rhs[k * stride + n - 1] = result[k];
        for (int j = n - 2; j >= 0; --j) {
            const double* const kept = work + j * eigen::solver_numbers * vectors + k0;
#pragma omp simd
            for (int k = 0; k < width; ++k) {
                const double ur = kept[k], ui = kept[k + vectors], vr = kept[k + 2 * vectors], vi = kept[k + 3 * vectors];
                const double c = kept[k + 4 * vectors];
                const double sr = kept[k + 5 * vectors] - (vr * xr[k] - vi * xi[k]) - c * after_r[k];
                const double si = kept[k + 6 * vectors] - (vr * xi[k] + vi * xr[k]) - c * after_i[k];
                after_r[k] = xr[k];
                after_i[k] = xi[k];
                xr[k] = sr * ur - si * ui;
                xi[k] = sr * ui + si * ur;
                result[k] = re[k0 + k] * xr[k] + im[k0 + k] * xi[k];
            }
            for (int k = 0; k < width; ++k) rhs[k * stride + j] = result[k];
        }
    });
}

/// Gram and Schmidt, twice over, so that nearly parallel vectors become orthogonal to rounding, too. dots: count numbers.
template <class Lane>
DISTILL_HD void orthonormalize(const Lane& lane, int n, int stride, int count, double* y, double* dots) {
    for (int k = 0; k < count; ++k) {
        double* const own = y + k * stride;
        for (int turn = 0; turn < 2 && k > 0; ++turn) {
            lane.sums(
                k, n, [=](int l, int j) { return own[j] * y[l * stride + j]; }, [=](int l, double dot) { dots[l] = dot; });
            for (int l = 0; l < k; ++l) {
                const double dot = dots[l], *const other = y + l * stride;
                lane.each(n, [=](int64_t j) { own[j] -= dot * other[j]; });
            }
        }
        const double squares = lane.sum(n, [=](int64_t j) { return own[j] * own[j]; });
        const double factor = squares > 0 ? 1 / sqrt(squares) : 0;
        lane.each(n, [=](int64_t j) { own[j] *= factor; });
    }
}

/// G's (not T's) eigenvectors to the values that largest_eigenvalues found, orthonormal, as rows of y; of equal values any ones. The
/// values are made exact; those beyond the n-th are 0, their vectors of no use. y: padded, as in apply_resolvent; work: for each vector
/// solver_numbers·n + 4.
template <class Lane>
DISTILL_HD void leading_eigenvectors(const Lane& lane, const Tridiagonal& t, int count, double end, double* values, double* y,
                                     double* work) {
    const int n = t.n, stride = t.stride, vectors = multiple_of(eigen::at_once, count);
    double *const lambda = work, *const delta = lambda + vectors, *const re = delta + vectors, *const im = re + vectors;
    double *const solver = im + vectors, *const dots = solver;
    const double width = end > 0 ? eigen::filter_width * end : 1;
    lane.each(vectors, [=](int64_t k) {
        lambda[k] = values[k < count ? k : count - 1];
        delta[k] = width;
        re[k] = 0;
        im[k] = -width;
    });
    lane.grid(vectors, n, [=](int k, int j) { y[k * stride + j] = 0.5 + mix_bits(static_cast<uint64_t>(k) * n + j) * -0x1p-64; });
    for (int pass = 0; pass < eigen::filter_passes; ++pass) {
        apply_resolvent(lane, t, count, lambda, delta, re, im, y, solver);
        orthonormalize(lane, n, stride, count, y, dots);
    }
    const double *const d = t.diagonal, *const e = t.beside;
    const auto term = [=](int k, int j) {
        const double* const own = y + k * stride + j;
        return (d[j] * own[0] + (j + 1 < n ? 2 * e[j] * own[1] : 0)) * own[0];
    };
    lane.sums(count, n, term, [=](int k, double value) { values[k] = k >= n || value <= 0 ? 0 : value; });
    apply_q(lane, t, false, count, y, dots);
}

}  // namespace distill
