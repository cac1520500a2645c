// CIFAR networks of three stages. resnet<d>: d = 6n+2, post-activation blocks; widths 16,16,32,64, four times (two times the stem) as
// resnet<d>x4; a 1×1 shortcut where the shape changes (option B), or none but subsampling and appended zero channels (option A,
// resnet<d>a).
// wrn-<d>-<r>: d = 6n+4, pre-activation blocks, widths 16,16r,32r,64r; as -tiny the stem has stride 2.
// MHGD's (docs/papers.md §8.4): resnet-mhgd, with the plan of wrn-10-4. Its classifier, and those of wrn-22-4, wrn-10-4 and every -tiny,
// start at N(0, 2/classes); all else starts as in any resnet or wrn.
#include "net.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base_error.h"
#include "net_mhgd.h"

namespace distill {
namespace {

struct Plan {
    enum class Family { resnet, wide } family;
    int blocks;                    ///< per stage
    std::array<int64_t, 4> width;  ///< stem and three stages
    bool option_a = false;         ///< resnets: shortcuts without parameters
    bool mhgd = false;             ///< the classifier starts as MHGD's
    int stem_stride = 1;
};

/// The number of one to four digits at `at`, which moves behind it; 0 if there is none.
int take_number(const std::string& s, size_t& at) {
    int value = 0;
    for (const size_t end = std::min(s.size(), at + 4); at < end && s[at] >= '0' && s[at] <= '9'; ++at) value = 10 * value + (s[at] - '0');
    return value;
}

/// Whether `word` is at `at`, which then moves behind it.
bool take_word(const std::string& s, const std::string& word, size_t& at) {
    const bool there = s.compare(at, word.size(), word) == 0;
    if (there) at += word.size();
    return there;
}

Plan plan_of(const std::string& name) {
    const std::string base = without_tiny(name);
    const bool tiny = base != name;
    const int stem_stride = tiny ? 2 : 1;
    if (base == "resnet-mhgd") return {Plan::Family::resnet, 1, {16, 64, 128, 256}, false, true, stem_stride};
    size_t at = 0;
    if (take_word(name, "resnet", at)) {
        const int depth = take_number(name, at);
        const bool fourfold = take_word(name, "x4", at), option_a = !fourfold && take_word(name, "a", at);
        if (at == name.size() && depth >= 8 && depth % 6 == 2)
            return {Plan::Family::resnet, (depth - 2) / 6,
                    fourfold ? std::array<int64_t, 4>{32, 64, 128, 256} : std::array<int64_t, 4>{16, 16, 32, 64}, option_a};
    } else if (take_word(base, "wrn-", at)) {
        const int depth = take_number(base, at);
        const int r = take_word(base, "-", at) ? take_number(base, at) : 0;
        const bool mhgd = tiny || base == "wrn-22-4" || base == "wrn-10-4";
        if (at == base.size() && depth >= 10 && depth % 6 == 4 && r >= 1 && r < 100)
            return {Plan::Family::wide, (depth - 4) / 6, {16, 16 * r, 32 * r, 64 * r}, false, mhgd, stem_stride};
    }
    input_error("unknown network '", name, "'; there are: ", network_names());
}

std::string path(const std::string& prefix, const char* stage, int s, const char* list, int block) {
    return prefix + stage + std::to_string(s) + list + std::to_string(block) + ".";
}

std::vector<int64_t> feature_channels_of(const Plan& plan) { return {plan.width[1], plan.width[2], plan.width[3], plan.width[3]}; }
std::vector<int64_t> sensing_channels_of(const Plan& plan) { return {plan.width[1], plan.width[2], plan.width[3]}; }

/// f(stage from 1, block, channels in, channels out, stride) for each block in order; the second and third stage begin with stride 2.
template <class F>
void for_each_block(const Plan& plan, const F& f) {
    for (int stage = 1; stage <= 3; ++stage) {
        int64_t in = plan.width[static_cast<size_t>(stage - 1)];
        const int64_t out = plan.width[static_cast<size_t>(stage)];
        for (int block = 0; block < plan.blocks; ++block, in = out) f(stage, block, in, out, stage > 1 && block == 0 ? 2 : 1);
    }
}

// ---- resnet (He et al. 2015, CIFAR layout) --------------------------------------------------------------------------------------

struct BasicBlock {
    Conv2d conv1, conv2, shortcut;
    BatchNorm bn1, bn2, shortcut_bn;
    int stride = 1;
    int64_t added_channels = 0;
    bool changes_shape = false, option_a = false;

