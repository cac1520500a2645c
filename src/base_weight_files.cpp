#include "base_weight_files.h"

#include <cstdint>
#include <cstring>

#include "base_mapped_file.h"
#include "base_safetensors.h"
#include "base_torch_file.h"

namespace distill {

/// A safetensors header may have a length that begins as a pickle or an archive does.
WeightFormat weight_format(std::string_view bytes) {
    uint64_t header = 0;
    const bool has_header = bytes.size() > sizeof header && bytes[sizeof header] == '{';
    if (has_header) std::memcpy(&header, bytes.data(), sizeof header);
    if (has_header && header <= bytes.size() - sizeof header) return WeightFormat::safetensors;
    return is_torch_file(bytes) ? WeightFormat::torch : WeightFormat::safetensors;
}

WeightFile read_weights(const std::filesystem::path& path) {
    const MappedFile file(path);
    return weight_format(file.bytes()) == WeightFormat::torch ? read_torch_file(path.string(), file) : read_safetensors(path, file.bytes());
}

}  // namespace distill
