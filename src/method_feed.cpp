#include "method_feed.h"

#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

std::vector<std::string> names_of(size_t teachers) {
    std::vector<std::string> names;
    for (size_t n = 0; n < teachers; ++n) names.push_back("loss_feed_" + std::to_string(n));
    return names;
}

}  // namespace

Feed::Feed(const Setting& setting, const Options& o, const FeedOptions& own)
    : FeatureDistillation(setting, o, {1, 0, 1, true, own.beta}, names_of(setting.teachers.size()), Keep::last), loss_(own.loss()) {
    const int64_t in = student_->map_channels();
    for (size_t n = 0; n < teachers_.size(); ++n) {
        const int64_t out = teachers_[n]->network().map_channels(), width = own.ntl_width > 0 ? own.ntl_width : out;
        layers_.emplace_back(parameters_, "ntl." + std::to_string(n), in, width, out, own.ntl_depth, static_cast<float>(own.ntl_slope));
    }
    parameters_.allocate(o.start());
}

std::vector<Var> Feed::losses(const Batch&, const Output& s, const Answers& t) {
    std::vector<Var> all;
    for (size_t n = 0; n < layers_.size(); ++n) all.push_back(feature_loss(layers_[n](s.map()), t->at(n).map(), loss_));
    return all;
}

void FeedOptions::add_to(OptionTable& t) {
    t.add("--beta", beta, {0}, "weight of each teacher's distance");
    t.add_fixed("--gamma", 1, "the cross-entropy is not weighed");
    t.add_fixed("--alpha", 0, "FEED has no KL");
    t.add("--feed-norm", norm, {"l1", "l2"}, "distance of normalised maps: of absolute, or of squared differences");
    t.add("--feed-reduction", reduction, {"mean", "sample"}, "over all elements: their mean; or their sum, mean over samples");
    t.add("--ntl-depth", ntl_depth, {1}, "3x3 convolutions of a transformation layer");
    t.add("--ntl-width", ntl_width, {0}, "channels between them (0: the teacher's)");
    t.add("--ntl-slope", ntl_slope, {0}, "of the leaky ReLU after each, below 0");
}

void FeedSeries::add_chain_to(OptionTable& t) {
    t.add("--stages", stages, {1}, "students, one after another: the first learns from the teacher, each next one from the one before")
        .circumstance();
    t.add("--by", by, {"feed", "ban"}, "each teaches by FEED, or is born again: CE + KL at T = 1").circumstance();
}

void FeedSeries::add_sweep_to(OptionTable& t) {
    t.add("--numbers", numbers, "of teachers, e.g. 1,3,5; by default from 1 to all of them").circumstance();
}

std::unique_ptr<Method> FeedOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Feed>(s, o, *this); }

const MethodRow feed_row = {"feed",       "FEED: an ensemble of teachers at the feature-map level (ECAI 2020)",
                            "1909.10754", Teaching::several,
                            "feed",       default_options<FeedOptions>};

}  // namespace distill
