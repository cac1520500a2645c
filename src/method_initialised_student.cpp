#include "method_initialised_student.h"

namespace distill {

InitialisedStudent::InitialisedStudent(Backend& backend, const Options& o, int classes, const Teacher& teacher, std::string loss)
    : StudentMethod(backend, o, classes), teacher_(teacher), loss_(std::move(loss)), epochs_(o.init_epochs) {}

Preparation InitialisedStudent::preparation() {
    return {epochs_, &parameters_, loss_, [this](const Batch& batch) { return transfer_loss(batch); }};
}

StepResult InitialisedStudent::step(const Batch& batch) {
    const Var logits = student_->forward(batch.images, Mode::train).logits;
    const Var ce = cross_entropy(logits, batch.labels);
    return {ce, {ce}, logits};
}

}  // namespace distill
