// Which samples of a batch are nearest to each, as a matrix that averages over them: what is taken from neighbours, and its gradient, are then
// products.
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

constexpr float smallest_product = 1e-7f;  // of two norms, which their cosine is divided by
constexpr float farthest = 4;              // beyond 2, the largest distance; where there is no number

struct Norms {
    int64_t width;
    const float* x;
    float* norms;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* in = x + sample * width;
        const double square = lane.sum(width, [=](int64_t c) { return static_cast<double>(in[c]) * in[c]; });
        if (lane.first()) norms[sample] = static_cast<float>(sqrt(square));
    }
};

/// 1 − cosine as half the square of what lies between the directions: 1 less a cosine near 1 would leave no digits, and predictions that
/// are sure of one class all lie there. To itself −1.
struct CosineDistances {
    int64_t samples, width;
    const float *directions, *norms;
    float* distances;
    template <class Lane>
    DISTILL_HD void operator()(int64_t i, const Lane& lane) const {
        const int n = static_cast<int>(samples), w = static_cast<int>(width);
        const float *all = directions, *own = directions + i * width, *lengths = norms;
        float* out = distances + i * samples;
        lane.sums(
            n, w,
            [=](int j, int c) {
                const float d = own[c] - all[int64_t{j} * w + c];
                return static_cast<double>(d) * d;
            },
            [=](int j, double square) {
                const float lengths_product = lengths[i] * lengths[j];
                double distance = 0.5 * square;
                if (!(lengths_product >= smallest_product)) distance = 1 - (1 - distance) * (lengths_product / smallest_product);
                out[j] = j == i ? -1.0f : distance < farthest ? static_cast<float>(distance) : farthest;
            });
    }
};

/// 1/k where fewer than k samples are nearer, of equals those that come first; else 0.
struct AverageOfNearest {
    int64_t samples;
    int neighbours;
    const float* distances;
    float* matrix;
    template <class Lane>
    DISTILL_HD void operator()(int64_t i, const Lane& lane) const {
        const int64_t n = samples;
        const int k = neighbours;
        const float *row = distances + i * samples, share = 1.0f / static_cast<float>(k);
        float* out = matrix + i * samples;
        lane.tasks(static_cast<int>(n), [=](int j) {
            const float own = row[j];
            int nearer = 0;
            for (int64_t l = 0; l < n; ++l) nearer += row[l] < own || (row[l] == own && l < j) ? 1 : 0;
            out[j] = nearer < k ? share : 0.0f;
        });
    }
};

}  // namespace

Tensor average_of_nearest(const Tensor& given, int neighbours) {
    const Tensor x = to_float(Var(given)).value();
    const int64_t samples = x.shape().n, width = x.shape().per_sample();
    if (neighbours < 1 || neighbours > samples)
        failure("average_of_nearest: ", neighbours, " of a batch of ", samples, " ---> at least 1, at most the batch");
    Backend& backend = x.backend();
    const Tensor norms(backend, {samples, 1, 1, 1}), distances(backend, {samples, 1, 1, samples});
    const Tensor matrix = Tensor::like(distances), directions = l2_normalize(Var(x)).value();
    for_each_row(backend, samples, width, Norms{width, x.data(), norms.data()});
    for_each_row(backend, samples, samples * width, CosineDistances{samples, width, directions.data(), norms.data(), distances.data()});
    for_each_row(backend, samples, samples * samples, AverageOfNearest{samples, neighbours, distances.data(), matrix.data()});
    return matrix;
}

}  // namespace distill
