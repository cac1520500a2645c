// method_gradient_mixing.h: two losses of one forward pass whose gradients are kept apart, then mixed parameter by parameter, as MHGD does
// (arXiv 1907.02226; docs/papers.md §4.7).
// defines: GradientMixing, add_mixing_options
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "net_parameters.h"
#include "op_autograd.h"

namespace distill {

class OptionTable;  // train_option_table.h
class RunFolder;    // train_run_folder.h

/// With m, t the main and the transfer loss's gradient of one parameter (a tensor), the step goes along m + factor·t:
///     clip (the authors' code):  factor = sigmoid(epoch)·min(1, ‖m‖/‖t‖)
///     scale (their slides):      factor = 1/(1 + exp(−τ)), τ = max(1, ‖m‖/‖t‖)
/// Norms, factors and their sums stay in device memory. gradients.csv has a row an epoch, of means over its steps: norm_ce and
/// norm_transfer, ‖m‖ and ‖t‖ over all parameters; weight, clip's sigmoid (1 for scale); factor, its mean over the parameters, too.
class GradientMixing {
  public:
    enum class Rule { clip, scale };
    static Rule rule_of(const std::string& name);  ///< "clip" or "scale"

    /// The parameters (allocated) must outlive this.
    GradientMixing(Parameters& parameters, Rule rule);
    void begin_epoch(int epoch);
    /// Sends both losses back (one tape, one forward pass) and leaves the mixture in the parameters' gradients.
    void backward(Tape& tape, const Var& main, const Var& transfer);
    void end_epoch(const RunFolder& folder, int epoch);
    /// What a checkpoint must hold: the sums of the epoch so far.
    std::vector<std::pair<std::string, Tensor>> state() const { return {{"mixing.sums", sums_}}; }

  private:
    void mix();

    Parameters& parameters_;
    Rule rule_;
    int64_t chunks_ = 0, segments_ = 0;
    Tensor chunk_table_, first_chunk_;  ///< int32: (chunks; begin, size, segment), (segments + 1)
    Tensor transfer_;                   ///< its gradients, as parameters' lie
    Tensor squares_, factors_;          ///< (chunks; m², t²), (segments)
    Tensor weight_, sums_;              ///< one float; of ‖m‖, ‖t‖, factor, steps
};

/// --mixing, and the weights that losses mixed so do not have.
void add_mixing_options(OptionTable& table, std::string& mixing);

}  // namespace distill
