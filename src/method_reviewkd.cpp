#include "method_reviewkd.h"

#include <algorithm>

#include "core_streams.h"
#include "net_pair.h"
#include "net_table.h"

namespace distill {
namespace {

constexpr int64_t widest_middle = 512;
const std::vector<Need> needs{Need::pooled_vector};

/// The levels, deepest first: the pooled vector, then the stages; the stem is not reviewed.
std::vector<Var> levels_of(const Output& output, Var Stage::*which) {
    std::vector<Var> all = output.maps(which);
    all.push_back(output.pooled);
    std::reverse(all.begin(), all.end());
    return all;
}

std::vector<int64_t> level_channels(const Network& network) {
    std::vector<int64_t> all = network.stage_channels();
    all.push_back(network.pooled_channels());
    std::reverse(all.begin(), all.end());
    return all;
}

bool of_one_family(const std::string& network, const std::string& other) {
    return std::string(network_row(network).family) == network_row(other).family;
}

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

ReviewKD::ReviewKD(Backend& backend, const Options& o, int classes, const Teacher& teacher)
    : StudentMethod(backend, o, classes),
      teacher_(teacher),
      residual_(!o.no_residual),
      hcl_(!o.no_hcl),
      weight_(o.kd_weight.value_or(review_weight(o.teacher, o.student))),
      warmup_(o.kd_warmup),
      scheduled_weight_(Tensor::zeros(backend, {})) {
    require_pair("reviewkd", teacher.network(), *student_, needs);
    const std::vector<int64_t> in = level_channels(*student_), out = level_channels(teacher.network());
    const int64_t mid = std::min(widest_middle, in.front());
    for (size_t k = 0; k < in.size(); ++k) {
        const std::string name = "abfs." + std::to_string(k);
        if (o.no_review || residual_) {
            fusions_.emplace_back(parameters_, name, in[k], mid, out[k], !o.no_review && k > 0, !o.no_abf);
            continue;
        }
        auto& row = separate_.emplace_back();
        for (size_t j = 0; j <= k; ++j)
            row.emplace_back(parameters_, name + "." + std::to_string(j), in[j], mid, out[k], false, false);
    }
    parameters_.allocate(o.start());
}

void ReviewKD::begin_epoch(int epoch) {
    const double ramp = warmup_ > 0 ? std::min(1.0, static_cast<double>(epoch) / warmup_) : 1.0;
    const auto weight = static_cast<float>(weight_ * ramp);
    scheduled_weight_.upload(&weight);
}

std::vector<Var> ReviewKD::review(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Var> outputs;
    Var residual;
    for (size_t k = 0; k < student.size(); ++k) {
        const auto r = fusions_[k](student[k], residual, teacher[k].shape());
        outputs.push_back(r.output);
        residual = r.residual;
    }
    return outputs;
}

/// Without the residual path each teacher level meets the sum of the student's levels from the deepest up to this one, each
/// transformed by itself.
std::vector<Var> ReviewKD::review_separately(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Var> outputs;
    for (size_t k = 0; k < student.size(); ++k) {
        Var sum;
        for (size_t j = 0; j <= k; ++j) {
            const Var part = separate_[k][j](student[j], {}, teacher[k].shape()).output;
            sum = j == 0 ? part : add(sum, part);
        }
        outputs.push_back(sum);
    }
    return outputs;
}

StepResult ReviewKD::step(const Batch& batch) {
    const Output shown = teacher_(batch.images, Keep::pre_activations);
    const Output own = student_->forward(batch.images, Mode::train, Keep::outputs);
    const std::vector<Var> taught = levels_of(shown, &Stage::pre_activation), reached = levels_of(own, &Stage::output);
    const std::vector<Var> outputs = separate_.empty() ? review(reached, taught) : review_separately(reached, taught);
    join(batch.images.backend());
    Var distance;
    for (size_t k = 0; k < outputs.size(); ++k) {
        const Var d = hcl_ ? hcl(outputs[k], taught[k]) : mse(outputs[k], taught[k]);
        distance = k == 0 ? d : add(distance, d);
    }
    const Var ce = cross_entropy(own.logits, batch.labels);
    const Var weighted = scale(distance, scheduled_weight_);
    return {add(ce, weighted), {ce, weighted}, own.logits};
}

void require_review_pair(const std::string& teacher, const std::string& student) { require_pair("reviewkd", teacher, student, needs); }

double review_weight(const std::string& teacher, const std::string& student) {
    struct Pair {
        const char *teacher, *student;
        double weight;
        bool of_family;  ///< the authors take it for every pair of these families
    };
    static const Pair pairs[] = {
        {"resnet56", "resnet20", 0.6, false}, {"resnet32x4", "resnet8x4", 5, false}, {"wrn-40-2", "wrn-16-2", 5, true}};
    for (const Pair& p : pairs) {
        if (teacher == p.teacher && student == p.student) return p.weight;
        if (p.of_family && of_one_family(teacher, p.teacher) && of_one_family(student, p.student)) return p.weight;
    }
    return 1;
}

}  // namespace distill
