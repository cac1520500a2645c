#include "method_supervised.h"

#include "data_loader.h"
#include "net.h"
#include "train_options.h"

namespace distill {

Supervised::Supervised(const Setting& setting, const Options& o) : StudentMethod(setting, o) { parameters_.allocate(o.start()); }

StepResult Supervised::step(const Batch& batch) {
    const Var logits = student_->forward(batch.images, Mode::train).logits;
    const Var ce = cross_entropy(logits, batch.labels);
    return {ce, {ce}, logits};
}

std::unique_ptr<Method> SupervisedOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Supervised>(s, o); }

const MethodRow supervised_row = {"train",    "train one network with cross-entropy", "", Teaching::none,
                                  "reviewkd", default_options<SupervisedOptions>};

}  // namespace distill
