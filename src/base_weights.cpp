#include "base_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base_error.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weight files are little-endian; this code copies bytes as they are");

namespace distill {
namespace {

template <class T>
T load(const char* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

float from_bits(uint32_t bits) { return load<float>(reinterpret_cast<const char*>(&bits)); }

float half(const char* p) {
    const uint32_t bits = load<uint16_t>(p), sign = bits >> 15 << 31, exponent = bits >> 10 & 31, mantissa = bits & 1023;
    constexpr uint32_t bias = 127 - 15, infinite = 255;
    constexpr float smallest = 1.0f / (1 << 24);  // of its mantissa's units where there is no exponent
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (static_cast<float>(mantissa) * smallest);  // also −0
    return from_bits(sign | (exponent == 31 ? infinite : exponent + bias) << 23 | mantissa << 13);
}

float bfloat(const char* p) { return from_bits(static_cast<uint32_t>(load<uint16_t>(p)) << 16); }
float single(const char* p) { return load<float>(p); }
double wide(const char* p) { return load<double>(p); }
int64_t whole(const char* p) { return load<int64_t>(p); }

template <size_t bytes, auto value>
constexpr StoredType stored(const char* name, const char* storage) {
    return {name, storage, bytes,
            [](const char* from, size_t count, float* to) {
                for (size_t i = 0; i < count; ++i) to[i] = static_cast<float>(value(from + i * bytes));
            },
            [](const char* from) { return static_cast<double>(value(from)); }};
}

std::string word_of(const std::map<std::string, std::string>& metadata, const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? "" : found->second;
}

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }  // npos + 1 is 0: the whole name

}  // namespace

const std::array<StoredType, 5> stored_types{stored<4, single>("F32", "FloatStorage"), stored<2, half>("F16", "HalfStorage"),
                                             stored<2, bfloat>("BF16", "BFloat16Storage"), stored<8, wide>("F64", "DoubleStorage"),
                                             stored<8, whole>("I64", "LongStorage")};

std::string own_word(const std::map<std::string, std::string>& metadata, const std::string& key) {
    for (const char* always : {"network", "classes", "dataset", "normalization"})
        if (metadata.count(always) == 0) return "";
    return word_of(metadata, key);
}

std::string known_word(const std::map<std::string, std::string>& metadata, const std::string& key) {
    const bool made_here = metadata.count("converted_from") > 0 || (metadata.count("method") > 0 && metadata.count("teacher_sha256") > 0);
    return made_here ? word_of(metadata, key) : own_word(metadata, key);
}

std::string unwrapped(const std::string& name) {
    size_t begin = 0;  // moves on, so that a name costs what it is long
    for (bool more = true; more;) {
        more = false;
        for (const std::string_view wrapper : {"module.", "_orig_mod.", "model."})
            if (name.compare(begin, wrapper.size(), wrapper) == 0) begin += wrapper.size(), more = true;
    }
    return name.substr(begin);
}

bool is_bookkeeping(const std::string& name) {
    const std::string last = last_part(name);
    return last == "num_batches_tracked" || last == "total_ops" || last == "total_params";
}

std::string shortened(const std::string& word) {
    constexpr size_t longest = 200;
    return word.size() <= longest ? word : word.substr(0, longest) + "...";
}

std::string quoted_name(const std::string& name) {
    return nlohmann::json(shortened(name)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

HostTensor& tensor_place(WeightFile& weights, const std::string& name, std::vector<int64_t> shape, size_t elements, const std::string& file,
                         const char* remedy) {
    const auto [place, fresh] = weights.tensors.try_emplace(unwrapped(name));
    if (!fresh)
        input_error(file, ": holds ", quoted_name(place->first), " both with and without a prefix like module., expected one of them",
                    remedy);
    place->second.shape = std::move(shape);
    place->second.data.resize(elements);
    return place->second;
}

size_t first_no_weight(const HostTensor& tensor, const std::string& name) {
    const bool variance = last_part(name) == "running_var";
    const auto found =
        std::find_if(tensor.data.begin(), tensor.data.end(), [&](float v) { return !std::isfinite(v) || (variance && v < 0); });
    return static_cast<size_t>(found - tensor.data.begin());
}

void refuse_value(float value, double stored, size_t index, const std::string& name, const std::string& file, const char* remedy) {
    input_error(file, ": tensor ", quoted_name(name), ": element ", index, " (counted from 0) is ", stored, ", expected ",
                std::isfinite(value)    ? "a variance, which is not negative"
                : std::isfinite(stored) ? "what fits a float"
                                        : "a finite number",
                remedy);
}

}  // namespace distill
