#include "method_feed.h"

#include <algorithm>

#include "base_error.h"
#include "core_streams.h"

namespace distill {

FeatureLoss FeatureLoss::of(const Options& o) { return {o.feed_norm == "l2", o.feed_reduction == "sample"}; }

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

ConvChain::ConvChain(Parameters& p, const std::string& name, int64_t in, int64_t width, int64_t out, int depth, float slope,
                     ChainEnd end)
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

Feed::Feed(Backend& backend, const Options& o, int classes, const Teachers& teachers)
    : StudentMethod(backend, o, classes), teachers_(teachers), loss_(FeatureLoss::of(o)), beta_(static_cast<float>(o.beta)) {
    const int64_t in = student_->map_channels();
    for (size_t n = 0; n < teachers.size(); ++n) {
        const int64_t out = teachers[n]->network().map_channels(), width = o.ntl_width > 0 ? o.ntl_width : out;
        layers_.emplace_back(parameters_, "ntl." + std::to_string(n), in, width, out, o.ntl_depth, static_cast<float>(o.ntl_slope));
    }
    parameters_.allocate(o.start());
}

std::vector<std::string> Feed::loss_names() const {
    std::vector<std::string> names{"loss_ce"};
    for (size_t n = 0; n < layers_.size(); ++n) names.push_back("loss_feed_" + std::to_string(n));
    return names;
}

StepResult Feed::step(const Batch& batch) {
    const std::vector<Output> shown = look(teachers_, batch.images);
    const Output own = student_->forward(batch.images, Mode::train);
    join(batch.images.backend());
    const Var ce = cross_entropy(own.logits, batch.labels);
    StepResult r{ce, {ce}, own.logits};
    for (size_t n = 0; n < layers_.size(); ++n) {
        const Var weighted = scale(feature_loss(layers_[n](own.map()), shown[n].map(), loss_), beta_);
        r.loss = add(r.loss, weighted);
        r.named.push_back(weighted);
    }
    return r;
}

}  // namespace distill
