// cpu_depthwise.h: against sums in double, its bits for any number of threads, and when it is taken.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>

#include "cpu_depthwise.h"
#include "device.h"
#include "exact_conv.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

Conv2dGeometry geometry(int64_t images, int64_t height, int64_t width, int64_t channels, int stride) {
    Conv2dGeometry g;
    g.x = {images, height, width, channels};
    g.w = {channels, 3, 3, 1};
    g.y = {images, (height - 1) / stride + 1, (width - 1) / stride + 1, channels};
    g.stride_h = g.stride_w = stride, g.pad_h = g.pad_w = 1, g.groups = static_cast<int>(channels);
    return g;
}

std::vector<float> weights_gradient(const Conv2dGeometry& g) {
    const std::vector<float> x = normal(g.x.size(), 1), dy = normal(g.y.size(), 3);
    std::vector<float> dw(static_cast<size_t>(g.w.size()));
    DepthwiseWeights().backward(g, x.data(), dy.data(), dw.data());
    return dw;
}

}  // namespace

TEST_CASE("depthwise: near the sums in double, for many channels and sizes") {
    for (const int64_t channels : {1, 2, 3, 5, 8, 12, 16, 54, 60, 72, 100})
        for (const auto& [height, width] :
             std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 2}, {1, 5}, {3, 5}, {4, 4}, {7, 1}, {9, 11}, {12, 10}, {16, 16}})
            for (const int stride : {1, 2}) {
                const Conv2dGeometry g = geometry(3, height, width, channels, stride);
                CAPTURE(to_string(g.x));
                CAPTURE(stride);
                REQUIRE(DepthwiseWeights::fits(g));
                CHECK(error(weights_gradient(g), exact(g).dw) < error_bound(std::max<int64_t>(9, g.y.size() / channels)));
            }
}

TEST_CASE("depthwise: the bits do not depend on the number of threads") {
    const int before = omp_get_max_threads();
    for (const Conv2dGeometry& g : {geometry(6, 16, 16, 20, 1), geometry(6, 17, 16, 54, 2), geometry(40, 2, 2, 300, 1)}) {
        CAPTURE(to_string(g.x));
        omp_set_num_threads(1);
        const std::vector<float> one = weights_gradient(g);
        for (const int threads : {2, 3}) {
            omp_set_num_threads(threads);
            CHECK(one == weights_gradient(g));
        }
        omp_set_num_threads(before);
    }
}

TEST_CASE("depthwise: taken for one 3x3 filter a channel, padding 1, equal strides of 1 or 2, fp32") {
    const Conv2dGeometry fits = geometry(2, 8, 8, 16, 2);
    const auto fits_with = [&](auto change) {
        Conv2dGeometry g = fits;
        change(g);
        return DepthwiseWeights::fits(g);
    };
    CHECK(DepthwiseWeights::fits(fits));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.type = DType::bf16; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.stride_w = 1; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.stride_h = g.stride_w = 3; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.pad_w = 0; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.w.h = 5; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.groups = 8, g.w.c = 2; }));
    CHECK(!fits_with([](Conv2dGeometry& g) { g.y.c = g.w.n = 32; }));
}

TEST_CASE("depthwise: a backend's gradient of such weights is this one") {
    const Conv2dGeometry g = geometry(2, 8, 6, 12, 2);
    const std::vector<float> x = normal(g.x.size(), 1), dy = normal(g.y.size(), 3);
    std::vector<float> dw(static_cast<size_t>(g.w.size()));
    make_cpu_backend()->conv2d_backward_weights(g, x.data(), dy.data(), dw.data());
    CHECK(dw == weights_gradient(g));
}

TEST_SUITE_END();
