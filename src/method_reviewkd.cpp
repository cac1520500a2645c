#include "method_reviewkd.h"

#include <algorithm>

#include "base_error.h"
#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "net_table.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int64_t widest_middle = 512;
const std::vector<Need> needs{Need::pooled_vector};

/// The levels, deepest first: the pooled vector, then the stages that pair; the stem is not reviewed.
std::vector<Var> levels_of(const Output& output, Var Stage::*which, size_t stages) {
    std::vector<Var> all = output.maps(which);
    all.resize(stages);
    all.push_back(output.pooled);
    std::reverse(all.begin(), all.end());
    return all;
}

std::vector<int64_t> level_channels(const Network& network, size_t stages) {
    std::vector<int64_t> all = network.stage_channels();
    all.resize(stages);
    all.push_back(network.pooled_channels());
    std::reverse(all.begin(), all.end());
    return all;
}

bool of_one_family(const std::string& network, const std::string& other) {
    return std::string(network_row(network).family) == network_row(other).family;
}

/// A level that is named from 1, the shallowest, as a place in lists that begin with the deepest.
size_t level_at(const char* option, int named, size_t levels) {
    if (named > static_cast<int>(levels))
        input_error(option, ' ', named, ": these networks have ", levels, " levels: the stages, and the pooled vector as the last");
    return levels - static_cast<size_t>(named);
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
        x = attends_ ? attention_fusion(x, y, attention_.weight, attention_.bias) : add(x, y);
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
      in_pairs_(own.no_residual_by == "pairs"),
      only_pair_(own.review_from > 0),
      weight_(own.kd_weight.value_or(review_weight(o.teacher, o.student))),
      warmup_(own.kd_warmup),
      scheduled_weight_(Tensor::zeros(setting.backend, {})) {
    require_pair("reviewkd", teacher_.network(), *student_, needs);
    stages_ = pair_stages(teacher_.network(), *student_, notes_);
    const std::vector<int64_t> in = level_channels(*student_, stages_), out = level_channels(teacher_.network(), stages_);
    const int64_t mid = std::min(widest_middle, in.front());
    if (only_pair_) {
        from_ = level_at("--review-from", own.review_from, out.size()), to_ = level_at("--review-to", own.review_to, in.size());
        fusions_.emplace_back(parameters_, "abfs.0", in[to_], mid, out[from_], false, false);
    }
    for (size_t k = 0; k < in.size() && !only_pair_; ++k) {
        const std::string name = "abfs." + std::to_string(k);
        if (own.no_review || residual_) {
            fusions_.emplace_back(parameters_, name, in[k], mid, out[k], !own.no_review && k > 0, !own.no_abf);
            continue;
        }
        auto& row = separate_.emplace_back();
        for (size_t j = 0; j <= k; ++j) row.emplace_back(parameters_, name + "." + std::to_string(j), in[j], mid, out[k], false, false);
    }
    parameters_.allocate(o.start());
}

void ReviewKD::begin_epoch(int epoch) {
    const double ramp = warmup_ > 0 ? std::min(1.0, static_cast<double>(epoch) / warmup_) : 1.0;
    const auto weight = static_cast<float>(weight_ * ramp);
    scheduled_weight_.upload(&weight);
}

std::vector<ReviewKD::Compared> ReviewKD::review(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Compared> outputs;
    Var residual;
    for (size_t k = 0; k < student.size(); ++k) {
        const auto r = fusions_[k](student[k], residual, teacher[k].shape());
        outputs.push_back({r.output, k});
        residual = r.residual;
    }
    return outputs;
}

/// Without the residual path each teacher level meets the student's levels from the deepest up to this one, each transformed by itself:
/// their sum, or one after the other.
std::vector<ReviewKD::Compared> ReviewKD::review_separately(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    std::vector<Compared> outputs;
    for (size_t k = 0; k < student.size(); ++k) {
        std::vector<Var> parts;
        for (size_t j = 0; j <= k; ++j) parts.push_back(separate_[k][j](student[j], {}, teacher[k].shape()).output);
        if (!in_pairs_) parts = {sum(parts)};
        for (const Var& part : parts) outputs.push_back({part, k});
    }
    return outputs;
}

std::vector<ReviewKD::Compared> ReviewKD::compared(const std::vector<Var>& student, const std::vector<Var>& teacher) const {
    if (only_pair_) return {{fusions_[0](student[to_], {}, teacher[from_].shape()).output, from_}};
    return separate_.empty() ? review(student, teacher) : review_separately(student, teacher);
}

StepResult ReviewKD::step(const Batch& batch) {
    const Beside<Output> t = teacher_(batch.images, Keep::pre_activations, teacher_mode_);
    const auto taught = t.then([this](const Output& shown) { return levels_of(shown, &Stage::pre_activation, stages_); });
    const Output s = student_->forward(batch.images, Mode::train, Keep::outputs);
    const std::vector<Compared> pairs = compared(levels_of(s, &Stage::output, stages_), taught.unjoined());  // for the sizes
    std::vector<Var> distances;
    for (const auto& [output, level] : pairs) distances.push_back(hcl_ ? hcl(output, taught->at(level)) : mse(output, taught->at(level)));
    const Var ce = cross_entropy(s.logits, batch.labels);
    const Var weighted = scale(sum(distances), scheduled_weight_);
    return {add(ce, weighted), {ce, weighted}, s.logits};
}

void ReviewOptions::add_to(OptionTable& t) {
    t.add("--kd-weight", kd_weight, {0}, "weight of the review loss; by default that of the pair where one is known, else 1");
    t.add("--kd-warmup", kd_warmup, {0}, "epochs over which that weight rises from 0 (0: full at once)").in_epochs();
    t.add_fixed("--gamma", 1, "the cross-entropy is not weighed");
    t.add_fixed("--alpha", 0, "there is no KL beside it");
    t.add_fixed("--beta", 0, "there is no other loss beside the review's, which --kd-weight weighs");
    t.add("--teacher-bn", teacher_bn, {"running", "batch"}, "statistics of the teacher's BatchNorm; batch is the authors' code");
    t.add_switch("--no-review", no_review, "ablation: each level by itself");
    t.add_switch("--no-residual", no_residual, "ablation: levels transformed separately, with --no-residual-by");
    t.add("--no-residual-by", no_residual_by, {"sum", "pairs"},
          "of a teacher's level: the parts are summed before they are compared, or each is compared, the paper's Figure 2(b)");
    t.add_switch("--no-abf", no_abf, "ablation: the residual is added, without attention");
    t.add_switch("--no-hcl", no_hcl, "ablation: plain MSE at full size");
    t.add("--review-from", review_from, {0}, "compare one pair alone, this level of the teacher (1: the shallowest stage; 0: all levels)");
    t.add("--review-to", review_to, {0}, "with this one of the student");
}

void ReviewOptions::settle(Options& o) {
    if ((review_from > 0) != (review_to > 0))
        input_error("--review-from ", review_from, " --review-to ", review_to,
                    ": a pair has a level of the teacher and one of the student; give both");
    if (review_from > 0 && (no_review || no_residual || no_abf))
        input_error("--review-from ", review_from, ": one pair has no review; leave out --no-review, --no-residual and --no-abf");
    if (no_residual_by == "pairs" && !no_residual) input_error("--no-residual-by pairs: says how --no-residual compares; add that");
    if (o.teacher.empty()) return;  // which the teacher's own complaint says better
    require_review_pair(o.teacher, o.student);
    if (!kd_weight) kd_weight = review_weight(o.teacher, o.student);
}

std::unique_ptr<Method> ReviewOptions::make(const Setting& s, const Options& o) const { return std::make_unique<ReviewKD>(s, o, *this); }

void require_review_pair(const std::string& teacher, const std::string& student) { require_pair("reviewkd", teacher, student, needs); }

double review_weight(const std::string& teacher, const std::string& student) {
    struct Pair {
        const char *teacher, *student;
        double weight;
        bool of_family;  ///< the authors take it for every pair of these families
    };
    static const Pair pairs[] = {{"resnet56", "resnet20", 0.6, false},
                                 {"resnet110", "resnet32", 1, false},
                                 {"resnet32x4", "resnet8x4", 5, false},
                                 {"wrn-40-2", "wrn-16-2", 5, true},
                                 {"wrn-40-2", "ShuffleV1", 5, false},
                                 {"resnet32x4", "ShuffleV1", 5, false},
                                 {"resnet32x4", "ShuffleV2", 8, false},
                                 // The authors published none for these; third parties' runs, docs/papers.md §5.5.
                                 {"vgg13", "vgg8", 5, false},
                                 {"ResNet50", "MobileNetV2", 30, false}};
    for (const Pair& p : pairs) {
        if (teacher == p.teacher && student == p.student) return p.weight;
        if (p.of_family && of_one_family(teacher, p.teacher) && of_one_family(student, p.student)) return p.weight;
    }
    return 1;
}

const MethodRow reviewkd_row = {"reviewkd",   "Distilling Knowledge via Knowledge Review (CVPR 2021)",
                                "2104.09044", Teaching::one,
                                "reviewkd",   default_options<ReviewOptions>};

}  // namespace distill
