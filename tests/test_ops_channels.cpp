// Joining, cutting, padding and gating channels: values by hand, naive loops, gradients.
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

std::vector<OpCase> cases(const std::vector<Shape>& shapes) {
    std::vector<OpCase> all;
    for (const Shape& s : shapes) {
        const std::string at = " " + to_string(s);
        const HostTensor x = uniform_input("x", s);
        for (const int64_t c : {1, 3, 16})
            all.push_back({"concat_channels" + at + " and " + std::to_string(c),
                           {x, uniform_input("b", {s.n, s.h, s.w, c})},
                           [](const Inputs& in) { return concat_channels(in[0], in[1]); }});
        all.push_back(
            {"interleave_channels" + at, {x, uniform_input("b", s)}, [](const Inputs& in) { return interleave_channels(in[0], in[1]); }});
        for (const int64_t before : {0, 2, 16})
            for (const int64_t after : {0, 3})
                all.push_back({"pad_channels" + at + " by " + std::to_string(before) + " and " + std::to_string(after),
                               {x},
                               [=](const Inputs& in) { return pad_channels(in[0], before, after); }});
        all.push_back({"flatten" + at, {x}, [](const Inputs& in) { return flatten(in[0]); }});
        if (s.c == 1) continue;
        for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {1, 2}, {s.c - 2, 2}, {0, s.c}})
            all.push_back({"slice_channels" + at + " from " + std::to_string(first) + ", " + std::to_string(count),
                           {x},
                           [first = first, count = count](const Inputs& in) { return slice_channels(in[0], first, count); }});
    }
    return all;
}

std::vector<OpCase> cases() { return cases({{2, 3, 5, 3}, {1, 1, 1, 1}, {2, 4, 3, 16}, {3, 1, 7, 20}, {9, 1, 1, 33}}); }

/// Element by element: y[p, j] = f(p, j).
template <class F>
std::vector<double> by_pixel(const Shape& s, int64_t channels, const F& f) {
    std::vector<double> y;
    for (int64_t p = 0; p < s.pixels(); ++p)
        for (int64_t j = 0; j < channels; ++j) y.push_back(f(p, j));
    return y;
}

}  // namespace

TEST_CASE("channels: worked examples") {
    const Var a(Tensor::from_host(cpu(), {1, 1, 2, 2}, {1, 2, 3, 4})), b(Tensor::from_host(cpu(), {1, 1, 2, 1}, {8, 9}));
    CHECK(concat_channels(a, b).value().to_host() == std::vector<float>{1, 2, 8, 3, 4, 9});
    CHECK(interleave_channels(a, scale(a, 10)).value().to_host() == std::vector<float>{1, 10, 2, 20, 3, 30, 4, 40});
    CHECK(concat_channels(b, a).value().to_host() == std::vector<float>{8, 1, 2, 9, 3, 4});
    CHECK(slice_channels(a, 1, 1).value().to_host() == std::vector<float>{2, 4});
    CHECK(pad_channels(b, 1, 2).value().to_host() == std::vector<float>{0, 8, 0, 0, 0, 9, 0, 0});
    const Var flat = flatten(a);
    CHECK(flat.shape() == Shape{1, 1, 1, 4});
    CHECK(flat.data() == a.data());  // no copy
    CHECK(&slice_channels(a, 0, 2).node() == &a.node());
    CHECK(&pad_channels(a, 0, 0).node() == &a.node());
}

TEST_CASE("channels: forward like the naive loops") {
    for (const Shape& s : {Shape{2, 3, 5, 3}, Shape{2, 4, 3, 16}, Shape{3, 1, 7, 20}, Shape{64, 9, 9, 4}}) {
        const Shape other{s.n, s.h, s.w, 5};
        const HostTensor x = uniform_input("x", s), b = uniform_input("b", other);
        const Inputs in = upload(cpu(), {x, b});
        const auto x_at = [&](int64_t p, int64_t j) { return static_cast<double>(x.values[static_cast<size_t>(p * s.c + j)]); };
        const auto b_at = [&](int64_t p, int64_t j) { return static_cast<double>(b.values[static_cast<size_t>(p * 5 + j)]); };
        check_values("concat", concat_channels(in[0], in[1]).value().to_host(),
                     by_pixel(s, s.c + 5, [&](int64_t p, int64_t j) { return j < s.c ? x_at(p, j) : b_at(p, j - s.c); }), 0);
        check_values("slice", slice_channels(in[0], 1, 2).value().to_host(),
                     by_pixel(s, 2, [&](int64_t p, int64_t j) { return x_at(p, j + 1); }), 0);
        check_values("pad", pad_channels(in[0], 2, 3).value().to_host(),
                     by_pixel(s, s.c + 5, [&](int64_t p, int64_t j) { return j < 2 || j >= s.c + 2 ? 0 : x_at(p, j - 2); }), 0);
    }
}

TEST_CASE("channels: gradients") { check_gradients(cases()); }

TEST_CASE("channels: gradients into one of two inputs") {
    const std::vector<HostTensor> in{uniform_input("x", {2, 3, 2, 4}), uniform_input("b", {2, 3, 2, 3})},
        equal{in[0], uniform_input("y", {2, 3, 2, 4})};
    for (const size_t only : {0, 1}) {
        std::vector<HostTensor> one = in, of_equal = equal;
        one[1 - only].wanted = of_equal[1 - only].wanted = false;
        check_gradients({"interleave, one side", of_equal, [](const Inputs& i) { return interleave_channels(i[0], i[1]); }});
        check_gradients({"concat, one side", one, [](const Inputs& i) { return concat_channels(i[0], i[1]); }});
    }
}

TEST_CASE("channels: a tensor beside itself") {
    const std::vector<HostTensor> in{uniform_input("x", {2, 3, 2, 4})};
    check_gradients({"concat(x, x)", in, [](const Inputs& i) { return concat_channels(i[0], i[0]); }});
    check_gradients({"interleave(x, x)", in, [](const Inputs& i) { return interleave_channels(i[0], i[0]); }});
    check_gradients({"overlapping slices", in,
                     [](const Inputs& i) { return concat_channels(slice_channels(i[0], 0, 3), slice_channels(i[0], 1, 3)); }});
    check_gradients({"flatten twice", in, [](const Inputs& i) { return mul(flatten(i[0]), flatten(sigmoid(i[0]))); }});
    check_gradients({"flatten beside the image", in, [](const Inputs& i) {  // gradients of two shapes meet in x
                         return add(mean(flatten(i[0])), mean(mul(i[0], i[0])));
                     }});
}

TEST_CASE("channels: shapes that do not fit name both") {
    const Var a(Tensor::zeros(cpu(), {2, 3, 3, 4})), b(Tensor::zeros(cpu(), {2, 3, 4, 3}));
    CHECK_THROWS_WITH_AS(concat_channels(a, b), doctest::Contains("(2,3,3,4) and (2,3,4,3)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(interleave_channels(a, b), doctest::Contains("(2,3,3,4) and (2,3,4,3)"), std::runtime_error);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{3, 2}, {-1, 2}, {0, 0}, {0, 5}})
        CHECK_THROWS_WITH_AS(slice_channels(a, first, count), doctest::Contains("(2,3,3,4)"), std::runtime_error);
    CHECK_THROWS_WITH_AS(pad_channels(a, -1, 0), doctest::Contains("(2,3,3,4)"), std::runtime_error);
}

TEST_CASE("channels: the number of threads changes no bit") { check_threads_do_not_matter(cases({{17, 9, 11, 20}})); }
TEST_CASE("channels: CUDA like the CPU") { compare_backends(cases()); }
