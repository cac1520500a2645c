#include "method_ft.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int translator_depth = 3;
constexpr float slope = 0.1f;  // of every LeakyReLU

}  // namespace

Paraphraser::Paraphraser(Parameters& p, const std::string& name, int64_t channels, double k, float negative_slope)
    : factor_channels_(std::max<int64_t>(1, std::llround(k * static_cast<double>(channels)))), slope_(negative_slope) {
    const int64_t c = channels, f = factor_channels_, down[] = {c, c, f, f}, up[] = {f, f, c, c};
    for (size_t i = 0; i < 3; ++i) {
        const std::string index = std::to_string(i);
        encoder_.emplace_back(p, name + ".encoder.conv" + index, down[i], down[i + 1], 3, 1, ConvInit::kaiming_normal_fan_in, true);
        decoder_.emplace_back(p, name + ".decoder.deconv" + index, up[i], up[i + 1], 3, ConvInit::kaiming_normal_fan_in);
    }
}

Var Paraphraser::factor(const Var& map) const {
    Var y = map;
    for (const Conv2d& conv : encoder_) y = leaky_relu(conv(y), slope_);
    return y;
}

Var Paraphraser::reconstruct(const Var& factor) const {
    Var y = factor;
    for (const ConvTranspose2d& deconv : decoder_) y = leaky_relu(deconv(y), slope_);
    return y;
}

FactorTransfer::FactorTransfer(const Setting& setting, const Options& o, const FtOptions& own)
    : FeatureDistillation(setting, o, {1, 0, 1, true, own.beta}, {"loss_ft"}, Keep::last),
      own_(own),
      paraphraser_parameters_(setting.backend),
      paraphraser_(paraphraser_parameters_, "paraphraser", setting.teacher().network().map_channels(), own.factor_rate, slope),
      translator_(parameters_, "translator", student_->map_channels(), paraphraser_.factor_channels(), paraphraser_.factor_channels(),
                  translator_depth, slope) {
    paraphraser_parameters_.allocate(o.start());
    parameters_.allocate(o.start());
}

std::vector<Phase> FactorTransfer::phases() {
    Phase p;
    p.epochs = own_.paraphraser_epochs;
    p.parameters = &paraphraser_parameters_;
    p.loss = "loss_paraphraser";
    p.rate = [this](int) { return own_.paraphraser_lr; };
    p.step = [this](const Batch& batch) {
        const Beside<Output> t = (*teachers_.front())(batch.images);
        return l1(paraphraser_.reconstruct(paraphraser_.factor(t->map())), t->map());
    };
    return {p};
}

std::vector<Var> FactorTransfer::losses(const Batch&, const Output& s, const Answers& t) {
    Var factor;
    {
        const Recording off(nullptr);
        factor = paraphraser_.factor(t->front().map());
    }
    return {feature_loss(translator_(s.map()), factor, {})};
}

void FtOptions::add_to(OptionTable& t) {
    t.add("--beta", beta, {0}, "ft: weight of the distance between the factors");
    t.add("--paraphraser-rate", factor_rate, {0, Range().high, true}, "ft: channels of a factor, of 1 of the map");
    t.add("--paraphraser-epochs", paraphraser_epochs, {0}, "ft: the paraphraser is trained so long first (0: --init has it)");
    t.add("--paraphraser-lr", paraphraser_lr, {0}, "ft: the constant rate of that training");
}

void FtOptions::settle(Options& o) {
    if (paraphraser_epochs == 0 && o.init.empty())
        input_error("--paraphraser-epochs 0: needs a trained paraphraser; name the helpers.safetensors that has it with --init");
}

std::unique_ptr<Method> FtOptions::make(const Setting& s, const Options& o) const { return std::make_unique<FactorTransfer>(s, o, *this); }

const MethodRow ft_row = {"ft",           "Paraphrasing Complex Network: Network Compression via Factor Transfer (NeurIPS 2018)",
                          "NeurIPS 2018", Teaching::one,
                          "feed",         default_options<FtOptions>};

}  // namespace distill
