// Two launches forward: a row a sample, which leaves every edge's gated loss, then a row an edge, which sums them and counts. One launch
// back: the gradients of all edges meet in the same pass over the logits.
#include "graph_gates.h"

#include <array>
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "op_softmax_row.h"

namespace distill {
namespace {

/// The edges as the device sees them.
struct Edges {
    int count;
    Gate gate[max_nodes];
    const float* source[max_nodes];  ///< null: the label
    const float* right[max_nodes];   ///< null: always right
    const int32_t* step;
    float iterations;

    /// What a gate makes of a sample's loss: ℓ times this.
    DISTILL_HD float weight(int e, int64_t sample) const {
        if (gate[e] == Gate::linear) return static_cast<float>(*step + 1) / iterations;
        if (gate[e] == Gate::correct && right[e]) return right[e][sample];
        return 1;
    }
};

struct GatedLosses {
    Edges edges;
    int64_t samples, n;
    float temperature;
    const float* logits;
    const int32_t* labels;
    float* losses;  ///< edges × samples
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* x = logits + sample * n;
        const float sharp = 1 / temperature;
        const SoftmaxRow target(lane, x, n, sharp);
        for (int e = 0; e < edges.count; ++e) {
            float loss;
            if (edges.source[e]) {
                const SoftmaxRow source(lane, edges.source[e] + sample * n, n, sharp);
                const float divergence =
                    lane.sum(n, [=](int64_t j) { return source.probability(j) * (source.log_probability(j) - target.log_probability(j)); });
                loss = temperature * temperature * divergence;
            } else {
                const SoftmaxRow plain(lane, x, n);
                const int64_t label = labels[sample];
                loss = label >= 0 && label < n ? -plain.log_probability(label) : NAN;  // as cross_entropy
            }
            if (lane.first()) losses[e * samples + sample] = edges.weight(e, sample) * loss;
        }
    }
};

struct SumEdges {
    Edges edges;
    int64_t samples;
    float factor;  ///< 1 / samples
    const float *losses, *target_right;
    float *sums, *totals;
    template <class Lane>
    DISTILL_HD void operator()(int64_t edge, const Lane& lane) const {
        const int64_t count = samples;
        const auto e = static_cast<int>(edge);
        const float *own = losses + edge * count, *right_t = target_right, *right_s = edges.right[e];
        const float loss = lane.sum(count, [=](int64_t i) { return own[i]; });
        const float both = lane.sum(count, [=](int64_t i) { return right_s ? right_s[i] * right_t[i] : right_t[i]; });
        const float source = lane.sum(count, [=](int64_t i) { return right_s ? right_s[i] : 1.0f; });
        const float target = lane.sum(count, [=](int64_t i) { return right_t[i]; });
        if (!lane.first()) return;
        const float weight = edges.gate[e] == Gate::correct ? source : static_cast<float>(count) * edges.weight(e, 0);  // Σ over the batch
        sums[edge] = loss * factor;
        float* total = totals + edge * EdgeTotals::columns;
        total[EdgeTotals::images] += static_cast<float>(count);
        total[EdgeTotals::weight] += weight;
        total[EdgeTotals::last_weight] = weight * factor;
        total[EdgeTotals::loss] += loss;
        total[EdgeTotals::both_right] += both;
        total[EdgeTotals::source_only] += source - both;
        total[EdgeTotals::target_only] += target - both;
        total[EdgeTotals::none_right] += static_cast<float>(count) - source - target + both;
    }
};

struct SumOfEdges {
    int count;
    const float* sums;
    float* y;
    DISTILL_HD void operator()(int64_t) const {
        float total = sums[0];
        for (int e = 1; e < count; ++e) total += sums[e];
        *y = total;
    }
};

struct NodeBackward {
    Edges edges;
    int64_t n;
    float temperature, factor;
    const float* logits;
    const int32_t* labels;
    const float* dy;
    float* dx;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* x = logits + sample * n;
        float* out = dx + sample * n;
        const float sharp = 1 / temperature, d = *dy * factor;
        const SoftmaxRow target(lane, x, n, sharp);
        for (int e = 0; e < edges.count; ++e) {
            const float weight = d * edges.weight(e, sample);
            const bool first = e == 0;
            if (edges.source[e]) {
                const SoftmaxRow source(lane, edges.source[e] + sample * n, n, sharp);
                const float hot = weight * temperature;  // T² · 1/T
                lane.each(n, [=](int64_t j) {
                    const float g = hot * (target.probability(j) - source.probability(j));
                    out[j] = first ? g : out[j] + g;
                });
            } else {
                const SoftmaxRow plain(lane, x, n);
                const int64_t label = labels[sample];
                lane.each(n, [=](int64_t j) {
                    const float g = weight * (plain.probability(j) - (j == label ? 1.0f : 0.0f));
                    out[j] = first ? g : out[j] + g;
                });
            }
        }
    }
};

