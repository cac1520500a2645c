// net_stages.h: the plan that most networks follow: a stem, then stages of blocks of one kind.
// defines: StagePlan, add_rectified_stage, pass_stages, StagedNetwork
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "net.h"

namespace distill {

/// Each stage but the first begins with stride 2.
struct StagePlan {
    int64_t stem;                 ///< channels
    std::vector<int64_t> widths;  ///< channels of each stage's output
    std::vector<int> blocks;      ///< of each stage
    int stem_stride = 1;
    bool adds_zeros = false;  ///< of its blocks' shortcuts: Network::adds_zeros()

    std::vector<StageLayout> layout() const {
        std::vector<StageLayout> all;
        int stride = stem_stride;
        for (const int64_t width : widths) all.push_back({width, stride}), stride *= 2;
        return all;
    }
    /// A list of blocks for each stage, each block built by make(stage and block, counted from 0, channels in, channels out, stride) in
    /// order.
    template <class Block, class Make>
    std::vector<std::vector<Block>> build(const Make& make) const {
        std::vector<std::vector<Block>> all(widths.size());
        int64_t in = stem;
        for (size_t s = 0; s < widths.size(); ++s)
            for (int b = 0; b < blocks[s]; ++b, in = widths[s]) all[s].push_back(make(s, b, in, widths[s], s > 0 && b == 0 ? 2 : 1));
        return all;
    }
};

/// Adds the stage whose last layer ends in ReLU: last(relu) gives its map, with it or, where the map before is kept, without it. Returns
/// the stage's output.
template <class Last>
Var add_rectified_stage(Output& out, Keep keep, const Last& last) {
    const bool shows_before = keeps(keep, Keep::pre_activations);
    Var y = last(!shows_before), before;
    if (shows_before) before = y, y = relu(y);
    out.add_stage(keep, {y, before, y});
    return y;
}

/// Passes y through stages of blocks, block(y, mode, relu), and adds each. Returns the last one's output.
template <class Block>
Var pass_stages(Output& out, Keep keep, const std::vector<std::vector<Block>>& stages, Var y, Mode mode) {
    for (const std::vector<Block>& blocks : stages) {
        for (size_t b = 0; b + 1 < blocks.size(); ++b) y = blocks[b](y, mode, true);
        y = add_rectified_stage(out, keep, [&](bool relu) { return blocks.back()(y, mode, relu); });
    }
    return y;
}

/// A 3×3 stem with BatchNorm and ReLU (conv1, bn1), stages of blocks (layer1.0, layer1.1, …), and a classifier on the pooled map. A block is
/// built as Block(parameters, name, channels in, channels out, stride, kind).
template <class Block>
class StagedNetwork final : public Network {
  public:
    template <class Kind>
    StagedNetwork(const NetworkSetting& s, const StagePlan& plan, const std::string& classifier, Kind kind)
        : Network(s, plan.layout(), plan.widths.back(), plan.stem),
          stem_(s.parameters, s.prefix + "conv1", 3, plan.stem, 3, plan.stem_stride),
          stem_bn_(s.parameters, s.prefix + "bn1", plan.stem),
          stages_(plan.build<Block>([&](size_t stage, int block, int64_t in, int64_t out, int stride) {
              const std::string name = s.prefix + "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
              return Block(s.parameters, name, in, out, stride, kind);
          })),
          adds_zeros_(plan.adds_zeros) {
        add_classifier(s, classifier, plan.widths.back());
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = conv_bn(x, stem_, stem_bn_, mode, true);
        out.add_stem(keep, y);
        out.classify(pass_stages(out, keep, stages_, std::move(y), mode), classifier());
        return out;
    }
    bool adds_zeros() const override { return adds_zeros_; }

  private:
    Conv2d stem_;
    BatchNorm stem_bn_;
    std::vector<std::vector<Block>> stages_;
    bool adds_zeros_;
};

}  // namespace distill
