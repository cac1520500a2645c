// method_memory.h: what contrastive methods keep of every training image: a row of the student's embeddings and one of the teacher's, and
// which images of other classes each image of a batch is contrasted with (docs/papers.md §6.18, §11).
// defines: Embedding, Fewer, FeatureMemory
#pragma once
#include <map>
#include <string>

#include "method.h"
#include "net_layers.h"
#include "ops.h"

namespace distill {

struct Batch;   // data_loader.h
struct Output;  // net.h

/// A network's pooled vector through a linear layer, each row then of length 1: (N,1,1,width). Registers NAME.linear.{weight,bias}.
class Embedding {
  public:
    /// InputError for a network without a pooled vector.
    Embedding(Parameters&, const std::string& name, const Network& network, int64_t width);
    Var operator()(const Output& output) const;

  private:
    Linear linear_;
};

/// What an image is contrasted with where there are fewer images of other classes than are asked for.
enum class Fewer {
    repeat,  ///< draws with repetition
    all      ///< each of them once
};

/// Two tables (records,1,1,width), registered as memory.s and memory.t among the buffers, so that weight files and checkpoints have them. They
/// start as U(±√(3/width)): each row of length 1 on the average.
class FeatureMemory {
  public:
    /// InputError where all images are of one class. `negatives`: how many images of other classes each image is contrasted with; 0: all.
    FeatureMemory(Parameters&, const Setting&, const Options&, int64_t width, int64_t negatives, Fewer fewer);

    const Tensor& of_student() const { return student_.value(); }
    const Tensor& of_teacher() const { return teacher_.value(); }
    int64_t negatives() const { return draws_.count; }
    /// (N,1,1,records) int32: how often each record is a negative of each image of the batch.
    Tensor draw(const Batch& batch) const;
    /// Mixes the batch's embeddings into their rows (remember_rows).
    void remember(const Batch& batch, const Var& student, const Var& teacher, float momentum) const;
    /// Method::take_start: of a file that has `negatives` (steps,batch,K), those are the draws of the run's first steps, and K is that file's
    /// from then on. InputError if they, or the tables, are of other images.
    void take_start(WeightFile& file, const std::string& path);

    /// Method::helper_metadata: which images the tables are of.
    std::map<std::string, std::string> metadata() const;

  private:
    void take_given(const HostTensor& given, const std::string& path);
    bool repeats() const { return fewer_ == Fewer::repeat && fewest_others_ < draws_.count; }
    std::string labels_sha256_;
    int64_t records_, batch_;
    Backend& backend_;
    Var student_, teacher_;
    Fewer fewer_;
    NegativeDraws draws_;
    int64_t fewest_others_ = 0;  ///< of the images of other classes, over the classes
};

}  // namespace distill
