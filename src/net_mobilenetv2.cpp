// MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018), expansion 6 and half the width but in the head; ReLU, not
// ReLU6. Layouts, initialisation and parameter names as the public CRD benchmark's mobile_half (docs/papers.md §8).
#include "net.h"

namespace distill {
namespace {

struct Group {
    int expansion;
    int64_t width;
    int blocks, stride;  ///< the first block's
};
const std::vector<Group> groups = {{1, 8, 1, 1}, {6, 12, 2, 1}, {6, 16, 3, 2}, {6, 32, 4, 2}, {6, 48, 3, 1}, {6, 80, 3, 2}, {6, 160, 1, 1}};
constexpr int64_t stem_width = 16, head_width = 1280;

/// 1×1 to `expansion` times the channels, depthwise 3×3, 1×1 to the width, which no ReLU follows.
struct InvertedResidual {
    Conv2d expand, depthwise, project;
    BatchNorm expand_bn, depthwise_bn, project_bn;
    bool adds = false;

    InvertedResidual(Parameters& p, const std::string& name, int64_t in, int64_t out, int expansion, int stride)
        : adds(stride == 1 && in == out) {
        const int64_t wide = in * expansion;
        expand = Conv2d(p, name + "0", in, wide, 1);
        expand_bn = BatchNorm(p, name + "1", wide);
        depthwise = Conv2d(p, name + "3", wide, wide, 3, stride, ConvInit::kaiming_normal_fan_out, false, wide);
        depthwise_bn = BatchNorm(p, name + "4", wide);
        project = Conv2d(p, name + "6", wide, out, 1);
        project_bn = BatchNorm(p, name + "7", out);
    }
    Var operator()(const Var& x, Mode mode) const {
        const Var y = conv_bn(conv_bn(x, expand, expand_bn, mode, true), depthwise, depthwise_bn, mode, true);
        return conv_bn(y, project, project_bn, mode, false, adds ? x : Var());
    }
};

class MobileNetV2 final : public Network {
  public:
    explicit MobileNetV2(const NetworkSetting& s) : Network(s, {{12, 2}, {16, 4}, {48, 8}, {160, 16}}, head_width, stem_width) {
        Parameters& p = s.parameters;
        stem_ = Conv2d(p, s.prefix + "conv1.0", 3, stem_width, 3, 2);
        stem_bn_ = BatchNorm(p, s.prefix + "conv1.1", stem_width);
        int64_t in = stem_width;
        for (size_t g = 0; g < groups.size(); ++g) {
            groups_.emplace_back();
            for (int b = 0; b < groups[g].blocks; ++b, in = groups[g].width)
                groups_[g].emplace_back(p, s.prefix + "blocks." + std::to_string(g) + "." + std::to_string(b) + ".conv.", in,
                                        groups[g].width, groups[g].expansion, b == 0 ? groups[g].stride : 1);
        }
        head_ = Conv2d(p, s.prefix + "conv2.0", in, head_width, 1);
        head_bn_ = BatchNorm(p, s.prefix + "conv2.1", head_width);
        add_classifier(s, "classifier.0", head_width);
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = conv_bn(x, stem_, stem_bn_, mode, true);
        out.add_stem(keep, y);
        for (size_t g = 0; g < groups_.size(); ++g) {
            for (const InvertedResidual& block : groups_[g]) y = block(y, mode);
            if (g == 1 || g == 2 || g == 4 || g == 6) out.add_stage(keep, {y, y, y});  // linear: there is no activation
        }
        out.classify(conv_bn(y, head_, head_bn_, behind_stages(mode), true), classifier());
        return out;
    }

  private:
    Conv2d stem_, head_;
    BatchNorm stem_bn_, head_bn_;
    std::vector<std::vector<InvertedResidual>> groups_;
};

}  // namespace

extern const NetworkRow mobilenetv2_row{"MobileNetV2",
                                        "MobileNetV2",
                                        "half width",
                                        nullptr,
                                        small_normal_start,
                                        [](const NetworkName& name) -> NetworkMaker {
                                            if (name.base != "MobileNetV2") return {};
                                            return [](const NetworkSetting& s) { return std::make_unique<MobileNetV2>(s); };
                                        },
                                        true};

}  // namespace distill
