// Pooling and resizing: values by hand, naive loops over windows, gradients, ties.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base_error.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

const std::vector<Shape>& shapes() {
    static const std::vector<Shape> all = {{2, 6, 8, 3}, {1, 7, 5, 1}, {2, 8, 8, 16}, {1, 5, 9, 20}, {1, 3, 3, 35}};
    return all;
}
const std::vector<PoolOptions>& options() {
    static const std::vector<PoolOptions> all = {{2, 2, 0}, {3, 2, 1}, {3, 1, 1}, {3, 3, 0}, {2, 3, 1}, {1, 2, 0}, {2, 1, 0}};
    return all;
}
const std::vector<std::pair<int64_t, int64_t>>& targets() {
    static const std::vector<std::pair<int64_t, int64_t>> all = {{1, 1}, {2, 2}, {4, 4}, {3, 5}, {7, 2}, {16, 10}, {13, 17}};
    return all;
}

std::string text_of(const Shape& s, const PoolOptions& o) {
    return text(' ', to_string(s), " size ", o.size, ", stride ", o.stride, ", pad ", o.pad);
}
std::string text_of(const Shape& s, int64_t h, int64_t w) { return text(' ', to_string(s), " to ", h, 'x', w); }

std::vector<OpCase> cases(const std::vector<Shape>& of = shapes()) {
    std::vector<OpCase> all;
    for (const Shape& s : of) {
        const HostTensor x = uniform_input("x", s);
        for (const PoolOptions& o : options())
            all.push_back({"avg_pool" + text_of(s, o), {x}, [o](const Inputs& in) { return avg_pool(in[0], o); }});
        for (const auto& [h, w] : targets()) {
            const int64_t height = h, width = w;
            all.push_back(
                {"adaptive_avg_pool" + text_of(s, h, w), {x}, [=](const Inputs& in) { return adaptive_avg_pool(in[0], height, width); }});
            all.push_back(
                {"resize_nearest" + text_of(s, h, w), {x}, [=](const Inputs& in) { return resize_nearest(in[0], height, width); }});
        }
        all.push_back({"global_avg_pool " + to_string(s), {x}, [](const Inputs& in) { return global_avg_pool(in[0]); }});
        for (const int stride : {1, 2, 3})
            all.push_back(
                {text("subsample ", to_string(s), " by ", stride), {x}, [=](const Inputs& in) { return subsample(in[0], stride); }});
    }
    return all;
}

/// Maxima: a step of the checker must not change which element wins, so no two of the at most 48 values are near each other.
const std::vector<Shape> few_values{{1, 4, 5, 2}, {1, 5, 3, 3}, {1, 3, 3, 1}, {2, 2, 6, 2}, {1, 1, 2, 20}, {1, 2, 1, 16}};
std::vector<OpCase> max_cases(const std::vector<Shape>& of = few_values) {
    std::vector<OpCase> all;
    for (const Shape& s : of)
        for (const PoolOptions& o : options()) {
            if (s.h + 2 * o.pad < o.size || s.w + 2 * o.pad < o.size) continue;
            all.push_back({"max_pool" + text_of(s, o), {distinct_input("x", s)}, [o](const Inputs& in) { return max_pool(in[0], o); }});
        }
    return all;
}

struct Window {
    int64_t h0, h1, w0, w1;
};
/// y[n,i,j,c] = f(x of the window, row by row); `window(i, j)` is clipped here.
template <class Windows, class Reduce>
std::vector<double> naive(const HostTensor& x, int64_t oh, int64_t ow, const Windows& window, const Reduce& reduce) {
    const Shape& s = x.shape;
    std::vector<double> y;
    for (int64_t n = 0; n < s.n; ++n)
        for (int64_t i = 0; i < oh; ++i)
            for (int64_t j = 0; j < ow; ++j)
                for (int64_t c = 0; c < s.c; ++c) {
                    const Window v = window(i, j);
                    std::vector<double> seen;
                    for (int64_t h = std::max<int64_t>(0, v.h0); h < std::min(s.h, v.h1); ++h)
                        for (int64_t w = std::max<int64_t>(0, v.w0); w < std::min(s.w, v.w1); ++w)
                            seen.push_back(x.values[static_cast<size_t>(((n * s.h + h) * s.w + w) * s.c + c)]);
                    y.push_back(reduce(seen, v));
                }
    return y;
}
double sum_of(const std::vector<double>& v) {
    double sum = 0;
    for (double e : v) sum += e;
    return sum;
}

}  // namespace

