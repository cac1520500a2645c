// right_singular_vectors: LAPACK in double, numeric gradients, spectra that are hard or degenerate.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base_error.h"
#include "core_philox.h"
#include "gradcheck.h"
#include "ops.h"
#include "queued_backend.h"

using namespace distill;
using namespace distill::testing;

extern "C" void dgesdd_(const char* job, const int* m, const int* n, double* a, const int* row_a, double* s, double* u, const int* row_u,
                        double* vt, const int* row_vt, double* work, const int* work_size, int* integers, int* info);

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
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(std::max(0.0, noise[i] + gains[i % static_cast<size_t>(columns)]));
    return x;
}

std::vector<float> joined_maps(const std::vector<std::vector<float>>& maps) {
    std::vector<float> all;
    for (const auto& map : maps) all.insert(all.end(), map.begin(), map.end());
    return all;
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
    int info = 0;
    const auto call = [&](double* work, int size) {
        dgesdd_("S", &m, &n, a.data(), &m, result.values.data(), result.vectors.data(), &m, vt.data(), &least, work, &size, integers.data(),
                &info);
    };
    double best_size = 0;
    call(&best_size, -1);
    Matrix work(static_cast<size_t>(best_size));
    call(work.data(), static_cast<int>(best_size));
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

/// d(Σ dy·v)/dx
std::vector<float> gradient(const std::vector<float>& x, Shape shape, int count, const std::vector<float>& dy) {
    const Inputs inputs{Var(Tensor::from_host(cpu(), shape, x), true)};
    run_backward([=](const Inputs& in) { return right_singular_vectors(in[0], count); }, inputs, dy);
    return inputs[0].node().gradient.to_host();
}

bool all_finite(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

/// ‖VᵀV − 1‖∞, V a sample's vectors as columns.
double off_orthonormal(const float* v, int count, int64_t n) {
    const Matrix rows(v, v + count * n);
    double worst = 0;
    for (int k = 0; k < count; ++k)
        for (int l = 0; l <= k; ++l) {
            const double product = dot(rows.data() + k * n, rows.data() + l * n, n);
            worst = worse(worst, std::fabs(product - (k == l ? 1 : 0)));
        }
    return worst;
}

/// XᵀXv
Matrix squared_map(const std::vector<float>& x, int64_t rows, int64_t columns, const float* v) {
    Matrix y(static_cast<size_t>(columns));
    for (int64_t i = 0; i < rows; ++i) {
        const float* row = x.data() + i * columns;
        double along = 0;
        for (int64_t j = 0; j < columns; ++j) along += static_cast<double>(row[j]) * v[j];
        for (int64_t j = 0; j < columns; ++j) y[static_cast<size_t>(j)] += along * row[j];
    }
    return y;
}

std::vector<OpCase> cases() {
    std::vector<OpCase> ops;
    for (const Shape& s : {Shape{2, 5, 4, 6}, Shape{2, 2, 3, 6}, Shape{2, 2, 2, 9}, Shape{1, 3, 3, 40}, Shape{1, 7, 6, 37}})
        for (const int count : {1, 4}) {
            std::vector<std::vector<float>> maps;
            for (int64_t n = 0; n < s.n; ++n) maps.push_back(map_of(text("map ", n), s.h * s.w, s.c, {2, 1.5, 1.1, 0.7}));
            ops.push_back({text("svd ", to_string(s), ", ", count), {{s, joined_maps(maps)}}, [count](const Inputs& in) {
                               return right_singular_vectors(in[0], count);
                           }});
        }
    const Shape s{2, 4, 4, 8};
    ops.push_back({"svd of a non-negative map", {{s, joined_maps({relu_map("one", 16, 8), relu_map("two", 16, 8)})}}, [](const Inputs& in) {
                       return right_singular_vectors(in[0], 2);
                   }});
    ops.push_back(
        {"svd of a constant map", {{s, std::vector<float>(256, 0.7f)}}, [](const Inputs& in) { return right_singular_vectors(in[0], 1); }});
    return ops;
}

}  // namespace

TEST_CASE("svd: the vectors that LAPACK finds in double") {
    for (const Shape& s :
         {Shape{3, 8, 8, 16}, Shape{3, 32, 32, 64}, Shape{3, 4, 4, 16}, Shape{3, 10, 10, 33}, Shape{3, 8, 8, 256}, Shape{3, 4, 4, 512},
          Shape{3, 16, 16, 128}, Shape{3, 2, 2, 7}, Shape{3, 5, 3, 20}, Shape{3, 1, 9, 9}, Shape{1, 16, 16, 300}})
        for (const int count : {1, 4}) {
            const int64_t rows = s.h * s.w;
            std::vector<std::vector<float>> maps;
            for (int64_t n = 0; n < s.n; ++n) maps.push_back(relu_map(text("map ", n), rows, s.c));
            const std::vector<float> found = leading(joined_maps(maps), s, count);
            for (int64_t n = 0; n < s.n; ++n) {
                const Svd expected = lapack_svd(maps[static_cast<size_t>(n)], rows, s.c);
                check_values(text(to_string(s), ", ", count, " vectors, sample ", n),
                             {found.begin() + n * count * s.c, found.begin() + (n + 1) * count * s.c},
                             {expected.vectors.begin(), expected.vectors.begin() + count * s.c}, 2e-7);
            }
        }
}

TEST_CASE("svd: spectra that are flat, clustered, equal or steep") {
    struct Spectrum {
        const char* name;
        std::vector<double> values;
    };
    const std::vector<double> equal(24, 1.0);
    std::vector<Spectrum> spectra{{"slow decay", {}}, {"equal", equal}, {"steep", {}}, {"rank 1", {3}}, {"rank 2", {1, 1}}};
    for (int j = 0; j < 24; ++j) {
        spectra[0].values.push_back(1 - 1e-3 * j);
        spectra[2].values.push_back(std::pow(10, -0.5 * j));
    }
    for (const double gap : {1e-3, 1e-5, 1e-6, 0.0})
        spectra.push_back({"clusters", {1, 1 - gap, 1 - 2 * gap, 0.5, 0.5 - gap, 0.5 - 2 * gap, 0.1, 0.1 - gap}});
    for (const Spectrum& spectrum : spectra)
        for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{100, 24}, {24, 24}, {24, 90}}) {
            constexpr int count = 4;
            const std::vector<float> x = map_of(spectrum.name, rows, columns, spectrum.values);
            const std::vector<float> v = leading(x, {1, rows, 1, columns}, count);
            const Svd expected = lapack_svd(x, rows, columns);
            const double scale = expected.values[0] * expected.values[0];
            CAPTURE(spectrum.name);
            CAPTURE(rows);
            CAPTURE(columns);
            CHECK(all_finite(v));
            CHECK(off_orthonormal(v.data(), count, columns) < 3e-7);
            for (int k = 0; k < count; ++k) {
                const float* one = v.data() + k * columns;
                const Matrix image = squared_map(x, rows, columns, one), own(one, one + columns);
                const double value = dot(image.data(), own.data(), columns);
                double residual = 0, sum = 0;
                for (int64_t j = 0; j < columns; ++j) {
                    residual = worse(residual, std::fabs(image[static_cast<size_t>(j)] - value * own[static_cast<size_t>(j)]));
                    sum += own[static_cast<size_t>(j)];
                }
                CHECK(residual < 1e-7 * scale);
                CHECK(std::fabs(value - expected.values[static_cast<size_t>(k)] * expected.values[static_cast<size_t>(k)]) < 1e-7 * scale);
                CHECK(sum > -1e-6);
            }
        }
}

