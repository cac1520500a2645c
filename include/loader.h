// loader.h: batches. The data set's bytes lie in device memory; gather, crop, flip and normalise are one kernel.
// defines: Augmentation, Batch, Loader
#pragma once
#include <cstdint>

#include "dataset.h"
#include "ops.h"

namespace distill {

/// Random crop of the original size out of the image padded by `pad` on each side, and a horizontal flip with probability ½, fresh
/// for each (seed, epoch, record). Zero padding is raw pixel 0, before normalising; reflect mirrors without repeating the edge.
struct Augmentation {
    bool crop_flip = true;
    bool reflect = false;
    int pad = 4;
};

struct Batch {
    Var images;     ///< (N,H,W,3), normalised, of the backend's activation type
    Tensor labels;  ///< N int32
    Tensor step{};  ///< int32 in device memory, read when the step runs: the training steps before this one, of all epochs
    int64_t size() const { return images.shape().n; }
};

struct LoaderOptions {
    int64_t batch = 128;
    bool shuffle = true;    ///< else consecutive records
    bool drop_last = false;  ///< leave out the last, smaller batch of an epoch
    uint64_t seed = 0;
    Augmentation augmentation;
    Normalization normalization;
};

class Loader {
  public:
    /// InputError if the batch is larger than the training set (a smaller test set is one batch).
    Loader(Backend& backend, const Dataset& data, const LoaderOptions& options);

    /// Another seed's batches from the same data.
    void reseed(uint64_t seed) { options_.seed = seed; }
    int64_t test_records() const { return test_.records; }
    int64_t steps_per_epoch() const;
    int64_t test_steps() const { return (test_.records + options_.batch - 1) / options_.batch; }
    /// The epoch's order of records: the same for any number of threads and any device.
    void begin_epoch(int64_t epoch);
    Batch train_batch(int64_t step);
    Batch test_batch(int64_t step) const;  ///< never augmented or shuffled

  private:
    struct OnDevice {
        int64_t records = 0;
        Tensor pixels;  ///< bytes, four to an element
        Tensor labels;
    };
    OnDevice to_device(const Split& split) const;
    Batch gather(const OnDevice& from, const Tensor& order, int64_t step, const Augmentation& augmentation) const;

    Backend* backend_;
    LoaderOptions options_;
    int64_t height_, width_;
    int32_t epoch_ = 0;
    OnDevice train_, test_;
    Tensor order_, test_order_;
    Tensor position_;  ///< int32: the batch's first record in the order, the epoch, the step since the start; read when the kernel runs
};

}  // namespace distill
