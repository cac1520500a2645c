#include "method_fsp.h"

#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr float weight = 1e-3f;

bool larger(const Shape& a, const Shape& b) { return a.h > b.h && a.w > b.w; }

Var flow(Var shallower, const Var& deeper) {
    while (larger(shallower.shape(), deeper.shape())) shallower = max_pool(shallower, {});
    return flow_matrix(shallower, deeper);
}

}  // namespace

Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher) {
    std::vector<Var> distances;
    for (size_t i = 0; i + 1 < student.size(); ++i) {
        const Var own = flow(student[i], student[i + 1]), shown = flow(teacher[i], teacher[i + 1]);
        // mse is a mean over A·B too, which the norm is not.
        distances.push_back(scale(mse(own, shown.detached()), 0.5f * static_cast<float>(own.shape().per_sample())));
    }
    return scale(sum(distances), weight);
}

Fsp::Fsp(const Setting& setting, const Options& o, const FspOptions& own) : InitialisedStudent(setting, o, own, "loss_fsp") {
    // One network's flow matrix is as large as the other's; of what size the maps are does not matter to it.
    require_pair("fsp", teacher_.network(), *student_, {Need::same_channels, Need::sizes_by_halving}, setting.image);
    parameters_.allocate(o.start());
}

Var Fsp::transfer_loss(const Batch& batch) const {
    const Beside<Output> t = teacher_(batch.images, Keep::activations);
    const Output s = student_->forward(batch.images, Mode::train, Keep::activations);
    return fsp_loss(s.maps(&Stage::activated), t->maps(&Stage::activated));
}

std::unique_ptr<Method> FspOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Fsp>(s, o, *this); }

const MethodRow fsp_row = {"fsp",       "A Gift from Knowledge Distillation: the flow of the solution procedure (CVPR 2017)",
                           "CVPR 2017", Teaching::one,
                           "mhgd",      default_options<FspOptions>};

}  // namespace distill
