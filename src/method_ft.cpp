#include "method_ft.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "net_table.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr float slope = 0.1f;  // of every LeakyReLU

const FactorForm& form_of(const FtOptions& own) { return own.benchmark ? benchmark_factors : feed_factors; }

std::string layer(const std::string& name, const char* of, int apart, size_t k) {
    return name + "." + of + std::to_string(apart * static_cast<int>(k));
}

/// The rate at which the benchmark's code trains a paraphraser for this student: its own of CIFAR's ResNets and WRNs, the student's else.
double benchmark_rate(const Options& o) {
    const std::string family = network_row(o.student).family;
    return !o.lr_by_hand && (family == "resnet" || family == "wrn") ? 0.01 : o.lr;
}

}  // namespace

const FactorForm feed_factors = {ConvInit::kaiming_normal_fan_in,
                                 "encoder.conv",
                                 "decoder.deconv",
                                 "conv",
                                 1,
                                 false,
                                 Keep::last,
                                 &Stage::activated,
                                 l1,
                                 [](const Var& s, const Var& t) { return feature_loss(s, t, {}); }};
const FactorForm benchmark_factors = {
    ConvInit::framework_default, "encoder.", "decoder.", "encoder.", 3, true, Keep::outputs, &Stage::output, mse, factor_map_loss};

Var factor_map_loss(const Var& student, const Var& teacher) {
    const auto normalized = [](const Var& map) { return l2_normalize(attention_map(map)); };
    return l1(normalized(pooled_like(student, teacher)), normalized(pooled_like(teacher, student)));
}

Paraphraser::Paraphraser(Parameters& p, const std::string& name, int64_t channels, double k, float negative_slope, const FactorForm& form)
    : factor_channels_(std::max<int64_t>(1, std::llround(k * static_cast<double>(channels)))), slope_(negative_slope) {
    const int64_t c = channels, f = factor_channels_, down[] = {c, c, f, f}, up[] = {f, f, c, c};
    for (size_t i = 0; i < 3; ++i) {
        encoder_.emplace_back(p, layer(name, form.down, form.apart, i), down[i], down[i + 1], 3, 1, form.start, true);
        decoder_.emplace_back(p, layer(name, form.up, form.apart, i), up[i], up[i + 1], 3, form.start);
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

Translator::Translator(Parameters& p, const std::string& name, int64_t in, int64_t out, float negative_slope, const FactorForm& form)
    : slope_(negative_slope) {
    const int64_t widths[] = {in, form.normalises ? in : out, out, out};
    for (size_t i = 0; i < 3; ++i) {
        const std::string conv = layer(name, form.translator, form.apart, i);
        convs_.emplace_back(p, conv, widths[i], widths[i + 1], 3, 1, ConvInit::framework_default, true);
        // A sequence's next module.
        if (form.normalises)
            bns_.emplace_back(p, name + "." + form.translator + std::to_string(form.apart * static_cast<int>(i) + 1), widths[i + 1]);
    }
}

Var Translator::operator()(const Var& x) const {
    Var y = x;
    for (size_t i = 0; i < convs_.size(); ++i) {
        y = bns_.empty() ? convs_[i](y) : conv_bn(y, convs_[i], bns_[i], Mode::train, false);
        y = leaky_relu(y, slope_);
    }
    return y;
}

FactorTransfer::FactorTransfer(const Setting& setting, const Options& o, const FtOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_ft"}, form_of(own).keep),
      own_(own),
      form_(form_of(own)),
      paraphraser_parameters_(setting.backend),
      paraphraser_(paraphraser_parameters_, "paraphraser", setting.teacher().network().map_channels(), own.factor_rate, slope, form_),
      translator_(parameters_, "translator", student_->map_channels(), paraphraser_.factor_channels(), slope, form_) {
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
        const Beside<Output> t = (*teachers_.front())(batch.images, form_.keep);
        return form_.reconstruction(paraphraser_.reconstruct(paraphraser_.factor(map(*t))), map(*t));
    };
    p.in_steps_csv = true;
    return {p};
}

std::vector<Var> FactorTransfer::losses(const Batch&, const Output& s, const Answers& t) {
    Var factor;
    {
        const NoGrad no_grad;
        factor = paraphraser_.factor(map(t->front()));
    }
    return {form_.distance(translator_(map(s)), factor)};
}

void FtOptions::add_to(OptionTable& t) {
    FeatureOptions::add_to(t);
    t.add_on_off("--benchmark-form", benchmark, benchmark_form_help);
    t.add("--paraphraser-rate", factor_rate, {0, Range().high, true},
          "ft: channels of a factor, as a part of the map's (0.5: half as many)");
    t.add("--paraphraser-epochs", paraphraser_epochs, {0}, "ft: the paraphraser is trained so long first (0: --init has it)").of_phase();
    t.add("--paraphraser-lr", paraphraser_lr, {0}, "ft: the constant rate of that training; 0: the benchmark's, of the student").open("0");
}

void FtOptions::settle(Options& o) {
    if (paraphraser_epochs == 0 && o.init.empty())
        input_error("--paraphraser-epochs 0: needs a trained paraphraser; name the helpers.safetensors that has it with --init");
    if (paraphraser_lr == 0) paraphraser_lr = benchmark_rate(o);
}

std::unique_ptr<Method> FtOptions::make(const Setting& s, const Options& o) const { return std::make_unique<FactorTransfer>(s, o, *this); }

const MethodRow ft_row = {"ft",           "Paraphrasing Complex Network: Network Compression via Factor Transfer (NeurIPS 2018)",
                          "NeurIPS 2018", Teaching::one,
                          "feed",         default_options<FtOptions>};

}  // namespace distill
