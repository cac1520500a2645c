// method_crd.h: Contrastive Representation Distillation (Tian, Krishnan, Isola; ICLR 2020; arXiv 1910.10699), as its authors' benchmark has it
// (docs/papers.md §6.18; HobbitLong/RepDistiller b84f547).
// defines: CrdOptions, Crd, crd_row
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "method_features.h"
#include "method_memory.h"

namespace distill {

struct CrdOptions final : FeatureOptions {
    CrdOptions() : FeatureOptions(0.8) {}
    double nce_t = 0.07, memory_momentum = 0.5;
    int64_t negatives = 16384;
    void add_to(OptionTable& table) override;
    std::unique_ptr<Method> make(const Setting&, const Options&) const override;
};

/// γ·CE + α·T²·KL + β·(the student's embedding contrasted with the teacher's memory + the teacher's with the student's). Both embeddings
/// learn. The normalisers of the two (memory.z) are those of the first batch ever; each step ends with its embeddings in the memories.
class Crd final : public FeatureDistillation {
  public:
    Crd(const Setting& setting, const Options& options, const CrdOptions& own);
    void take_start(WeightFile& file, const std::string& path) override;
    std::map<std::string, std::string> helper_metadata() const override { return memory_.metadata(); }

  private:
    std::vector<Var> losses(const Batch& batch, const Output& student, const Answers& teachers) override;
    const float nce_t_, momentum_;
    Embedding embed_s_, embed_t_;
    FeatureMemory memory_;
    Var z_;  ///< two floats; not above 0: the first batch is to come
};

extern const MethodRow crd_row;

}  // namespace distill
