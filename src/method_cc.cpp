#include "method_cc.h"

#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int64_t embedding = 128;

}  // namespace

CorrelationCongruence::CorrelationCongruence(const Setting& setting, const Options& o, const CcOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_cc"}, Keep::last) {
    require_pair("cc", setting.teacher().network(), *student_, {Need::pooled_vector});
    embed_s_ = Linear(parameters_, "embed_s.linear", student_->pooled_channels(), embedding);
    embed_t_ = Linear(parameters_, "embed_t.linear", setting.teacher().network().pooled_channels(), embedding);
    parameters_.allocate(o.start());
}

std::vector<Var> CorrelationCongruence::losses(const Batch&, const Output& s, const Answers& t) {
    return {neighbour_products(embed_s_(s.pooled), embed_t_(t->front().pooled))};
}

std::unique_ptr<Method> CcOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<CorrelationCongruence>(s, o, *this);
}

const MethodRow cc_row = {"cc",
                          "Correlation Congruence, as the CRD benchmark has it: how far neighbours of the batch are apart",
                          "the CRD benchmark",
                          Teaching::one,
                          "crd",
                          default_options<CcOptions>};

}  // namespace distill
