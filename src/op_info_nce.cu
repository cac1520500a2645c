// Contrast of a batch with a memory as a softmax over what is drawn. The memory is gone through a part at a time: its rows' scores by one
// product, each turned into its share of the part's softmax while it lies in a cache, and these times the rows by a second product. What the
// parts found (largest score, sum, mean row) is put together at the end, as if there had been one softmax. So of all scores no more than some
// parts' are ever there, and the memory is read once for all anchors, the embeddings and what the graph makes of them. Parts are multiplied side
// by side, a thread each: measured, two threads that shared a product took 21 to 34 ms where these took 21 (50,000 rows, 128 anchors).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base_error.h"
#include "launch.h"
#include "op_product.h"
#include "ops.h"

namespace distill {
namespace {

constexpr int64_t part_of_memory = 1024, parts_at_once = 16;  // rows; of 128 anchors 8 MiB of scores

/// eˣ, x ≤ 0, to two units in the last place, as Cephes has it: no compiler here makes vectors of calls of the library's, with which a
/// step of 64 images and 50,000 rows took 41 ms for this, instead of 8. Below −87 as at −87, 2e-38.
DISTILL_HD inline float exponential(float x) {
#ifdef __CUDA_ARCH__
    return expf(x);
#else
    constexpr float to_integer = 12582912;  // 1.5·2²³: a float of that size has no place for fractions
    const float bounded = x < -87.0f ? -87.0f : x, shifted = bounded * 1.44269504f + to_integer, n = shifted - to_integer;
    const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;  // x − n·log 2
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    uint32_t bits;  // its last ones are n
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + (127u << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return (p * r * r + r + 1.0f) * power;
#endif
}

/// anchor·positive/τ.
struct PositiveScore {
    int64_t width;
    float inverse_temperature;
    const float *anchors, *positives;
    float* scores;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const float *a = anchors + row * width, *p = positives + row * width;
        const float dot = lane.sum(width, [=](int64_t j) { return a[j] * p[j]; });
        if (lane.first()) scores[row] = dot * inverse_temperature;
    }
};

/// A row is one anchor and one part, the parts of an anchor `anchors` apart: each score becomes times·exp(score/τ − the largest that is drawn),
/// 0 where it is not drawn.
struct SoftmaxOfPart {
    int64_t anchors, samples, rows, first, length;  ///< rows: of the whole memory; first: of the first part
    float inverse_temperature;
    const int32_t* drawn;
    float *scores, *largest, *sums;
    int64_t moved_bytes() const { return length * static_cast<int64_t>(2 * sizeof *scores + sizeof *drawn); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        float* s = scores + row * length;
        const int32_t* times = drawn + row % anchors % samples * rows + first + row / anchors * length;
        const float inverse = inverse_temperature;
        const float top = lane.max(length, [=](int64_t j) { return times[j] > 0 ? s[j] * inverse : -INFINITY; });
        const double sum = lane.sum(length, [=](int64_t j) {
            const int32_t n = times[j];
            const float of_score = exponential(s[j] * inverse - top), share = n > 0 ? static_cast<float>(n) * of_score : 0.0f;
            s[j] = share;
            return static_cast<double>(share);
        });
        if (lane.first()) largest[row] = top, sums[row] = static_cast<float>(sum);
    }
};

/// The parts put together, with the positive: the loss, and its derivative by the anchor, (Σ p_j·row_j − (1 − p)·positive)/τ.
struct JoinParts {
    int64_t anchors, parts, width;
    float inverse_temperature;
    const float *positive_scores, *positives, *sums, *mean_rows;
    float* largest;  ///< of each part; becomes what its rows weigh
    float *losses, *gradient;
    template <class Lane>
    DISTILL_HD void operator()(int64_t anchor, const Lane& lane) const {
        const int64_t count = anchors, all = parts, w = width;
        float* tops = largest + anchor;
        const float *in = sums + anchor, own = positive_scores[anchor];
        const float negative = lane.max(all, [=](int64_t part) { return tops[part * count]; }), top = negative > own ? negative : own;
        const double others = lane.sum(all, [=](int64_t part) {
            const double weight = exp(static_cast<double>(tops[part * count] - top));
            return weight * static_cast<double>(in[part * count]);
        });
        const double total = others + exp(static_cast<double>(own - top));
        if (lane.first())  // where the positive has nearly all, 1 + others would leave no digits
            losses[anchor] = static_cast<float>(top == own ? log1p(others) : static_cast<double>(top - own) + log(total));
        if (!gradient) return;
        const auto by_total = static_cast<float>(1 / total), missing = static_cast<float>(others / total), inverse = inverse_temperature;
        lane.each(all, [=](int64_t part) { tops[part * count] = expf(tops[part * count] - top) * by_total; });
        const float *rows = mean_rows + anchor * w, *positive = positives + anchor * w;
        float* out = gradient + anchor * w;
        lane.column_sums(
            static_cast<int>(all), static_cast<int>(w), [=](int part, int j) { return tops[part * count] * rows[part * count * w + j]; },
            [=](int j, double sum) { out[j] = inverse * (static_cast<float>(sum) - missing * positive[j]); });
    }
};

struct ScaleRows {
    int64_t width;
    const float *dy, *gradient;
    float* dx;
    DISTILL_HD void operator()(int64_t i) const { dx[i] = dy[i / width] * gradient[i]; }
};

void products(Backend& backend, GemmShape s, int64_t parts, int64_t step_b, const float* a, const float* b, float* c) {
    s.count = parts;
    s.step_b = step_b;
    s.step_c = s.m * s.n;
    s.exact = true;
    timed_product(backend, "products with a memory", s, a, b, c);
}

/// What each part of a memory says of each anchor: (parts,1,1,A), the mean rows (parts,A,1,D) or none of them.
struct Parts {
    int64_t count;
    Tensor largest, sums, mean_rows;
    Parts(const Tensor& anchors, const Tensor& memory, const Tensor& drawn, float inverse_temperature, bool with_means);
};

Parts::Parts(const Tensor& anchors, const Tensor& memory, const Tensor& drawn, float inverse, bool with_means) {
    const int64_t all = anchors.shape().n, width = memory.shape().per_sample(), rows = memory.shape().n,
                  part = std::min(rows, part_of_memory);
    count = (rows + part - 1) / part;
    Backend& backend = memory.backend();
    largest = Tensor(backend, {count, 1, 1, all});
    sums = Tensor::like(largest);
    if (with_means) mean_rows = Tensor(backend, {count, all, 1, width});
    const int64_t together = std::min(count, parts_at_once);
    const Tensor scores(backend, {together, all, 1, part});
    for (int64_t done = 0, first = 0; first < rows;) {
        const int64_t n = std::min(part, rows - first), now = std::min(together, (rows - first) / n), at = done * all;
        const float* from = memory.data() + first * width;
        products(backend, {all, n, width, false, true}, now, n * width, anchors.data(), from, scores.data());
        for_each_row(backend, now * all, n,
                     SoftmaxOfPart{all, drawn.shape().n, rows, first, n, inverse, drawn.ints(), scores.data(), largest.data() + at,
                                   sums.data() + at});
        GemmShape means{all, width, n};
        means.step_a = all * n;
        if (with_means) products(backend, means, now, n * width, scores.data(), from, mean_rows.data() + at * width);
        done += now;
        first += now * n;
    }
}

}  // namespace

Var info_nce(const Var& given, const Tensor& positives, const Tensor& memory, const Tensor& drawn, float temperature) {
    const Var anchors = to_float(given);
    const int64_t count = anchors.shape().n, width = anchors.shape().per_sample(), rows = memory.shape().n, samples = drawn.shape().n;
    if (memory.shape().per_sample() != width || positives.size() != count * width || drawn.size() != samples * rows || count % samples != 0)
        failure("info_nce: anchors ", to_string(anchors.shape()), ", positives ", to_string(positives.shape()), ", memory ",
                to_string(memory.shape()), ", drawn ", to_string(drawn.shape()), " ---> (A,1,1,D) twice, (R,1,1,D) and (N,1,1,R), A a ",
                "multiple of N");
    Backend& backend = anchors.backend();
    Var y = result_of(Tensor(backend, {count, 1, 1, 1}), anchors);
    const bool wanted = y.needs_gradient();
    const float inverse = 1.0f / temperature;
    const Tensor own(backend, {count, 1, 1, 1}), gradient = wanted ? Tensor::like(anchors.value()) : Tensor();
    for_each_row(backend, count, width, PositiveScore{width, inverse, anchors.data(), positives.data(), own.data()});
    const Parts parts(anchors.value(), memory, drawn, inverse, wanted);
    for_each_row(backend, count, width,
                 JoinParts{count, parts.count, width, inverse, own.data(), positives.data(), parts.sums.data(),
                           wanted ? parts.mean_rows.data() : nullptr, parts.largest.data(), y.data(), wanted ? gradient.data() : nullptr});
    record(y, [anchors, y, gradient, width] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(anchors);
        if (dx.wanted()) for_each_element(y.backend(), gradient.size(), ScaleRows{width, dy.data(), gradient.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
