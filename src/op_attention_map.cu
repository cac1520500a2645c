// How much a map attends to each pixel: the mean of its channels' squares. A pixel's channels are a row.
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

template <class T>
struct AttentionMapForward {
    int64_t n;
    const T* x;
    float* y;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const T* in = x + pixel * n;
        const float sum = lane.sum(n, [=](int64_t j) {
            const float v = in[j];
            return v * v;
        });
        if (lane.first()) y[pixel] = sum / static_cast<float>(n);
    }
};
template <class T>
struct AttentionMapBackward {
    int64_t n;
    const T* x;
    const float* dy;
    T* dx;
    int64_t moved_bytes() const { return n * static_cast<int64_t>(sizeof *x + sizeof *dx); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t pixel, const Lane& lane) const {
        const T* in = x + pixel * n;
        T* out = dx + pixel * n;
        const float d = dy[pixel] * (2.0f / static_cast<float>(n));
        lane.each(n, [=](int64_t j) { out[j] = in[j] * d; });
    }
};

}  // namespace

Var attention_map(const Var& x) {
    const Shape s = x.shape();
    Var y = result_of(Tensor(x.backend(), {s.n, s.h, s.w, 1}), x);
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), s.pixels(), s.c, AttentionMapForward<T>{s.c, x.as<T>(), y.data()});
    });
    record(y, [x, y, s] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (!dx.wanted()) return;
        with_type(x.type(), [&](auto t) {
            using T = decltype(t);
            for_each_row(x.backend(), s.pixels(), s.c, AttentionMapBackward<T>{s.c, x.as<T>(), dy.data(), dx.as<T>()});
        });
    });
    return y;
}

}  // namespace distill
