#include "method_reviewkd.h"

#include <algorithm>

#include "base_error.h"
#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int64_t widest_middle = 512;
constexpr size_t levels = 4;  // stage 1, 2, 3 and the pooled vector; the stem is not reviewed

/// Features f1…f4, deepest first: level 0 is f4.
const Feature& level(const std::vector<Feature>& features, size_t k) { return features[levels - k]; }

Var resized(const Var& x, const Shape& like) {
    return x.shape().h == like.h && x.shape().w == like.w ? x : resize_nearest(x, like.h, like.w);
}

}  // namespace

Var hcl(const Var& student, const Var& teacher) {
    Var loss = mse(student, teacher);
    float weight = 1, weights = 1;
    for (const int64_t size : {4, 2, 1}) {
        if (size >= student.shape().h) continue;
        weight /= 2;
        weights += weight;
        loss = add(loss, scale(mse(adaptive_avg_pool(student, size, size), adaptive_avg_pool(teacher, size, size)), weight));
    }
    return scale(loss, 1 / weights);
}

AttentionFusion::AttentionFusion(Parameters& p, const std::string& name, int64_t in, int64_t mid, int64_t out, bool fuses, bool attends)
    : fuses_(fuses), attends_(fuses && attends) {
    conv1_ = Conv2d(p, name + ".conv1.0", in, mid, 1, 1, ConvInit::kaiming_uniform_a1);
    bn1_ = BatchNorm(p, name + ".conv1.1", mid);
    conv2_ = Conv2d(p, name + ".conv2.0", mid, out, 3, 1, ConvInit::kaiming_uniform_a1);
    bn2_ = BatchNorm(p, name + ".conv2.1", out);
    if (attends_) attention_ = Conv2d(p, name + ".att_conv.0", 2 * mid, 2, 1, 1, ConvInit::framework_default, true);
}

AttentionFusion::Result AttentionFusion::operator()(const Var& features, const Var& residual, const Shape& size) const {
    Var x = conv_bn(features, conv1_, bn1_, Mode::train, false);
    if (fuses_) {
        const Var y = resized(residual, x.shape());
        if (attends_) {
            const Var z = sigmoid(attention_(concat_channels(x, y)));
            x = add(mul_channel(x, z, 0), mul_channel(y, z, 1));
        } else {
            x = add(x, y);
        }
    }
    x = resized(x, size);
    return {conv_bn(x, conv2_, bn2_, Mode::train, false), x};
}

ReviewKD::ReviewKD(const Setting& setting, const Options& o, const ReviewOptions& own)
    : StudentMethod(setting, o),
      teacher_(setting.teacher()),
      teacher_mode_(own.teacher_bn == "batch" ? Mode::train : Mode::evaluate),
      residual_(!own.no_residual),
      hcl_(!own.no_hcl),
      weight_(own.kd_weight.value_or(review_weight(o.teacher, o.student))),
      warmup_(own.kd_warmup),
      scheduled_weight_(Tensor::zeros(setting.backend, {})) {
    require_review_pair(o.teacher, o.student);
    const std::vector<int64_t> in = student_->feature_channels(), out = teacher_.network().feature_channels();
    const int64_t mid = std::min(widest_middle, in.back());
    for (size_t k = 0; k < levels; ++k) {
        const std::string name = "abfs." + std::to_string(k);
        const int64_t to = out[levels - 1 - k];
        if (own.no_review || residual_) {
            fusions_.emplace_back(parameters_, name, in[levels - 1 - k], mid, to, !own.no_review && k > 0, !own.no_abf);
            continue;
        }
        auto& row = separate_.emplace_back();
        for (size_t j = 0; j <= k; ++j)
            row.emplace_back(parameters_, name + "." + std::to_string(j), in[levels - 1 - j], mid, to, false, false);
    }
    parameters_.allocate(o.start());
}

void ReviewKD::begin_epoch(int epoch) {
    const double ramp = warmup_ > 0 ? std::min(1.0, static_cast<double>(epoch) / warmup_) : 1.0;
    const auto weight = static_cast<float>(weight_ * ramp);
    scheduled_weight_.upload(&weight);
}

