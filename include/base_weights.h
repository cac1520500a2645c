// base_weights.h: named tensors in host memory, and what every format of weight files shares: its numbers, its names, what a weight may be.
// defines: HostTensor, WeightFile, own_word, known_word, StoredType, stored_types, OtherType, other_types, unwrapped, is_bookkeeping,
//          shortened, quoted_name, tensor_place, first_no_weight, refuse_value, refuse_values
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
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
    std::map<std::string, std::string> metadata;  ///< what the file says of itself; PyTorch's own files have none
};

/// What a file that a run of this program has saved says of itself (network, classes, dataset, normalization, …); "" if it says nothing
/// of `key`, or is a stranger's, whose words may mean anything.
std::string own_word(const std::map<std::string, std::string>& metadata, const std::string& key);
/// The same of a file that `weights convert` has made, or of what a method trains beside the student (mha.safetensors), too: they do not
/// always say the four that own_word asks for.
std::string known_word(const std::map<std::string, std::string>& metadata, const std::string& key);

// ---- for the formats' readers

/// A type of number in a file, little-endian.
struct StoredType {
    const char* name;     ///< in safetensors
    const char* storage;  ///< PyTorch's class
    size_t bytes;
    void (*convert)(const char* from, size_t count, float* to);
    double (*exact)(const char* from);
};
extern const std::array<StoredType, 5> stored_types;

/// A type of number that no weight has, but what is not kept beside weights may have.
struct OtherType {
    const char* name;     ///< in safetensors
    const char* storage;  ///< PyTorch's class; null: it has none
    size_t bytes;
};
constexpr OtherType other_types[] = {{"I32", "IntStorage", 4}, {"I16", "ShortStorage", 2}, {"I8", "CharStorage", 1},
                                     {"U8", "ByteStorage", 1}, {"BOOL", "BoolStorage", 1}, {"U64", nullptr, 8},
                                     {"U32", nullptr, 4},      {"U16", nullptr, 2}};

/// A tensor's name without what wrappers put before it: DataParallel's `module.`, torch.compile's `_orig_mod.`, and the `model.` of modules
/// that call their network so; in any order.
std::string unwrapped(const std::string& name);

/// What nothing reads: BatchNorm's `*.num_batches_tracked`, and the `*.total_ops` and `*.total_params` that thop leaves in a network whose
/// operations it has counted, and so in files of its state dict (findings/counting-tools.sh).
bool is_bookkeeping(const std::string& name);

/// A word from a file, to be shown: its first 200 bytes and "..." where it is longer.
std::string shortened(const std::string& word);
/// A name from a file as one printable word of a message, shortened().
std::string quoted_name(const std::string& name);

/// Where the tensor of this name in the file goes: under its unwrapped name, with room for `elements`. InputError, which begins with `file`
/// and ends in `remedy`, if one of that name is there.
HostTensor& tensor_place(WeightFile& weights, const std::string& name, std::vector<int64_t> shape, size_t elements, const std::string& file,
                         const char* remedy);

/// The index of the first element that is no weight: not finite, more than a float holds, or a negative `running_var`; the number of
/// elements if there is none.
size_t first_no_weight(const HostTensor& tensor, const std::string& name);
/// The InputError for it; `stored`: as the file has it.
[[noreturn]] void refuse_value(float value, double stored, size_t index, const std::string& name, const std::string& file,
                               const char* remedy);
/// Both. `at(i)` points at element i in the file.
template <class At>
void refuse_values(const HostTensor& tensor, const std::string& name, const StoredType& type, const std::string& file, const char* remedy,
                   const At& at) {
    const size_t i = first_no_weight(tensor, name);
    if (i < tensor.data.size()) refuse_value(tensor.data[i], type.exact(at(i)), i, name, file, remedy);
}

}  // namespace distill
