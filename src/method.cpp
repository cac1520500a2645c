#include "method.h"

#include "net_table.h"
#include "train_options.h"

namespace distill {

void Method::backward(Tape& tape, const StepResult& result) {
    parameters().begin_backward();
    tape.backward(result.loss);
}

std::vector<Var> Method::answers(const Var& images) const {
    std::vector<Var> logits{student().forward(images, Mode::evaluate).logits};
    for (const OtherNetwork& other : others()) logits.push_back(other.network->forward(images, Mode::evaluate).logits);
    return logits;
}

StudentMethod::StudentMethod(const Setting& setting, const Options& options) : parameters_(setting.backend) {
    student_ = make_network(options.student, setting.classes, parameters_, student_prefix);
}

StudentMethod::~StudentMethod() = default;

}  // namespace distill
