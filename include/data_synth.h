// data_synth.h: a small made-up data set for tests and first tries.
// defines: SynthOptions, synthesize
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace distill {

struct SynthOptions {
    std::string dataset = "synth";  ///< folder name under the data folder
    int classes = 10;               ///< 1 to 256
    int size = 32;                  ///< square images
    int train = 2000, test = 500;   ///< images
    uint64_t seed = 0;
    bool force = false;  ///< replace a set of this name
};

/// Writes DIR/<dataset>/ as an import does. Each class is a coloured texture; each image shows it shifted, under its own colour cast
/// and noise, so a convolutional network learns it and mean colours tell nothing. Record i has label i mod classes. Integers only:
/// the same options give the same bytes on every machine; the test images do not depend on how many training images there are.
/// InputError for a count below 1, a size below 4, and all that DatasetWriter throws.
void synthesize(const std::filesystem::path& data_dir, const SynthOptions& options);

}  // namespace distill
