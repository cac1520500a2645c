// align_vectors: which vector is chosen, with which sign, and where its gradient goes.
#include "base_error.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

Tensor on_cpu(Shape shape, const std::vector<float>& values) { return Tensor::from_host(cpu(), shape, values); }

/// Random vectors: the choice is far from a tie.
std::vector<OpCase> cases() {
    std::vector<OpCase> ops;
    for (const auto& [teacher, student] : {std::pair<int64_t, int64_t>{1, 4}, {3, 4}, {2, 1}}) {
        const HostTensor s = uniform_input("student", {3, 1, student, 40}), t = uniform_input("teacher", {3, 1, teacher, 40});
        ops.push_back({text("align ", student, " to ", teacher), {s, without_gradient(t)}, [](const Inputs& in) {
                           return align_vectors(in[0], in[1].value());
                       }});
    }
    const HostTensor map = uniform_input("map", {2, 4, 4, 6}, 0, 1), other = uniform_input("teacher's map", {2, 4, 4, 6}, 0, 1);
    ops.push_back({"align what svd finds", {map, without_gradient(other)}, [](const Inputs& in) {
                       return align_vectors(right_singular_vectors(in[0], 4), right_singular_vectors(in[1], 1).value());
                   }});
    return ops;
}

}  // namespace

TEST_CASE("align: the largest |cosine|, with its sign") {
    const Tensor teacher = on_cpu({2, 1, 2, 3}, {1, 0, 0, 0, 0.6f, 0.8f,  //
                                                 0, 1, 0, 0, 0, 1});
    const std::vector<float> s{0, 1,  0, 0.6f, 0, 0.8f, -0.8f, 0, 0.6f,  //
                               0, -1, 0, 0,    0, 1,    1,     0, 0};
    const Inputs student{Var(on_cpu({2, 1, 3, 3}, s), true)};
    const std::vector<float> dy{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const Var y = run_backward([&](const Inputs& in) { return align_vectors(in[0], teacher); }, student, dy);
    CHECK(y.shape() == Shape{2, 1, 2, 3});
    CHECK(y.value().to_host() == std::vector<float>{0.8f, 0, -0.6f, 0.6f, 0, 0.8f, 0, 1, 0, 0, 0, 1});
    CHECK(student[0].node().gradient.to_host() == std::vector<float>{0, 0, 0, 4, 5, 6, -1, -2, -3, -7, -8, -9, 10, 11, 12, 0, 0, 0});
}

TEST_CASE("align: of equals the first; one student's vector may answer several") {
    const Tensor teacher = on_cpu({1, 1, 2, 2}, {1, 0, -1, 0});
    const Inputs student{Var(on_cpu({1, 1, 2, 2}, {0.5f, 0.5f, -0.5f, 0.5f}), true)};
    const Var y = run_backward([&](const Inputs& in) { return align_vectors(in[0], teacher); }, student, {1, 2, 10, 20});
    CHECK(y.value().to_host() == std::vector<float>{0.5f, 0.5f, -0.5f, -0.5f});
    CHECK(student[0].node().gradient.to_host() == std::vector<float>{-9, -18, 0, 0});
}

TEST_CASE("align: gradients") { check_gradients(cases()); }

TEST_CASE("align: shapes that do not fit name both") {
    const Var s(Tensor::zeros(cpu(), {2, 1, 4, 8}));
    CHECK_THROWS_WITH(align_vectors(s, Tensor::zeros(cpu(), {2, 1, 1, 6})),
                      "align_vectors: student (2,1,4,8) and teacher (2,1,1,6) are not (N,1,vectors,C) of the same N and C "
                      "---> right_singular_vectors() of maps of equal width");
    CHECK_THROWS(align_vectors(s, Tensor::zeros(cpu(), {3, 1, 1, 8})));
    CHECK_THROWS(align_vectors(Var(Tensor::zeros(cpu(), {2, 2, 2, 8})), Tensor::zeros(cpu(), {2, 1, 1, 8})));
}

TEST_CASE("align: the number of threads changes no bit") {
    const HostTensor student = uniform_input("student", {300, 1, 4, 40}),
                     teacher = without_gradient(uniform_input("teacher", {300, 1, 3, 40}));
    check_threads_do_not_matter({{"align many", {student, teacher}, [](const Inputs& in) { return align_vectors(in[0], in[1].value()); }}});
}

TEST_CASE("align: CUDA like the CPU") { compare_backends(cases()); }