TEST_CASE("svd: weak vectors beside a strong one keep their digits") {
    // Values of 2e-3 of the first: squared in float, they would lie at the rounding of the first one's square.
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{64, 16}, {16, 64}}) {
        const std::vector<float> x = map_of("weak", rows, columns, {1, 2e-3, 1.5e-3, 1e-3, 5e-4});
        const Svd expected = lapack_svd(x, rows, columns);
        check_values(text("weak, ", rows, 'x', columns), leading(x, {1, rows, 1, columns}, 4),
                     {expected.vectors.begin(), expected.vectors.begin() + 4 * columns}, 3e-7);
    }
}

TEST_CASE("svd: any scale of the map gives the same vectors, and a gradient of the inverse scale") {
    const Shape s{1, 5, 4, 6};
    const std::vector<float> x = map_of("scaled", 20, 6, {2, 1.5, 1.1, 0.7}), dy = uniform_input("dy", {1, 1, 4, 6}).values;
    const std::vector<float> v = leading(x, s, 4), dx = gradient(x, s, 4, dy);
    for (const float factor : {0x1p-40f, 0x1p40f}) {
        std::vector<float> scaled = x;
        for (float& value : scaled) value *= factor;
        CHECK(leading(scaled, s, 4) == v);
        std::vector<double> expected(dx.begin(), dx.end());
        for (double& value : expected) value /= factor;
        check_values("gradient", gradient(scaled, s, 4, dy), expected, 1e-6);
    }
}

