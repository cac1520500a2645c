// train_checkpoint.h: the state of an interrupted run in one file, from which it goes on to the bit.
// defines: Checkpoint, exact, write_checkpoint, read_checkpoint, host, all_finite, restore
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core_tensor.h"

namespace distill {

/// What a run needs to go on: the trainer names the entries, this module keeps their bits.
struct Checkpoint {
    std::map<std::string, std::string> text;           ///< the resolved configuration, plans
    std::map<std::string, std::vector<float>> floats;  ///< weights, running statistics, momentum
    std::map<std::string, int64_t> counters;           ///< epoch, step
};

/// A double that survives the way through a checkpoint's text.
std::string exact(double value);

/// Atomic (see base_files.h): a kill at any moment leaves the checkpoint before or this one. The same content gives the same bytes.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// InputError for a file that is missing, cut at any byte, longer than it says, changed in any bit, or of another version.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// A tensor as a checkpoint holds it; nothing for one that is not defined.
std::vector<float> host(const Tensor& tensor);
bool all_finite(const std::vector<float>& values);  ///< no NaN, no infinity
/// The way back. A checkpoint of the same run in the same program always fits; InputError guards against a file from elsewhere.
void restore(Tensor to, const Checkpoint& from, const std::string& name, const std::filesystem::path& path);

}  // namespace distill
