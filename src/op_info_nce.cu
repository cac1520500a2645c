// Contrast of a batch with a memory as a softmax over what is drawn. The memory is gone through a few thousand rows at a time: their scores by
// one product, each turned into its share of these rows' softmax while it lies in a cache, and these times the rows by a second product. What
// such a part found (its largest score, its sum, its mean row) is put together at the end, as if there had been one softmax. So of all scores
// no more than a part's are ever there, and the memory is read once for all anchors: the embeddings and what the graph makes of them.
#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_product.h"
#include "ops.h"

namespace distill {
namespace {

constexpr int64_t at_once = 4096;  // rows of the memory: 2 MiB of them and 2 MiB of scores, of 128 anchors

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

/// Of one anchor and one part of the memory: each score becomes times·exp(score/τ − the largest that is drawn), 0 where it is not drawn.
struct SoftmaxOfPart {
    int64_t samples, rows, first, length;  ///< rows: of the whole memory
    float inverse_temperature;
    const int32_t* drawn;
    float *scores, *largest, *sums;
    int64_t moved_bytes() const { return length * static_cast<int64_t>(2 * sizeof *scores + sizeof *drawn); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t anchor, const Lane& lane) const {
        float* s = scores + anchor * length;
        const int32_t* times = drawn + anchor % samples * rows + first;
        const float inverse = inverse_temperature;
        const float top = lane.max(length, [=](int64_t j) { return times[j] > 0 ? s[j] * inverse : -INFINITY; });
        const double sum = lane.sum(length, [=](int64_t j) {
            const int32_t n = times[j];
            const float share = n > 0 ? static_cast<float>(n) * expf(s[j] * inverse - top) : 0.0f;
            s[j] = share;
            return static_cast<double>(share);
        });
        if (lane.first()) largest[anchor] = top, sums[anchor] = static_cast<float>(sum);
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
            const auto weight = static_cast<double>(expf(tops[part * count] - top));
            return weight * static_cast<double>(in[part * count]);
        });
        const double total = others + static_cast<double>(expf(own - top));
        if (lane.first()) losses[anchor] = static_cast<float>(static_cast<double>(top - own) + log(total));
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

void product(Backend& backend, GemmShape s, const float* a, const float* b, float* c) {
    s.exact = true;
    timed_product(backend, "product with a memory", s, a, b, c);
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
    const int64_t parts = (rows + at_once - 1) / at_once, length = std::min(rows, at_once);
    const float inverse = 1.0f / temperature;
    const Tensor own(backend, {count, 1, 1, 1}), largest(backend, {parts, 1, 1, count}), sums = Tensor::like(largest);
    const Tensor scores(backend, {count, 1, 1, length});
    const Tensor mean_rows = wanted ? Tensor(backend, {parts, count, 1, width}) : Tensor();
    const Tensor gradient = wanted ? Tensor::like(anchors.value()) : Tensor();
    for_each_row(backend, count, width, PositiveScore{width, inverse, anchors.data(), positives.data(), own.data()});
    for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = part * at_once, n = std::min(at_once, rows - first);
        const float* from = memory.data() + first * width;
        product(backend, {count, n, width, false, true}, anchors.data(), from, scores.data());
        for_each_row(backend, count, n,
                     SoftmaxOfPart{samples, rows, first, n, inverse, drawn.ints(), scores.data(), largest.data() + part * count,
                                   sums.data() + part * count});
        if (wanted) product(backend, {count, width, n, false, false}, scores.data(), from, mean_rows.data() + part * count * width);
    }
    for_each_row(backend, count, width,
                 JoinParts{count, parts, width, inverse, own.data(), positives.data(), sums.data(), wanted ? mean_rows.data() : nullptr,
                           largest.data(), y.data(), wanted ? gradient.data() : nullptr});
    record(y, [anchors, y, gradient, width] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(anchors);
        if (dx.wanted()) for_each_element(y.backend(), gradient.size(), ScaleRows{width, dy.data(), gradient.data(), dx.data()});
    });
    return y;
}

}  // namespace distill
