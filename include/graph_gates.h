// graph_gates.h: the loss of a node in a knowledge transfer graph: its incoming edges, each through a gate (arXiv 1909.04286;
// docs/papers.md §2.2, §2.3).
// defines: IncomingEdge, Training, EdgeTotals, NodeLoss, node_loss
#pragma once
#include <vector>

#include "graph.h"
#include "ops.h"

namespace distill {

/// An edge that is not cut off, at work on a batch of N samples.
struct IncomingEdge {
    Gate gate = Gate::through;
    Var source;  ///< the source's logits (N,1,1,K), through which no gradient goes; undefined: the label edge
    Var right;   ///< N floats, 1 where the source classifies the sample correctly; undefined: the label edge, which always does
};

/// Where the training stands, for the linear gate: iteration k = *step + 1 of `iterations`.
struct Training {
    Tensor step;  ///< one int32 in device memory, read when the step runs: the steps before this one
    int64_t iterations = 0;
};

/// What is summed of an edge over an epoch. The last four count samples by which of source and target classify them correctly.
struct EdgeTotals {
    enum Column : int64_t { images, weight, last_weight, loss, both_right, source_only, target_only, none_right, columns };
};

struct NodeLoss {
    Var total;     ///< L_t = Σ over the edges, a scalar
    Tensor edges;  ///< (E,1,1,1): each edge's addend
};

/// With a per-sample loss ℓ, −log p_t[label] on the label edge and T²·KL(p_s ‖ p_t) elsewhere, p = softmax(logits/T), an edge adds
///     through:  (1/N)·Σ ℓ            linear:  (k/K)·(1/N)·Σ ℓ
///     correct:  (1/N)·Σ mask·ℓ, mask = 1 where the source is right; divided by N, not by the number kept. On a label edge: through.
/// The cross-entropy is at T = 1, whatever the temperature. `right`: N floats, 1 where the target is right, for the counts alone.
/// totals (E,1,1,EdgeTotals::columns): what this batch has of each column is added to it (the last weight: written).
NodeLoss node_loss(const Var& logits, const Tensor& labels, const std::vector<IncomingEdge>& edges, float temperature,
                   const Training& training, const Tensor& right, const Tensor& totals);

}  // namespace distill
