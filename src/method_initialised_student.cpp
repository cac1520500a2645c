#include "method_initialised_student.h"

#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

void InitialisedOptions::add_to(OptionTable& t) {
    t.add("--init-epochs", init_epochs, {1}, "fsp, ab: the student is trained so long on the teacher's maps alone first");
}

InitialisedStudent::InitialisedStudent(const Setting& setting, const Options& o, const InitialisedOptions& own, std::string loss)
    : StudentMethod(setting, o), teacher_(setting.teacher()), loss_(std::move(loss)), epochs_(own.init_epochs) {}

std::vector<Phase> InitialisedStudent::phases() {
    return {{epochs_, &parameters_, loss_, [this](const Batch& batch) { return transfer_loss(batch); }}};
}

StepResult InitialisedStudent::step(const Batch& batch) {
    const Var logits = student_->forward(batch.images, Mode::train).logits;
    const Var ce = cross_entropy(logits, batch.labels);
    return {ce, {ce}, logits};
}

}  // namespace distill
