// cpu_pointwise.h: 1×1 convolutions as products against sums in double, and when they are taken.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu_conv2d.h"
#include "device.h"
#include "exact_conv.h"
#include "gradcheck.h"
#include "ops.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

Conv2dGeometry geometry(int64_t images, int64_t height, int64_t width, int64_t in, int64_t out, int groups = 1) {
    Conv2dGeometry g;
    g.x = {images, height, width, in};
    g.w = {out, 1, 1, in / groups};
    g.y = {images, height, width, out};
    g.groups = groups;
    return g;
}

}  // namespace

TEST_CASE("pointwise: all directions near the sums in double, for few and many pixels and channels, with groups and without") {
    for (const Conv2dGeometry& g :
         {geometry(1, 1, 1, 1, 1), geometry(1, 2, 3, 3, 24), geometry(2, 5, 7, 24, 5), geometry(3, 23, 25, 16, 16),
          geometry(2, 23, 25, 12, 72), geometry(2, 23, 25, 72, 12), geometry(5, 16, 16, 60, 240, 3), geometry(5, 16, 16, 240, 60, 3),
          geometry(2, 4, 4, 960, 240, 3), geometry(1, 4, 4, 512, 130), geometry(4, 16, 16, 130, 512), geometry(3, 9, 11, 8, 8, 8)}) {
        CAPTURE(to_string(g.x));
        CAPTURE(to_string(g.w));
        REQUIRE(Pointwise::fits(g));
        Pointwise products;
        const Exact right = exact(g);
        const Answers found = answers(products, g);
        CHECK(error(found.y, right.y) < error_bound(g.w.c));
        CHECK(error(found.dx, right.dx) < error_bound(g.y.c / g.groups));
        CHECK(error(found.dw, right.dw) < error_bound(std::max<int64_t>(36, g.x.pixels())));
    }
}

TEST_CASE("pointwise: the bits repeat, and are a backend's") {
    const int before = omp_get_max_threads();
    for (const Conv2dGeometry& g : {geometry(9, 13, 11, 60, 24, 3), geometry(2, 2, 2, 480, 160), geometry(1, 5, 103, 48, 200)})
        for (const int threads : {1, 3}) {
            CAPTURE(to_string(g.x));
            CAPTURE(threads);
            omp_set_num_threads(threads);
            Pointwise products;
            const Answers found = answers(products, g), again = answers(products, g);
            ByBackend backend{make_cpu_backend()};
            const Answers theirs = answers(backend, g);
            omp_set_num_threads(before);
            CHECK(found.y == again.y);
            CHECK(found.dx == again.dx);
            CHECK(found.dw == again.dw);
            if (Pointwise::pays_forward(g)) CHECK(found.y == theirs.y);
            CHECK(found.dx == theirs.dx);
            CHECK(found.dw == theirs.dw);
        }
}

TEST_CASE("pointwise: bias, residual and ReLU after the product; a NaN stays one") {
    const Conv2dGeometry g = geometry(2, 7, 6, 18, 12, 3);
    const std::vector<float> x = normal(g.x.size(), 1), w = normal(g.w.size(), 2), bias = normal(g.y.c, 4),
                             residual = normal(g.y.size(), 5);
    Pointwise products;
    std::vector<float> plain(residual.size()), found(residual.size());
    products.forward(g, x.data(), w.data(), {}, plain.data());
    products.forward(g, x.data(), w.data(), {bias.data(), residual.data(), true}, found.data());
    for (size_t i = 0; i < found.size(); ++i)
        CHECK(found[i] == doctest::Approx(std::max(plain[i] + residual[i] + bias[i % bias.size()], 0.0f)).epsilon(1e-6));
    std::vector<float> spoilt = x;
    spoilt[0] = std::numeric_limits<float>::quiet_NaN();
    products.forward(g, spoilt.data(), w.data(), {nullptr, nullptr, true}, found.data());
    CHECK(std::isnan(found[0]));
}

TEST_CASE("pointwise: the gradient of a map that two convolutions read is the sum of both") {
    check_gradients(
        {{"two 1x1 convolutions of one map",
          {uniform_input("shared x", {2, 5, 4, 6}), uniform_input("shared w", {6, 1, 1, 6}), uniform_input("shared v", {6, 1, 1, 2})},
          [](const Inputs& in) {
              return add(conv2d(in[0], in[1]), conv2d(in[0], in[2], {1, 1, 0, 0, 3}));
          }}});
}

TEST_CASE("pointwise: taken for 1x1 convolutions of stride 1 alone; forward, for groups or few channels") {
    const Conv2dGeometry wide = geometry(2, 4, 4, 256, 64), few = geometry(2, 4, 4, 256, 48), groups = geometry(2, 4, 4, 240, 240, 3);
    CHECK(Pointwise::fits(wide));
    CHECK_FALSE(Pointwise::pays_forward(wide));
    CHECK(Pointwise::pays_forward(few));
    CHECK(Pointwise::pays_forward(groups));
    const CpuConvolutions convolutions(true);
    CHECK(convolutions.adds_backward_data(wide));
    for (const auto& change : std::vector<void (*)(Conv2dGeometry&)>{
             [](Conv2dGeometry& g) { g.stride_h = g.stride_w = 2, g.y.h = g.y.w = 2; }, [](Conv2dGeometry& g) { g.w.w = 3; },
             [](Conv2dGeometry& g) { g.pad_h = g.pad_w = 1; }, [](Conv2dGeometry& g) { g.type = DType::bf16; }}) {
        Conv2dGeometry other = few;
        change(other);
        CHECK_FALSE(Pointwise::fits(other));
        CHECK_FALSE(Pointwise::pays_forward(other));
        CHECK_FALSE(convolutions.adds_backward_data(other));
    }
}

TEST_SUITE_END();
