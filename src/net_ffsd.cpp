#include "net_ffsd.h"

#include <algorithm>

namespace distill {

SeparableBlock::SeparableBlock(Parameters& p, const std::string& name, int64_t in, int64_t out) {
    depthwise_ = Conv2d(p, name + ".conv1", in, in, 3, 1, ConvInit::kaiming_normal_fan_out, false, in);
    bn1_ = BatchNorm(p, name + ".bn1", in);
    pointwise_ = Conv2d(p, name + ".conv1_1", in, out, 1);
    bn2_ = BatchNorm(p, name + ".bn1_1", out);
}

Var SeparableBlock::operator()(const Var& x, Mode mode) const {
    return conv_bn(conv_bn(x, depthwise_, bn1_, mode, true), pointwise_, bn2_, mode, true);
}

FusionModule::FusionModule(Parameters& p, const std::string& name, int64_t in, int64_t out, int classes)
    : block_(p, name, in, out), classifier_(p, name + ".fc2", out, classes) {}

FusionModule::Result FusionModule::operator()(const Var& maps, Mode mode) const {
    const Var map = block_(maps, mode);
    return {map, classifier_(global_avg_pool(map))};
}

SelfDistillation::SelfDistillation(Parameters& p, const std::string& name, const std::vector<int64_t>& channels) {
    for (size_t i = 0; i + 1 < channels.size(); ++i) {
        const int64_t in = channels[channels.size() - 1 - i], out = channels[channels.size() - 2 - i];
        const std::string layer = name + ".layer" + std::to_string(i);
        ConvTranspose2d conv(p, layer + ".convtranpose", in, out, 3, ConvInit::framework_default, 2, 1, false);
        layers_.push_back({std::move(conv), BatchNorm(p, layer + ".norm", out)});
    }
}

std::vector<Var> SelfDistillation::operator()(const Var& last, Mode mode) const {
    std::vector<Var> maps;
    Var y = last;
    for (const Layer& layer : layers_) maps.push_back(y = layer.norm(layer.conv(y), mode, true));
    std::reverse(maps.begin(), maps.end());
    return maps;
}

}  // namespace distill