/// Keeps what the edges point to alive until the backward pass, within a tape's small capture.
struct Held {
    std::array<IncomingEdge, max_nodes> edge;
    int count = 0;
    Var step;
    float iterations = 1;

    Edges on_device() const {
        Edges e{};
        e.count = count;
        e.step = step.defined() ? step.value().ints() : nullptr;
        e.iterations = iterations;
        for (int i = 0; i < count; ++i) {
            const IncomingEdge& from = edge[static_cast<size_t>(i)];
            e.gate[i] = from.gate;
            e.source[i] = from.source.defined() ? from.source.data() : nullptr;
            e.right[i] = from.right.defined() ? from.right.data() : nullptr;
        }
        return e;
    }
};

}  // namespace

NodeLoss node_loss(const Var& logits, const Tensor& labels, const std::vector<IncomingEdge>& edges, float temperature,
                   const Training& training, const Tensor& right, const Tensor& totals) {
    const int64_t samples = logits.shape().pixels(), n = logits.shape().c, count = static_cast<int64_t>(edges.size());
    if (labels.size() != samples || right.size() != samples)
        failure("node_loss: shapes ", to_string(logits.shape()), ", ", to_string(labels.shape()), " and ", to_string(right.shape()),
                " of logits, labels and hits ---> one label and one hit for each row of logits");
    if (count < 1 || count > max_nodes || totals.size() != count * EdgeTotals::columns)
        failure("node_loss: ", count, " edges and totals of shape ", to_string(totals.shape()), " ---> 1 to ", max_nodes,
                " edges, for each a row of ", int64_t{EdgeTotals::columns}, " columns");
    if (!(temperature > 0)) failure("node_loss: the temperature is ", temperature, ", expected more than 0");
    Held held;
    for (const IncomingEdge& edge : edges) {
        if (edge.gate == Gate::cutoff) failure("node_loss: an edge is cut off ---> leave it out, it costs nothing then");
        if (edge.gate == Gate::linear && (!training.step.defined() || training.iterations < 1))
            failure("node_loss: a linear gate needs the step and the number of iterations ---> the batch has no step");
        const bool hits = edge.right.defined() && edge.right.value().size() == samples;
        if (edge.source.defined() && (edge.source.shape() != logits.shape() || !hits))
            failure("node_loss: shapes ", to_string(logits.shape()), " and ", to_string(edge.source.shape()),
                    " of target and source must be equal, with a hit for each row ---> both networks need the same classes");
        held.edge[static_cast<size_t>(held.count++)] = {edge.gate, edge.source.defined() ? edge.source.detached() : Var(), edge.right};
    }
    held.iterations = static_cast<float>(training.iterations);
    if (training.step.defined()) held.step = Var(training.step);

    Backend& backend = logits.backend();
    const Edges on_device = held.on_device();
    const float factor = 1.0f / static_cast<float>(samples);
    NodeLoss loss{result_of(Tensor(backend, {1, 1, 1, 1}), logits), Tensor(backend, {count, 1, 1, 1})};
    const Tensor gated(backend, {count, samples, 1, 1});
    for_each_row(backend, samples, n * count, GatedLosses{on_device, samples, n, temperature, logits.data(), labels.ints(), gated.data()});
    for_each_row(backend, count, samples,
                 SumEdges{on_device, samples, factor, gated.data(), right.data(), loss.edges.data(), totals.data()});
    for_each_element(backend, 1, SumOfEdges{held.count, loss.edges.data(), loss.total.data()});
    record(loss.total, [logits, labels = Var(labels), held, y = loss.total, samples, n, temperature, factor] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(logits);
        if (dx.wanted())
            for_each_row(
                y.backend(), samples, n * held.count,
                NodeBackward{held.on_device(), n, temperature, factor, logits.data(), labels.value().ints(), dy.data(), dx.data()});
    });
    return loss;
}

}  // namespace distill
