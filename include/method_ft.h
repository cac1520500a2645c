// method_ft.h: "Paraphrasing Complex Network: Network Compression via Factor Transfer" (Kim, Park, Kwak; NeurIPS 2018;
// docs/papers.md §6.5).
// defines: Paraphraser, FactorTransfer
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_feed.h"

namespace distill {

/// An autoencoder of a teacher's final map: three 3×3 convolutions to k·C channels (the factor), three transposed ones back, each with
/// a LeakyReLU. Widths, start and learning rate are not on file (docs/papers.md §6.5). Ours: C→C→kC→kC and back kC→kC→C→C; weights
/// N(0, 2/fan_in). From the framework's U(±1/√fan_in) the six layers' output begins near 0, which is the best constant answer to a map
/// that is mostly zeros in the mean absolute difference: it stays there for many epochs (PyTorch as well).
/// Registers NAME.encoder.conv<k>.{weight,bias} and NAME.decoder.deconv<k>.{weight,bias}.
class Paraphraser {
  public:
    Paraphraser(Parameters&, const std::string& name, int64_t channels, double rate, float slope);
    Var factor(const Var& map) const;       ///< (N,H,W,kC)
    Var reconstruct(const Var& factor) const;  ///< (N,H,W,C)
    int64_t factor_channels() const { return factor_channels_; }

  private:
    int64_t factor_channels_;
    float slope_;
    std::vector<Conv2d> encoder_;
    std::vector<ConvTranspose2d> decoder_;
};

/// CE + β·L1 between the L2-normalised factors: the paraphraser's of the teacher's map, the translator's of the student's. The paraphraser
/// is trained first, alone, on the mean |reconstruction − map| over all elements.
class FactorTransfer final : public StudentMethod {
  public:
    FactorTransfer(Backend& backend, const Options& options, int classes, const Teacher& teacher);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_ft"}; }
    Preparation preparation() override;
    StepResult step(const Batch& batch) override;

  private:
    const Teacher& teacher_;
    int epochs_;
    double rate_;
    float beta_;
    Parameters own_;  ///< the paraphraser's: trained first, then still
    Paraphraser paraphraser_;
    ConvChain translator_;
};

}  // namespace distill
