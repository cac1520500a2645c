// cpu_direct.h: the direct form against sums in double, its epilogue, its bits, and that the CPU backend takes it where oneDNN has no kernel.
#include <doctest/doctest.h>
#include <omp.h>

#include <limits>

#include "cpu_direct.h"
#include "cpu_simd.h"
#include "exact_conv.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct Filter {
    int64_t height, width;
    int stride_h, stride_w, pad_h, pad_w, groups;
};

Conv2dGeometry geometry(const Shape& x, int64_t out, const Filter& f) {
    Conv2dGeometry g;
    g.x = x, g.w = {out, f.height, f.width, x.c / f.groups};
    g.y = {x.n, (x.h + 2 * f.pad_h - f.height) / f.stride_h + 1, (x.w + 2 * f.pad_w - f.width) / f.stride_w + 1, out};
    g.stride_h = f.stride_h, g.stride_w = f.stride_w, g.pad_h = f.pad_h, g.pad_w = f.pad_w, g.groups = f.groups;
    return g;
}

Filter square(int64_t side, int stride = 1, int groups = 1) {
    return {side, side, stride, stride, static_cast<int>(side / 2), static_cast<int>(side / 2), groups};
}

void check_near(const Answers& found, const Exact& right, const Conv2dGeometry& g) {
    const int64_t taps = g.w.h * g.w.w;
    CHECK(error(found.y, right.y) < error_bound(taps * g.w.c));
    CHECK(error(found.dx, right.dx) < error_bound(std::max<int64_t>(1, taps * g.y.c / g.groups)));
    CHECK(error(found.dw, right.dw) < error_bound(g.y.size() / g.y.c));
}

}  // namespace

TEST_CASE("direct conv: all directions near the sums in double, for filters, strides, paddings, groups and numbers of channels") {
    const std::vector<Conv2dGeometry> geometries = {
        geometry({3, 9, 7, 3}, 24, square(3)),        geometry({2, 16, 16, 3}, 16, square(3, 2)),   geometry({2, 8, 8, 16}, 32, square(3, 2)),
        geometry({2, 7, 9, 8}, 8, square(3)),         geometry({2, 6, 6, 12}, 72, square(1)),       geometry({4, 5, 5, 64}, 256, square(1)),
        geometry({2, 9, 9, 16}, 32, square(1, 2)),    geometry({1, 12, 12, 5}, 7, square(5, 3)),    geometry({2, 6, 6, 24}, 96, square(1, 1, 3)),
        geometry({2, 8, 8, 12}, 20, square(3, 2, 4)), geometry({2, 6, 5, 16}, 16, square(3, 1, 2)), geometry({1, 4, 4, 300}, 130, square(3)),
        geometry({1, 6, 6, 40}, 8, {4, 4, 2, 2, 1, 1, 1}), geometry({2, 7, 6, 6}, 10, {1, 3, 1, 2, 0, 1, 1}), geometry({1, 5, 8, 4}, 6, {3, 2, 4, 3, 0, 0, 1}),
        geometry({40, 1, 1, 20}, 30, square(1)),
    };
    DirectConv direct;
    struct Direct {
        DirectConv& by;
        void forward(const Conv2dGeometry& g, const float* x, const float* w, const ConvEpilogue& e, float* y) { by.forward(g, x, w, e, y); }
        void backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) { by.backward_data(g, dy, w, dx); }
        void backward_weights(const Conv2dGeometry& g, const float* x, const float* dy, float* dw) { by.backward_weights(g, x, dy, dw); }
    } by{direct};
    for (const Conv2dGeometry& g : geometries) {
        CAPTURE(to_string(g.x));
        CAPTURE(to_string(g.w));
        CAPTURE(g.groups);
        REQUIRE(DirectConv::fits(g));
        check_near(answers(by, g), exact(g), g);
    }
}

