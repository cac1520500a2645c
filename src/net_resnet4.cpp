// ResNet10, ResNet18, ResNet34, ResNet50: ImageNet's residual networks of four stages (He et al. 2016) with a 3×3 stem for CIFAR. Layouts,
// initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8). Capitals tell them from resnet<d>, of three
// stages.
#include <map>

#include "net_stages.h"

namespace distill {
namespace {

struct Plan {
    bool bottleneck;  ///< 1×1, 3×3 with the stride, 1×1 to four times the channels; else two of 3×3
    std::vector<int> blocks;
};
const std::map<std::string, Plan> plans = {{"ResNet10", {false, {1, 1, 1, 1}}},
                                           {"ResNet18", {false, {2, 2, 2, 2}}},
                                           {"ResNet34", {false, {3, 4, 6, 3}}},
                                           {"ResNet50", {true, {3, 4, 6, 3}}}};

struct ResidualBlock {
    std::vector<Conv2d> convs;
    std::vector<BatchNorm> bns;
    Conv2d shortcut;
    BatchNorm shortcut_bn;
    bool changes_shape = false;

    ResidualBlock(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride, bool bottleneck)
        : changes_shape(stride != 1 || in != out) {
        const auto add = [&](int64_t from, int64_t to, int64_t size, int by) {
            const std::string i = std::to_string(convs.size() + 1);
            convs.emplace_back(p, name + "conv" + i, from, to, size, by);
            bns.emplace_back(p, name + "bn" + i, to);
        };
        if (bottleneck) {
            add(in, out / 4, 1, 1), add(out / 4, out / 4, 3, stride), add(out / 4, out, 1, 1);
        } else {
            add(in, out, 3, stride), add(out, out, 3, 1);
        }
        if (changes_shape) {
            shortcut = Conv2d(p, name + "shortcut.0", in, out, 1, stride);
            shortcut_bn = BatchNorm(p, name + "shortcut.1", out);
        }
    }
    Var operator()(const Var& x, Mode mode, bool relu) const {
        Var y = x;
        for (size_t i = 0; i + 1 < convs.size(); ++i) y = conv_bn(y, convs[i], bns[i], mode, true);
        const Var residual = changes_shape ? conv_bn(x, shortcut, shortcut_bn, mode, false) : x;
        return conv_bn(y, convs.back(), bns.back(), mode, relu, residual);
    }
};

}  // namespace

extern const NetworkRow resnet4_row{
    "ResNet", "ResNet10, ResNet18, ResNet34, ResNet50", "four stages", nullptr, uniform_start, [](const NetworkName& name) -> NetworkMaker {
        const auto found = plans.find(name.base);
        if (found == plans.end()) return {};
        const bool bottleneck = found->second.bottleneck;
        StagePlan plan{64, {64, 128, 256, 512}, found->second.blocks};
        if (bottleneck)
            for (int64_t& width : plan.widths) width *= 4;
        return [plan, bottleneck](const NetworkSetting& s) {
            return std::make_unique<StagedNetwork<ResidualBlock>>(s, plan, "linear", bottleneck);
        };
    }};

}  // namespace distill
