// ShuffleV1, ShuffleV2: ShuffleNet (Zhang et al. 2018) with 3 groups and ShuffleNetV2 (Ma et al. 2018) of size 1, for CIFAR: a 1×1 stem, no
// maximum. Layouts, initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8).
#include "net_stages.h"

namespace distill {
namespace {

constexpr int64_t stem_width = 24;
const std::vector<int> blocks_of = {4, 8, 4};  ///< each layer

Conv2d convolution(Parameters& p, const std::string& name, int64_t in, int64_t out, int64_t size, int stride = 1, int64_t groups = 1) {
    return {p, name, in, out, size, stride, ConvInit::framework_default, false, groups};
}

struct ConvBn {
    Conv2d conv;
    BatchNorm bn;

    ConvBn() = default;
    /// Registers PREFIXconvI.weight and PREFIXbnI.….
    ConvBn(Parameters& p, const std::string& prefix, int i, int64_t in, int64_t out, int64_t size, int stride = 1, int64_t groups = 1)
        : conv(convolution(p, prefix + "conv" + std::to_string(i), in, out, size, stride, groups)),
          bn(p, prefix + "bn" + std::to_string(i), out) {}
    Var operator()(const Var& x, Mode mode, bool relu) const { return conv_bn(x, conv, bn, mode, relu); }
};

// ---- ShuffleV1 -------------------------------------------------------------------------------------------------------------

/// Grouped 1×1, shuffle, depthwise 3×3, grouped 1×1; added to x, or, where the map is halved, joined with its average.
struct BlockV1 {
    ConvBn reduce, depthwise, expand;
    int64_t groups;
    bool halves;

    /// out: of the layer; the block itself makes out − in of them where it halves.
    BlockV1(Parameters& p, const std::string& name, int64_t in, int64_t out, int stride)
        : groups(in == stem_width ? 1 : 3), halves(stride == 2) {
        const int64_t made = halves ? out - in : out, middle = made / 4;
        reduce = ConvBn(p, name, 1, in, middle, 1, 1, groups);
        depthwise = ConvBn(p, name, 2, middle, middle, 3, stride, middle);
        expand = ConvBn(p, name, 3, middle, made, 1, 1, 3);
    }
    Var operator()(const Var& x, Mode mode, bool last_relu) const {
        const Var y = depthwise(shuffle_channels(reduce(x, mode, true), static_cast<int>(groups)), mode, true);
        if (!halves) return conv_bn(y, expand.conv, expand.bn, mode, last_relu, x);
        const Var joined = concat_channels(expand(y, mode, false), avg_pool(x, {3, 2, 1}));
        return last_relu ? relu(joined) : joined;
    }
};

class ShuffleV1 final : public Network {
  public:
    explicit ShuffleV1(const NetworkSetting& s) : Network(s, {{240, 2}, {480, 4}, {960, 8}}, 960, stem_width) {
        stem_ = ConvBn(s.parameters, s.prefix, 1, 3, stem_width, 1);
        int64_t in = stem_width;
        for (size_t l = 0; l < stages().size(); ++l) {
            const int64_t width = stages()[l].channels;
            layers_.emplace_back();
            for (int b = 0; b < blocks_of[l]; ++b, in = width)
                layers_[l].emplace_back(s.parameters, s.prefix + "layer" + std::to_string(l + 1) + "." + std::to_string(b) + ".", in, width,
                                        b == 0 ? 2 : 1);
        }
        add_classifier(s, "linear", in);
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        Output out;
        Var y = stem_(x, mode, true);
        out.add_stem(keep, y);
        out.classify(pass_stages(out, keep, layers_, std::move(y), mode), classifier());
        return out;
    }

  private:
    ConvBn stem_;
    std::vector<std::vector<BlockV1>> layers_;
};

// ---- ShuffleV2 -------------------------------------------------------------------------------------------------------------

/// Half the channels pass as they are; the other half goes through 1×1, depthwise 3×3, 1×1; then both are shuffled.
struct BasicV2 {
    ConvBn first, depthwise, last;
    int64_t half;

