#include "base_safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base_error.h"
#include "base_files.h"

namespace distill {
namespace {

using nlohmann::json;

constexpr size_t length_bytes = 8;  // the header's length, before the header
constexpr int deepest = 3;          // header, tensor, shape, size
constexpr const char* remedy = "; download or convert the file again";

/// One tensor as the header describes it; `begin` and `end` are offsets into the data that follows the header.
struct Entry {
    std::string name;
    const StoredType* type;  ///< null: an OtherType, of bookkeeping
    std::vector<int64_t> shape;
    size_t elements, begin, end;
};

/// A file under examination: knows its name for messages.
class Reader {
  public:
    Reader(const fs::path& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

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

    json parse_header() {
        if (bytes_.size() < length_bytes)
            bad("found ", bytes_.size(), " bytes, expected a safetensors file, which begins with the 8-byte length of its header");
        uint64_t length = 0;
        std::memcpy(&length, bytes_.data(), length_bytes);
        if (length > bytes_.size() - length_bytes)
            bad("offset 0: the header should have ", length, " bytes, but only ", bytes_.size() - length_bytes,
                " follow: neither a safetensors file nor one of PyTorch's, or cut short");
        data_ = bytes_.substr(length_bytes + length);
        std::set<std::string> names;
        const auto check = [&](int depth, json::parse_event_t event, const json& parsed) {
            if (depth > deepest) bad("the header is nested deeper than a tensor's shape, expected name: {dtype, shape, data_offsets}");
            if (depth == 1 && event == json::parse_event_t::key && !names.insert(parsed.get<std::string>()).second)
                bad("the header names ", quoted_name(parsed.get<std::string>()), " twice, expected each tensor once");
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
            if (!text.is_string())
                bad("header, __metadata__, ", quoted_name(key), ": found a JSON ", text.type_name(), ", expected a string");
            pairs[key] = text.get<std::string>();
        }
        return pairs;
    }

    Entry entry(const std::string& name, const json& value) const {
        const std::string place = "header, tensor " + quoted_name(name);
        const auto member = [&](const char* key) -> const json& {
            if (!value.is_object() || !value.contains(key)) bad(place, ": no ", key, ", expected dtype, shape and data_offsets");
            return value.at(key);
        };
        const json &dtype = member("dtype"), &shape = member("shape"), &offsets = member("data_offsets");
        const auto type = std::find_if(stored_types.begin(), stored_types.end(), [&](const StoredType& t) { return dtype == t.name; });
        const auto other =
            std::find_if(std::begin(other_types), std::end(other_types), [&](const OtherType& t) { return dtype == t.name; });
        const bool known = type != stored_types.end();
        if (!known && (other == std::end(other_types) || !is_bookkeeping(name)))
            bad(place, ": dtype ", quoted_json(dtype), ", expected F32, F16, BF16, F64 or I64");

        Entry e{name, known ? &*type : nullptr, {}, 1, 0, 0};
        size_t bytes = known ? type->bytes : other->bytes;  // with the elements: kept apart from overflow
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
            bad(place, ": data_offsets ", quoted_json(offsets), " span ", e.end - e.begin, " bytes, expected ", bytes, " for ",
                dtype.get<std::string>(), " of shape ", quoted_json(shape));
        return e;
    }

    /// Every byte of the data belongs to exactly one tensor: the format's own rule, and what finds a damaged header.
    void check_layout(std::vector<Entry>& entries) const {
        std::sort(entries.begin(), entries.end(),
                  [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
        size_t end = 0;
        for (const Entry& e : entries) {
            if (e.begin != end)
                bad("header, tensor ", quoted_name(e.name), ": begins at offset ", e.begin, " of the data, expected ", end,
                    ", where the tensor before it ends");
            end = e.end;
        }
        if (end != data_.size()) bad(data_.size() - end, " bytes after the last tensor, expected none");
    }

    void keep(const Entry& e, WeightFile& weights) const {
        if (is_bookkeeping(e.name)) return;
        if (unwrapped(e.name) == "__metadata__")
            bad("header, tensor ", quoted_name(e.name), ": its name is the header's own, expected another");
        HostTensor& tensor = tensor_place(weights, e.name, e.shape, e.elements, path_.string(), remedy);
        const char* from = data_.data() + e.begin;
        e.type->convert(from, e.elements, tensor.data.data());
        refuse_values(tensor, e.name, *e.type, path_.string(), remedy, [&](size_t i) { return from + i * e.type->bytes; });
    }

    /// A JSON value for a message, shortened if the file makes it long.
    static std::string quoted_json(const json& value) {
        std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
        return text.size() <= 60 ? text : text.substr(0, 57) + "...";
    }

    fs::path path_;
    std::string_view bytes_;
    std::string_view data_;  ///< what follows the header
};

}  // namespace

WeightFile read_safetensors(const fs::path& path, std::string_view bytes) { return Reader(path, bytes).read(); }

WeightFile read_safetensors(const fs::path& path) { return read_safetensors(path, read_file(path)); }

bool is_weight_file(const fs::path& path) {
    try {
        WeightFile unused;
        const std::string bytes = read_file(path);
        Reader(path, bytes).layout(unused);
        return true;
    } catch (const InputError&) {
        return false;
    }
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
