// method_feed.h: "FEED: Feature-level Ensemble for Knowledge Distillation" (Park, Kwak; ECAI 2020; arXiv 1909.10754; docs/papers.md §3).
// defines: FeedOptions, FeedSeries, Feed, feed_row
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_features.h"

namespace distill {

struct FeedOptions final : MethodOptions {
    double beta = 500;
    std::string norm = "l1", reduction = "mean";
    int ntl_depth = 3, ntl_width = 0;  ///< 0: as wide as the teacher's map
    double ntl_slope = 0.1;
    FeatureLoss loss() const { return {norm == "l2", reduction == "sample"}; }
    void add_to(OptionTable& table) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// What runs of FEED are parts of: a chain of students, or a sweep over the number of teachers. No part of what a run is.
struct FeedSeries {
    int stages = 3;
    std::string by = "feed";
    std::string numbers;  ///< a list
    void add_chain_to(OptionTable& table);
    void add_sweep_to(OptionTable& table);
};

/// Parallel FEED: CE + β·Σ_n L_n with L_n = feature_loss(NTL_n(x_s), x_n): the student's final map, through a layer of its own for each
/// teacher, must give each teacher's final map. One teacher: a stage of sequential FEED. Only the student outlives training.
class Feed final : public FeatureDistillation {
  public:
    Feed(const Setting& setting, const Options& options, const FeedOptions& own);  ///< losses loss_feed_0, loss_feed_1, …

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    std::vector<ConvChain> layers_;  ///< NTL, one for each teacher
    FeatureLoss loss_;
};

extern const MethodRow feed_row;

}  // namespace distill
