// cpu_winograd.h: minimal filtering against sums in double, its error beside the direct form's, its epilogue, and when it is taken.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu_conv2d.h"
#include "cpu_simd.h"
#include "device.h"
#include "exact_conv.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

Conv2dGeometry geometry(int64_t images, int64_t height, int64_t width, int64_t in, int64_t out, int pad_h = 1, int pad_w = 1) {
    Conv2dGeometry g;
    g.x = {images, height, width, in};
    g.w = {out, 3, 3, in};
    g.y = {images, height + 2 * pad_h - 2, width + 2 * pad_w - 2, out};
    g.pad_h = pad_h, g.pad_w = pad_w;
    return g;
}

}  // namespace

TEST_CASE("winograd: all directions near the sums in double, for many channels, sizes and paddings") {
    const int64_t l = lanes;
    const std::vector<Conv2dGeometry> geometries = {
        geometry(5, 4, 4, l, l),         geometry(3, 8, 8, 2 * l, 3 * l),  geometry(2, 16, 16, 3 * l, l),
        geometry(2, 32, 32, 16, 16),     geometry(1, 64, 64, 16, 32),      geometry(2, 5, 7, 32, 64),
        geometry(3, 7, 5, 64, 32),       geometry(1, 9, 13, 48, 80),       geometry(1, 11, 4, 128, 128),
        geometry(2, 4, 4, 256, 64),      geometry(1, 4, 4, 512, 512),      geometry(1, 3, 3, 16, 16),
        geometry(1, 1, 1, 16, 16),       geometry(1, 2, 6, 16, 16),        geometry(2, 8, 8, 16, 32, 0, 0),
        geometry(2, 6, 9, 32, 16, 2, 2), geometry(1, 10, 7, 16, 16, 0, 2), geometry(1, 7, 10, 16, 16, 1, 0),
    };
    Winograd winograd;
    ByBackend direct{make_cpu_backend({0, Precision::fp32, true, false})};  // the direct form: without minimal filtering
    double worst = 0, worst_direct = 0;
    for (const Conv2dGeometry& g : geometries) {
        CAPTURE(to_string(g.x));
        CAPTURE(to_string(g.w));
        CAPTURE(g.pad_h);
        REQUIRE(Winograd::fits(g));
        const Exact right = exact(g);
        const Answers found = answers(winograd, g), plain = answers(direct, g);
        const std::vector<std::pair<double, double>> errors = {{error(found.y, right.y), error(plain.y, right.y)},
                                                               {error(found.dx, right.dx), error(plain.dx, right.dx)},
                                                               {error(found.dw, right.dw), error(plain.dw, right.dw)}};
        const double bounds[] = {error_bound(9 * g.x.c), error_bound(9 * g.y.c), error_bound(std::max<int64_t>(36, g.y.size() / g.y.c))};
        for (size_t i = 0; i < 3; ++i) {
            CHECK(errors[i].first < bounds[i]);
            CHECK(errors[i].second < bounds[i]);
        }
        for (const auto& [ours, theirs] : errors) worst = std::max(worst, ours), worst_direct = std::max(worst_direct, theirs);
    }
    MESSAGE("worst error over the root mean square: ", worst, ", the direct form's ", worst_direct);
}

