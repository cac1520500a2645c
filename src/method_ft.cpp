#include "method_ft.h"

#include <algorithm>
#include <cmath>

#include "core_streams.h"

namespace distill {

Paraphraser::Paraphraser(Parameters& p, const std::string& name, int64_t channels, double rate, float slope)
    : factor_channels_(std::max<int64_t>(1, std::llround(rate * static_cast<double>(channels)))), slope_(slope) {
    const int64_t c = channels, k = factor_channels_, down[] = {c, c, k, k}, up[] = {k, k, c, c};
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

FactorTransfer::FactorTransfer(Backend& backend, const Options& o, int classes, const Teacher& teacher)
    : StudentMethod(backend, o, classes),
      teacher_(teacher),
      epochs_(o.paraphraser_epochs),
      rate_(o.paraphraser_lr),
      beta_(static_cast<float>(o.beta)),
      own_(backend),
      paraphraser_(own_, "paraphraser", teacher.network().map_channels(), o.paraphraser_rate, static_cast<float>(o.ntl_slope)),
      translator_(parameters_, "translator", student_->map_channels(), paraphraser_.factor_channels(),
                  paraphraser_.factor_channels(), o.ntl_depth, static_cast<float>(o.ntl_slope)) {
    own_.allocate(o.start());
    parameters_.allocate(o.start());
}

Preparation FactorTransfer::preparation() {
    Preparation p;
    p.epochs = epochs_;
    p.parameters = &own_;
    p.loss = "loss_paraphraser";
    p.rate = [this](int) { return rate_; };
    p.step = [this](const Batch& batch) {
        const Var map = teacher_(batch.images).map();
        join(batch.images.backend());
        return l1(paraphraser_.reconstruct(paraphraser_.factor(map)), map);
    };
    return p;
}

StepResult FactorTransfer::step(const Batch& batch) {
    const Var map = teacher_(batch.images).map();
    const Output own = student_->forward(batch.images, Mode::train);
    join(batch.images.backend());
    Var factor;
    {
        const Recording off(nullptr);
        factor = paraphraser_.factor(map);
    }
    const Var ce = cross_entropy(own.logits, batch.labels);
    const Var ft = scale(feature_loss(translator_(own.map()), factor, {}), beta_);
    return {add(ce, ft), {ce, ft}, own.logits};
}

}  // namespace distill
