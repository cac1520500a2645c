// The file: magic (8), version (8), length of the payload (8), payload, SHA-256 of all before it (64 hexadecimal digits).
// The payload: text, floats, counters; each a count, then key and value by name; each string and array a length, then its
// elements. Numbers are 8 bytes in the machine's byte order: a checkpoint is resumed on the machine that wrote it.
#include "train_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base_error.h"
#include "base_files.h"

namespace distill {
namespace {

constexpr std::string_view magic = "DISTILL\n";
constexpr uint64_t version = 1;
constexpr size_t head_bytes = 24, digest_bytes = 64;
constexpr const char* remedy = "; restore a copy of it, or start the run again in another folder";

void put(std::string& out, uint64_t number) { out.append(reinterpret_cast<const char*>(&number), sizeof number); }
void put(std::string& out, int64_t number) { put(out, static_cast<uint64_t>(number)); }
void put(std::string& out, const std::string& text) {
    put(out, uint64_t{text.size()});
    out += text;
}
void put(std::string& out, const std::vector<float>& values) {
    put(out, uint64_t{values.size()});
    out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}
template <class Value>
void put(std::string& out, const std::map<std::string, Value>& entries) {
    put(out, uint64_t{entries.size()});
    for (const auto& [name, value] : entries) {
        put(out, name);
        put(out, value);
    }
}

/// Takes the payload apart again. The checksum has vouched for the bytes; the bounds are kept all the same.
class Payload {
  public:
    Payload(const fs::path& path, std::string_view bytes) : path_(path), rest_(bytes) {}

    void get(uint64_t& number) { std::memcpy(&number, take(1, sizeof number).data(), sizeof number); }
    void get(int64_t& number) { std::memcpy(&number, take(1, sizeof number).data(), sizeof number); }
    void get(std::string& text) { text = take(length(), 1); }
    void get(std::vector<float>& values) {
        const std::string_view bytes = take(length(), sizeof(float));
        values.resize(bytes.size() / sizeof(float));
        if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    }
    template <class Value>
    void get(std::map<std::string, Value>& entries) {
        for (uint64_t left = length(); left > 0; --left) {
            std::string name;
            get(name);
            get(entries[name]);
        }
    }
    void finish() const {
        if (!rest_.empty()) bad();
    }

  private:
    [[noreturn]] void bad() const {
        input_error(path_.string(), ": ", rest_.size(), " bytes before the end of the payload, its entries do not add up", remedy);
    }
    uint64_t length() {
        uint64_t count;
        get(count);
        return count;
    }
    std::string_view take(uint64_t count, size_t width) {
        if (count > rest_.size() / width) bad();
        const std::string_view taken = rest_.substr(0, count * width);
        rest_.remove_prefix(count * width);
        return taken;
    }

    const fs::path& path_;
    std::string_view rest_;
};

}  // namespace

std::string exact(double value) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.17g", value);
    return buffer;
}

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
    std::string bytes(magic);
    put(bytes, version);
    put(bytes, uint64_t{0});  // the length, once it is known
    put(bytes, checkpoint.text);
    put(bytes, checkpoint.floats);
    put(bytes, checkpoint.counters);
    const uint64_t length = bytes.size() - head_bytes;
    std::memcpy(bytes.data() + head_bytes - sizeof length, &length, sizeof length);
    bytes += sha256_hex(bytes);
    write_file_atomically(path, bytes);
}

Checkpoint read_checkpoint(const fs::path& path) {
    const std::string bytes = read_file(path);
    const std::string_view all = bytes;
    const std::string name = path.string();
    if (all.substr(0, magic.size()) != magic) input_error(name, ": offset 0: not a checkpoint of this program, expected DISTILL", remedy);
    if (all.size() < head_bytes + digest_bytes)
        input_error(name, ": found ", all.size(), " bytes, expected at least ", head_bytes + digest_bytes, ": cut short", remedy);
    uint64_t found, length;
    std::memcpy(&found, all.data() + 8, sizeof found);
    std::memcpy(&length, all.data() + 16, sizeof length);
    if (found != version) input_error(name, ": offset 8: checkpoint version ", found, ", expected ", version, remedy);
    const size_t here = all.size() - head_bytes - digest_bytes;
    if (length != here)
        input_error(name, ": offset 16: the payload should have ", length, " bytes, found ", here,
                    here < length ? ": cut short" : ": bytes were added", remedy);
    const std::string_view signed_part = all.substr(0, head_bytes + length);
    if (sha256_hex(signed_part) != all.substr(signed_part.size()))
        input_error(name, ": the checksum at offset ", signed_part.size(), " is not that of the content: the file is damaged", remedy);

    Checkpoint checkpoint;
    Payload payload(path, all.substr(head_bytes, length));
    payload.get(checkpoint.text);
    payload.get(checkpoint.floats);
    payload.get(checkpoint.counters);
    payload.finish();
    return checkpoint;
}

std::vector<float> host(const Tensor& t) { return t.defined() ? t.to_host() : std::vector<float>(); }

bool all_finite(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

void restore(Tensor to, const Checkpoint& from, const std::string& name, const fs::path& path) {
    const auto found = from.floats.find(name);
    const size_t here = to.defined() ? static_cast<size_t>(to.size()) : 0;
    if (found == from.floats.end() || found->second.size() != here)
        input_error(path.string(), ": '", name, "' has ", found == from.floats.end() ? 0 : found->second.size(),
                    " values, this training has ", here, "; the checkpoint is another training's");
    if (here > 0) to.upload(found->second.data());
}

}  // namespace distill
