#include "net.h"

#include "base_error.h"

namespace distill {

std::vector<Var> Output::maps(Var Stage::*which) const {
    std::vector<Var> all;
    for (const Stage& stage : stages) all.push_back(stage.*which);
    return all;
}

void Output::add_stem(Keep keep, const Var& output) {
    if (keeps(keep, Keep::outputs)) stem.output = output;
}

void Output::add_stage(Keep keep, const Stage& stage) {
    if (!stages.empty() && !keeps(keep, Keep::activations)) stages.back().activated = {};  // it was the last one's
    stages.push_back({keeps(keep, Keep::outputs) ? stage.output : Var(), keeps(keep, Keep::pre_activations) ? stage.pre_activation : Var(),
                      stage.activated});
}

void Output::classify(const Var& y, const Linear& classifier) {
    pooled = global_avg_pool(y);
    logits = classifier(pooled);
}

std::vector<Var> features_of(const Output& output) {
    std::vector<Var> all{output.stem.output};
    for (const Stage& stage : output.stages) all.push_back(stage.output);
    all.push_back(output.pooled);
    std::vector<Var> there;
    for (const Var& v : all)
        if (v.defined()) there.push_back(v);
    return there;
}

ClassifierStart uniform_start(int64_t inputs, int64_t /*classes*/) { return {Linear::default_init(inputs), Linear::default_init(inputs)}; }
ClassifierStart uniform_weight_start(int64_t inputs, int64_t /*classes*/) { return {Linear::default_init(inputs), Init::constant(0)}; }
ClassifierStart normal_start_by_inputs(int64_t inputs, int64_t /*classes*/) { return {Linear::scaled_init(inputs), Init::constant(0)}; }
ClassifierStart normal_start_by_classes(int64_t /*inputs*/, int64_t classes) { return {Linear::scaled_init(classes), Init::constant(0)}; }

ClassifierStart small_normal_start(int64_t /*inputs*/, int64_t /*classes*/) { return {Init::normal(0.01f), Init::constant(0)}; }

void Network::add_classifier(const NetworkSetting& s, const std::string& name, int64_t inputs) {
    classifier_name_ = name;
    const ClassifierStart start = s.classifier(inputs, s.classes);
    classifier_ = Linear(s.parameters, s.prefix + name, inputs, s.classes, start.weight, start.bias);
}

std::vector<int64_t> Network::stage_channels() const {
    std::vector<int64_t> all;
    for (const StageLayout& stage : stages_) all.push_back(stage.channels);
    return all;
}

void Network::require_images(int64_t height, int64_t width) const {
    Shape needed{1, height, width, 3};
    for (size_t i = 0; i < stages_.size(); ++i) {
        while (stage_shape(i, needed).h == 0) ++needed.h;
        while (stage_shape(i, needed).w == 0) ++needed.w;
    }
    if (needed.h > height || needed.w > width)
        input_error(name_, ": the images are ", height, "x", width, ", too small for its ", stages_.size(), " stages; use images of ",
                    needed.h, "x", needed.w, " or larger, or another network");
}

Shape Network::stage_shape(size_t stage, const Shape& image) const {
    const auto [channels, stride] = stages_.at(stage);
    return {1, (image.h + stride - 1) / stride, (image.w + stride - 1) / stride, channels};
}

}  // namespace distill