TEST_CASE("winograd: products that are packed by two have the bits of those that are not") {
    // With vectors of 16, 16 channels are a panel of one, whose products are packed, 32 one of two.
    const Conv2dGeometry wide = geometry(3, 9, 8, 16, 32), narrow = geometry(3, 9, 8, 16, 16), turned = geometry(3, 9, 8, 32, 16);
    const std::vector<float> x = normal(wide.x.size(), 1), w = normal(wide.w.size(), 2), dy = normal(narrow.y.size(), 3);
    std::vector<float> y(static_cast<size_t>(wide.y.size())), y_narrow(dy.size()), dx(static_cast<size_t>(turned.x.size())),
        dx_narrow(x.size());
    Winograd winograd;
    winograd.forward(wide, x.data(), w.data(), {}, y.data());
    winograd.forward(narrow, x.data(), w.data(), {}, y_narrow.data());  // the first half of the filters
    std::vector<float> w_narrow;                                        // of each filter the first half of the channels
    for (size_t i = 0; i < w.size(); i += 32) w_narrow.insert(w_narrow.end(), w.begin() + i, w.begin() + i + 16);
    winograd.backward_data(turned, dy.data(), w.data(), dx.data());
    winograd.backward_data(narrow, dy.data(), w_narrow.data(), dx_narrow.data());
    size_t different = 0;
    for (size_t i = 0; i < y_narrow.size(); ++i) different += y_narrow[i] != y[i / 16 * 32 + i % 16];
    for (size_t i = 0; i < dx_narrow.size(); ++i) different += dx_narrow[i] != dx[i / 16 * 32 + i % 16];
    CHECK(different == 0);
    CHECK(y_narrow != dx_narrow);
}

TEST_CASE("winograd: bias, residual and ReLU in one pass, on maps that cut tiles; a NaN stays one") {
    int64_t out = 32;
    SUBCASE("two panels") {}
    SUBCASE("products packed by two") { out = 16; }
    const Conv2dGeometry g = geometry(2, 7, 6, 16, out);
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), bias = normal(g.y.c, 4),
                             residual = normal(g.y.size(), 5);
    Winograd winograd;
    std::vector<float> plain(residual.size()), found(residual.size());
    winograd.forward(g, x.data(), w.data(), {}, plain.data());
    for (const bool with_bias : {false, true})
        for (const bool with_residual : {false, true})
            for (const bool relu : {false, true}) {
                winograd.forward(g, x.data(), w.data(),
                                 {with_bias ? bias.data() : nullptr, with_residual ? residual.data() : nullptr, relu}, found.data());
                double largest = 0;
                for (size_t i = 0; i < found.size(); ++i) {
                    float right = plain[i] + (with_bias ? bias[i % bias.size()] : 0) + (with_residual ? residual[i] : 0);
                    if (relu) right = std::max(right, 0.0f);
                    largest = worse(largest, std::abs(double{found[i]} - right));
                }
                CHECK(largest <= 4e-6);  // a rounding or two of numbers up to 32
            }
    std::vector<float> spoilt = x;
    spoilt[0] = std::numeric_limits<float>::quiet_NaN();
    winograd.forward(g, spoilt.data(), w.data(), {nullptr, nullptr, true}, found.data());
    CHECK(std::isnan(found[0]));
}

TEST_CASE("winograd: the bits are the threads' business in the weights' gradient alone, and there they repeat") {
    // Filters whose gradient is cut into pieces of the tiles, into pieces and shares of the channels, and into shares alone, whose sums
    // have one order.
    struct Cut {
        Conv2dGeometry g;
        bool shares_alone;
    };
    const int before = omp_get_max_threads();
    for (const auto& [g, shares_alone] : {Cut{geometry(96, 16, 16, 16, 32), false}, Cut{geometry(9, 16, 16, 96, 128), false},
                                          Cut{geometry(9, 16, 16, 192, 160), true}, Cut{geometry(7, 16, 16, 512, 192), true}}) {
        CAPTURE(to_string(g.w));
        Winograd winograd;
        omp_set_num_threads(1);
        const Answers one = answers(winograd, g);
        for (const int threads : {2, 3, 16}) {
            CAPTURE(threads);
            omp_set_num_threads(threads);
            const Answers several = answers(winograd, g), again = answers(winograd, g);
            CHECK(one.y == several.y);
            CHECK(one.dx == several.dx);
            CHECK(several.dw == again.dw);
            CHECK((one.dw == several.dw) == shares_alone);
            CHECK(error(several.dw, std::vector<double>(one.dw.begin(), one.dw.end())) < error_bound(g.y.size() / g.y.c));
        }
    }
    omp_set_num_threads(before);
}

