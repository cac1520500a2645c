#include "method_kd_svd.h"

#include "data_loader.h"
#include "method_features.h"
#include "method_singular_vectors.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

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

KdSvd::KdSvd(const Setting& setting, const Options& o, const KdSvdOptions& own)
    : StudentMethod(setting, o),
      teacher_(setting.teacher()),
      loss_(own.loss),
      mixing_(allocated(o.start()), GradientMixing::rule_of(own.mixing)) {
    require_pair(own.method, teacher_.network(), *student_, {Need::two_stages, Need::same_channels});
}

StepResult KdSvd::step(const Batch& batch) {
    const Beside<Output> t = teacher_(batch.images, Keep::activations);
    const auto v_t = t.then([](const Output& shown) { return teacher_vectors(shown.maps(&Stage::activated)); });
    const Output s = student_->forward(batch.images, Mode::train, Keep::activations);
    const Var transfer = loss_(student_vectors(s.maps(&Stage::activated), *v_t), *v_t);
    const Var ce = cross_entropy(s.logits, batch.labels);
    return {add(ce, transfer), {ce, transfer}, s.logits};
}

std::unique_ptr<Method> KdSvdOptions::make(const Setting& s, const Options& o) const { return std::make_unique<KdSvd>(s, o, *this); }

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
