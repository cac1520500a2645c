// method_batch_graphs.h: how a method that draws graphs over the batch fares: what its sums come to, and what its graphs say, epoch by epoch.
// defines: BatchGraphLog
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core_tensor.h"

namespace distill {

class RunFolder;  // train_run_folder.h

/// graphs.csv has a row an epoch. Means over the images that had them: individual_s, individual_t (embeddings contrasted), graph_s, graph_t
/// (what the graph makes of them); of the neighbours of an image, itself not counted, in %: right_s, right_t, those of its class, and overlap,
/// those that both graphs have. Empty where an epoch had none. The sums stay in device memory.
class BatchGraphLog {
  public:
    enum Loss { individual_s, individual_t, graph_s, graph_t };
    explicit BatchGraphLog(Backend& backend);
    /// losses: one of each image.
    void add(Loss which, const Tensor& losses) const;
    /// Matrices (N,1,1,N), row i above 0 where i takes from (average_of_nearest); labels N int32.
    void add_graphs(const Tensor& student, const Tensor& teacher, const Tensor& labels) const;
    void end_epoch(const RunFolder& folder, int epoch);
    /// What a checkpoint must hold: the sums of the epoch so far.
    std::vector<std::pair<std::string, Tensor>> state() const { return {{"graphs.sums", sums_}}; }

  private:
    Tensor sums_;
};

}  // namespace distill
