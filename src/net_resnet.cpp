// resnet<d>: the CIFAR networks of three stages (He et al. 2015), d = 6n+2, post-activation blocks; widths 16,16,32,64, four times (two
// times the stem) as resnet<d>x4; a 1×1 shortcut where the shape changes (option B), or none but subsampling and appended zero channels
// (option A, resnet<d>a). Layouts, initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8).
// resnet-mhgd: the same blocks by the plan of wrn-10-4 (docs/papers.md §8.4).
#include "net_stages.h"

namespace distill {
namespace {

enum class Shortcut { convolution, none };

struct BasicBlock {
    Conv2d conv1, conv2, shortcut;
    BatchNorm bn1, bn2, shortcut_bn;
    int stride = 1;
    int64_t added_channels = 0;
    bool changes_shape = false, convolves = false;

    BasicBlock(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride_, Shortcut kind)
        : conv1(p, name + "conv1", in, out, 3, stride_),
          conv2(p, name + "conv2", out, out, 3),
          stride(stride_),
          added_channels(out - in),
          changes_shape(stride_ != 1 || in != out),
          convolves(kind == Shortcut::convolution) {
        bn1 = BatchNorm(p, name + "bn1", out);
        bn2 = BatchNorm(p, name + "bn2", out);
        if (changes_shape && convolves) {
            shortcut = Conv2d(p, name + "downsample.0", in, out, 1, stride);
            shortcut_bn = BatchNorm(p, name + "downsample.1", out);
        }
    }
    Var residual(const Var& x, Mode mode) const {
        if (!changes_shape) return x;
        if (convolves) return conv_bn(x, shortcut, shortcut_bn, mode, false);
        return pad_channels(subsample(x, stride), 0, added_channels);
    }
    Var operator()(const Var& x, Mode mode, bool relu) const {
        const Var y = conv_bn(x, conv1, bn1, mode, true);
        return conv_bn(y, conv2, bn2, mode, relu, residual(x, mode));
    }
};

/// resnet<d> with `ending` behind it, of these widths.
NetworkMaker parse(const NetworkName& name, const char* ending, int64_t stem, const std::vector<int64_t>& widths, Shortcut shortcut) {
    NameReader reader(name.base);
    const int depth = reader.word("resnet") ? reader.number() : 0;
    if (depth < 8 || depth % 6 != 2 || !reader.word(ending) || !reader.at_end()) return {};
    const StagePlan plan{stem, widths, std::vector<int>(3, (depth - 2) / 6), 1, shortcut == Shortcut::none};
    return [plan, shortcut](const NetworkSetting& s) { return std::make_unique<StagedNetwork<BasicBlock>>(s, plan, "fc", shortcut); };
}

}  // namespace

extern const NetworkRow resnet_row{
    "resnet",         "resnet8, resnet14, resnet20, resnet32, resnet44, resnet56, resnet110",
    "any depth 6n+2", nullptr,
    uniform_start,    [](const NetworkName& name) { return parse(name, "", 16, {16, 32, 64}, Shortcut::convolution); }};

extern const NetworkRow resnet_x4_row{"resnet",
                                      "resnet8x4, resnet32x4",
                                      "",
                                      nullptr,
                                      uniform_start,
                                      [](const NetworkName& name) { return parse(name, "x4", 32, {64, 128, 256}, Shortcut::convolution); }};

extern const NetworkRow resnet_a_row{
    "resnet", "resnet32a, resnet110a", "option-A shortcuts",
    nullptr,  normal_start_by_inputs,  [](const NetworkName& name) { return parse(name, "a", 16, {16, 32, 64}, Shortcut::none); }};

extern const NetworkRow resnet_mhgd_row{
    "resnet", "resnet-mhgd", "", "…-mhgd", normal_start_by_classes, [](const NetworkName& name) -> NetworkMaker {
        if (name.base != "resnet-mhgd") return {};
        const StagePlan plan{16, {64, 128, 256}, {1, 1, 1}, name.tiny ? 2 : 1};
        return
            [plan](const NetworkSetting& s) { return std::make_unique<StagedNetwork<BasicBlock>>(s, plan, "fc", Shortcut::convolution); };
    }};

}  // namespace distill
