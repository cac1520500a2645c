#include "method_kd.h"

#include "method_teacher.h"
#include "train_options.h"

namespace distill {

KnowledgeDistillation::KnowledgeDistillation(const Setting& setting, const Options& o, const KdOptions& own)
    : FeatureDistillation(setting, o, {own.gamma, own.alpha, own.temperature, own.squared}, {}) {
    parameters_.allocate(o.start());
}

void KdOptions::add_to(OptionTable& t) {
    t.add("--temperature", temperature, {0, Range().high, true}, "T of both softmaxes");
    t.add("--alpha", alpha, {0}, "weight of T^2*KL(teacher || student)");
    t.add("--gamma", gamma, {0}, "weight of the cross-entropy");
    t.add_fixed("--beta", 0, "there is no other loss beside the two");
}

std::unique_ptr<Method> KdOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<KnowledgeDistillation>(s, o, *this);
}

const MethodRow kd_row = {"kd",
                          "distil a teacher's logits: gamma*CE + alpha*T^2*KL",
                          "Hinton, Vinyals, Dean 2015",
                          Teaching::one,
                          "kd",
                          default_options<KdOptions>};
const MethodRow ensemble_row = {"ensemble",
                                "distil the mean of several teachers' logits",
                                "as FEED compares with it (1909.10754)",
                                Teaching::several,
                                "feed",
                                default_options<KdOptions>};
const MethodRow ban_row = {"ban",
                           "born-again networks: CE + KL at T = 1",
                           "as FEED compares with it (1909.10754)",
                           Teaching::one,
                           "feed",
                           []() -> std::unique_ptr<MethodOptions> { return std::make_unique<KdOptions>(1, 1, 1); }};
const MethodRow soft_logits_row = {"soft-logits",
                                   "0.7*CE + 0.3*KL at T = 4, as MHGD compares with it",
                                   "as MHGD compares with it (1907.02226)",
                                   Teaching::one,
                                   "mhgd",
                                   []() -> std::unique_ptr<MethodOptions> { return std::make_unique<KdOptions>(0.7, 0.3, 4, false); }};

}  // namespace distill
