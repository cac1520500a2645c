#include "method_crd.h"

#include "core_streams.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int64_t width = 128;

}  // namespace

Crd::Crd(const Setting& s, const Options& o, const CrdOptions& own)
    : FeatureDistillation(s, o, own.weights, {"loss_crd"}, Keep::last),
      nce_t_(static_cast<float>(own.nce_t)),
      momentum_(static_cast<float>(own.memory_momentum)),
      embed_s_(parameters_, "embed_s", *student_, width),
      embed_t_(parameters_, "embed_t", s.teacher().network(), width),
      memory_(parameters_, s, o, width, own.negatives, Fewer::repeat),
      z_(parameters_.add_buffer("memory.z", {1, 1, 1, 2}, -1)) {
    parameters_.allocate(o.start());
}

void Crd::take_start(WeightFile& file, const std::string& path) {
    memory_.take_start(file, path);
    if (file.tensors.count("memory.s") > 0) file.tensors.try_emplace("memory.z", HostTensor{{2}, {-1, -1}});
}

std::vector<Var> Crd::losses(const Batch& batch, const Output& s, const Answers& t) {
    const Tensor drawn = memory_.draw(batch);
    const auto contrast = [&](const Var& embedding, const Tensor& memory, int64_t direction) {
        return contrast_loss(embedding, memory, batch.records, drawn, memory_.negatives(), nce_t_, z_.value().view(direction, {}));
    };
    const Var student = embed_s_(s), teacher = embed_t_(t->front());
    const Var loss = add(contrast(student, memory_.of_teacher(), 0), contrast(teacher, memory_.of_student(), 1));
    memory_.remember(batch, student, teacher, momentum_);  // the losses' gradients are made: nothing asks for the rows before them
    return {loss};
}

void CrdOptions::add_to(OptionTable& t) {
    FeatureOptions::add_to(t);
    constexpr int64_t most = int64_t{1} << 24;
    t.add("--negatives-count", negatives, {1, most},
          "images of other classes that each image is contrasted with; with repetition where there are fewer");
    constexpr double least = 0.012;  // e^(1/τ) fits a float
    t.add("--nce-t", nce_t, {least, Range().high}, "temperature of the contrast");
    t.add("--memory-momentum", memory_momentum, {0, 1}, "how much of a row is kept when its image is met again");
}

std::unique_ptr<Method> CrdOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Crd>(s, o, *this); }

const MethodRow crd_row = {
    "crd", "Contrastive Representation Distillation (ICLR 2020)", "1910.10699", Teaching::one, "crd", default_options<CrdOptions>};

}  // namespace distill