TEST_CASE("direct conv: bias, residual and ReLU in one pass; a NaN stays one") {
    const Conv2dGeometry g = geometry({2, 7, 6, 3}, lanes + 5, square(3, 2));
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), bias = normal(g.y.c, 4), residual = normal(g.y.size(), 5);
    DirectConv direct;
    std::vector<float> plain(residual.size()), found(residual.size());
    direct.forward(g, x.data(), w.data(), {}, plain.data());
    for (const bool with_bias : {false, true})
        for (const bool with_residual : {false, true})
            for (const bool relu : {false, true}) {
                direct.forward(g, x.data(), w.data(), {with_bias ? bias.data() : nullptr, with_residual ? residual.data() : nullptr, relu},
                               found.data());
                double largest = 0;
                for (size_t i = 0; i < found.size(); ++i) {
                    float right = plain[i] + (with_bias ? bias[i % bias.size()] : 0) + (with_residual ? residual[i] : 0);
                    if (relu) right = std::max(right, 0.0f);
                    largest = std::max(largest, std::abs(double{found[i]} - right));
                }
                CHECK(largest <= 4e-6);  // a rounding or two of numbers up to 32
            }
    std::vector<float> spoilt = x;
    spoilt[0] = std::numeric_limits<float>::quiet_NaN();
    direct.forward(g, spoilt.data(), w.data(), {nullptr, nullptr, true}, found.data());
    CHECK(std::isnan(found[0]));
}

TEST_CASE("direct conv: the bits are the threads' business in the weights' gradient alone, and there they repeat") {
    const Conv2dGeometry g = geometry({8, 16, 16, 12}, 20, square(3, 2));
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), dy = normal(g.y.size(), 3);
    const int before = omp_get_max_threads();
    DirectConv direct;
    const auto run = [&](int threads) {
        omp_set_num_threads(threads);
        Answers a{std::vector<float>(dy.size()), std::vector<float>(x.size()), std::vector<float>(w.size())};
        direct.forward(g, x.data(), w.data(), {}, a.y.data());
        direct.backward_data(g, dy.data(), w.data(), a.dx.data());
        direct.backward_weights(g, x.data(), dy.data(), a.dw.data());
        return a;
    };
    const Answers one = run(1), three = run(3), again = run(3);
    omp_set_num_threads(before);
    CHECK(one.y == three.y);
    CHECK(one.dx == three.dx);
    CHECK(three.dw == again.dw);
}

TEST_CASE("direct conv: the CPU backend has it where oneDNN has no kernel") {
    const Conv2dGeometry g = geometry({2, 8, 8, 12}, 72, square(1));  // 12 to 72 channels, of MobileNetV2: oneDNN 2.6.3 has only its reference
    const auto backend = make_cpu_backend();
    struct ByBackend {
        Backend& backend;
        void forward(const Conv2dGeometry& s, const float* x, const float* w, const ConvEpilogue& e, float* y) { backend.conv2d_forward(s, x, w, e, y); }
        void backward_data(const Conv2dGeometry& s, const float* dy, const float* w, float* dx) { backend.conv2d_backward_data(s, dy, w, dx, false); }
        void backward_weights(const Conv2dGeometry& s, const float* x, const float* dy, float* dw) { backend.conv2d_backward_weights(s, x, dy, dw); }
    } by{*backend};
    check_near(answers(by, g), exact(g), g);
    DirectConv direct;
    const std::vector<float> dy = normal(g.y.size(), 3), w = normal(g.w.size(), 2);
    std::vector<float> dx(static_cast<size_t>(g.x.size()));
    direct.backward_data(g, dy.data(), w.data(), dx.data());
    CHECK(answers(by, g).dx == dx);  // to the bit: it is the same sum
    Conv2dGeometry depthwise = geometry({2, 8, 8, 12}, 12, square(3, 1, 12)), half = g;
    half.type = DType::bf16;
    CHECK_FALSE(DirectConv::fits(depthwise));
    CHECK_FALSE(DirectConv::fits(half));
}
