// method_ft.h: "Paraphrasing Complex Network: Network Compression via Factor Transfer" (Kim, Park, Kwak; NeurIPS 2018), as FEED compares
// with it, and as the CRD benchmark does (docs/papers.md §6.5; HobbitLong/RepDistiller b84f547).
// defines: FtOptions, FactorForm, feed_factors, benchmark_factors, factor_map_loss, Paraphraser, Translator, FactorTransfer, ft_row
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method_features.h"
#include "net.h"

namespace distill {

struct FtOptions final : FeatureOptions {
    FtOptions() : FeatureOptions(500) {}
    double factor_rate = 0.5;  ///< k: channels of a factor, of 1 of the map
    int paraphraser_epochs = 30;
    double paraphraser_lr = 0.1;  ///< 0: the benchmark's
    bool benchmark = false;       ///< as the CRD benchmark has it; else as FEED
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// Whose Factor Transfer: where modules start and what their layers are called, which map is paraphrased, and what is compared how.
struct FactorForm {
    ConvInit start;          ///< of the paraphraser
    const char *down, *up;   ///< its layers: DOWN<k·apart>, UP<k·apart>, k from 0
    const char* translator;  ///< likewise
    int apart;
    bool normalises;  ///< the translator's first layer keeps the student's channels, and BatchNorm follows each
    Keep keep;
    Var Stage::*map;
    Var (*reconstruction)(const Var& made, const Var& map);
    Var (*distance)(const Var& student, const Var& teacher);  ///< between factors
};
/// N(0, 2/fan_in): from the framework's U(±1/√fan_in) the six layers' output begins near 0, which is the best constant answer to a map that is
/// mostly zeros in the mean absolute difference, and stays there for many epochs (PyTorch as well). L1 of reconstructions and of factors.
extern const FactorForm feed_factors;
extern const FactorForm benchmark_factors;  ///< the framework's start, mean squares of reconstructions, factor_map_loss()

/// mean over samples and pixels of |Q_s − Q_t|, Q = attention_map() divided by its Euclidean norm over a sample; (N,h,w,C_s), (N,h,w,C_t).
/// Where the maps differ in size, the larger is first pooled (adaptive average) to the smaller.
Var factor_map_loss(const Var& student, const Var& teacher);

/// An autoencoder of a teacher's final map: three 3×3 convolutions C→C→kC→kC (to the factor), three transposed ones back kC→kC→C→C, each
/// with bias and a LeakyReLU. The benchmark's widths; of FEED's none are on file (docs/papers.md §6.5).
class Paraphraser {
  public:
    Paraphraser(Parameters&, const std::string& name, int64_t channels, double k, float slope, const FactorForm& form = feed_factors);
    Var factor(const Var& map) const;          ///< (N,H,W,kC)
    Var reconstruct(const Var& factor) const;  ///< (N,H,W,C)
    int64_t factor_channels() const { return factor_channels_; }

  private:
    int64_t factor_channels_;
    float slope_;
    std::vector<Conv2d> encoder_;
    std::vector<ConvTranspose2d> decoder_;
};

/// Brings a student's map to a factor's channels: three 3×3 convolutions with bias, each followed by [BatchNorm and] a LeakyReLU.
class Translator {
  public:
    Translator(Parameters&, const std::string& name, int64_t in, int64_t out, float slope, const FactorForm& form);
    Var operator()(const Var& x) const;

  private:
    float slope_;
    std::vector<Conv2d> convs_;
    std::vector<BatchNorm> bns_;  ///< one for each, or none
};

/// γ·CE + α·T²·KL + β·the distance between two factors: the paraphraser's of the teacher's map, the translator's of the student's. The
/// paraphraser is trained first, alone, on its reconstructions.
class FactorTransfer final : public FeatureDistillation {
  public:
    FactorTransfer(const Setting& setting, const Options& options, const FtOptions& own);
    std::vector<Phase> phases() override;

  private:
    std::vector<Var> losses(const Batch&, const Output& student, const Answers& teachers) override;
    const Var& map(const Output& output) const { return output.stages.back().*form_.map; }
    const FtOptions own_;
    const FactorForm& form_;
    Parameters paraphraser_parameters_;  ///< trained first, then still
    Paraphraser paraphraser_;
    Translator translator_;
};

extern const MethodRow ft_row;

}  // namespace distill
