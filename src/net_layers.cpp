#include "net_layers.h"

#include <cmath>

#include "base_error.h"
#include "core_philox.h"

namespace distill {
namespace {

/// `in`, `out`: of one group; `all_out` of the layer.
Init conv_init(ConvInit init, int64_t in, int64_t out, int64_t size, int64_t all_out) {
    const auto fan_in = static_cast<float>(in * size * size);
    switch (init) {
        case ConvInit::kaiming_normal_fan_out:
        case ConvInit::kaiming_normal_fan_out_weight: return Init::normal(std::sqrt(2.0f / static_cast<float>(all_out * size * size)));
        case ConvInit::kaiming_normal_fan_out_of_group: return Init::normal(std::sqrt(2.0f / static_cast<float>(out * size * size)));
        case ConvInit::kaiming_normal_fan_in: return Init::normal(std::sqrt(2.0f / fan_in));
        case ConvInit::kaiming_uniform_a1: return Init::uniform(std::sqrt(3.0f / fan_in));
        case ConvInit::framework_default: return Init::uniform(1.0f / std::sqrt(fan_in));
    }
    return Init::constant(0);
}

}  // namespace

Conv2d::Conv2d(Parameters& parameters, const std::string& name, int64_t in, int64_t out, int64_t size, int stride, ConvInit init,
               bool with_bias, int64_t groups) {
    if (in % groups != 0 || out % groups != 0)
        failure("convolution ", name, ": ", in, " channels to ", out, " in ", groups, " groups ---> make both multiples of the groups");
    const auto start = [&](ConvInit how) { return conv_init(how, in / groups, out / groups, size, out); };
    weight = parameters.add(name + ".weight", {out, size, size, in / groups}, Layout::convolution, start(init));
    const bool zero = start(init).kind == Init::Kind::normal && init != ConvInit::kaiming_normal_fan_out_weight;
    const Init bias_init = zero ? Init::constant(0) : start(ConvInit::framework_default);
    if (with_bias) bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, bias_init);
    options.stride_h = options.stride_w = stride;
    options.pad_h = options.pad_w = static_cast<int>(size / 2);
    options.groups = static_cast<int>(groups);
}

ConvTranspose2d::ConvTranspose2d(Parameters& parameters, const std::string& name, int64_t in, int64_t out, int64_t size, ConvInit init,
                                 int stride, int output_pad_, bool with_bias)
    : output_pad(output_pad_) {
    // PyTorch counts the fan-in of what it reverses.
    const bool as_framework = init == ConvInit::framework_default;
    const Init weight_init = as_framework ? conv_init(init, out, in, size, in) : conv_init(init, in, out, size, out);
    weight = parameters.add(name + ".weight", {in, size, size, out}, Layout::convolution, weight_init);
    const Init bias_init = as_framework ? weight_init : Init::constant(0);
    if (with_bias) bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, bias_init);
    options.stride_h = options.stride_w = stride;
    options.pad_h = options.pad_w = static_cast<int>((size - 1) / 2);
}

BatchNorm::BatchNorm(Parameters& parameters, const std::string& name, int64_t channels) {
    const Shape vector{1, 1, 1, channels};
    gamma = parameters.add(name + ".weight", vector, Layout::vector, Init::constant(1));
    beta = parameters.add(name + ".bias", vector, Layout::vector, Init::constant(0));
    running_mean = parameters.add_buffer(name + ".running_mean", vector, 0);
    running_var = parameters.add_buffer(name + ".running_var", vector, 1);
}

BatchNorm BatchNorm::still() const {
    BatchNorm copy = *this;
    copy.gamma = gamma.detached();
    copy.beta = beta.detached();
    return copy;
}

Var BatchNorm::operator()(const Var& x, Mode mode, bool relu, const Var& residual) const {
    BatchNormOptions options;
    options.relu = relu;
    options.momentum = momentum;
    return mode == Mode::evaluate ? batchnorm_running(x, gamma, beta, running(), options, residual)
                                  : batchnorm(x, gamma, beta, running(), options, residual);
}

Linear::Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out, Init weight_init, Init bias_init) {
    weight = parameters.add(name + ".weight", {out, 1, 1, in}, Layout::matrix, weight_init);
    bias = parameters.add(name + ".bias", {1, 1, 1, out}, Layout::vector, bias_init);
}

Init Linear::default_init(int64_t in) { return Init::uniform(1.0f / std::sqrt(static_cast<float>(in))); }

Init Linear::scaled_init(int64_t fan) { return Init::normal(std::sqrt(2.0f / static_cast<float>(fan))); }

Dropout::Dropout(Parameters& parameters, const std::string& name, float rate_)
    : rate(rate_), name_(hash_name(name)), updates_(parameters.trainable() ? parameters.count_updates() : nullptr) {}

Var Dropout::operator()(const Var& x, Mode mode) const {
    if (mode == Mode::evaluate || !updates_) return x;
    return dropout(x, rate, random_key(updates_->start, Purpose::dropout, name_), updates_->count);
}

Var conv_bn(const Var& x, const Conv2d& conv, const BatchNorm& bn, Mode mode, bool relu, const Var& residual) {
    if (mode != Mode::evaluate || Tape::current()) return bn(conv(x), mode, relu, residual);
    Tensor folded_weight, folded_bias;
    fold_batchnorm(conv.weight.value(), bn.gamma.value(), bn.beta.value(), bn.running(), BatchNormOptions{}.epsilon, folded_weight,
                   folded_bias, conv.bias.defined() ? conv.bias.value() : Tensor());
    return conv2d_inference(x, Var(folded_weight), folded_bias, conv.options, residual, relu);
}

}  // namespace distill