    BasicBlock(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride_, bool option_a_)
        : conv1(p, name + "conv1", in, out, 3, stride_), conv2(p, name + "conv2", out, out, 3), stride(stride_), added_channels(out - in),
          changes_shape(stride_ != 1 || in != out), option_a(option_a_) {
        bn1 = BatchNorm(p, name + "bn1", out);
        bn2 = BatchNorm(p, name + "bn2", out);
        if (changes_shape && !option_a) {
            shortcut = Conv2d(p, name + "downsample.0", in, out, 1, stride);
            shortcut_bn = BatchNorm(p, name + "downsample.1", out);
        }
    }
    Var residual(const Var& x, Mode mode) const {
        if (!changes_shape) return x;
        if (!option_a) return conv_bn(x, shortcut, shortcut_bn, mode, false);
        return pad_channels(subsample(x, stride), 0, added_channels);
    }
    Var operator()(const Var& x, Mode mode, bool relu) const {
        const Var y = conv_bn(x, conv1, bn1, mode, true);
        return conv_bn(y, conv2, bn2, mode, relu, residual(x, mode));
    }
};

class ResNet final : public Network {
  public:
    ResNet(const std::string& name, const Plan& plan, int classes, Parameters& p, const std::string& prefix)
        : Network(name, classes, feature_channels_of(plan), sensing_channels_of(plan)) {
        stem_ = Conv2d(p, prefix + "conv1", 3, plan.width[0], 3, plan.stem_stride);
        stem_bn_ = BatchNorm(p, prefix + "bn1", plan.width[0]);
        for_each_block(plan, [&](int stage, int block, int64_t from, int64_t to, int stride) {
            const std::string name_of_block = path(prefix, "layer", stage, ".", block);
            stages_[static_cast<size_t>(stage - 1)].emplace_back(p, name_of_block, from, to, stride, plan.option_a);
        });
        const int64_t in = plan.width[3];
        const bool scaled = plan.option_a || plan.mhgd;
        const Init weights = plan.mhgd ? Linear::scaled_init(classes) : plan.option_a ? Linear::scaled_init(in) : Linear::default_init(in);
        fc_ = Linear(p, prefix + "fc", in, classes, weights, scaled ? Init::constant(0) : Linear::default_init(in));
    }

    Output forward(const Var& x, Mode mode, bool pre_activation) const override {
        Output out;
        Var y = conv_bn(x, stem_, stem_bn_, mode, true);
        out.features.push_back({"f0", y, {}});
        for (size_t s = 0; s < 3; ++s) {
            Var before;
            for (size_t b = 0; b < stages_[s].size(); ++b) {
                const bool split = pre_activation && b + 1 == stages_[s].size();
                y = stages_[s][b](y, mode, !split);
                if (split) before = y, y = relu(y);
            }
            out.features.push_back({"f" + std::to_string(s + 1), y, before});
            out.sensing.push_back(y);
            if (pre_activation) out.sensing_pre_activation.push_back(before);
        }
        out.map = y;
        y = global_avg_pool(y);
        out.features.push_back({"f4", y, pre_activation ? y : Var()});
        out.logits = fc_(y);
        return out;
    }

