// wrn-16-2-ffsd, wrn-40-2-ffsd: FFSD's wide residual networks (docs/papers.md §8.7). Unlike the benchmark's (net_wrn.cpp) every convolution
// has a bias, which starts as the framework has it; a block's second convolution has the stride, and its shortcut starts from the raw
// input; the last BatchNorm nearly forgets at each step.
#include "net_wide.h"

namespace distill {
namespace {

struct BiasedBlock {
    BatchNorm bn1, bn2;
    Conv2d conv1, conv2, shortcut;
    bool changes_shape = false;

    BiasedBlock(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride) : changes_shape(stride != 1 || in != out) {
        const auto conv = [&](const char* which, int64_t from, int64_t size, int step) {
            return Conv2d(p, name + which, from, out, size, step, ConvInit::kaiming_normal_fan_out_weight, true);
        };
        bn1 = BatchNorm(p, name + "bn1", in);
        conv1 = conv("conv1", in, 3, 1);
        bn2 = BatchNorm(p, name + "bn2", out);
        conv2 = conv("conv2", out, 3, stride);
        if (changes_shape) shortcut = conv("shortcut.0", in, 1, stride);
    }
    Var operator()(const Var& x, const Var& activated, Mode mode) const {
        const Var residual = changes_shape ? shortcut(x) : x;
        const Var y = conv_bn(activated, conv1, bn2, mode, true);
        if (Tape::current()) return add(conv2(y), residual);
        return conv2d_inference(y, conv2.weight, conv2.bias.value(), conv2.options, residual, false);
    }
};

std::string block_name(size_t stage, int block) { return "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + "."; }

}  // namespace

extern const NetworkRow wrn_ffsd_row{
    "wrn-ffsd", "wrn-16-2-ffsd, wrn-40-2-ffsd", "", nullptr, uniform_start, [](const NetworkName& name) -> NetworkMaker {
        const int depth = name.base == "wrn-16-2-ffsd" ? 16 : name.base == "wrn-40-2-ffsd" ? 40 : 0;
        if (depth == 0) return {};
        const StagePlan plan{16, {32, 64, 128}, std::vector<int>(3, (depth - 4) / 6)};
        return [plan](const NetworkSetting& s) {
            return std::make_unique<WideResNet<BiasedBlock>>(s, plan, WideForm{block_name, "linear", true, 0.9f});
        };
    }};

}  // namespace distill
