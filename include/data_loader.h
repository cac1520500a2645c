// data_loader.h: batches. The data set's bytes lie in device memory; gather, crop, flip and normalise are one kernel.
// defines: Augmentation, Batch, LoaderOptions, DeviceData, Loader
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "dataset.h"
#include "ops.h"

namespace distill {

/// Random crop of the original size out of the image padded by `pad` on each side, and a horizontal flip with probability ½, fresh
/// for each (start key, phase, epoch, record). Zero padding is raw pixel 0, before normalising; reflect mirrors without repeating the edge.
struct Augmentation {
    bool crop_flip = true;
    bool reflect = false;
    int pad = 4;
};

struct Batch {
    Var images;        ///< (N,H,W,3), normalised, of the backend's activation type
    Tensor labels;     ///< N int32
    Tensor step{};     ///< int32 in device memory, read when the step runs: the training steps before this one, of all epochs
    Tensor records{};  ///< N int32: where the images lie in their part of the data set, from 0
    int64_t size() const { return images.shape().n; }
};

struct LoaderOptions {
    int64_t batch = 128;
    const char* batch_option = "--batch";  ///< where that was said, for complaints
    bool shuffle = true;                   ///< else consecutive records
    bool drop_last = false;                ///< leave out the last, smaller batch of an epoch
    bool trains = true;                    ///< else only test batches are asked for
    uint64_t start = 0;                    ///< Options::start()
    Augmentation augmentation;
    Normalization normalization;
};

/// A data set in device memory. Loaders of several trainings read one of these, each on its own backend (of the same device) and in its
/// own thread: they take its addresses and never copy its tensors, whose counts are one thread's.
struct DeviceData {
    DeviceData(Backend& backend, const Dataset& data);  ///< waits until all is there
    struct Part {
        int64_t records = 0;
        Tensor pixels;  ///< bytes, four to an element
        Tensor labels;
    };
    /// The part's images as they were read: records x 3 x H x W bytes.
    std::vector<uint8_t> image_bytes(const Part& part) const;
    std::string name;
    int64_t height, width;
    Part train, test;
};

/// Where the training is lies in device memory, and a step reads and advances it there: begin_epoch() sets it, and each step takes
/// train_batch() and ends with advance(). So the same recorded step serves the whole epoch.
class Loader {
  public:
    /// InputError if the batch is larger than the training set, where it trains (a smaller test set is one batch).
    Loader(Backend& backend, std::shared_ptr<const DeviceData> data, const LoaderOptions& options);
    Loader(Backend& backend, const Dataset& data, const LoaderOptions& options)
        : Loader(backend, std::make_shared<DeviceData>(backend, data), options) {}

    int64_t test_records() const { return data_->test.records; }
    int64_t steps_per_epoch() const;
    int64_t test_steps() const { return (test_records() + options_.batch - 1) / options_.batch; }
    /// The epoch's order of records: the same for any number of threads and any device. Its next step is `step`. What is trained before the
    /// student names its `phase`: order, crops and flips are its own, not those of the student's epoch of the same number.
    void begin_epoch(int64_t epoch, int64_t step = 0, std::string_view phase = {});
    int64_t batch_size(int64_t step) const;  ///< images of a step of an epoch
    /// The next `images` records of the epoch.
    Batch train_batch(int64_t images);
    void advance();
    /// One int32 in device memory: the step of the epoch.
    Tensor step_of_epoch() const { return position_.view(3, {}); }
    Batch test_batch(int64_t step) const;  ///< never augmented or shuffled

  private:
    Batch gather(const DeviceData::Part& from, int64_t images, const int32_t* order, const int32_t* position, int64_t first,
                 const Augmentation& augmentation) const;

    Backend* backend_;
    std::shared_ptr<const DeviceData> data_;
    LoaderOptions options_;
    uint64_t draws_ = options_.start;  ///< the phase's key of order, crops and flips
    Tensor order_, test_order_;
    Tensor position_;  ///< int32: the next batch's first record in the order, the epoch, the step since the start, the step of the epoch
};

}  // namespace distill
