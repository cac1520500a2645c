// Weight files: also that what was read and written again is read as the same.
#include <cmath>
#include <cstring>

#include "base_safetensors.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

bool same(const WeightFile& a, const WeightFile& b) {
    if (a.metadata != b.metadata || a.tensors.size() != b.tensors.size()) return false;
    for (const auto& [name, tensor] : a.tensors) {
        const auto other = b.tensors.find(name);
        if (other == b.tensors.end() || tensor.shape != other->second.shape || tensor.data.size() != other->second.data.size())
            return false;
        if (!tensor.data.empty() && std::memcmp(tensor.data.data(), other->second.data.data(), tensor.data.size() * sizeof(float)) != 0)
            return false;
    }
    return true;
}

std::string written(const WeightFile& weights) {
    write_safetensors(folder() / "written", weights);
    return read_file(folder() / "written");
}

/// One tensor of two elements of each type; `zeros`: their bytes.
std::string of_type(const std::string& type, size_t bytes) {
    std::string header =
        R"({"module.fc.weight":{"dtype":")" + type + R"(","shape":[2,1],"data_offsets":[0,)" + std::to_string(bytes) + "]}}";
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + std::string(bytes, '\1');
}

}  // namespace

std::vector<std::string> seeds() {
    WeightFile weights;
    weights.metadata = {{"network", "resnet8"}, {"seed", "0"}};
    weights.tensors["student.conv1.weight"] = {{2, 3, 1, 1}, {1, 2, 3, 4, 5, 6}};
    weights.tensors["student.bn1.running_var"] = {{2}, {0.5f, 1e-9f}};
    weights.tensors["nothing"] = {{0, 4}, {}};
    weights.tensors["scalar"] = {{}, {-1}};
    return {written({}),        written(weights),   of_type("F32", 8), of_type("F16", 4),
            of_type("BF16", 4), of_type("F64", 16), of_type("I64", 16)};
}

void parse(const std::string& bytes) {
    const WeightFile weights = read_safetensors(file_of(bytes));
    for (const auto& [name, tensor] : weights.tensors) {
        size_t elements = 1;
        for (const int64_t size : tensor.shape) elements *= static_cast<size_t>(size);
        require(elements == tensor.data.size(), "a tensor has as many values as its shape says");
    }
    written(weights);
    require(same(weights, read_safetensors(folder() / "written")), "what is written is read as the same");
}

}  // namespace distill::fuzz
