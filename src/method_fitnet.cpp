#include "method_fitnet.h"

#include "base_error.h"
#include "core_streams.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_options.h"

namespace distill {
namespace {

/// From 0, where both networks have it and take the images.
size_t stage_of(int hint_layer, const Network& teacher, const Network& student, const Shape& image) {
    require_pair("fitnet", teacher, student, {}, image);
    for (const Network* network : {&teacher, &student})
        if (hint_layer < 1 || static_cast<size_t>(hint_layer) > network->stages().size())
            input_error("--hint-layer ", hint_layer, ": ", network->name(), " has the stages 1 to ", network->stages().size(),
                        "; choose one that teacher and student have");
    return static_cast<size_t>(hint_layer) - 1;
}

}  // namespace

HintRegressor::HintRegressor(Parameters& p, const std::string& name, const Shape& s, const Shape& t, bool relu) : relu_(relu) {
    const std::string conv = name + ".conv";
    const auto both = [&](auto fits) { return fits(s.h, t.h) && fits(s.w, t.w); };
    if (both([](int64_t from, int64_t to) { return from == 2 * to; })) {
        conv_.emplace(p, conv, s.c, t.c, 3, 2, ConvInit::framework_default, true);
    } else if (both([](int64_t from, int64_t to) { return 2 * from == to; })) {
        transposed_.emplace(p, conv, s.c, t.c, 4, ConvInit::framework_default, 2);
    } else if (s.h >= t.h && s.h - t.h == s.w - t.w) {
        conv_.emplace(p, conv, s.c, t.c, 1 + s.h - t.h, 1, ConvInit::framework_default, true);
        conv_->options.pad_h = conv_->options.pad_w = 0;
    } else {
        input_error("a hint from a map of ", t.h, "x", t.w, " to one of ", s.h, "x", s.w,
                    ": no regressor fits; choose networks whose maps are of one size, or the student's larger, or half as large");
    }
    bn_ = BatchNorm(p, name + ".bn", t.c);
}

Var HintRegressor::operator()(const Var& x, Mode mode) const { return bn_(conv_ ? (*conv_)(x) : (*transposed_)(x), mode, relu_); }

FitNet::FitNet(const Setting& setting, const Options& o, const FitNetOptions& own)
    : FeatureDistillation(setting, o, own.weights, {"loss_fitnet"}, Keep::outputs),
      stage_(stage_of(own.hint_layer, setting.teacher().network(), *student_, setting.image)),
      regressor_(parameters_, "regressor", student_->stage_shape(stage_, setting.image),
                 setting.teacher().network().stage_shape(stage_, setting.image)) {
    parameters_.allocate(o.start());
}

std::vector<Var> FitNet::losses(const Batch&, const Output& s, const Answers& t) {
    return {mse(regressor_(s.stages[stage_].output, Mode::train), t->front().stages[stage_].output)};
}

void FitNetOptions::add_to(OptionTable& t) {
    FeatureOptions::add_to(t);
    t.add("--hint-layer", hint_layer, {1}, "the stage whose output is compared");
}

std::unique_ptr<Method> FitNetOptions::make(const Setting& s, const Options& o) const { return std::make_unique<FitNet>(s, o, *this); }

const MethodRow fitnet_row = {"fitnet",
                              "FitNets: the output of one stage is a hint for the student's",
                              "the CRD benchmark",
                              Teaching::one,
                              "crd",
                              default_options<FitNetOptions>};

}  // namespace distill
