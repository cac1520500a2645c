// right_singular_vectors and align_vectors: LAPACK in double, numeric gradients, spectra that are hard or degenerate.
#include <lapack.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "error.h"
#include "gradcheck.h"
#include "ops.h"
#include "philox.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Matrix = std::vector<double>;  ///< row-major

double dot(const double* a, const double* b, int64_t n) { return std::inner_product(a, a + n, b, 0.0); }

Matrix random_matrix(const std::string& name, int64_t size) {
    Matrix values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) values[i] = normal(philox(hash_name(name), i).v[0], philox(hash_name(name), i).v[1]);
    return values;
}

/// Orthonormal rows (count, n).
Matrix orthonormal(const std::string& name, int64_t count, int64_t n) {
    Matrix q = random_matrix(name, count * n);
    for (int64_t k = 0; k < count; ++k) {
        double* own = q.data() + k * n;
        for (int turn = 0; turn < 2; ++turn)
            for (int64_t l = 0; l < k; ++l) {
                const double along = dot(own, q.data() + l * n, n);
                for (int64_t j = 0; j < n; ++j) own[j] -= along * q[static_cast<size_t>(l * n + j)];
            }
        const double length = std::sqrt(dot(own, own, n));
        for (int64_t j = 0; j < n; ++j) own[j] /= length;
    }
    return q;
}

/// A map (rows,1,columns) with these singular values, the others 0.
std::vector<float> map_of(const std::string& name, int64_t rows, int64_t columns, const std::vector<double>& values) {
    const auto count = static_cast<int64_t>(values.size());
    const Matrix u = orthonormal(name + ".u", count, rows), v = orthonormal(name + ".v", count, columns);
    std::vector<float> x(static_cast<size_t>(rows * columns));
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < count; ++k)
                sum += u[static_cast<size_t>(k * rows + i)] * values[static_cast<size_t>(k)] * v[static_cast<size_t>(k * columns + j)];
            x[static_cast<size_t>(i * columns + j)] = static_cast<float>(sum);
        }
    return x;
}

/// As a stage leaves it: no value below 0.
std::vector<float> relu_map(const std::string& name, int64_t rows, int64_t columns) {
    const Matrix noise = random_matrix(name, rows * columns), gains = random_matrix(name + ".gains", columns);
    std::vector<float> x(noise.size());
    for (size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(std::max(0.0, noise[i] + gains[i % static_cast<size_t>(columns)]));
    return x;
}

struct Svd {
    std::vector<double> values;  ///< min(rows, columns)
    Matrix vectors;              ///< right ones, as rows, oriented
};
Svd lapack_svd(const std::vector<float>& x, int64_t rows, int64_t columns) {
    // LAPACK's matrices are stored by columns: ours is its transpose, whose left vectors are our right ones.
    Matrix a(x.begin(), x.end());
    const int m = static_cast<int>(columns), n = static_cast<int>(rows), least = std::min(m, n);
    Svd result{std::vector<double>(static_cast<size_t>(least)), Matrix(static_cast<size_t>(m * least))};
    Matrix vt(static_cast<size_t>(least * n));
    std::vector<int> integers(static_cast<size_t>(8 * least));
    int info = 0, asked = -1;
    double size = 0;
    LAPACK_dgesdd("S", &m, &n, a.data(), &m, result.values.data(), result.vectors.data(), &m, vt.data(), &least, &size, &asked,
                  integers.data(), &info);
    asked = static_cast<int>(size);
    Matrix work(static_cast<size_t>(asked));
    LAPACK_dgesdd("S", &m, &n, a.data(), &m, result.values.data(), result.vectors.data(), &m, vt.data(), &least, work.data(), &asked,
                  integers.data(), &info);
    REQUIRE(info == 0);
    for (int k = 0; k < least; ++k) {
        double* v = result.vectors.data() + k * m;
        if (std::accumulate(v, v + m, 0.0) < 0)
            for (int j = 0; j < m; ++j) v[j] = -v[j];
    }
    return result;
}

std::vector<float> leading(const std::vector<float>& x, Shape shape, int count) {
    return right_singular_vectors(Var(Tensor::from_host(cpu(), shape, x)), count).value().to_host();
}

}  // namespace

TEST_CASE("svd: the vectors that LAPACK finds in double") {
    struct Size {
        int64_t h, w, c;
    };
    for (const Size& s : {Size{8, 8, 16}, Size{32, 32, 64}, Size{4, 4, 16}, Size{10, 10, 33}, Size{8, 8, 256}, Size{4, 4, 512}, Size{16, 16, 128},
                          Size{2, 2, 7}, Size{5, 3, 20}, Size{1, 9, 9}, Size{16, 16, 300}})
        for (const int count : {1, 4}) {
            const Shape shape{3, s.h, s.w, s.c};
            const int64_t rows = s.h * s.w;
            std::vector<float> x;
            for (int n = 0; n < 3; ++n) {
                const std::vector<float> one = relu_map(text("map ", n), rows, s.c);
                x.insert(x.end(), one.begin(), one.end());
            }
            const std::vector<float> found = leading(x, shape, count);
            double worst = 0;
            for (int64_t n = 0; n < 3; ++n) {
                const Svd expected = lapack_svd({x.begin() + n * rows * s.c, x.begin() + (n + 1) * rows * s.c}, rows, s.c);
                for (int64_t i = 0; i < count * s.c; ++i)
                    worst = std::max(worst, std::fabs(found[static_cast<size_t>(n * count * s.c + i)] - expected.vectors[static_cast<size_t>(i)]));
            }
            CAPTURE(to_string(shape));
            CAPTURE(count);
            CHECK(worst < 1e-6);
        }
}

TEST_CASE("svd: numeric gradients, tall, square and wide") {
    std::vector<OpCase> ops;
    for (const Shape& s : {Shape{2, 5, 4, 6}, Shape{2, 2, 3, 6}, Shape{2, 2, 2, 9}, Shape{1, 3, 3, 40}})
        for (const int count : {1, 4}) {
            std::vector<float> x;
            for (int64_t n = 0; n < s.n; ++n) {
                const std::vector<float> one = map_of(text("map ", n), s.h * s.w, s.c, {2, 1.5, 1.1, 0.7});
                x.insert(x.end(), one.begin(), one.end());
            }
            ops.push_back({text("svd ", to_string(s), ' ', count), {{s, x}}, [count](const Inputs& in) { return right_singular_vectors(in[0], count); }});
        }
    check_gradients(ops);
}
