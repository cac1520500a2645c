// base_safetensors.h: weight files, in the format that PyTorch users exchange (8 bytes of header length, a JSON header, raw data).
// defines: HostTensor, WeightFile, read_safetensors, is_weight_file, own_word, write_safetensors
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace distill {

/// A tensor in host memory, row-major in the order of `shape` (an empty shape is a scalar: one element).
struct HostTensor {
    std::vector<int64_t> shape;
    std::vector<float> data;
};

struct WeightFile {
    std::map<std::string, HostTensor> tensors;    ///< by parameter name, e.g. "layer1.0.conv1.weight"
    std::map<std::string, std::string> metadata;  ///< the header's `__metadata__`
};

/// Reads F32, and F16, BF16, F64 and I64 converted to float. Leading `module.`, `_orig_mod.` and `model.` (PyTorch's DataParallel,
/// torch.compile and others) are stripped and `*.num_batches_tracked` is dropped. InputError for a file that is cut, has a bad header,
/// tensors that overlap, leave gaps or do not fit their shape, bytes after the last tensor, a name that appears twice (also: after
/// stripping), a value that is not finite or does not fit a float, a negative `running_var`, and for torch.save's files, with the way out.
WeightFile read_safetensors(const std::filesystem::path& path);

/// Is it safetensors, whatever the values are?
bool is_weight_file(const std::filesystem::path& path);

/// What a file that a run of this program has saved says of itself (network, classes, dataset, normalization, …); "" if it says nothing
/// of `key`, or is a stranger's, whose words may mean anything.
std::string own_word(const std::map<std::string, std::string>& metadata, const std::string& key);

/// Writes F32 tensors, by name, in a file that safetensors.torch.load_file reads; atomically (see base_files.h).
void write_safetensors(const std::filesystem::path& path, const WeightFile& weights);

}  // namespace distill