    BasicV2(Parameters& p, const std::string& name, int64_t channels)
        : first(p, name, 1, channels / 2, channels / 2, 1),
          depthwise(p, name, 2, channels / 2, channels / 2, 3, 1, channels / 2),
          last(p, name, 3, channels / 2, channels / 2, 1),
          half(channels / 2) {}
    /// `pre`, if wanted, is what comes before the last ReLU, not shuffled, as the benchmark has it.
    Var operator()(const Var& x, Mode mode, Var* pre) const {
        const Var kept = slice_channels(x, 0, half);
        const Var y = depthwise(first(slice_channels(x, half, half), mode, true), mode, false);
        if (!pre) return interleave_channels(kept, last(y, mode, true));
        const Var made = last(y, mode, false);
        *pre = concat_channels(kept, made);
        return interleave_channels(kept, relu(made));
    }
};

/// Both branches halve the map: depthwise 3×3 and 1×1, beside 1×1, depthwise 3×3 and 1×1.
struct DownV2 {
    ConvBn left_depthwise, left, right_first, right_depthwise, right;

    DownV2(Parameters& p, const std::string& name, int64_t in, int64_t out) {
        const int64_t half = out / 2;
        left_depthwise = ConvBn(p, name, 1, in, in, 3, 2, in);
        left = ConvBn(p, name, 2, in, half, 1);
        right_first = ConvBn(p, name, 3, in, half, 1);
        right_depthwise = ConvBn(p, name, 4, half, half, 3, 2, half);
        right = ConvBn(p, name, 5, half, half, 1);
    }
    Var operator()(const Var& x, Mode mode) const {
        const Var a = left(left_depthwise(x, mode, false), mode, true);
        const Var b = right(right_depthwise(right_first(x, mode, true), mode, false), mode, true);
        return interleave_channels(a, b);
    }
};

class ShuffleV2 final : public Network {
  public:
    explicit ShuffleV2(const NetworkSetting& s) : Network(s, {{116, 2}, {232, 4}, {464, 8}}, head_width, stem_width) {
        Parameters& p = s.parameters;
        stem_ = ConvBn(p, s.prefix, 1, 3, stem_width, 1);
        int64_t in = stem_width;
        for (size_t l = 0; l < stages().size(); ++l) {
            const int64_t width = stages()[l].channels;
            const std::string layer = s.prefix + "layer" + std::to_string(l + 1) + ".";
            downs_.emplace_back(p, layer + "0.", in, width);
            layers_.emplace_back();
            for (int b = 1; b < blocks_of[l]; ++b) layers_[l].emplace_back(p, layer + std::to_string(b) + ".", width);
            in = width;
        }
        head_ = ConvBn(p, s.prefix, 2, in, head_width, 1);
        add_classifier(s, "linear", head_width);
    }

    Output forward(const Var& x, Mode mode, Keep keep) const override {
        const bool shows_pre = keeps(keep, Keep::pre_activations);
        Output out;
        Var y = stem_(x, mode, true);
        out.add_stem(keep, y);
        for (size_t l = 0; l < layers_.size(); ++l) {
            y = downs_[l](y, mode);
            Var before;
            for (size_t b = 0; b < layers_[l].size(); ++b)
                y = layers_[l][b](y, mode, shows_pre && b + 1 == layers_[l].size() ? &before : nullptr);
            out.add_stage(keep, {y, before, y});
        }
        out.classify(head_(y, behind_stages(mode), true), classifier());
        return out;
    }

  private:
    static constexpr int64_t head_width = 1024;
    ConvBn stem_, head_;
    std::vector<DownV2> downs_;
    std::vector<std::vector<BasicV2>> layers_;
};

template <class Kind>
NetworkMaker made(const NetworkName& name, const char* wanted) {
    if (name.base != wanted) return {};
    return [](const NetworkSetting& s) { return std::make_unique<Kind>(s); };
}

}  // namespace

extern const NetworkRow shufflev1_row{
    "ShuffleV1", "ShuffleV1", "", nullptr, uniform_start, [](const NetworkName& name) { return made<ShuffleV1>(name, "ShuffleV1"); }, true};
extern const NetworkRow shufflev2_row{
    "ShuffleV2", "ShuffleV2", "", nullptr, uniform_start, [](const NetworkName& name) { return made<ShuffleV2>(name, "ShuffleV2"); }, true};

}  // namespace distill
