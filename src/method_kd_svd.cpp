#include "method_kd_svd.h"

#include "core_streams.h"
#include "method_singular_vectors.h"
#include "net_pair.h"

namespace distill {
namespace {

Var squared_distance(const Var& a, const Var& b) { return scale(mse(a, b), static_cast<float>(a.shape().size())); }

}  // namespace

KdSvd::KdSvd(Backend& backend, const Options& o, int classes, const Teacher& teacher)
    : StudentMethod(backend, o, classes),
      teacher_(teacher),
      relations_(o.kd_method == "kd-svd"),
      mixing_(allocated(o.start()), GradientMixing::rule_of(o.mixing)) {
    require_pair(o.kd_method, teacher.network(), *student_, {Need::two_stages, Need::same_channels});
}

StepResult KdSvd::step(const Batch& batch) {
    const Output shown = teacher_(batch.images, Keep::activations);
    std::vector<Var> v_t;
    {
        const OnStream beside(batch.images.backend(), teacher_.stream());
        v_t = teacher_vectors(shown.maps(&Stage::activated));
    }
    const Output own = student_->forward(batch.images, Mode::train, Keep::activations);
    join(batch.images.backend());
    const std::vector<Var> v = student_vectors(own.maps(&Stage::activated), v_t);
    Var transfer;
    for (size_t back = relations_ ? 1 : 0; back < v.size(); ++back) {
        const Var distance = relations_ ? kernel_distance(v[back], v[back - 1], v_t[back].value(), v_t[back - 1].value())
                                        : squared_distance(v[back], v_t[back]);
        transfer = transfer.defined() ? add(transfer, distance) : distance;
    }
    const Var ce = cross_entropy(own.logits, batch.labels);
    return {add(ce, transfer), {ce, transfer}, own.logits};
}

}  // namespace distill
