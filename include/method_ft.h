// method_ft.h: "Paraphrasing Complex Network: Network Compression via Factor Transfer" (Kim, Park, Kwak; NeurIPS 2018;
// docs/papers.md §6.5).
// defines: FtOptions, Paraphraser, FactorTransfer, ft_row
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_features.h"

namespace distill {

struct FtOptions final : MethodOptions {
    double beta = 500;
    double factor_rate = 0.5;  ///< k: channels of a factor, of 1 of the map
    int paraphraser_epochs = 30;
    double paraphraser_lr = 0.1;
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// An autoencoder of a teacher's final map: three 3×3 convolutions to k·C channels (the factor), three transposed ones back, each with
/// a LeakyReLU. Widths, start and learning rate are not on file (docs/papers.md §6.5). Ours: C→C→kC→kC and back kC→kC→C→C; weights
/// N(0, 2/fan_in). From the framework's U(±1/√fan_in) the six layers' output begins near 0, which is the best constant answer to a map
/// that is mostly zeros in the mean absolute difference: it stays there for many epochs (PyTorch as well).
/// Registers NAME.encoder.conv<k>.{weight,bias} and NAME.decoder.deconv<k>.{weight,bias}.
class Paraphraser {
  public:
    Paraphraser(Parameters&, const std::string& name, int64_t channels, double k, float slope);
    Var factor(const Var& map) const;          ///< (N,H,W,kC)
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
class FactorTransfer final : public FeatureDistillation {
  public:
    FactorTransfer(const Setting& setting, const Options& options, const FtOptions& own);
    std::vector<Phase> phases() override;

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    const FtOptions own_;
    Parameters paraphraser_parameters_;  ///< trained first, then still
    Paraphraser paraphraser_;
    ConvChain translator_;
};

extern const MethodRow ft_row;

}  // namespace distill
