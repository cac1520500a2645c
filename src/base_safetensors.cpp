#include "base_safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are little-endian; this code copies bytes as they are");

namespace distill {
namespace {

using nlohmann::json;

constexpr size_t length_bytes = 8;  // the header's length, before the header
constexpr int deepest = 3;          // header, tensor, shape, size
constexpr const char* remedy = "; download or convert the file again";

template <class T>
T load(const char* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

float half_to_float(uint16_t bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const float infinity = std::numeric_limits<float>::infinity();
    const float size = exponent == 31 ? (mantissa ? std::numeric_limits<float>::quiet_NaN() : infinity)
                       : exponent     ? std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25)
                                      : std::ldexp(static_cast<float>(mantissa), -24);
    return bits >> 15 ? -size : size;
}

float bfloat_to_float(uint16_t bits) {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    return load<float>(reinterpret_cast<const char*>(&wide));
}

struct Type {
    const char* name;
    size_t bytes;
    float (*convert)(const char*);
};
constexpr Type types[] = {
    {"F32", 4, [](const char* p) { return load<float>(p); }},
    {"F16", 2, [](const char* p) { return half_to_float(load<uint16_t>(p)); }},
    {"BF16", 2, [](const char* p) { return bfloat_to_float(load<uint16_t>(p)); }},
    {"F64", 8, [](const char* p) { return static_cast<float>(load<double>(p)); }},
    {"I64", 8, [](const char* p) { return static_cast<float>(load<int64_t>(p)); }},
};

/// A name from the file as one printable word of a message.
std::string quoted(const std::string& name) { return json(name).dump(-1, ' ', true, json::error_handler_t::replace); }

/// One tensor as the header describes it; `begin` and `end` are offsets into the data that follows the header.
struct Entry {
    std::string name;
    const Type* type;
    std::vector<int64_t> shape;
    size_t elements, begin, end;
};

/// A file under examination: knows its name for messages.
class Reader {
  public:
    explicit Reader(const fs::path& path) : path_(path), bytes_(read_file(path)) {}

    WeightFile read() {
        WeightFile weights;
        for (const Entry& e : layout(weights)) keep(e, weights);
        return weights;
    }

    /// The tensors in the file's order; their values are not looked at.
    std::vector<Entry> layout(WeightFile& weights) {
        const json header = parse_header();
        std::vector<Entry> entries;
        for (const auto& [name, value] : header.items())
            if (name == "__metadata__")
                weights.metadata = metadata(value);
            else
                entries.push_back(entry(name, value));
        check_layout(entries);
        return entries;
    }

  private:
    template <class... Args>
    [[noreturn]] void bad(const Args&... args) const {
        input_error(path_.string(), ": ", args..., remedy);
    }

    /// Most checkpoints that people exchange are torch.save's: a zip archive, or before PyTorch 1.6 a pickle.
    void refuse_pytorch() const {
        const bool zip = bytes_.compare(0, 4, "PK\3\4") == 0, pickle = bytes_[0] == '\x80' && bytes_[1] >= 2 && bytes_[1] <= 5;
        if (!zip && !pickle) return;
        fs::path converted = path_;
        converted.replace_extension(".safetensors");
        input_error(path_.string(), ": is a ", zip ? "zip archive" : "pickle", ", as PyTorch's torch.save writes, expected safetensors; ",
                    "convert it where PyTorch is installed: python3 -c \"import sys, torch; from safetensors.torch import save_file; ",
                    "d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); d = d.get('state_dict', d.get('model', d)); ",
                    "save_file({k: v.contiguous().clone() for k, v in d.items()}, sys.argv[2])\" ", shell_word(path_.string()), " ",
                    shell_word(converted.string()));
    }

