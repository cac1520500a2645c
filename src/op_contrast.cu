// Contrast of a batch with a memory, by one product over all rows of it instead of a gather of those that were drawn. Of a memory of 50,000
// rows of 128 floats, 64 images with 16,384 negatives each, a step of both directions (CRD's) needs at the least
//   gathered:  2·64·16,385 rows of 512 bytes, 1.07 GB in any order, and twice 0.27 GMAC (scores, gradient);
//   as a product: 2·25.6 MB in their order, twice 0.82 GMAC, and 13 MB of scores a direction.
// Measured side by side (two cores with AVX-512 and 32 MiB of L3 cache): gathered and used in one pass 77 ms, the same with negatives in
// the memory's order, 256 at a time, 43 ms, as a product 38 ms; with AVX2 83, 57 and 38 ms. Negatives that are a small part of the rows
// would turn that round. The gradient of a score needs that score and z alone, so it takes the score's place at once.
#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "core_backend.h"
#include "launch.h"
#include "op_norm.h"
#include "op_product.h"
#include "op_sum_partials.h"
#include "ops.h"

namespace distill {
namespace {

constexpr int64_t at_once = 4096;  // rows of the memory that a functor's row has, so that a batch keeps a GPU busy
constexpr double epsilon = 1e-7;

/// A part of one image's scores.
struct ScoreRow {
    int64_t rows, parts;
    float inverse_temperature;
    const int32_t *records, *drawn;

    DISTILL_HD int64_t sample(int64_t row) const { return row / parts; }
    DISTILL_HD int64_t first(int64_t row) const { return row % parts * at_once; }
    DISTILL_HD int64_t length(int64_t row) const { return rows - first(row) < at_once ? rows - first(row) : at_once; }
    DISTILL_HD int64_t begin(int64_t row) const { return sample(row) * rows + first(row); }
    DISTILL_HD int64_t positive(int64_t row) const { return records[sample(row)] - first(row); }
};

/// Σ exp(score/τ) over what is drawn and the image's own record, unless z is known.
struct SumScores {
    ScoreRow of;
    const float *z, *scores;
    float* partials;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        if (*z > 0) return;
        const float *s = scores + of.begin(row), inverse = of.inverse_temperature;
        const int32_t* times = of.drawn + of.begin(row);
        const int64_t positive = of.positive(row);
        const double sum = lane.sum(of.length(row), [=](int64_t j) {
            const int32_t n = times[j] + (j == positive ? 1 : 0);
            return n > 0 ? n * static_cast<double>(expf(s[j] * inverse)) : 0.0;
        });
        if (lane.first()) partials[row] = static_cast<float>(sum);
    }
};
struct SetNormalizer {
    int64_t n;
    double factor;
    const float* partials;
    float* z;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        if (*z > 0) return;
        const float* in = partials;
        const double sum = lane.sum(n, [=](int64_t i) { return static_cast<double>(in[i]); });
        if (lane.first()) *z = static_cast<float>(sum * factor);
    }
};

/// The loss of these scores, each of which becomes the loss' derivative by the product that it was: times·P/(P + c + ε) of a negative,
/// −(c + ε)/(P + c + ε) of the image's own record, and `weight` of that.
struct ContrastScores {
    ScoreRow of;
    double noise;  ///< c
    float weight;  ///< 1/(N·τ)
    const float* z;
    float *scores, *partials;
    int64_t moved_bytes() const { return at_once * static_cast<int64_t>(2 * sizeof *scores + sizeof *of.drawn); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        // As many factors to a logarithm: each is above 1 and a float, so that the product of eight fits a double.
        constexpr int together = Lane::width > 1 ? 8 : 1;
        float* s = scores + of.begin(row);
        const int32_t* times = of.drawn + of.begin(row);
        const int64_t n = of.length(row), positive = of.positive(row);
        const float inverse = of.inverse_temperature, inverse_z = 1.0f / *z, w = weight;
        const double inverse_c = 1 / noise, with_noise = noise + epsilon;
        const double sum = lane.sum((n + together - 1) / together, [=](int64_t group) {
            double product = 1, others = 0;
            for (int64_t j = group * together; j < n && j < (group + 1) * together; ++j) {
                const int32_t count = times[j];
                if (count == 0 && j != positive) {
                    s[j] = 0;
                    continue;
                }
                const double p = static_cast<double>(expf(s[j] * inverse) * inverse_z), all = p + with_noise;
                if (count == 1)
                    product *= all * inverse_c;
                else if (count > 1)
                    others += count * log(all * inverse_c);
                if (j == positive) others += log(all / p);
                const double slope = (count * p - (j == positive ? with_noise : 0)) / all;
                s[j] = w * static_cast<float>(slope);
            }
            return log(product) + others;
        });
        if (lane.first()) partials[row] = static_cast<float>(sum);
    }
};

struct ScaleGradient {
    const float *dy, *gradient;
    float* dx;
    DISTILL_HD void operator()(int64_t i) const { dx[i] = *dy * gradient[i]; }
};

