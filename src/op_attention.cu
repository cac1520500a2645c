// Multi-head attention between the samples of a batch. The products are the backend's, by the batch; what is left is moving heads about.
#include "base_error.h"
#include "core_philox.h"
#include "launch.h"
#include "op_product.h"
#include "ops.h"

namespace distill {
namespace {

void product(Backend& backend, const GemmShape& s, const float* a, const float* b, float* c) {
    timed_product(backend, "product by heads", s, a, b, c);
}

/// Element i of (N,1,1,A·d) and where (A·N,1,1,d) has it.
struct HeadLayout {
    int64_t samples, heads, width;
    DISTILL_HD int64_t under_each_other(int64_t i) const {
        const int64_t sample = i / (heads * width), head = i / width % heads;
        return (head * samples + sample) * width + i % width;
    }
};
struct ConcatHeads {
    HeadLayout layout;
    const float *x, *kept;  ///< kept may be null
    float* y;
    DISTILL_HD void operator()(int64_t i) const { y[i] = x[layout.under_each_other(i)] * (kept ? kept[i / layout.width] : 1.0f); }
};
struct SplitHeads {
    HeadLayout layout;
    const float *dy, *kept;
    float* dx;
    DISTILL_HD void operator()(int64_t i) const { dx[layout.under_each_other(i)] = dy[i] * (kept ? kept[i / layout.width] : 1.0f); }
};

struct KeptHeads {
    int heads;
    uint64_t key;
    const int32_t* step;
    float* kept;
    DISTILL_HD float noise(int64_t sample, int head) const {
        const Random4 r = philox(key, static_cast<uint64_t>(sample * heads + head), static_cast<uint64_t>(*step));
        return normal(r.v[0], r.v[1]);
    }
    DISTILL_HD void operator()(int64_t sample) const {
        float mean = 0;
        for (int a = 0; a < heads; ++a) mean += noise(sample, a) / static_cast<float>(heads);
        for (int a = 0; a < heads; ++a) kept[sample * heads + a] = heads == 1 || noise(sample, a) > mean ? 1.0f : 0.0f;
    }
};

}  // namespace

Var head_products(const Var& left, const Var& right, int heads) {
    const Var theta = to_float(left), phi = to_float(right);
    const int64_t rows = theta.shape().n, columns = phi.shape().n, width = theta.shape().c, d = width / heads;
    if (heads < 1 || phi.shape().c != width || d * heads != width)
        failure("head_products: ", to_string(theta.shape()), " and ", to_string(phi.shape()), " by ", heads,
                " heads ---> both need as many columns, a multiple of the heads");
    Backend& backend = theta.backend();
    Var y = result_of(Tensor(backend, {heads * rows, 1, 1, columns}), theta, phi);
    const auto by_heads = [=](GemmShape s, int64_t step_a, int64_t step_b, int64_t step_c) {
        s.count = heads, s.step_a = step_a, s.step_b = step_b, s.step_c = step_c;
        return s;
    };
    GemmShape s = by_heads({rows, columns, d, false, true}, d, d, rows * columns);
    s.row_a = s.row_b = width;
    product(backend, s, theta.data(), phi.data(), y.data());
    record(y, [theta, phi, y, by_heads, rows, columns, width, d] {
        const Tensor dy = take_gradient(y);
        Backend& device = theta.backend();
        const auto back = [&](const GradTarget& target, int64_t m, int64_t k, bool transpose, const Var& other) {
            GemmShape g = by_heads({m, d, k, transpose, false}, rows * columns, d, d);
            g.row_b = g.row_c = width;
            if (target.wanted()) product(device, g, dy.data(), other.data(), target.data());
        };
        {
            const GradTarget dtheta(theta);
            back(dtheta, rows, columns, false, phi);
        }
        const GradTarget dphi(phi);
        back(dphi, columns, rows, true, theta);
    });
    return y;
}

Var concat_heads(const Var& given, int heads, const Tensor& kept) {
    const Var x = to_float(given);
    const int64_t rows = x.shape().n, samples = heads > 0 ? rows / heads : 0, width = x.shape().per_sample();
    if (heads < 1 || samples * heads != rows || (kept.defined() && kept.size() != rows))
        failure("concat_heads: ", to_string(x.shape()), " are not the rows of ", heads, " heads", kept.defined() ? " that kept has" : "",
                " ---> (heads·N,1,1,d), and kept (N,1,1,heads)");
    const HeadLayout layout{samples, heads, width};
    Var y = result_of(Tensor(x.backend(), {samples, 1, 1, heads * width}), x);
    for_each_element(x.backend(), y.shape().size(), ConcatHeads{layout, x.data(), kept.defined() ? kept.data() : nullptr, y.data()});
    record(y, [x, y, kept, layout] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted())
            for_each_element(x.backend(), dy.size(), SplitHeads{layout, dy.data(), kept.defined() ? kept.data() : nullptr, dx.data()});
    });
    return y;
}

Tensor draw_kept_heads(Backend& backend, int64_t samples, int heads, uint64_t key, const Tensor& step) {
    Tensor kept(backend, {samples, 1, 1, heads});
    for_each_element(backend, samples, KeptHeads{heads, key, step.ints(), kept.data()});
    return kept;
}

}  // namespace distill
