#include "net_mhgd.h"

#include <map>

#include "base_error.h"

namespace distill {
namespace {

const std::string tiny_suffix = "-tiny";

// ---- vgg16, vgg7: convolutions with bias and ReLU, five stages, dropout behind hidden layers; no BatchNorm ---------------------------

struct VggPlan {
    std::vector<int> convolutions;  ///< of each stage
    int hidden;                     ///< fully connected layers before the classifier
};
const std::map<std::string, VggPlan> vggs = {{"vgg16-mhgd", {{2, 2, 3, 3, 3}, 2}}, {"vgg7-mhgd", {{1, 1, 1, 1, 1}, 1}}};
const std::vector<int64_t> vgg_widths = {64, 128, 256, 512, 512};

class Vgg final : public Network {
  public:
    Vgg(const std::string& name, const VggPlan& plan, int classes, Parameters& p, const std::string& prefix)
        : Network(name, classes, {vgg_widths.begin() + 1, vgg_widths.end()}, vgg_widths), tiny_(without_tiny(name) != name) {
        int64_t in = 3;
        for (size_t s = 0; s < vgg_widths.size(); ++s) {
            const std::string stage = prefix + "block" + std::to_string(s + 1) + ".conv";
            stages_.emplace_back();
            for (int k = 1; k <= plan.convolutions[s]; ++k, in = vgg_widths[s])
                stages_[s].emplace_back(p, stage + std::to_string(k), in, vgg_widths[s], 3, 1, ConvInit::kaiming_normal_fan_in, true);
        }
        in *= last_side * last_side;
        constexpr int64_t hidden_width = 1024;
        for (int k = 1; k <= plan.hidden; ++k, in = hidden_width) {
            const std::string layer = prefix + "fc" + std::to_string(k);
            // fc1's columns: the last map's rows, columns, channels, as the map lies in memory.
            hidden_.emplace_back(p, layer, in, hidden_width, Linear::scaled_init(in), Init::constant(0));
            dropouts_.emplace_back(p, layer, 0.5f);
        }
        fc_ = Linear(p, prefix + "fc", in, classes, Linear::scaled_init(in), Init::constant(0));
    }

    void require_images(int64_t height, int64_t width) const override {
        const int64_t side = tiny_ ? 64 : 32;
        if (height == side && width == side) return;
        const std::string base = without_tiny(name());
        input_error(name(), ": the images are ", height, "x", width, ", its first fully connected layer is made for those of ", side, "x",
                    side, "; use ", base, " for 32x32, ", base, tiny_suffix, " for 64x64, or another network");
    }

    Output forward(const Var& x, Mode mode, bool pre_activation) const override {
        require_images(x.shape().h, x.shape().w);
        Output out;
        Var y = x;
        for (size_t s = 0; s < stages_.size(); ++s) {
            for (size_t k = 0; k + 1 < stages_[s].size(); ++k) y = convolve(y, stages_[s][k], true);
            Var before = convolve(y, stages_[s].back(), false);
            // ReLU and maximum may change places: this way round a quarter is left to rectify.
            if (s != 3 || tiny_) before = max_pool(before, {});
            y = relu(before);
            out.sensing.push_back(y);
            if (pre_activation) out.sensing_pre_activation.push_back(before);
            out.features.push_back({"f" + std::to_string(s), y, pre_activation ? before : Var()});
        }
        out.map = y;
        y = flatten(y);
        for (size_t k = 0; k < hidden_.size(); ++k) y = dropouts_[k](relu(hidden_[k](y)), mode);
        out.logits = fc_(y);
        return out;
    }