TEST_CASE("svd: gradients of tall, square and wide maps") { check_gradients(cases()); }

TEST_CASE("svd: the gradient of a cluster's projector does not depend on the vectors chosen in it") {
    // f = Σ_k v_kᵀMv_k over the two clustered vectors is a function of their plane. Its gradient leaves the terms between them out.
    constexpr int count = 2;
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{40, 8}, {8, 8}, {8, 20}})
        for (const double gap : {1e-3, 1e-6, 0.0}) {
            const std::vector<float> x = map_of("cluster", rows, columns, {1, 1 - gap, 0.6, 0.5, 0.3});
            const Shape s{1, rows, 1, columns};
            const std::vector<float> v = leading(x, s, count);
            const Matrix half = random_matrix("M", columns * columns);
            std::vector<float> dv(v.size());
            for (int k = 0; k < count; ++k)
                for (int64_t i = 0; i < columns; ++i) {
                    double sum = 0;
                    for (int64_t j = 0; j < columns; ++j)
                        sum += (half[static_cast<size_t>(i * columns + j)] + half[static_cast<size_t>(j * columns + i)]) *
                               v[static_cast<size_t>(k * columns + j)];
                    dv[static_cast<size_t>(k * columns + i)] = static_cast<float>(sum);
                }
            const Svd svd = lapack_svd(x, rows, columns);
            const auto least = static_cast<int64_t>(svd.values.size());
            Matrix expected(x.size());
            for (int k = 0; k < count; ++k) {  // w = Σ_j v_j (v_j·v̄)/(λ_k − λ_j) over j outside, and over all that X sends to 0
                const Matrix own_dv(dv.begin() + k * columns, dv.begin() + (k + 1) * columns);
                const Matrix own(v.begin() + k * columns, v.begin() + (k + 1) * columns);
                Matrix rest = own_dv, w(static_cast<size_t>(columns));
                const double value = svd.values[static_cast<size_t>(k)] * svd.values[static_cast<size_t>(k)];
                for (int64_t j = 0; j < least; ++j) {
                    const double* other = svd.vectors.data() + j * columns;
                    const double along = dot(other, own_dv.data(), columns), size = svd.values[static_cast<size_t>(j)];
                    const double factor = j < count ? 0 : along / (value - size * size);
                    for (int64_t i = 0; i < columns; ++i) {
                        w[static_cast<size_t>(i)] += factor * other[i];
                        rest[static_cast<size_t>(i)] -= along * other[i];
                    }
                }
                for (int64_t i = 0; i < columns; ++i) w[static_cast<size_t>(i)] += rest[static_cast<size_t>(i)] / value;
                for (int64_t i = 0; i < rows; ++i) {
                    const Matrix row(x.begin() + i * columns, x.begin() + (i + 1) * columns);
                    const double xw = dot(row.data(), w.data(), columns), xv = dot(row.data(), own.data(), columns);
                    for (int64_t j = 0; j < columns; ++j)
                        expected[static_cast<size_t>(i * columns + j)] += xw * own[static_cast<size_t>(j)] + xv * w[static_cast<size_t>(j)];
                }
            }
            // What should cancel are multiples (of up to 1/(2δ) = 5e4) of dv·v, both rounded (by 6e-8): 3e-3 of dv's length may be left.
            double length = 0, largest = 0;
            for (const float value : dv) length += value * value;
            for (const double value : expected) largest = std::max(largest, std::fabs(value));
            check_values(text("projector, ", rows, 'x', columns, ", gap ", gap), gradient(x, s, count, dv), expected,
                         (gap > 1e-4 ? 1e-5 : 3e-3) * std::sqrt(length) / largest);
        }
}