/// Into `mixed_rows`, or, without them, into the memory.
struct RememberRow {
    int64_t width;
    float momentum;
    const int32_t* records;
    const float* rows;
    float *memory, *mixed_rows;
    int64_t moved_bytes() const { return 3 * width * static_cast<int64_t>(sizeof *memory); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float *row = rows + sample * width, keep = momentum;
        float *kept = memory + records[sample] * width, *out = mixed_rows ? mixed_rows + sample * width : kept;
        const auto mixed = [=](int64_t j) { return keep * kept[j] + (1.0f - keep) * row[j]; };
        const float norm = sqrtf(lane.sum(width, [=](int64_t j) { return mixed(j) * mixed(j); }));
        const float inverse = 1.0f / norm_divisor(norm);
        lane.each(width, [=](int64_t j) { out[j] = mixed(j) * inverse; });
    }
};
void remember(const char* operation, const Tensor& memory, const Tensor& records, const Tensor& rows, float momentum, float* mixed_rows) {
    const int64_t width = memory.shape().per_sample();
    if (rows.size() != records.size() * width)
        failure(operation, ": ", to_string(rows.shape()), " for ", records.size(), " records of ", to_string(memory.shape()),
                " ---> a row of the memory's width for each");
    for_each_row(memory.backend(), records.size(), width,
                 RememberRow{width, momentum, records.ints(), rows.data(), memory.data(), mixed_rows});
}

struct TakeRow {
    int64_t width;
    const int32_t* records;
    const float* memory;
    float* rows;
    DISTILL_HD void operator()(int64_t i) const { rows[i] = memory[records[i / width] * width + i % width]; }
};

}  // namespace

Var contrast_loss(const Var& given, const Tensor& memory, const Tensor& records, const Tensor& drawn, int64_t count, float temperature,
                  const Tensor& z) {
    const Var anchors = to_float(given);
    const int64_t samples = anchors.shape().n, width = anchors.shape().per_sample(), rows = memory.shape().n;
    if (memory.shape().per_sample() != width || records.size() != samples || drawn.size() != samples * rows)
        failure("contrast_loss: anchors ", to_string(anchors.shape()), ", memory ", to_string(memory.shape()), ", drawn ",
                to_string(drawn.shape()), ", ", records.size(), " records ---> (N,1,1,D), (R,1,1,D), (N,1,1,R) and N");
    Backend& backend = anchors.backend();
    const Tensor scores(backend, {samples, 1, 1, rows});
    const char* const product = "product with a memory";
    timed_product(backend, product, {samples, rows, width, false, true, 1, 0, 0, 0, 0, 0, 0, true}, anchors.data(), memory.data(),
                  scores.data());
    const int64_t parts = (rows + at_once - 1) / at_once, all = samples * parts, length = std::min(rows, at_once);
    const ScoreRow of{rows, parts, 1.0f / temperature, records.ints(), drawn.ints()};
    const Tensor partials(backend, {all, 1, 1, 1});
    for_each_row(backend, all, length, SumScores{of, z.data(), scores.data(), partials.data()});
    const double terms = static_cast<double>(samples) * static_cast<double>(count + 1);
    for_each_row(backend, 1, all, SetNormalizer{all, static_cast<double>(rows) / terms, partials.data(), z.data()});
    const double noise = static_cast<double>(count) / static_cast<double>(rows);
    const float weight = 1.0f / (static_cast<float>(samples) * temperature);
    for_each_row(backend, all, length, ContrastScores{of, noise, weight, z.data(), scores.data(), partials.data()});
    Var y = result_of(Tensor(backend, {}), anchors);
    sum_partials(partials, 1.0f / static_cast<float>(samples), y);
    if (!y.needs_gradient()) return y;
    const Tensor gradient = Tensor::like(anchors.value());
    timed_product(backend, product, {samples, width, rows, false, false, 1, 0, 0, 0, 0, 0, 0, true}, scores.data(), memory.data(),
                  gradient.data());
    record(y, [anchors, y, gradient] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(anchors);
        if (dx.wanted()) for_each_element(y.backend(), gradient.size(), ScaleGradient{dy.data(), gradient.data(), dx.data()});
    });
    return y;
}

void remember_rows(const Tensor& memory, const Tensor& records, const Tensor& rows, float momentum) {
    remember("remember_rows", memory, records, rows, momentum, nullptr);
}

Tensor smoothed_rows(const Tensor& memory, const Tensor& records, const Tensor& rows, float momentum) {
    Tensor mixed(memory.backend(), {records.size(), 1, 1, memory.shape().per_sample()});
    remember("smoothed_rows", memory, records, rows, momentum, mixed.data());
    return mixed;
}

Tensor rows_of(const Tensor& memory, const Tensor& records) {
    const int64_t width = memory.shape().per_sample();
    Tensor rows(memory.backend(), {records.size(), 1, 1, width});
    for_each_element(memory.backend(), rows.size(), TakeRow{width, records.ints(), memory.data(), rows.data()});
    return rows;
}

}  // namespace distill