std::vector<Var> ReviewKD::review(const std::vector<Feature>& student, const std::vector<Feature>& teacher) const {
    std::vector<Var> outputs;
    Var residual;
    for (size_t k = 0; k < levels; ++k) {
        const auto r = fusions_[k](level(student, k).value, residual, level(teacher, k).pre_activation.shape());
        outputs.push_back(r.output);
        residual = r.residual;
    }
    return outputs;
}

/// Without the residual path each teacher level meets the sum of the student's levels from the deepest up to this one, each
/// transformed by itself.
std::vector<Var> ReviewKD::review_separately(const std::vector<Feature>& student, const std::vector<Feature>& teacher) const {
    std::vector<Var> outputs;
    for (size_t k = 0; k < levels; ++k) {
        Var sum;
        for (size_t j = 0; j <= k; ++j) {
            const Var part = separate_[k][j](level(student, j).value, {}, level(teacher, k).pre_activation.shape()).output;
            sum = j == 0 ? part : add(sum, part);
        }
        outputs.push_back(sum);
    }
    return outputs;
}

StepResult ReviewKD::step(const Batch& batch) {
    const Beside<Output> t = teacher_(batch.images, true, teacher_mode_);
    const Output s = student_->forward(batch.images, Mode::train);
    const std::vector<Feature>& sizes = t.unjoined().features;
    const std::vector<Var> outputs = separate_.empty() ? review(s.features, sizes) : review_separately(s.features, sizes);
    std::vector<Var> distances;
    for (size_t k = 0; k < levels; ++k) {
        const Var& target = level(t->features, k).pre_activation;
        distances.push_back(hcl_ ? hcl(outputs[k], target) : mse(outputs[k], target));
    }
    const Var ce = cross_entropy(s.logits, batch.labels);
    const Var weighted = scale(sum(distances), scheduled_weight_);
    return {add(ce, weighted), {ce, weighted}, s.logits};
}

void ReviewOptions::add_to(OptionTable& t) {
    t.add("--kd-weight", kd_weight, {0}, "weight of the review loss; by default the authors' for the pair, else 1");
    t.add("--kd-warmup", kd_warmup, {0}, "epochs over which that weight rises from 0 (0: full at once)").in_epochs();
    t.add("--teacher-bn", teacher_bn, {"running", "batch"}, "statistics of the teacher's BatchNorm; batch is the authors' code");
    t.add_switch("--no-review", no_review, "ablation: each level by itself");
    t.add_switch("--no-residual", no_residual, "ablation: levels transformed separately and summed");
    t.add_switch("--no-abf", no_abf, "ablation: the residual is added, without attention");
    t.add_switch("--no-hcl", no_hcl, "ablation: plain MSE at full size");
}

void ReviewOptions::settle(Options& o) {
    if (o.teacher.empty()) return;  // which the teacher's own complaint says better
    require_review_pair(o.teacher, o.student);
    if (!kd_weight) kd_weight = review_weight(o.teacher, o.student);
}

std::unique_ptr<Method> ReviewOptions::make(const Setting& s, const Options& o) const { return std::make_unique<ReviewKD>(s, o, *this); }

double review_weight(const std::string& teacher, const std::string& student) {
    if (teacher == "resnet56" && student == "resnet20") return 0.6;
    if (teacher == "resnet32x4" && student == "resnet8x4") return 5;
    if (family_of(teacher) == "wrn" && family_of(student) == "wrn") return 5;
    return 1;
}

void require_review_pair(const std::string& teacher, const std::string& student) {
    const auto group = [](const std::string& name) {
        const std::string family = family_of(name);
        return family == "resnet-x4" ? "resnet" : family;
    };
    const std::string t = group(teacher), s = group(student);
    if (t == s && t != "resnet-a" && t != "mhgd") return;
    input_error("reviewkd: teacher ", teacher, " and student ", student, " cannot be paired; pairs are resnet<d> or resnet<d>x4 with "
                "resnet<d> or resnet<d>x4, and wrn-<d>-<r> with wrn-<d>-<r>");
}

const MethodRow reviewkd_row = {"reviewkd", "Distilling Knowledge via Knowledge Review (CVPR 2021)", "2104.09044", Teaching::one, "reviewkd",
                                []() -> std::unique_ptr<MethodOptions> { return std::make_unique<ReviewOptions>(); }};

}  // namespace distill
