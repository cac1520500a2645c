#include "layers.h"

#include <cmath>

namespace distill {
namespace {

Init conv_init(ConvInit init, int64_t in, int64_t out, int64_t size) {
    const auto fan_in = static_cast<float>(in * size * size), fan_out = static_cast<float>(out * size * size);
    switch (init) {
        case ConvInit::kaiming_normal_fan_out: return Init::normal(std::sqrt(2.0f / fan_out));
        case ConvInit::kaiming_normal_fan_in: return Init::normal(std::sqrt(2.0f / fan_in));
        case ConvInit::kaiming_uniform_a1: return Init::uniform(std::sqrt(3.0f / fan_in));
        case ConvInit::framework_default: return Init::uniform(1.0f / std::sqrt(fan_in));
    }
    return Init::constant(0);
}

}  // namespace

Conv2d::Conv2d(Parameters& parameters, const std::string& name, int64_t in, int64_t out, int64_t size, int stride, ConvInit init,
               bool with_bias) {
    weight = parameters.add(name + ".weight", {out, size, size, in}, Layout::convolution, conv_init(init, in, out, size));
    if (with_bias)
        bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, conv_init(ConvInit::framework_default, in, out, size));
    options.stride_h = options.stride_w = stride;
    options.pad_h = options.pad_w = static_cast<int>(size / 2);
}

ConvTranspose2d::ConvTranspose2d(Parameters& parameters, const std::string& name, int64_t in, int64_t out, int64_t size,
                                 ConvInit init) {
    const Init as_framework = conv_init(ConvInit::framework_default, out, in, size);  // PyTorch counts the fan-in of what it reverses
    weight = parameters.add(name + ".weight", {in, size, size, out}, Layout::convolution,
                            init == ConvInit::framework_default ? as_framework : conv_init(init, in, out, size));
    bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, as_framework);
    options.pad_h = options.pad_w = static_cast<int>(size / 2);
}

BatchNorm::BatchNorm(Parameters& parameters, const std::string& name, int64_t channels) {
    const Shape vector{1, 1, 1, channels};
    gamma = parameters.add(name + ".weight", vector, Layout::vector, Init::constant(1));
    beta = parameters.add(name + ".bias", vector, Layout::vector, Init::constant(0));
    running_mean = parameters.add_buffer(name + ".running_mean", vector, 0);
    running_var = parameters.add_buffer(name + ".running_var", vector, 1);
}

Var BatchNorm::operator()(const Var& x, Mode mode, bool relu, const Var& residual) const {
    BatchNormOptions options;
    options.relu = relu;
    return mode == Mode::train ? batchnorm(x, gamma, beta, running(), options, residual)
                               : batchnorm_running(x, gamma, beta, running(), options, residual);
}

Linear::Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out, Init weight_init, Init bias_init) {
    weight = parameters.add(name + ".weight", {out, 1, 1, in}, Layout::matrix, weight_init);
    bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, bias_init);
}

Init Linear::default_init(int64_t in) { return Init::uniform(1.0f / std::sqrt(static_cast<float>(in))); }

Var conv_bn(const Var& x, const Conv2d& conv, const BatchNorm& bn, Mode mode, bool relu, const Var& residual) {
    if (mode == Mode::train || Tape::current()) return bn(conv(x), mode, relu, residual);
    Tensor folded_weight, folded_bias;
    fold_batchnorm(conv.weight.value(), bn.gamma.value(), bn.beta.value(), bn.running(), BatchNormOptions{}.epsilon, folded_weight,
                   folded_bias);
    return conv2d_inference(x, Var(folded_weight), folded_bias, conv.options, residual, relu);
}

}  // namespace distill
