// net_layers.h: modules with named parameters. Names are PyTorch's, so that its checkpoints fit.
// defines: Mode, behind_stages, ConvInit, Conv2d, ConvTranspose2d, BatchNorm, Linear, Dropout, conv_bn
#pragma once
#include <memory>
#include <string>

#include "net_parameters.h"
#include "ops.h"

namespace distill {

/// train: BatchNorm uses the batch's statistics and updates the running ones, dropout drops; evaluate: it uses the running ones, and
/// dropout does nothing. train_stages: as train, but what a network has behind its stages, a last BatchNorm or a head, as evaluate and
/// without gradients into it.
enum class Mode { train, evaluate, train_stages };
/// Of a layer behind the stages.
inline Mode behind_stages(Mode mode) { return mode == Mode::train_stages ? Mode::evaluate : mode; }

/// How convolutions start (docs/papers.md §1.4, §8): weights, and a bias, which is 0 beside normal ones (but for
/// kaiming_normal_fan_out_weight), else as framework_default says.
enum class ConvInit {
    kaiming_normal_fan_out,           ///< N(0, 2/(k·k·out)), bias 0; out the whole layer's also where it has groups, as in PyTorch
    kaiming_normal_fan_out_weight,    ///< the same, but the bias as framework_default says
    kaiming_normal_fan_out_of_group,  ///< N(0, 2/(k·k·out/groups)): what an input really feeds
    kaiming_normal_fan_in,            ///< N(0, 2/fan_in); fan_in = k·k·in/groups
    kaiming_uniform_a1,               ///< U(±√(3/fan_in)): Kaiming-uniform with a = 1
    framework_default                 ///< U(±1/√fan_in), weight and bias
};

struct Conv2d {
    Var weight, bias;  ///< bias undefined: none
    Conv2dOptions options;

    Conv2d() = default;
    /// Square kernel of `size`, padded by ⌊size/2⌋; registers NAME.weight (out, in/groups, size, size in a file) and, if asked, NAME.bias.
    /// `groups` divides in and out: each group of outputs sees its own group of inputs; groups = in: a depthwise convolution.
    Conv2d(Parameters&, const std::string& name, int64_t in, int64_t out, int64_t size, int stride = 1,
           ConvInit init = ConvInit::kaiming_normal_fan_out, bool with_bias = false, int64_t groups = 1);
    Var operator()(const Var& x) const { return conv2d(x, weight, options, bias); }
};

/// The reverse of a Conv2d: where that maps out→in, this maps in→out channels (PyTorch's ConvTranspose2d), padded by ⌊(size − 1)/2⌋. With
/// stride 2 a map doubles where the kernel is 4×4, or 3×3 and `output_pad` is 1.
struct ConvTranspose2d {
    Var weight, bias;  ///< bias undefined: none
    Conv2dOptions options;
    int output_pad = 0;

    /// Registers NAME.weight (in, out, size, size in a file) and, if asked, NAME.bias. framework_default is PyTorch's, which takes `out`
    /// for the fan-in.
    ConvTranspose2d(Parameters&, const std::string& name, int64_t in, int64_t out, int64_t size,
                    ConvInit init = ConvInit::framework_default, int stride = 1, int output_pad = 0, bool with_bias = true);
    Var operator()(const Var& x) const { return conv_transpose2d(x, weight, options, bias, output_pad); }
};

struct BatchNorm {
    Var gamma, beta, running_mean, running_var;
    float momentum = 0.1f;  ///< the batch's part in the new running statistics

    BatchNorm() = default;
    /// Registers NAME.weight (1), NAME.bias (0), NAME.running_mean (0), NAME.running_var (1).
    BatchNorm(Parameters&, const std::string& name, int64_t channels);
    /// [+ residual] [then ReLU], fused.
    Var operator()(const Var& x, Mode mode, bool relu = false, const Var& residual = {}) const;
    /// The same without gradients into it.
    BatchNorm still() const;
    RunningStatistics running() const { return {running_mean.value(), running_var.value()}; }
};

struct Linear {
    Var weight, bias;

    Linear() = default;
    Linear(Parameters&, const std::string& name, int64_t in, int64_t out, Init weight_init, Init bias_init);
    Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out)  ///< starts by default_init
        : Linear(parameters, name, in, out, default_init(in), default_init(in)) {}
    static Init default_init(int64_t in);  ///< U(±1/√in)
    static Init scaled_init(int64_t fan);  ///< N(0, 2/fan)
    Var operator()(const Var& x) const { return linear(x, weight, bias); }
};

/// In training y = x·m/(1 − rate), m = 0 with probability `rate`, drawn from the parameters' seed, the name, the number of updates so far
/// and the element: the same at any number of threads, on any device, in a recorded step, and after a run goes on. In a frozen network,
/// which is never updated and would keep one mask for ever, it does nothing in either mode.
struct Dropout {
    float rate = 0;

    Dropout() = default;
    Dropout(Parameters&, const std::string& name, float rate);
    Var operator()(const Var& x, Mode mode) const;

  private:
    uint64_t name_ = 0;
    std::shared_ptr<const Updates> updates_;  ///< null: frozen
};

/// BN(conv(x)) [+ residual] [then ReLU]. Where nothing is recorded and the mode is evaluate, BatchNorm is folded into the convolution
/// and everything runs as one pass over the map.
Var conv_bn(const Var& x, const Conv2d& conv, const BatchNorm& bn, Mode mode, bool relu, const Var& residual = {});

}  // namespace distill
