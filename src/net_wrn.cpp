// wrn-<d>-<r>: wide residual networks (Zagoruyko & Komodakis 2016), d = 6n+4, pre-activation blocks, widths 16,16r,32r,64r. Layouts,
// initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8). MHGD's (docs/papers.md §8.4) are wrn-22-4,
// wrn-10-4 and every wrn-<d>-<r>-tiny, whose stem has stride 2; their classifiers start otherwise.
#include "net_wide.h"

namespace distill {
namespace {

struct WideBlock {
    BatchNorm bn1, bn2;
    Conv2d conv1, conv2, shortcut;
    bool widens = false;

    WideBlock(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride) : widens(in != out) {
        bn1 = BatchNorm(p, name + "bn1", in);
        conv1 = Conv2d(p, name + "conv1", in, out, 3, stride);
        bn2 = BatchNorm(p, name + "bn2", out);
        conv2 = Conv2d(p, name + "conv2", out, out, 3);
        if (widens) shortcut = Conv2d(p, name + "convShortcut", in, out, 1, stride);
    }
    /// `activated` = relu(bn1(x)); where the block widens, the shortcut too starts from it.
    Var operator()(const Var& x, const Var& activated, Mode mode) const {
        const Var residual = widens ? shortcut(activated) : x;
        const Var y = conv_bn(activated, conv1, bn2, mode, true);
        if (Tape::current()) return add(conv2(y), residual);
        return conv2d_inference(y, conv2.weight, {}, conv2.options, residual, false);
    }
};

std::string block_name(size_t stage, int block) { return "block" + std::to_string(stage + 1) + ".layer." + std::to_string(block) + "."; }

NetworkMaker parse(const NetworkName& name) {
    NameReader reader(name.base);
    const int depth = reader.word("wrn-") ? reader.number() : 0, r = reader.word("-") ? reader.number() : 0;
    if (depth < 10 || depth % 6 != 4 || r < 1 || r >= 100 || !reader.at_end()) return {};
    const StagePlan plan{16, {16 * r, 32 * r, 64 * r}, std::vector<int>(3, (depth - 4) / 6), name.tiny ? 2 : 1};
    return [plan](const NetworkSetting& s) { return std::make_unique<WideResNet<WideBlock>>(s, plan, WideForm{block_name, "fc"}); };
}

}  // namespace

extern const NetworkRow wrn_row{
    "wrn", "wrn-16-1, wrn-16-2, wrn-28-2, wrn-40-1, wrn-40-2", "wrn-<6n+4>-<width>", nullptr, uniform_weight_start, parse};

extern const NetworkRow wrn_mhgd_row{"wrn", "wrn-22-4, wrn-10-4", "", "wrn-…", normal_start_by_classes, [](const NetworkName& name) {
                                         return name.tiny || name.base == "wrn-22-4" || name.base == "wrn-10-4" ? parse(name)
                                                                                                                : NetworkMaker();
                                     }};

}  // namespace distill
