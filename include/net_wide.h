// net_wide.h: wide residual networks of pre-activation blocks (Zagoruyko & Komodakis 2016), by whatever blocks and names.
// defines: WideForm, WideResNet
#pragma once
#include <string>
#include <vector>

#include "net_stages.h"

namespace distill {

/// In what such networks differ beside their blocks.
struct WideForm {
    std::string (*block)(size_t stage, int block);  ///< how a block's parameters are called, counted from 0
    const char* classifier;
    bool stem_bias = false;      ///< which starts as the framework has it
    float last_momentum = 0.1f;  ///< of the last BatchNorm
};

/// A 3×3 stem, stages of blocks, BatchNorm and ReLU behind the last, a classifier on the pooled map. A block is built as Block(parameters, name,
/// channels in, channels out, stride); bn1 of it normalises what comes in, and block(x, relu(bn1(x)), mode) gives the raw sum.
template <class Block>
class WideResNet final : public Network {
  public:
    WideResNet(const NetworkSetting& s, const StagePlan& plan, const WideForm& form)
        : Network(s, plan.layout(), plan.widths.back(), plan.stem) {
        Parameters& p = s.parameters;
        stem_ = Conv2d(p, s.prefix + "conv1", 3, plan.stem, 3, plan.stem_stride, ConvInit::kaiming_normal_fan_out_weight, form.stem_bias);
        stages_ = plan.build<Block>([&](size_t stage, int block, int64_t in, int64_t out, int stride) {
            return Block(p, s.prefix + form.block(stage, block), in, out, stride);
        });
        last_bn_ = BatchNorm(p, s.prefix + "bn1", plan.widths.back());
        last_bn_.momentum = form.last_momentum;
        add_classifier(s, form.classifier, plan.widths.back());
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = stem_(x);
        out.add_stem(keep, y);
        Var activated = stages_.front().front().bn1(y, mode, true);
        for (size_t s = 0; s < stages_.size(); ++s) {
            const std::vector<Block>& blocks = stages_[s];
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
    std::vector<std::vector<Block>> stages_;
    BatchNorm last_bn_;
};

}  // namespace distill
