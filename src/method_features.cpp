#include "method_features.h"

#include <algorithm>

#include "base_error.h"
#include "base_texts.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

Beside<std::vector<Output>> answers_of(const std::vector<const Teacher*>& teachers, const Var& images, std::optional<Keep> keep) {
    std::vector<Output> answers;
    for (const Teacher* teacher : teachers) {
        answers.push_back((*teacher)(images, keep.value_or(Keep::last)).unjoined());
        if (keep) continue;
        Output logits_alone;
        logits_alone.logits = answers.back().logits;
        answers.back() = std::move(logits_alone);
    }
    return {images.backend(), 0, std::move(answers)};
}

Tensor mean_logits(const std::vector<Output>& answers) {
    const NoGrad no_grad;
    std::vector<Var> logits;
    for (const Output& answer : answers) logits.push_back(answer.logits);
    const Var all = sum(logits);
    return (logits.size() == 1 ? all : scale(all, 1.0f / static_cast<float>(logits.size()))).value();
}

Var sum(const std::vector<Var>& parts) {
    Var all = parts.front();
    for (size_t i = 1; i < parts.size(); ++i) all = add(all, parts[i]);
    return all;
}

Var kd_loss(const Var& student_logits, const Tensor& teacher_logits, float temperature) {
    return scale(kl_divergence(student_logits, teacher_logits, temperature), temperature * temperature);
}

void FeatureOptions::add_to(OptionTable& t) {
    t.add("--beta", weights.beta, {0}, "weight of the method's own loss");
    t.add("--gamma", weights.gamma, {0}, "weight of the cross-entropy");
    t.add("--alpha", weights.alpha, {0}, "weight of T^2*KL(teacher || student) beside it; 0: without");
    t.add("--temperature", weights.temperature, {0, Range().high, true}, "T of both softmaxes of that");
}

FeatureDistillation::FeatureDistillation(const Setting& setting, const Options& o, const DistillWeights& weights,
                                         std::vector<std::string> names, std::optional<Keep> keep)
    : StudentMethod(setting, o), teachers_(setting.teachers), weights_(weights), names_(std::move(names)), keep_(keep) {}

std::vector<std::string> FeatureDistillation::loss_names() const {
    std::vector<std::string> all{"loss_ce"};
    if (by_logits()) all.emplace_back("loss_kd");
    all.insert(all.end(), names_.begin(), names_.end());
    return all;
}

StepResult FeatureDistillation::step(const Batch& batch) {
    const Answers t = answers_of(teachers_, batch.images, keep_);
    const Output s = student_->forward(batch.images, Mode::train, keep_.value_or(Keep::last));
    StepResult r;
    r.logits = s.logits;
    const Var ce = cross_entropy(s.logits, batch.labels);
    r.named.push_back(weights_.gamma == 1 ? ce : scale(ce, static_cast<float>(weights_.gamma)));
    if (by_logits()) {
        const auto temperature = static_cast<float>(weights_.temperature);
        const Tensor target = mean_logits(*t);
        const Var kl = weights_.squared ? kd_loss(s.logits, target, temperature) : kl_divergence(s.logits, target, temperature);
        r.named.push_back(scale(kl, static_cast<float>(weights_.alpha)));
    }
    const std::vector<Var> own = losses(batch, s, t);
    if (own.size() != names_.size())
        failure("FeatureDistillation: losses() gives ", own.size(), " values, the constructor ", names_.size(), " names: ", joined(names_),
                " ---> one value for each name, in their order");
    for (const Var& loss : own) r.named.push_back(scale(loss, static_cast<float>(weights_.beta)));
    r.loss = sum(r.named);
    return r;
}

Var pooled_like(const Var& map, const Var& other) {
    const Shape& s = map.shape();
    const int64_t h = std::min(s.h, other.shape().h), w = std::min(s.w, other.shape().w);
    return s.h == h && s.w == w ? map : adaptive_avg_pool(map, h, w);
}

Var feature_loss(const Var& student, const Var& teacher, const FeatureLoss& loss) {
    const Shape &s = student.shape(), &t = teacher.shape();
    if (s.n != t.n || s.c != t.c)
        failure("feature_loss: maps ", to_string(s), " and ", to_string(t), " ---> let the layer end in the teacher's channels");
    const Var a = l2_normalize(pooled_like(student, teacher)), b = l2_normalize(pooled_like(teacher, student));
    const Var distance = loss.squared ? mse(a, b) : l1(a, b);
    return loss.over_batch ? scale(distance, static_cast<float>(a.shape().per_sample())) : distance;
}

ConvChain::ConvChain(Parameters& p, const std::string& name, int64_t in, int64_t width, int64_t out, int depth, float slope, ChainEnd end)
    : slope_(slope), end_(end) {
    for (int k = 0; k < depth; ++k, in = width) {
        const int64_t to = k + 1 == depth ? out : width;
        convs_.emplace_back(p, name + ".conv" + std::to_string(k), in, to, 3, 1, ConvInit::framework_default, true);
    }
}

Var ConvChain::operator()(const Var& x) const {
    Var y = x;
    for (const Conv2d& conv : convs_) {
        y = conv(y);
        if (end_ == ChainEnd::leaky || &conv != &convs_.back()) y = leaky_relu(y, slope_);
    }
    return y;
}

}  // namespace distill
