// train_optim.h: stochastic gradient descent over all parameters in one launch; groups of them by rules of their own, Adam among these.
// defines: SgdOptions, AdamOptions, ParameterGroup, Optimizer, sgd_step, learning_rate
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net_parameters.h"

namespace distill {

struct SgdOptions {
    float momentum = 0.9f, weight_decay = 5e-4f;
    bool nesterov = true;
    bool reached_only = false;  ///< what the loss does not reach stays as it is, as in PyTorch; else it decays, as by Adam always
};

/// Kingma & Ba 2015, as PyTorch's Adam has it: the decay is added to the gradient.
struct AdamOptions {
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};

/// Parameters whose names begin with `prefix`; of groups that fit one parameter the first has it.
struct ParameterGroup {
    std::string prefix;
    std::variant<SgdOptions, AdamOptions> rule;
    std::function<double(int epoch)> rate{};  ///< learning rate of an epoch (counted from 0); none: the run's
};

/// g ← g + wd·w on every parameter (BatchNorm and biases too); v ← μ·v + g; w ← w − lr·(g + μ·v with Nesterov, else v).
/// `lr`: one float in device memory. The rounded copy and the count of updates, where there are any, follow.
void sgd_step(const Parameters& parameters, const Tensor& lr, const SgdOptions& options);

/// Updates parameters: each group by its rule and at its rate, what is in none as sgd_step does; without groups that is one launch.
/// Adam: g ← g + wd·w; m ← β₁·m + (1 − β₁)·g; s ← β₂·s + (1 − β₂)·g²; w ← w − lr·(m/(1 − β₁ᵗ))/(√(s/(1 − β₂ᵗ)) + ε) at update t, from 1.
/// m lies in the momenta.
class Optimizer {
  public:
    /// The parameters are allocated, and outlive this. A failure for a group without parameters.
    Optimizer(const Parameters& parameters, const SgdOptions& others, const std::vector<ParameterGroup>& groups = {});
    /// Before an epoch's first step: the run's rate then, and of groups with a rate of their own that.
    void set_rates(double of_run, int epoch);
    /// Part of a step that is recorded: all that changes is in device memory.
    void step() const;
    /// What a checkpoint must hold beside values and momenta, by name: Adam's s and t, where there is one.
    const std::vector<std::pair<std::string, Tensor>>& state() const { return state_; }

  private:
    /// Neighbouring parameters of one rule.
    struct Part {
        Segment segment;
        size_t rule;
        Tensor squares;  ///< s, of Adam alone
    };
    const Parameters& parameters_;
    std::vector<std::variant<SgdOptions, AdamOptions>> rules_;  ///< the others' first
    std::vector<std::function<double(int)>> own_rates_;         ///< of each rule; none: the run's
    Tensor rates_;                                              ///< a float a rule
    std::vector<Part> parts_;
    Tensor updates_, corrections_;  ///< t; of each rule that is Adam's 1/(1 − β₁ᵗ) and 1/√(1 − β₂ᵗ), made anew at each step
    std::vector<std::pair<std::string, Tensor>> state_;
};

/// base, times 0.1 from the start of each epoch in `steps` on (epochs counted from 0).
double learning_rate(double base, const std::vector<int>& steps, int epoch);

}  // namespace distill
