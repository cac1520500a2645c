// The networks of "Graph-based Knowledge Distillation by Multi-head Attention Network" that no other file has (resnet-mhgd is in
// net_resnet.cpp, the wrn in net_wrn.cpp; docs/papers.md §8.4): vgg16-mhgd, vgg7-mhgd, vggm-mhgd, mobilenet-mhgd.
#include "net_mhgd.h"

#include <map>

#include "base_error.h"
#include "net_stages.h"

namespace distill {
namespace {

// ---- vgg16, vgg7: convolutions with bias and ReLU, five stages, dropout behind hidden layers; no BatchNorm ---------------------------

struct VggPlan {
    std::vector<int> convolutions;  ///< of each stage
    int hidden;                     ///< fully connected layers before the classifier
};
const std::map<std::string, VggPlan> vggs = {{"vgg16-mhgd", {{2, 2, 3, 3, 3}, 2}}, {"vgg7-mhgd", {{1, 1, 1, 1, 1}, 1}}};
const std::vector<int64_t> vgg_widths = {64, 128, 256, 512, 512};

/// A maximum of 2×2 ends each stage, but the fourth in images of 32×32.
std::vector<StageLayout> vgg_layout(bool tiny) {
    std::vector<StageLayout> all;
    int stride = 1;
    for (size_t s = 0; s < vgg_widths.size(); ++s) {
        if (s != 3 || tiny) stride *= 2;
        all.push_back({vgg_widths[s], stride});
    }
    return all;
}

class Vgg final : public Network {
  public:
    Vgg(const NetworkSetting& setting, const VggPlan& plan, const NetworkName& name)
        : Network(setting, vgg_layout(name.tiny), 0), base_(name.base), tiny_(name.tiny) {
        Parameters& p = setting.parameters;
        int64_t in = 3;
        for (size_t s = 0; s < vgg_widths.size(); ++s) {
            const std::string stage = setting.prefix + "block" + std::to_string(s + 1) + ".conv";
            blocks_.emplace_back();
            for (int k = 1; k <= plan.convolutions[s]; ++k, in = vgg_widths[s])
                blocks_[s].emplace_back(p, stage + std::to_string(k), in, vgg_widths[s], 3, 1, ConvInit::kaiming_normal_fan_in, true);
        }
        in *= last_side * last_side;
        constexpr int64_t hidden_width = 1024;
        for (int k = 1; k <= plan.hidden; ++k, in = hidden_width) {
            const std::string layer = setting.prefix + "fc" + std::to_string(k);
            // fc1's columns: the last map's rows, columns, channels, as the map lies in memory.
            hidden_.emplace_back(p, layer, in, hidden_width, Linear::scaled_init(in), Init::constant(0));
            dropouts_.emplace_back(p, layer, 0.5f);
        }
        add_classifier(setting, "fc", in);
    }

    void require_images(int64_t height, int64_t width) const override {
        const int64_t side = tiny_ ? 64 : 32;
        if (height == side && width == side) return;
        input_error(name(), ": the images are ", height, "x", width, ", its first fully connected layer is made for those of ", side, "x",
                    side, "; use ", base_, " for 32x32, ", base_, "-tiny for 64x64, or another network");
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        require_images(x.shape().h, x.shape().w);
        Output out;
        Var y = x;
        for (size_t s = 0; s < blocks_.size(); ++s) {
            for (size_t k = 0; k + 1 < blocks_[s].size(); ++k) y = convolve(y, blocks_[s][k], true);
            Var before = convolve(y, blocks_[s].back(), false);
            // ReLU and maximum may change places: this way round a quarter is left to rectify.
            if (s != 3 || tiny_) before = max_pool(before, {});
            y = relu(before);
            out.add_stage(keep, {y, before, y});
        }
        y = flatten(y);
        for (size_t k = 0; k < hidden_.size(); ++k) y = dropouts_[k](relu(hidden_[k](y)), mode);
        out.logits = classifier()(y);
        return out;
    }

  private:
    static constexpr int64_t last_side = 2;  ///< of 32 halved four times, of 64 five times
    static Var convolve(const Var& x, const Conv2d& conv, bool rectify) {
        if (!Tape::current()) return conv2d_inference(x, conv.weight, conv.bias.value(), conv.options, {}, rectify);
        return rectify ? relu(conv(x)) : conv(x);
    }
    std::string base_;
    bool tiny_;
    std::vector<std::vector<Conv2d>> blocks_;
    std::vector<Linear> hidden_;
    std::vector<Dropout> dropouts_;
};

// ---- vggm, mobilenet: the WResNet student's widths and strides, BatchNorm and ReLU after each convolution ------------------------------

struct StagedPlan {
    bool separable;           ///< depthwise 3×3, then 1×1
    std::vector<int> layers;  ///< of each stage
};
const std::map<std::string, StagedPlan> staged = {{"vggm-mhgd", {false, {2, 2, 2}}}, {"mobilenet-mhgd", {true, {1, 2, 2}}}};

struct Layer {
    Conv2d depthwise, conv;
    BatchNorm depthwise_bn, bn;
    bool separable;

    Layer(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride, bool separable_) : separable(separable_) {
        if (separable) {
            depthwise = Conv2d(p, name + "depthwise", in, in, 3, stride, ConvInit::kaiming_normal_fan_out_of_group, false, in);
            depthwise_bn = BatchNorm(p, name + "depthwise_bn", in);
        }
        conv = separable ? Conv2d(p, name + "conv", in, out, 1) : Conv2d(p, name + "conv", in, out, 3, stride);
        bn = BatchNorm(p, name + "bn", out);
    }
    Var operator()(const Var& x, Mode mode, bool relu) const {
        return conv_bn(separable ? conv_bn(x, depthwise, depthwise_bn, mode, true) : x, conv, bn, mode, relu);
    }
};

}  // namespace

extern const NetworkRow vgg_mhgd_row{
    "vgg", "vgg16-mhgd, vgg7-mhgd", "", "…-mhgd", normal_start_by_inputs, [](const NetworkName& name) -> NetworkMaker {
        const auto plan = vggs.find(name.base);
        if (plan == vggs.end()) return {};
        return [name, plan](const NetworkSetting& s) { return std::make_unique<Vgg>(s, plan->second, name); };
    }};

extern const NetworkRow staged_mhgd_row{
    "staged", "vggm-mhgd, mobilenet-mhgd", "", "…-mhgd", normal_start_by_classes, [](const NetworkName& name) -> NetworkMaker {
        const auto found = staged.find(name.base);
        if (found == staged.end()) return {};
        const StagePlan plan{16, {64, 128, 256}, found->second.layers, name.tiny ? 2 : 1};
        return [plan, separable = found->second.separable](const NetworkSetting& s) {
            return std::make_unique<StagedNetwork<Layer>>(s, plan, "fc", separable);
        };
    }};

SlideCount slide_count(const std::string& name) {
    if (name == "vgg16-mhgd") return {143.7, 11.83};
    if (name == "vgg7-mhgd") return {17.6, 0};
    if (name == "wrn-22-4") return {374.2, 0};
    if (name == "wrn-10-4") return {93.2, 0};
    return {};
}

}  // namespace distill
