#include "method_kd_svd.h"

#include "base_error.h"
#include "core_streams.h"
#include "data_loader.h"
#include "method_singular_vectors.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {
namespace {

const std::vector<Need> needs{Need::two_stages, Need::same_channels};

DistillWeights weights(const KdSvdOptions& own) {
    DistillWeights w;
    w.beta = own.beta;
    return w;
}

}  // namespace

Var relation_loss(const std::vector<Var>& s, const std::vector<Var>& t) {
    std::vector<Var> distances;
    for (size_t back = 1; back < s.size(); ++back)
        distances.push_back(kernel_distance(s[back], s[back - 1], t[back].value(), t[back - 1].value()));
    return sum(distances);
}

Var vector_loss(const std::vector<Var>& s, const std::vector<Var>& t) {
    std::vector<Var> distances;
    for (size_t i = 0; i < s.size(); ++i) distances.push_back(scale(mse(s[i], t[i]), static_cast<float>(s[i].shape().size())));
    return sum(distances);
}

Var benchmark_relation_loss(const std::vector<Var>& student, const std::vector<Var>& teacher) {
    const std::vector<Var> v_t = teacher_vectors(teacher);
    return scale(relation_loss(student_vectors(student, v_t), v_t), 1.0f / static_cast<float>(student.front().shape().n));
}

KdSvd::KdSvd(const Setting& setting, const Options& o, const KdSvdOptions& own)
    : StudentMethod(setting, o),
      teacher_(setting.teacher()),
      loss_(own.loss),
      beta_(static_cast<float>(own.beta)),
      mixing_(allocated(o.start()), GradientMixing::rule_of(own.mixing)) {
    require_pair(own.method, teacher_.network(), *student_, needs);
}

StepResult KdSvd::step(const Batch& batch) {
    const Beside<Output> t = teacher_(batch.images, Keep::activations);
    const auto v_t = t.then([](const Output& shown) { return teacher_vectors(shown.maps(&Stage::activated)); });
    const Output s = student_->forward(batch.images, Mode::train, Keep::activations);
    const Var transfer = loss_(student_vectors(s.maps(&Stage::activated), *v_t), *v_t);
    const Var ce = cross_entropy(s.logits, batch.labels), weighed = beta_ == 1 ? transfer : scale(transfer, beta_);
    return {add(ce, weighed), {ce, weighed}, s.logits};
}

BenchmarkKdSvd::BenchmarkKdSvd(const Setting& setting, const Options& o, const KdSvdOptions& own)
    : FeatureDistillation(setting, o, weights(own), {"loss_kdsvd"}, Keep::outputs) {
    require_pair(own.method, setting.teacher().network(), *student_, needs);
    parameters_.allocate(o.start());
}

std::vector<Var> BenchmarkKdSvd::losses(const Batch&, const Output& s, const Answers& t) {
    return {benchmark_relation_loss(s.maps(&Stage::output), t->front().maps(&Stage::output))};
}

void KdSvdOptions::add_to(OptionTable& t) {
    t.add("--beta", beta, {0}, "weight of the transfer loss");
    add_mixing_options(t, mixing);
    if (loss == relation_loss) t.add_on_off("--benchmark-form", benchmark, benchmark_form_help);  // the benchmark has no kd-svdf
}

void KdSvdOptions::settle(Options&) {
    if (benchmark && mixing != "clip")
        input_error("--mixing ", mixing, ": the CRD benchmark's form mixes no gradients; leave it out, or take --benchmark-form off");
}

std::unique_ptr<Method> KdSvdOptions::make(const Setting& s, const Options& o) const {
    if (benchmark) return std::make_unique<BenchmarkKdSvd>(s, o, *this);
    return std::make_unique<KdSvd>(s, o, *this);
}

const MethodRow kd_svd_row = {"kd-svd",
                              "KD-SVD: relations of singular vectors, the earlier method of MHGD's group",
                              "as MHGD compares with it (1907.02226)",
                              Teaching::one,
                              "mhgd",
                              default_options<KdSvdOptions>};
const MethodRow kd_svdf_row = {"kd-svdf",
                               "KD-SVD of the singular vectors themselves, as MHGD compares with it",
                               "as MHGD compares with it (1907.02226)",
                               Teaching::one,
                               "mhgd",
                               []() -> std::unique_ptr<MethodOptions> { return std::make_unique<KdSvdOptions>("kd-svdf", vector_loss); }};

}  // namespace distill
