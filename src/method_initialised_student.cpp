#include "method_initialised_student.h"

#include "base_error.h"
#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "train_loop.h"
#include "train_options.h"

namespace distill {

void InitialisedOptions::add_to(OptionTable& t) {
    t.add("--init-epochs", init_epochs, {1}, "fsp, ab: the student is trained so long on the teacher's maps alone first").of_phase();
    t.add_on_off("--benchmark-form", benchmark, benchmark_form_help);
    t.add("--gamma", gamma, {0}, "weight of the cross-entropy");
    t.add("--alpha", alpha, {0}, "fsp, ab: 0, there is no KL beside it");
    t.add("--beta", beta, {0}, "fsp, ab: 0, the transfer loss stands alone in its phase");
}

void InitialisedOptions::settle(Options&) {
    for (const auto& [name, value] : {std::pair{"--alpha", alpha}, {"--beta", beta}})
        if (value != 0)
            input_error(name, " ", value, ": this method has a transfer loss alone and then the cross-entropy alone; leave it at 0");
}

InitialisedStudent::InitialisedStudent(const Setting& setting, const Options& o, const InitialisedOptions& own, std::string loss, Keep keep,
                                       Keep then)
    : StudentMethod(setting, o),
      teacher_(setting.teacher()),
      loss_(std::move(loss)),
      epochs_(own.init_epochs),
      gamma_(static_cast<float>(own.gamma)),
      benchmark_(own.benchmark),
      sgd_(sgd_options(o)),
      keep_(keep),
      then_(then) {
    sgd_.reached_only = benchmark_;
}

std::vector<Phase> InitialisedStudent::phases() {
    Phase p;
    p.epochs = epochs_;
    p.parameters = &parameters_;
    p.loss = loss_;
    p.step = [this](const Batch& batch) { return initialise(batch); };
    p.sgd = sgd_;
    p.in_steps_csv = true;
    return {p};
}

Var InitialisedStudent::initialise(const Batch& batch) const {
    const Beside<Output> t = teacher_(batch.images, keep_);
    const Output s = student_->forward(batch.images, benchmark_ ? Mode::train_stages : Mode::train, keep_);
    return transfer_loss(s, *t);
}

StepResult InitialisedStudent::step(const Batch& batch) {
    const Var logits = student_->forward(batch.images, Mode::train, then_).logits;
    const Var ce = cross_entropy(logits, batch.labels), weighed = gamma_ == 1 ? ce : scale(ce, gamma_);
    return {weighed, {weighed}, logits};
}

}  // namespace distill
