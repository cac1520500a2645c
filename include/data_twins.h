// data_twins.h: images that a data set has more than once.
// defines: ImageDigest, digest_of, Twins, warnings_of
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataset.h"

namespace distill {

/// The first half of the SHA-256 of an image's pixels.
using ImageDigest = std::array<uint64_t, 2>;
ImageDigest digest_of(const uint8_t* pixels, size_t bytes);

/// Finds out which images are the same, pixel for pixel.
class Twins {
  public:
    Twins() = default;
    explicit Twins(const Dataset& data);
    void add(const ImageDigest& digest, int32_t label, bool test) { all_.push_back({digest, label, test}); }

    struct Counts {
        int64_t test_in_train = 0;  ///< test images that are training images, too
        int64_t two_labels = 0;     ///< images, each counted once, that stand under more than one label
    };
    Counts count();

  private:
    struct Entry {
        ImageDigest digest;
        int32_t label;
        bool test;
    };
    std::vector<Entry> all_;
};

/// A line for each kind of twins that there are, for the user; none if there are none.
std::vector<std::string> warnings_of(const Twins::Counts& counts);

}  // namespace distill
