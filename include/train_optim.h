// train_optim.h: stochastic gradient descent over all parameters, in one launch where the loss reaches all.
// defines: SgdOptions, sgd_step, learning_rate
#pragma once
#include <vector>

#include "net_parameters.h"

namespace distill {

struct SgdOptions {
    float momentum = 0.9f, weight_decay = 5e-4f;
    bool nesterov = true;
    bool reached_only = false;  ///< what the loss does not reach stays as it is, as in PyTorch; else it decays
};

/// g ← g + wd·w on every parameter (BatchNorm and biases too); v ← μ·v + g; w ← w − lr·(g + μ·v with Nesterov, else v).
/// `lr`: one float in device memory. The rounded copy and the count of updates, where there are any, follow.
void sgd_step(const Parameters& parameters, const Tensor& lr, const SgdOptions& options);

/// base, times 0.1 from the start of each epoch in `steps` on (epochs counted from 0).
double learning_rate(double base, const std::vector<int>& steps, int epoch);

}  // namespace distill