    json parse_header() {
        if (bytes_.size() < length_bytes)
            bad("found ", bytes_.size(), " bytes, expected a safetensors file, which begins with the 8-byte length of its header");
        const uint64_t length = load<uint64_t>(bytes_.data());
        if (length > bytes_.size() - length_bytes) {
            refuse_pytorch();
            bad("offset 0: the header should have ", length, " bytes, but only ", bytes_.size() - length_bytes,
                " follow: not a safetensors file, or cut short");
        }
        data_ = std::string_view(bytes_).substr(length_bytes + length);
        std::set<std::string> names;
        const auto check = [&](int depth, json::parse_event_t event, const json& parsed) {
            if (depth > deepest) bad("the header is nested deeper than a tensor's shape, expected name: {dtype, shape, data_offsets}");
            if (depth == 1 && event == json::parse_event_t::key && !names.insert(parsed.get<std::string>()).second)
                bad("the header names ", quoted(parsed.get<std::string>()), " twice, expected each tensor once");
            return true;
        };
        const char* text = bytes_.data() + length_bytes;
        try {
            json header = json::parse(text, text + length, check);
            if (!header.is_object()) bad("offset 8: the header is a JSON ", header.type_name(), ", expected an object of tensors");
            return header;
        } catch (const json::exception& e) {
            const auto* place = dynamic_cast<const json::parse_error*>(&e);
            bad("offset ", length_bytes + (place && place->byte ? place->byte - 1 : 0), ": the header is not valid JSON");
        }
    }

    std::map<std::string, std::string> metadata(const json& value) const {
        if (!value.is_object()) bad("header, __metadata__: found a JSON ", value.type_name(), ", expected an object of strings");
        std::map<std::string, std::string> pairs;
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string()) bad("header, __metadata__, ", quoted(key), ": found a JSON ", text.type_name(), ", expected a string");
            pairs[key] = text.get<std::string>();
        }
        return pairs;
    }

    Entry entry(const std::string& name, const json& value) const {
        const std::string place = "header, tensor " + quoted(name);
        const auto member = [&](const char* key) -> const json& {
            if (!value.is_object() || !value.contains(key)) bad(place, ": no ", key, ", expected dtype, shape and data_offsets");
            return value.at(key);
        };
        const json &dtype = member("dtype"), &shape = member("shape"), &offsets = member("data_offsets");
        const auto type = std::find_if(std::begin(types), std::end(types), [&](const Type& t) { return dtype == t.name; });
        if (type == std::end(types)) bad(place, ": dtype ", quoted_json(dtype), ", expected F32, F16, BF16, F64 or I64");

        Entry e{name, type, {}, 1, 0, 0};
        size_t bytes = type->bytes;  // with the elements: kept apart from overflow
        bool good = shape.is_array();
        for (size_t d = 0; good && d < shape.size(); ++d) {
            good = shape[d].is_number_unsigned() && shape[d].get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
            if (good) e.shape.push_back(shape[d].get<int64_t>());
        }
        if (!good) bad(place, ": shape ", quoted_json(shape), ", expected an array of sizes");
        if (std::find(e.shape.begin(), e.shape.end(), 0) != e.shape.end()) e.elements = bytes = 0;
        for (size_t d = 0; e.elements && d < e.shape.size(); ++d) {
            if (__builtin_mul_overflow(bytes, static_cast<size_t>(e.shape[d]), &bytes))
                bad(place, ": shape ", quoted_json(shape), " is larger than any memory");
            e.elements *= static_cast<size_t>(e.shape[d]);
        }

        if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
            bad(place, ": data_offsets ", quoted_json(offsets), ", expected [begin, end]");
        e.begin = offsets[0].get<size_t>(), e.end = offsets[1].get<size_t>();
        if (e.begin > e.end || e.end > data_.size())
            bad(place, ": data_offsets ", quoted_json(offsets), ", expected 0 <= begin <= end <= ", data_.size(),
                " (the file's bytes after the header)");
        if (e.end - e.begin != bytes)
            bad(place, ": data_offsets ", quoted_json(offsets), " span ", e.end - e.begin, " bytes, expected ", bytes, " for ", type->name,
                " of shape ", quoted_json(shape));
        return e;
    }

