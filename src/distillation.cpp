#include "distillation.h"

#include "error.h"
#include "safetensors.h"
#include "streams.h"

namespace distill {

Supervised::Supervised(Backend& backend, const Options& options, int classes) : StudentMethod(backend, options, classes) {
    parameters_.allocate(options.seed);
}

StepResult Supervised::step(const Batch& batch) {
    const Var logits = student_->forward(batch.images, Mode::train).logits;
    const Var ce = cross_entropy(logits, batch.labels);
    return {ce, {ce}, logits};
}

Teacher::Teacher(Backend& backend, const Options& options, int classes)
    : parameters_(backend, false), mode_(options.teacher_bn == "batch" ? Mode::train : Mode::evaluate) {
    if (options.teacher.empty()) input_error("--teacher: no network named; there are: ", network_names());
    network_ = make_network(options.teacher, classes, parameters_);
    parameters_.allocate(options.seed);
}

std::unique_ptr<Teacher> Teacher::load(Backend& backend, const Options& options, int classes) {
    auto teacher = std::make_unique<Teacher>(backend, options, classes);
    if (options.teacher_weights.empty())
        input_error("--teacher-weights: the teacher's file is missing; train one with: distill train --net ", options.teacher,
                    " --dataset ", options.dataset, " --save teacher.safetensors");
    const WeightFile file = read_safetensors(options.teacher_weights);
    teacher->parameters_.from_file(file, options.teacher_weights);
    teacher->metadata_ = file.metadata;
    return teacher;
}

Output Teacher::operator()(const Var& images, bool pre_activation) const {
    constexpr int stream = 1;
    const OnStream beside(images.backend(), stream);
    const Recording off(nullptr);
    return network_->forward(images, mode_, pre_activation);
}

Var kd_loss(const Var& student_logits, const Tensor& teacher_logits, float temperature) {
    return scale(kl_divergence(student_logits, teacher_logits, temperature), temperature * temperature);
}

KnowledgeDistillation::KnowledgeDistillation(Backend& backend, const Options& options, int classes, const Teacher& teacher)
    : StudentMethod(backend, options, classes),
      teacher_(teacher),
      temperature_(static_cast<float>(options.temperature)),
      alpha_(static_cast<float>(options.alpha)),
      gamma_(static_cast<float>(options.gamma)) {
    parameters_.allocate(options.seed);
}

StepResult KnowledgeDistillation::step(const Batch& batch) {
    const Var teacher_logits = teacher_(batch.images).logits;
    const Var logits = student_->forward(batch.images, Mode::train).logits;
    join(logits.backend());
    const Var ce = scale(cross_entropy(logits, batch.labels), gamma_);
    const Var kd = scale(kd_loss(logits, teacher_logits.value(), temperature_), alpha_);
    return {add(ce, kd), {ce, kd}, logits};
}

}  // namespace distill
