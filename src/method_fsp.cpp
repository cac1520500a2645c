#include "method_fsp.h"

#include "method_features.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

bool larger(const Shape& a, const Shape& b) { return a.h > b.h && a.w > b.w; }

Var maximum(const Var& map, const Var& smaller) {
    Var y = map;
    while (larger(y.shape(), smaller.shape())) y = max_pool(y, {});
    return y;
}

std::vector<Var> sensing_points(const Output& o) { return o.maps(&Stage::activated); }
std::vector<Var> outputs(const Output& o) {
    std::vector<Var> all = o.maps(&Stage::output);
    if (o.stem.output.defined()) all.insert(all.begin(), o.stem.output);
    return all;
}

const FlowForm& form_of(const FspOptions& own) { return own.benchmark ? benchmark_flow : mhgd_flow; }

}  // namespace

// One network's flow matrix is as large as the other's; of what size the maps are does not matter to it.
const FlowForm mhgd_flow = {Keep::activations,
                            sensing_points,
                            maximum,
                            [](int64_t entries) { return 0.5f * static_cast<float>(entries); },
                            1e-3f,
                            {Need::same_channels, Need::sizes_by_halving}};
const FlowForm benchmark_flow = {
    Keep::outputs, outputs, pooled_like, [](int64_t) { return 1.0f; }, 1, {Need::same_stems, Need::same_channels}};

Var fsp_loss(const std::vector<Var>& student, const std::vector<Var>& teacher, const FlowForm& form) {
    const auto flow = [&](const std::vector<Var>& maps, size_t i) {
        return flow_matrix(form.pooled(maps[i], maps[i + 1]), form.pooled(maps[i + 1], maps[i]));
    };
    std::vector<Var> distances;
    for (size_t i = 0; i + 1 < student.size(); ++i) {
        const Var own = flow(student, i), shown = flow(teacher, i);
        distances.push_back(scale(mse(own, shown.detached()), form.weight(own.shape().per_sample())));
    }
    return scale(sum(distances), form.all);
}

Fsp::Fsp(const Setting& setting, const Options& o, const FspOptions& own) : Fsp(setting, o, own, form_of(own)) {}

Fsp::Fsp(const Setting& setting, const Options& o, const FspOptions& own, const FlowForm& form)
    : InitialisedStudent(setting, o, own, "loss_fsp", form.keep, Keep::last), form_(form) {
    require_pair("fsp", teacher_.network(), *student_, form.needs, setting.image);
    parameters_.allocate(o.start());
}

Var Fsp::transfer_loss(const Output& s, const Output& t) const { return fsp_loss(form_.points(s), form_.points(t), form_); }

std::unique_ptr<Method> FspOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Fsp>(s, o, *this); }

const MethodRow fsp_row = {"fsp",       "A Gift from Knowledge Distillation: the flow of the solution procedure (CVPR 2017)",
                           "CVPR 2017", Teaching::one,
                           "mhgd",      default_options<FspOptions>};

}  // namespace distill
