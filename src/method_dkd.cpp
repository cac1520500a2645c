#include "method_dkd.h"

#include <algorithm>

#include "core_streams.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

DecoupledDistillation::DecoupledDistillation(const Setting& setting, const Options& o, const DkdOptions& own)
    : FeatureDistillation(setting, o, {own.gamma, 0, own.temperature, true, 1}, {"loss_dkd"}),
      own_(own),
      others_(own.beta.value_or(others_weight(o.teacher, o.student))),
      scheduled_(Tensor::zeros(setting.backend, {})) {
    parameters_.allocate(o.start());
}

void DecoupledDistillation::begin_epoch(int epoch) {
    const auto weight = static_cast<float>(own_.warmup > 0 ? std::min(1.0, (epoch + 1.0) / own_.warmup) : 1.0);
    scheduled_.upload(&weight);
}

std::vector<Var> DecoupledDistillation::losses(const Batch& batch, const Output& s, const Answers& t) {
    const double square = own_.temperature * own_.temperature;
    const Var loss = decoupled_divergence(s.logits, mean_logits(*t), batch.labels, static_cast<float>(own_.temperature),
                                          static_cast<float>(own_.alpha * square), static_cast<float>(others_ * square));
    return {scale(loss, scheduled_)};
}

void DkdOptions::add_to(OptionTable& t) {
    t.add("--alpha", alpha, {0}, "weight of T^2*KL of the label against all other classes (TCKD)");
    t.add("--beta", beta, {0}, "weight of T^2*KL among the other classes (NCKD); by default the authors' for the pair, else 8");
    t.add("--gamma", gamma, {0}, "weight of the cross-entropy");
    t.add("--temperature", temperature, {0, Range().high, true}, "T of both softmaxes");
    t.add("--kd-warmup", warmup, {0}, "epochs over which alpha and beta rise to their full (0: full at once)").in_epochs();
}

void DkdOptions::settle(Options& o) {
    if (!beta && !o.teacher.empty()) beta = others_weight(o.teacher, o.student);
}

std::unique_ptr<Method> DkdOptions::make(const Setting& s, const Options& o) const {
    return std::make_unique<DecoupledDistillation>(s, o, *this);
}

double others_weight(const std::string& teacher, const std::string& student) {
    struct Pair {
        const char *teacher, *student;
        double weight;
    };
    static constexpr Pair pairs[] = {{"resnet56", "resnet20", 2}, {"resnet110", "resnet32", 2}, {"wrn-40-2", "wrn-16-2", 6},
                                     {"wrn-40-2", "wrn-40-1", 6}, {"vgg13", "vgg8", 6},         {"vgg13", "MobileNetV2", 6},
                                     {"ResNet50", "wrn-16-2", 6}};  // the last from the authors' answer to a question
    for (const Pair& p : pairs)
        if (teacher == p.teacher && student == p.student) return p.weight;
    return 8;
}

const MethodRow dkd_row = {"dkd",
                           "Decoupled Knowledge Distillation: the label against the rest, and the rest among themselves",
                           "megvii-research/mdistiller",
                           Teaching::one,
                           "crd",
                           default_options<DkdOptions>};

}  // namespace distill
