// base_safetensors.h: weight files, in the format that PyTorch users exchange (8 bytes of header length, a JSON header, raw data).
// defines: read_safetensors, is_weight_file, write_safetensors
#pragma once
#include <filesystem>
#include <string_view>

#include "base_weights.h"

namespace distill {

/// Reads F32, and F16, BF16, F64 and I64 converted to float. Names are unwrapped(), what is_bookkeeping() is dropped. InputError for a
/// file that is cut, has a bad header, tensors that overlap, leave gaps or do not fit their shape, bytes after the last tensor, a name that
/// appears twice (also: after unwrapping), and for values that are no weights (refuse_values).
WeightFile read_safetensors(const std::filesystem::path& path);
/// The same of the bytes of the file at `path`.
WeightFile read_safetensors(const std::filesystem::path& path, std::string_view bytes);

/// Is it a safetensors file, whatever its types and values are?
bool is_weight_file(const std::filesystem::path& path);

/// Writes F32 tensors, by name, in a file that safetensors.torch.load_file reads; atomically (see base_files.h).
void write_safetensors(const std::filesystem::path& path, const WeightFile& weights);

}  // namespace distill
