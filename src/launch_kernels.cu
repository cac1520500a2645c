#include "launch_kernels.h"

#include <type_traits>

#include "launch.h"

namespace distill {
namespace {

template <class T>
struct Fill {
    T* y;
    float value;
    int64_t moved_bytes() const { return sizeof *y; }
    DISTILL_HD void operator()(int64_t i) const { y[i] = value; }
};
template <class T>
struct Sum {
    const T *a, *b;
    T* y;
    int64_t moved_bytes() const { return sizeof *a + sizeof *b + sizeof *y; }
    DISTILL_HD void operator()(int64_t i) const { y[i] = a[i] + b[i]; }
};
template <class From, class To>
struct Convert {
    const From* x;
    To* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = static_cast<float>(x[i]); }
};
struct AccumulateScalar {
    float* total;
    const float* x;
    float weight;
    DISTILL_HD void operator()(int64_t) const { *total += weight * *x; }
};

}  // namespace

void fill(const Tensor& y, float value) {
    with_type(y.type(), [&](auto t) {
        using T = decltype(t);
        for_each_element(y.backend(), y.size(), Fill<T>{y.as<T>(), value});
    });
}

void add_tensors(const Tensor& a, const Tensor& b, const Tensor& y) {
    with_type(y.type(), [&](auto t) {
        using T = decltype(t);
        for_each_element(y.backend(), y.size(), Sum<T>{a.as<T>(), b.as<T>(), y.as<T>()});
    });
}

void convert(const Tensor& x, const Tensor& y) {
    if (x.type() == y.type()) return Tensor(y).copy_from(x);
    with_type(y.type(), [&](auto t) {
        using To = decltype(t);
        using From = std::conditional_t<std::is_same_v<To, float>, bfloat16, float>;
        for_each_element(y.backend(), y.size(), Convert<From, To>{x.as<From>(), y.as<To>()});
    });
}

void accumulate_scalar(const Tensor& total, const Tensor& x, float weight) {
    for_each_element(total.backend(), 1, AccumulateScalar{total.data(), x.data(), weight});
}

}  // namespace distill