  private:
    Conv2d stem_;
    BatchNorm stem_bn_;
    std::array<std::vector<BasicBlock>, 3> stages_;
    Linear fc_;
};

// ---- wrn (Zagoruyko & Komodakis 2016) --------------------------------------------------------------------------------------------

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
    WideResNet(const std::string& name, const Plan& plan, int classes, Parameters& p, const std::string& prefix)
        : Network(name, classes, feature_channels_of(plan), sensing_channels_of(plan)) {
        stem_ = Conv2d(p, prefix + "conv1", 3, plan.width[0], 3, plan.stem_stride);
        for_each_block(plan, [&](int stage, int block, int64_t from, int64_t to, int stride) {
            stages_[static_cast<size_t>(stage - 1)].emplace_back(p, path(prefix, "block", stage, ".layer.", block), from, to, stride);
        });
        last_bn_ = BatchNorm(p, prefix + "bn1", plan.width[3]);
        const Init weights = plan.mhgd ? Linear::scaled_init(classes) : Linear::default_init(plan.width[3]);
        fc_ = Linear(p, prefix + "fc", plan.width[3], classes, weights, Init::constant(0));
    }

    Output forward(const Var& x, Mode mode, bool pre_activation) const override {
        Output out;
        Var y = stem_(x);
        out.features.push_back({"f0", y, {}});
        // Whatever normalises a stage's output first, the next block or the head, also shows it to a student.
        const auto activate = [&](const BatchNorm& bn, bool ends_stage) {
            if (!ends_stage) return bn(y, mode, true);
            if (pre_activation) {
                const Var before = bn(y, mode);
                out.features.back().pre_activation = before;
                out.sensing_pre_activation.push_back(before);
                out.sensing.push_back(relu(before));
            } else {
                out.sensing.push_back(bn(y, mode, true));
            }
            return out.sensing.back();
        };
        for (size_t s = 0; s < 3; ++s) {
            for (size_t b = 0; b < stages_[s].size(); ++b) {
                const WideBlock& block = stages_[s][b];
                y = block(y, activate(block.bn1, s > 0 && b == 0), mode);
            }
            out.features.push_back({"f" + std::to_string(s + 1), y, {}});
        }
        out.map = activate(last_bn_, true);
        y = global_avg_pool(out.map);
        out.features.push_back({"f4", y, pre_activation ? y : Var()});
        out.logits = fc_(y);
        return out;
    }

  private:
    Conv2d stem_;
    std::array<std::vector<WideBlock>, 3> stages_;
    BatchNorm last_bn_;
    Linear fc_;
};

}  // namespace

std::unique_ptr<Network> make_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix) {
    const std::string before = parameters.belongs_to(name);
    std::unique_ptr<Network> network;
    if (is_mhgd_network(name)) {
        network = make_mhgd_network(name, classes, parameters, prefix);
    } else if (const Plan plan = plan_of(name); plan.family == Plan::Family::resnet) {
        network = std::make_unique<ResNet>(name, plan, classes, parameters, prefix);
    } else {
        network = std::make_unique<WideResNet>(name, plan, classes, parameters, prefix);
    }
    parameters.belongs_to(before);
    return network;
}

std::string family_of(const std::string& name) {
    if (is_mhgd_network(name)) return "mhgd";
    const Plan plan = plan_of(name);
    if (plan.family == Plan::Family::wide) return "wrn";
    if (plan.mhgd) return "mhgd";
    return plan.option_a ? "resnet-a" : plan.width[0] == 32 ? "resnet-x4" : "resnet";
}

std::string network_names() {
    return "resnet8, resnet14, resnet20, resnet32, resnet44, resnet56, resnet110 (any depth 6n+2), resnet8x4, resnet32x4, "
           "resnet32a, resnet110a (option-A shortcuts), wrn-16-1, wrn-16-2, wrn-28-2, wrn-40-1, wrn-40-2 (wrn-<6n+4>-<width>), "
           "wrn-22-4, wrn-10-4, resnet-mhgd, vgg16-mhgd, vgg7-mhgd, vggm-mhgd, mobilenet-mhgd; for images of 64x64 NAME-tiny "
           "(of wrn-… and …-mhgd)";
}

}  // namespace distill
