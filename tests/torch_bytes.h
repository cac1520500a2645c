// torch_bytes.h: files as torch.save writes them, and as it does not, made by hand for tests and fuzzing.
// defines: torch_bytes::Strings, torch_bytes::number, torch_bytes::text, torch_bytes::whole, torch_bytes::tuple, torch_bytes::global,
//          torch_bytes::dict, torch_bytes::storage, torch_bytes::tensor, torch_bytes::pickle, torch_bytes::Entry, torch_bytes::Zip,
//          torch_bytes::zip, torch_bytes::Stored, torch_bytes::Storages, torch_bytes::in_zip, torch_bytes::in_row,
//          torch_bytes::state_dict, torch_bytes::storages_of
#pragma once
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base_weights.h"

namespace distill::torch_bytes {

using std::string;
using Strings = std::vector<string>;

template <class T>
string number(T value) {
    string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

// ---- a pickle's values: each a string of opcodes

inline string text(const string& s) { return "X" + number(static_cast<uint32_t>(s.size())) + s; }
inline string whole(int64_t value) { return string("\x8a\x08") + number(value); }
inline string tuple(const Strings& items) {
    string all = "(";
    for (const string& item : items) all += item;
    return all + "t";
}
inline string global(const string& module, const string& name) { return "c" + module + "\n" + name + "\n"; }
inline string dict(const std::vector<std::pair<string, string>>& items) {
    string all = "}(";
    for (const auto& [key, value] : items) all += text(key) + value;
    return all + "u";
}

inline string storage(const string& type, const string& key, int64_t elements) {
    return tuple({text("storage"), global("torch", type), text(key), text("cpu"), whole(elements)}) + "Q";
}
inline string tensor(const string& of, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int64_t offset = 0) {
    Strings all[2];
    for (const int64_t s : sizes) all[0].push_back(whole(s));
    for (const int64_t s : strides) all[1].push_back(whole(s));
    return global("torch._utils", "_rebuild_tensor_v2") +
           tuple({of, whole(offset), tuple(all[0]), tuple(all[1]), "\x89", global("collections", "OrderedDict") + ")R"}) + "R";
}
inline string pickle(const string& value) { return "\x80\x02" + value + "."; }

// ---- containers

struct Entry {
    string name, data;
};

struct Zip {
    bool zip64 = false, crc = true;
    uint16_t method = 0, flags = 0;
};

/// An archive of stored entries, its numbers in zip64 fields if asked for.
inline string zip(const std::vector<Entry>& entries, const Zip& how = {}) {
    string all, directory;
    for (const Entry& e : entries) {
        const auto size = static_cast<uint32_t>(e.data.size()), place = static_cast<uint32_t>(all.size());
        const auto crc = how.crc ? static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(e.data.data()), e.data.size())) : 0u;
        const uint32_t shown = how.zip64 ? 0xffffffffu : size;
        const string extra = how.zip64 ? number<uint16_t>(1) + number<uint16_t>(24) + number<uint64_t>(size) + number<uint64_t>(size) +
                                             number<uint64_t>(place)
                                       : "";
        const string kind = number(how.flags) + number(how.method) + number<uint32_t>(0) + number(crc) + number(shown) + number(shown) +
                            number(static_cast<uint16_t>(e.name.size()));
        all += "PK\3\4" + number<uint16_t>(20) + kind + number<uint16_t>(0) + e.name + e.data;
        directory += "PK\1\2" + number<uint32_t>(20 << 16 | 20) + kind + number(static_cast<uint16_t>(extra.size())) + number<uint16_t>(0) +
                     number<uint32_t>(0) + number<uint32_t>(0) + number(how.zip64 ? 0xffffffffu : place) + e.name + extra;
    }
    const auto at = static_cast<uint64_t>(all.size()), size = static_cast<uint64_t>(directory.size()), end = at + size;
    const auto count = static_cast<uint16_t>(entries.size());
    all += directory;
    if (how.zip64)
        all += "PK\6\6" + number<uint64_t>(44) + number<uint32_t>(0) + number<uint64_t>(0) + number<uint64_t>(count) +
               number<uint64_t>(count) + number(size) + number(at) + "PK\6\7" + number<uint32_t>(0) + number(end) + number<uint32_t>(1);
    return all + "PK\5\6" + number<uint32_t>(0) + number(count) + number(count) +
           number(how.zip64 ? 0xffffffffu : static_cast<uint32_t>(size)) + number(how.zip64 ? 0xffffffffu : static_cast<uint32_t>(at)) +
           number<uint16_t>(0);
}

struct Stored {
    string key, data;
    size_t element_bytes = 4;
};
using Storages = std::vector<Stored>;

inline string in_zip(const string& value, const Storages& storages, const Zip& how = {}) {
    std::vector<Entry> entries{{"w/data.pkl", pickle(value)}, {"w/byteorder", "little"}};
    for (const Stored& s : storages) entries.push_back({"w/data/" + s.key, s.data});
    entries.push_back({"w/version", "3\n"});
    return zip(entries, how);
}

/// The container before PyTorch 1.6.
inline string in_row(const string& value, const Storages& storages, bool little_endian = true) {
    Strings keys;
    string data;
    for (const Stored& s : storages) {
        keys.push_back(text(s.key));
        data += number<uint64_t>(s.data.size() / s.element_bytes) + s.data;
    }
    string list = "](";
    for (const string& key : keys) list += key;
    return pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickle("M\xe9\x03") +
           pickle(dict({{"protocol_version", "M\xe9\x03"}, {"little_endian", little_endian ? "\x88" : "\x89"}})) + pickle(value) +
           pickle(list + "e") + data;
}

/// These tensors as float storages, names after `prefix`.
inline string state_dict(const std::map<string, HostTensor>& tensors, const string& prefix = "") {
    std::vector<std::pair<string, string>> items;
    for (const auto& [name, t] : tensors) {
        std::vector<int64_t> strides(t.shape.size(), 1);
        for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * t.shape[d];
        items.emplace_back(prefix + name, tensor(storage("FloatStorage", name, static_cast<int64_t>(t.data.size())), t.shape, strides));
    }
    return dict(items);
}

inline Storages storages_of(const std::map<string, HostTensor>& tensors) {
    Storages all;
    for (const auto& [name, t] : tensors)
        all.push_back({name, string(reinterpret_cast<const char*>(t.data.data()), t.data.size() * sizeof(float))});
    return all;
}

}  // namespace distill::torch_bytes