  private:
    static constexpr int64_t last_side = 2;  ///< of 32 halved four times, of 64 five times
    static Var convolve(const Var& x, const Conv2d& conv, bool rectify) {
        if (!Tape::current()) return conv2d_inference(x, conv.weight, conv.bias.value(), conv.options, {}, rectify);
        return rectify ? relu(conv(x)) : conv(x);
    }
    bool tiny_;
    std::vector<std::vector<Conv2d>> stages_;
    std::vector<Linear> hidden_;
    std::vector<Dropout> dropouts_;
    Linear fc_;
};

// ---- vggm, mobilenet: the WResNet student's widths and strides, BatchNorm and ReLU after each convolution ------------------------------

struct StagedPlan {
    bool separable;           ///< depthwise 3×3, then 1×1
    std::vector<int> layers;  ///< of each stage
};
const std::map<std::string, StagedPlan> staged = {{"vggm-mhgd", {false, {2, 2, 2}}}, {"mobilenet-mhgd", {true, {1, 2, 2}}}};
const std::vector<int64_t> staged_widths = {64, 128, 256};

class Staged final : public Network {
  public:
    Staged(const std::string& name, const StagedPlan& plan, int classes, Parameters& p, const std::string& prefix)
        : Network(name, classes, {64, 128, 256, 256}, staged_widths) {
        constexpr int64_t stem_width = 16;
        stem_ = Conv2d(p, prefix + "conv1", 3, stem_width, 3, without_tiny(name) != name ? 2 : 1);
        stem_bn_ = BatchNorm(p, prefix + "bn1", stem_width);
        int64_t in = stem_width;
        for (size_t s = 0; s < staged_widths.size(); ++s) {
            stages_.emplace_back();
            for (int k = 0; k < plan.layers[s]; ++k, in = staged_widths[s])
                stages_[s].emplace_back(p, prefix + "layer" + std::to_string(s + 1) + "." + std::to_string(k) + ".", in, staged_widths[s],
                                        s > 0 && k == 0 ? 2 : 1, plan.separable);
        }
        fc_ = Linear(p, prefix + "fc", in, classes, Linear::scaled_init(classes), Init::constant(0));
    }

    Output forward(const Var& x, Mode mode, bool pre_activation) const override {
        Output out;
        Var y = conv_bn(x, stem_, stem_bn_, mode, true);
        out.features.push_back({"f0", y, {}});
        for (const std::vector<Layer>& stage : stages_) {
            for (size_t k = 0; k + 1 < stage.size(); ++k) y = stage[k](y, mode, true);
            y = stage.back()(y, mode, !pre_activation);
            Var before;
            if (pre_activation) before = y, y = relu(y), out.sensing_pre_activation.push_back(before);
            out.sensing.push_back(y);
            out.features.push_back({"f" + std::to_string(out.features.size()), y, before});
        }
        out.map = y;
        y = global_avg_pool(y);
        out.features.push_back({"f4", y, pre_activation ? y : Var()});
        out.logits = fc_(y);
        return out;
    }

  private:
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
    Conv2d stem_;
    BatchNorm stem_bn_;
    std::vector<std::vector<Layer>> stages_;
    Linear fc_;
};

}  // namespace

std::string without_tiny(const std::string& name) {
    const size_t base = name.size() > tiny_suffix.size() ? name.size() - tiny_suffix.size() : 0;
    return base > 0 && name.compare(base, std::string::npos, tiny_suffix) == 0 ? name.substr(0, base) : name;
}

bool is_mhgd_network(const std::string& name) {
    const std::string base = without_tiny(name);
    return vggs.count(base) > 0 || staged.count(base) > 0;
}

std::unique_ptr<Network> make_mhgd_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix) {
    const std::string base = without_tiny(name);
    if (const auto vgg = vggs.find(base); vgg != vggs.end()) return std::make_unique<Vgg>(name, vgg->second, classes, parameters, prefix);
    return std::make_unique<Staged>(name, staged.at(base), classes, parameters, prefix);
}

SlideCount slide_count(const std::string& name) {
    if (name == "vgg16-mhgd") return {143.7, 11.83};
    if (name == "vgg7-mhgd") return {17.6, 0};
    if (name == "wrn-22-4") return {374.2, 0};
    if (name == "wrn-10-4") return {93.2, 0};
    return {};
}

}  // namespace distill
