// wrn-<d>-<r>: wide residual networks (Zagoruyko & Komodakis 2016), d = 6n+4, pre-activation blocks, widths 16,16r,32r,64r. Layouts,
// initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8). MHGD's (docs/papers.md §8.4) are wrn-22-4,
// wrn-10-4 and every wrn-<d>-<r>-tiny, whose stem has stride 2; their classifiers start otherwise.
#include "net_stages.h"

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

class WideResNet final : public Network {
  public:
    WideResNet(const NetworkSetting& s, const StagePlan& plan) : Network(s, plan.layout(), plan.widths.back(), plan.stem) {
        Parameters& p = s.parameters;
        stem_ = Conv2d(p, s.prefix + "conv1", 3, plan.stem, 3, plan.stem_stride);
        stages_ = plan.build<WideBlock>([&](size_t stage, int block, int64_t in, int64_t out, int stride) {
            const std::string name = s.prefix + "block" + std::to_string(stage + 1) + ".layer." + std::to_string(block) + ".";
            return WideBlock(p, name, in, out, stride);
        });
        last_bn_ = BatchNorm(p, s.prefix + "bn1", plan.widths.back());
        add_classifier(s, "fc", plan.widths.back());
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = stem_(x);
        out.add_stem(keep, y);
        Var activated = stages_.front().front().bn1(y, mode, true);
        for (size_t s = 0; s < stages_.size(); ++s) {
            const std::vector<WideBlock>& blocks = stages_[s];
            for (size_t b = 0; b + 1 < blocks.size(); ++b) {
                y = blocks[b](y, activated, mode);
                activated = blocks[b + 1].bn1(y, mode, true);
            }
            y = blocks.back()(y, activated, mode);
            // Whatever normalises the stage's output first, the next stage or the head, also shows it to a student.
            const bool head = s + 1 == stages_.size();
            const Mode next_mode = head ? behind_stages(mode) : mode;
            const BatchNorm next = !head ? stages_[s + 1].front().bn1 : next_mode == mode ? last_bn_ : last_bn_.still();
            Var before;
            if (keeps(keep, Keep::pre_activations)) before = next(y, next_mode);
            activated = before.defined() && !keeps(keep, Keep::apart) ? relu(before) : next(y, next_mode, true);
            out.add_stage(keep, {y, before, activated});
        }
        out.classify(activated, classifier());
        return out;
    }

  private:
    Conv2d stem_;
    std::vector<std::vector<WideBlock>> stages_;
    BatchNorm last_bn_;
};

NetworkMaker parse(const NetworkName& name) {
    NameReader reader(name.base);
    const int depth = reader.word("wrn-") ? reader.number() : 0, r = reader.word("-") ? reader.number() : 0;
    if (depth < 10 || depth % 6 != 4 || r < 1 || r >= 100 || !reader.at_end()) return {};
    const StagePlan plan{16, {16 * r, 32 * r, 64 * r}, std::vector<int>(3, (depth - 4) / 6), name.tiny ? 2 : 1};
    return [plan](const NetworkSetting& s) { return std::make_unique<WideResNet>(s, plan); };
}

}  // namespace

extern const NetworkRow wrn_row{
    "wrn", "wrn-16-1, wrn-16-2, wrn-28-2, wrn-40-1, wrn-40-2", "wrn-<6n+4>-<width>", nullptr, uniform_weight_start, parse};

extern const NetworkRow wrn_mhgd_row{"wrn", "wrn-22-4, wrn-10-4", "", "wrn-…", normal_start_by_classes, [](const NetworkName& name) {
                                         return name.tiny || name.base == "wrn-22-4" || name.base == "wrn-10-4" ? parse(name)
                                                                                                                : NetworkMaker();
                                     }};

}  // namespace distill