    /// Every byte of the data belongs to exactly one tensor: the format's own rule, and what finds a damaged header.
    void check_layout(std::vector<Entry>& entries) const {
        std::sort(entries.begin(), entries.end(),
                  [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
        size_t end = 0;
        for (const Entry& e : entries) {
            if (e.begin != end)
                bad("header, tensor ", quoted(e.name), ": begins at offset ", e.begin, " of the data, expected ", end,
                    ", where the tensor before it ends");
            end = e.end;
        }
        if (end != data_.size()) bad(data_.size() - end, " bytes after the last tensor, expected none");
    }

    void keep(const Entry& e, WeightFile& weights) const {
        const std::string name = unwrapped(e.name), last = name.substr(name.rfind('.') + 1);  // rfind's npos + 1 is 0: the whole name
        if (last == "num_batches_tracked") return;
        if (name == "__metadata__") bad("header, tensor ", quoted(e.name), ": its name is the header's own, expected another");
        const auto [place, fresh] = weights.tensors.try_emplace(name);
        if (!fresh) bad("holds ", quoted(name), " both with and without a prefix like module., expected one of them");
        HostTensor& tensor = place->second;
        tensor.shape = e.shape;
        tensor.data.resize(e.elements);
        const char* from = data_.data() + e.begin;
        for (size_t i = 0; i < e.elements; ++i) tensor.data[i] = e.type->convert(from + i * e.type->bytes);
        const bool variance = last == "running_var";
        for (size_t i = 0; i < e.elements; ++i)
            if (const float v = tensor.data[i]; !std::isfinite(v) || (variance && v < 0)) refuse_value(e, i, v);
    }

    [[noreturn]] void refuse_value(const Entry& e, size_t i, float v) const {
        const bool wide = std::strcmp(e.type->name, "F64") == 0;
        const double stored = wide ? load<double>(data_.data() + e.begin + i * sizeof(double)) : static_cast<double>(v);
        bad("tensor ", quoted(e.name), ": element ", i, " (counted from 0) is ", stored, ", expected ",
            std::isfinite(v)        ? "a variance, which is not negative"
            : std::isfinite(stored) ? "what fits a float"
                                    : "a finite number");
    }

    /// A tensor's name without what wrappers put before it: DataParallel, torch.compile, and modules that call their network so.
    static std::string unwrapped(std::string name) {
        for (bool more = true; more;) {
            more = false;
            for (const std::string wrapper : {"module.", "_orig_mod.", "model."})
                if (name.compare(0, wrapper.size(), wrapper) == 0) name.erase(0, wrapper.size()), more = true;
        }
        return name;
    }

    /// A JSON value for a message, shortened if the file makes it long.
    static std::string quoted_json(const json& value) {
        std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
        return text.size() <= 60 ? text : text.substr(0, 57) + "...";
    }

    fs::path path_;
    std::string bytes_;
    std::string_view data_;  ///< what follows the header
};

}  // namespace

WeightFile read_safetensors(const fs::path& path) { return Reader(path).read(); }

bool is_weight_file(const fs::path& path) {
    try {
        WeightFile unused;
        Reader(path).layout(unused);
        return true;
    } catch (const InputError&) {
        return false;
    }
}

std::string own_word(const std::map<std::string, std::string>& metadata, const std::string& key) {
    for (const char* always : {"network", "classes", "dataset", "normalization"})
        if (metadata.count(always) == 0) return "";
    const auto found = metadata.find(key);
    return found == metadata.end() ? "" : found->second;
}

void write_safetensors(const fs::path& path, const WeightFile& weights) {
    json header = json::object();
    if (!weights.metadata.empty()) header["__metadata__"] = weights.metadata;
    size_t end = 0;
    for (const auto& [name, tensor] : weights.tensors) {
        size_t elements = 1;
        for (int64_t size : tensor.shape) elements *= static_cast<size_t>(size);
        if (elements != tensor.data.size())
            failure("write_safetensors: ", name, " has ", tensor.data.size(), " values, its shape says ", elements);
        const size_t begin = end;
        end += elements * sizeof(float);
        header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    }
    std::string head = header.dump(-1, ' ', false, json::error_handler_t::replace);
    head.resize((head.size() + 7) / 8 * 8, ' ');  // the data begins at a multiple of 8
    const uint64_t length = head.size();

    std::string bytes(reinterpret_cast<const char*>(&length), length_bytes);
    bytes.reserve(length_bytes + length + end);
    bytes += head;
    for (const auto& [name, tensor] : weights.tensors)
        bytes.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size() * sizeof(float));
    write_file_atomically(path, bytes);
}

}  // namespace distill
