// base_weight_files.h: weights from a file of any format.
// defines: WeightFormat, weight_format, read_weights
#pragma once
#include <filesystem>
#include <string_view>

#include "base_weights.h"

namespace distill {

/// Told by the bytes, whatever the file is called.
enum class WeightFormat { safetensors, torch };
WeightFormat weight_format(std::string_view bytes);

/// What every command reads its weights by. InputError as the format's reader (base_safetensors.h, base_torch_file.h).
WeightFile read_weights(const std::filesystem::path& path);

}  // namespace distill
