// vgg8, vgg11, vgg13, vgg16, vgg19: VGG with BatchNorm (Simonyan & Zisserman 2015) and one classifier behind a pooled map. Layouts,
// initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8).
#include <map>

#include "net_stages.h"

namespace distill {
namespace {

const std::vector<int64_t> widths = {64, 128, 256, 512, 512};
const std::map<std::string, std::vector<int>> convolutions_of = {  // of each block
    {"vgg8", {1, 1, 1, 1, 1}},
    {"vgg11", {1, 1, 2, 2, 2}},
    {"vgg13", {2, 2, 2, 2, 2}},
    {"vgg16", {2, 2, 3, 3, 3}},
    {"vgg19", {2, 2, 4, 4, 4}}};

/// Convolutions with bias, each with BatchNorm and ReLU.
struct Block {
    std::vector<Conv2d> convs;
    std::vector<BatchNorm> bns;

    Block(Parameters& p, const std::string& name, int64_t in, int64_t out, int convolutions) {
        for (int i = 0; i < convolutions; ++i, in = out) {
            convs.emplace_back(p, name + std::to_string(3 * i), in, out, 3, 1, ConvInit::kaiming_normal_fan_out, true);
            bns.emplace_back(p, name + std::to_string(3 * i + 1), out);  // 3i + 2 is the ReLU
        }
    }
    Var operator()(Var y, Mode mode, bool last_relu) const {
        for (size_t i = 0; i < convs.size(); ++i) y = conv_bn(y, convs[i], bns[i], mode, i + 1 < convs.size() || last_relu);
        return y;
    }
};

class Vgg final : public Network {
  public:
    Vgg(const NetworkSetting& s, const std::vector<int>& convolutions)
        : Network(s, {{128, 2}, {256, 4}, {512, 8}, {512, 8}}, widths.back(), widths.front()) {
        int64_t in = 3;
        for (size_t b = 0; b < widths.size(); in = widths[b++])
            blocks_.emplace_back(s.parameters, s.prefix + "block" + std::to_string(b) + ".", in, widths[b], convolutions[b]);
        add_classifier(s, "classifier", in);
    }

    /// Every map is half the one before; the last only in images of 64 rows.
    Shape stage_shape(size_t stage, const Shape& image) const override {
        const int halved = static_cast<int>(stage) + (stage < 3 || image.h == 64 ? 1 : 0);
        return {1, image.h >> halved, image.w >> halved, stages().at(stage).channels};
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = blocks_[0](x, mode, true);
        out.add_stem(keep, y);
        for (size_t b = 1; b < blocks_.size(); ++b) {
            if (b < 4 || x.shape().h == 64) y = max_pool(y, {});
            y = add_rectified_stage(out, keep, [&](bool relu) { return blocks_[b](y, mode, relu); });
        }
        out.classify(y, classifier());
        return out;
    }

  private:
    std::vector<Block> blocks_;
};

}  // namespace

extern const NetworkRow vgg_row{
    "vgg-bn", "vgg8, vgg11, vgg13, vgg16, vgg19", "", nullptr, small_normal_start, [](const NetworkName& name) -> NetworkMaker {
        const auto found = convolutions_of.find(name.base);
        if (found == convolutions_of.end()) return {};
        return [&convolutions = found->second](const NetworkSetting& s) { return std::make_unique<Vgg>(s, convolutions); };
    }};

}  // namespace distill
