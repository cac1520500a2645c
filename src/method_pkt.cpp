#include "method_pkt.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {

Var probability_loss(const Var& student, const Tensor& teacher) {
    const auto cosines = [](const Var& x) {
        const Var unit = l2_normalize(to_float(x), 1e-7f);
        return matmul(unit, unit, false, true, true);
    };
    return similarity_divergence(cosines(student), cosines(Var(teacher)).value());
}

ProbabilisticTransfer::ProbabilisticTransfer(const Setting& setting, const Options& o, const PktOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_pkt"}, Keep::last) {
    require_pair("pkt", setting.teacher().network(), *student_, {Need::pooled_vector});
    parameters_.allocate(o.start());
}

std::vector<Var> ProbabilisticTransfer::losses(const Batch&, const Output& s, const Answers& t) {
    return {probability_loss(s.pooled, t->front().pooled.value())};
}

std::unique_ptr<Method> PktOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<ProbabilisticTransfer>(s, o, *this);
}

const MethodRow pkt_row = {"pkt",
                           "Probabilistic Knowledge Transfer: whom each image is like",
                           "the CRD benchmark",
                           Teaching::one,
                           "crd",
                           default_options<PktOptions>};

}  // namespace distill