TEST_CASE("svd: gradients of vectors whose values are nearly equal, or zero, are finite") {
    const std::vector<std::vector<double>> spectra{{1, 1 - 1e-3, 0.5, 0.2},
                                                   {1, 1 - 1e-6, 0.5, 0.2},
                                                   {1, 1, 0.5, 0.2},
                                                   {1, 1, 1, 1, 1, 1, 1, 1},
                                                   {1, 0.5, 0.2, 0.2, 0.2},
                                                   {1, 1e-7},
                                                   {1},
                                                   {1e-25},
                                                   {1e-35}};
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{40, 8}, {8, 8}, {8, 20}})
        for (const std::vector<double>& values : spectra) {
            const std::vector<float> x = map_of("degenerate", rows, columns, values), dy = uniform_input("dy", {1, 1, 4, columns}).values;
            const std::vector<float> dx = gradient(x, {1, rows, 1, columns}, 4, dy);
            CHECK(all_finite(dx));
            CHECK(std::any_of(dx.begin(), dx.end(), [](float v) { return v != 0; }) == (values[0] > 1e-30));
        }
}

TEST_CASE("svd: a zero map gives unit vectors and no gradient, and disturbs no other sample") {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{20, 6}, {6, 20}}) {
        const std::vector<float> one = relu_map("one", rows, columns), two = relu_map("two", rows, columns), zero(one.size());
        const Shape s{3, rows, 1, columns};
        const auto size = static_cast<int64_t>(one.size()), vectors = 4 * columns;
        std::vector<float> dy = uniform_input("dy", {3, 1, 4, columns}).values;
        const std::vector<float> x = joined_maps({one, zero, two}), v = leading(x, s, 4), dx = gradient(x, s, 4, dy);
        CHECK(off_orthonormal(v.data() + vectors, 4, columns) < 3e-7);
        CHECK(all_finite(v));
        CHECK(std::all_of(dx.begin() + size, dx.begin() + 2 * size, [](float value) { return value == 0; }));
        dy.erase(dy.begin() + vectors, dy.begin() + 2 * vectors);
        const std::vector<float> without = joined_maps({one, two});
        const std::vector<float> v2 = leading(without, {2, rows, 1, columns}, 4), dx2 = gradient(without, {2, rows, 1, columns}, 4, dy);
        CHECK(std::equal(v.begin(), v.begin() + vectors, v2.begin()));
        CHECK(std::equal(v.begin() + 2 * vectors, v.end(), v2.begin() + vectors));
        CHECK(std::equal(dx.begin(), dx.begin() + size, dx2.begin()));
        CHECK(std::equal(dx.begin() + 2 * size, dx.end(), dx2.begin() + size));
    }
}

TEST_CASE("svd: more vectors than rows: the others are orthonormal and X sends them to 0") {
    for (const auto& [rows, columns, rank] : {std::tuple<int64_t, int64_t, size_t>{2, 9, 2}, {1, 5, 1}, {6, 12, 2}, {12, 6, 2}}) {
        const std::vector<double> values{2, 1};
        const std::vector<float> x = map_of("few", rows, columns, {values.begin(), values.begin() + static_cast<int64_t>(rank)});
        const std::vector<float> v = leading(x, {1, rows, 1, columns}, 4);
        CHECK(off_orthonormal(v.data(), 4, columns) < 3e-7);
        for (auto k = static_cast<int64_t>(rank); k < 4; ++k) {
            const Matrix image = squared_map(x, rows, columns, v.data() + k * columns);
            CHECK(std::sqrt(dot(image.data(), image.data(), columns)) < 1e-6);
        }
        CHECK(all_finite(gradient(x, {1, rows, 1, columns}, 4, uniform_input("dy", {1, 1, 4, columns}).values)));
    }
}