TEST_CASE("winograd: the data's gradient can be added to what is there") {
    const Conv2dGeometry g = geometry(3, 7, 8, 16, 32);
    const std::vector<float> w = normal(g.w.size(), 2), dy = normal(g.y.size(), 3), before = normal(g.x.size(), 4);
    Winograd winograd;
    std::vector<float> dx(before.size()), added = before;
    winograd.backward_data(g, dy.data(), w.data(), dx.data());
    winograd.backward_data(g, dy.data(), w.data(), added.data(), true);
    double largest = 0;
    for (size_t i = 0; i < dx.size(); ++i) largest = worse(largest, std::abs(double{added[i]} - (dx[i] + before[i])));
    CHECK(largest <= 4e-6);  // a rounding of numbers up to 64
}

TEST_CASE("winograd: in bfloat16 it rounds what it writes, and nothing else") {
    Conv2dGeometry g = geometry(2, 8, 8, 16, 16);
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2);
    const std::vector<bfloat16> x16(x.begin(), x.end()), w16(w.begin(), w.end());
    const std::vector<float> rounded_x(x16.begin(), x16.end()), rounded_w(w16.begin(), w16.end());
    Winograd winograd;
    std::vector<float> y(static_cast<size_t>(g.y.size()));
    winograd.forward(g, rounded_x.data(), rounded_w.data(), {}, y.data());
    std::vector<bfloat16> found(y.size());
    g.type = DType::bf16;
    winograd.forward(g, x16.data(), w16.data(), {}, found.data());
    size_t different = 0;
    for (size_t i = 0; i < y.size(); ++i) different += bfloat16(y[i]).bits != found[i].bits;
    CHECK(different == 0);
}

TEST_CASE("winograd: taken for 3x3 convolutions of stride 1 on maps that fill its tiles, whatever the batch, and never when off") {
    const auto with = [](Conv2dGeometry g, int stride, int groups, int64_t kernel) {
        g.stride_h = g.stride_w = stride, g.groups = groups, g.w.h = g.w.w = kernel;
        return g;
    };
    const Conv2dGeometry usual = geometry(8, 16, 16, 16, 32);
    CHECK(Winograd::pays(usual));
    CHECK_FALSE(Winograd::fits(with(usual, 2, 1, 3)));
    CHECK_FALSE(Winograd::fits(with(usual, 1, 16, 3)));
    CHECK_FALSE(Winograd::fits(with(usual, 1, 1, 1)));
    CHECK_FALSE(Winograd::fits(geometry(8, 16, 16, 3, 16)));
    CHECK_FALSE(Winograd::fits(geometry(8, 16, 16, 16, lanes + 1)));
    CHECK_FALSE(Winograd::pays(geometry(128, 2, 2, 64, 64)));  // a quarter of each tile
    CHECK_FALSE(Winograd::pays(geometry(128, 5, 5, 64, 64)));
    CHECK(Winograd::pays(geometry(1, 6, 6, 64, 64)));
    CHECK_FALSE(CpuConvolutions(false).by_winograd(usual));
    CHECK(CpuConvolutions(true).by_winograd(usual));
}

TEST_CASE("winograd: the CPU backend with and without it agree, and are not the same sums") {
    const Conv2dGeometry g = geometry(8, 16, 16, 16, 32);
    const auto run = [&](bool on) {
        const auto backend = make_cpu_backend({0, Precision::fp32, true, on});
        const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2);
        std::vector<float> y(static_cast<size_t>(g.y.size()));
        backend->conv2d_forward(g, x.data(), w.data(), {}, y.data());
        return y;
    };
    const std::vector<float> with = run(true), without = run(false);
    CHECK(with != without);
    CHECK(error(with, {without.begin(), without.end()}) < 1e-4);
}

TEST_SUITE_END();