TEST_CASE("pooling: worked examples") {
    const Var x(Tensor::from_host(cpu(), {1, 3, 4, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
    CHECK(max_pool(x, {2, 2, 0}).value().to_host() == std::vector<float>{6, 8});
    CHECK(max_pool(x, {3, 2, 1}).value().to_host() == std::vector<float>{6, 8, 10, 12});
    CHECK(avg_pool(x, {2, 2, 0}).value().to_host() == std::vector<float>{3.5f, 5.5f});
    CHECK(avg_pool(x, {2, 2, 1}).value().to_host() == std::vector<float>{0.25f, 1.25f, 1, 3.5f, 8.5f, 5});  // borders count as zeros
    CHECK(global_avg_pool(x).value().to_host() == std::vector<float>{6.5f});
    CHECK(adaptive_avg_pool(x, 2, 3).value().to_host() == std::vector<float>{3.5f, 4.5f, 5.5f, 7.5f, 8.5f, 9.5f});  // cells overlap
    CHECK(subsample(x, 2).value().to_host() == std::vector<float>{1, 3, 9, 11});
    CHECK(resize_nearest(x, 2, 2).value().to_host() == std::vector<float>{1, 3, 5, 7});
    CHECK(resize_nearest(x, 4, 6).value().to_host() == std::vector<float>{1, 1, 2,  3,  3,  4,  //
                                                                          1, 1, 2,  3,  3,  4,  //
                                                                          5, 5, 6,  7,  7,  8,  //
                                                                          9, 9, 10, 11, 11, 12});
    for (const Var& same : {resize_nearest(x, 3, 4), adaptive_avg_pool(x, 3, 4), subsample(x, 1)}) CHECK(&same.node() == &x.node());
    const Var negative(Tensor::from_host(cpu(), {1, 2, 2, 1}, {-5, -6, -7, -8}));
    CHECK(max_pool(negative, {2, 1, 1}).value().to_host() == std::vector<float>{-5, -5, -6, -5, -5, -6, -7, -7, -8});  // padding never wins
}

TEST_CASE("pooling: forward like the naive loops") {
    for (const Shape& s : shapes()) {
        const HostTensor x = uniform_input("x", s);
        const Inputs in = upload(cpu(), {x});
        for (const PoolOptions& o : options()) {
            const int64_t oh = (s.h + 2 * o.pad - o.size) / o.stride + 1, ow = (s.w + 2 * o.pad - o.size) / o.stride + 1;
            const auto window = [&](int64_t i, int64_t j) {
                const int64_t h = i * o.stride - o.pad, w = j * o.stride - o.pad;
                return Window{h, h + o.size, w, w + o.size};
            };
            const Var average = avg_pool(in[0], o), top = max_pool(in[0], o);
            CHECK(average.shape() == Shape{s.n, oh, ow, s.c});
            CHECK(top.shape() == Shape{s.n, oh, ow, s.c});
            check_values("avg_pool" + text_of(s, o), average.value().to_host(),
                         naive(x, oh, ow, window, [&](const auto& v, const Window&) { return sum_of(v) / (o.size * o.size); }));
            check_values("max_pool" + text_of(s, o), top.value().to_host(),
                         naive(x, oh, ow, window, [](const auto& v, const Window&) { return *std::max_element(v.begin(), v.end()); }), 0);
        }
        for (const auto& [h, w] : targets()) {
            const int64_t oh = h, ow = w;
            const auto cell = [&](int64_t i, int64_t j) {
                const auto low = [](int64_t t, int64_t from, int64_t to) { return t * from / to; };
                const auto high = [](int64_t t, int64_t from, int64_t to) {
                    return static_cast<int64_t>(std::ceil(static_cast<double>((t + 1) * from) / static_cast<double>(to)));
                };
                return Window{low(i, s.h, oh), high(i, s.h, oh), low(j, s.w, ow), high(j, s.w, ow)};
            };
            const auto average = [](const auto& v, const Window&) { return sum_of(v) / static_cast<double>(v.size()); };
            check_values("adaptive_avg_pool" + text_of(s, h, w), adaptive_avg_pool(in[0], h, w).value().to_host(),
                         naive(x, oh, ow, cell, average));
            check_values("resize_nearest" + text_of(s, h, w), resize_nearest(in[0], h, w).value().to_host(),
                         naive(x, oh, ow, cell, [](const auto& v, const Window&) { return v[0]; }), 0);
        }
        check_values("global_avg_pool " + to_string(s), global_avg_pool(in[0]).value().to_host(),
                     naive(
                         x, 1, 1,
                         [&](int64_t, int64_t) {
                             return Window{0, s.h, 0, s.w};
                         },
                         [](const auto& v, const Window&) { return sum_of(v) / static_cast<double>(v.size()); }));
        for (const int64_t stride : {1, 2, 3})
            check_values("subsample " + to_string(s), subsample(in[0], static_cast<int>(stride)).value().to_host(),
                         naive(
                             x, (s.h + stride - 1) / stride, (s.w + stride - 1) / stride,
                             [&](int64_t i, int64_t j) {
                                 return Window{i * stride, i * stride + 1, j * stride, j * stride + 1};
                             },
                             [](const auto& v, const Window&) { return v[0]; }),
                         0);
    }
}

TEST_CASE("pooling: gradients") { check_gradients(cases()); }
TEST_CASE("max_pool: gradients") { check_gradients(max_cases()); }

TEST_CASE("max_pool: of equals the first gets the gradient, once for each window that it wins") {
    const auto gradient = [](Shape s, std::vector<float> values, PoolOptions o, const std::vector<float>& dy) {
        const Inputs in = upload(cpu(), {{s, std::move(values)}});
        run_backward([o](const Inputs& i) { return max_pool(i[0], o); }, in, dy);
        return in[0].node().gradient.to_host();
    };
    CHECK(gradient({1, 2, 2, 1}, {0, 0, 0, 0}, {2, 2, 0}, {7}) == std::vector<float>{7, 0, 0, 0});
    CHECK(gradient({1, 2, 2, 1}, {0, 3, 3, 0}, {2, 2, 0}, {7}) == std::vector<float>{0, 7, 0, 0});
    CHECK(gradient({1, 1, 3, 1}, {1, 5, 2}, {1, 1, 0}, {1, 2, 3}) == std::vector<float>{1, 2, 3});
    CHECK(gradient({1, 3, 3, 1}, {0, 0, 0, 0, 9, 0, 0, 0, 0}, {2, 1, 0}, {1, 2, 3, 4}) == std::vector<float>{0, 0, 0, 0, 10, 0, 0, 0, 0});
    const float low = -std::numeric_limits<float>::infinity();
    CHECK(gradient({1, 1, 2, 1}, {low, low}, {2, 1, 1}, {1, 2, 4, 8, 16, 32}) == std::vector<float>{1 + 2 + 8 + 16, 4 + 32});
}

TEST_CASE("max_pool: NaN is passed on") {
    const float nan = std::nanf("");
    const Var x(Tensor::from_host(cpu(), {1, 2, 2, 1}, {1, nan, 3, 2}));
    CHECK(std::isnan(max_pool(x, {2, 2, 0}).value().item()));
}

TEST_CASE("pooling: sizes that make no sense are refused") {
    const Var x(Tensor::zeros(cpu(), {2, 3, 5, 4}));
    CHECK_THROWS_WITH_AS(max_pool(x, {4, 1, 0}), doctest::Contains("(2,3,5,4) and (2,0,2,4)"), std::runtime_error);
    for (const PoolOptions& o : {PoolOptions{0, 1, 0}, PoolOptions{2, 0, 0}, PoolOptions{2, 1, -1}, PoolOptions{2, 1, 2}}) {
        CHECK_THROWS_WITH_AS(max_pool(x, o), doctest::Contains("max_pool: size"), std::runtime_error);
        CHECK_THROWS_WITH_AS(avg_pool(x, o), doctest::Contains("avg_pool: size"), std::runtime_error);
    }
    CHECK_THROWS_WITH_AS(subsample(x, 0), doctest::Contains("subsample"), std::runtime_error);
    CHECK_THROWS_WITH_AS(adaptive_avg_pool(x, 0, 1), doctest::Contains("(2,3,5,4) and (2,0,1,4)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(resize_nearest(x, 1, -1), doctest::Contains("(2,3,5,4) and (2,1,-1,4)"), std::runtime_error);
}

TEST_CASE("pooling: the number of threads changes no bit") {
    check_threads_do_not_matter(cases({{29, 11, 14, 20}}));
    check_threads_do_not_matter(max_cases({{29, 11, 14, 20}}));
}
TEST_CASE("pooling: CUDA like the CPU") {
    compare_backends(cases());
    compare_backends(max_cases());
}