TEST_CASE("svd: a map that is not finite ends in NaN, in its sample alone") {
    const std::vector<float> one = relu_map("one", 20, 6);
    std::vector<float> broken = one;
    broken[7] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> v = leading(joined_maps({broken, one}), {2, 20, 1, 6}, 2);
    CHECK(!all_finite({v.begin(), v.begin() + 12}));
    CHECK(std::equal(v.begin() + 12, v.end(), leading(one, {1, 20, 1, 6}, 2).begin()));
    std::vector<float> wide = relu_map("wide", 3, 8);
    wide[7] = std::numeric_limits<float>::quiet_NaN();
    CHECK(!all_finite(leading(wide, {1, 1, 3, 8}, 2)));
    CHECK(!all_finite(leading(std::vector<float>(24, wide[7]), {1, 1, 3, 8}, 2)));
}

TEST_CASE("svd: numbers of vectors that there cannot be are refused") {
    const Var x(Tensor::zeros(cpu(), {2, 3, 3, 5}));
    const std::string rule = " vectors of maps (2,3,3,5) ---> ask for 1 to 5, the maps' channels";
    CHECK_THROWS_WITH(right_singular_vectors(x, 0), ("right_singular_vectors: 0" + rule).c_str());
    CHECK_THROWS_WITH(right_singular_vectors(x, 6), ("right_singular_vectors: 6" + rule).c_str());
}

TEST_CASE("svd: recorded once, run again on other maps") {
    QueuedBackend device(Order::shuffled);
    const Shape s{2, 4, 4, 8};
    const std::vector<float> first = joined_maps({relu_map("a", 16, 8), relu_map("b", 16, 8)});
    const std::vector<float> second = joined_maps({relu_map("c", 16, 8), relu_map("d", 16, 8)});
    const std::vector<float> dy = uniform_input("dy", {2, 1, 4, 8}).values;
    Tensor map = Tensor::from_host(device, s, first);
    const Tensor weights = Tensor::from_host(device, {2, 1, 4, 8}, dy);
    Var x, v;
    const auto replay = device.capture([&] {
        Tape tape;
        x = Var(map, true);
        const Recording recording(&tape);
        v = right_singular_vectors(x, 4);
        tape.backward(scale(mean(mul(v, Var(weights))), 64));
    });
    map.upload(second.data());
    replay->run();
    const std::vector<float> expected = leading(second, s, 4), dx = gradient(second, s, 4, dy);
    check_values("vectors", v.value().to_host(), {expected.begin(), expected.end()}, 1e-6);
    check_values("gradient", x.node().gradient.to_host(), {dx.begin(), dx.end()}, 1e-6);
}

TEST_CASE("svd: the same bits each time, with any number of threads") {
    const Shape s{128, 4, 4, 24};
    check_threads_do_not_matter(
        {{"svd of many", {uniform_input("x", s)}, [](const Inputs& in) { return right_singular_vectors(in[0], 4); }}});
    const std::vector<float> x = uniform_input("x", s).values, dy = uniform_input("dy", {128, 1, 4, 24}).values;
    CHECK(leading(x, s, 4) == leading(x, s, 4));
    CHECK(gradient(x, s, 4, dy) == gradient(x, s, 4, dy));
}

TEST_CASE("svd: bfloat16 maps are cast, forth and back") {
    std::vector<OpCase> ops = cases();
    for (OpCase& op : ops) op.inputs[0] = as_map(op.inputs[0]);
    check_rounding(ops);
}

TEST_CASE("svd: CUDA like the CPU") { compare_backends(cases()); }
