// Checkpoints: the bytes as a file, and as a payload that head and checksum vouch for.
#include <cstring>

#include "base_error.h"
#include "fuzz.h"
#include "train_checkpoint.h"

namespace distill::fuzz {
namespace {

std::string written(const Checkpoint& checkpoint) {
    write_checkpoint(folder() / "written", checkpoint);
    return read_file(folder() / "written");
}

constexpr size_t length_at = 16, payload_at = 24, digest_bytes = 64;

std::string payload_of(const std::string& file) { return file.substr(payload_at, file.size() - payload_at - digest_bytes); }

std::string vouched_for(const std::string& payload) {
    static const std::string head = written({}).substr(0, length_at);
    const uint64_t length = payload.size();
    const std::string all = head + std::string(reinterpret_cast<const char*>(&length), sizeof length) + payload;
    return all + sha256_hex(all);
}

bool same_bits(const Checkpoint& a, const Checkpoint& b) {
    bool same = a.text == b.text && a.counters == b.counters && a.floats.size() == b.floats.size();
    for (auto i = a.floats.begin(), j = b.floats.begin(); same && i != a.floats.end(); ++i, ++j)
        same = i->first == j->first && i->second.size() == j->second.size() &&
               (i->second.empty() || std::memcmp(i->second.data(), j->second.data(), i->second.size() * sizeof(float)) == 0);
    return same;
}

void round_trip(const fs::path& file) {
    const Checkpoint checkpoint = read_checkpoint(file);
    written(checkpoint);
    require(same_bits(checkpoint, read_checkpoint(folder() / "written")), "what is written is read as the same");
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string full =
        written({{{"config", "seed=0"}}, {{"student.fc.weight", {1, 2}}, {"velocity", {}}}, {{"epoch", 3}, {"step", -1}}});
    return {written({}), full, payload_of(full), payload_of(written({}))};
}

void parse(const std::string& bytes) {
    const fs::path vouched = file_of(vouched_for(bytes));
    try {
        round_trip(vouched);
    } catch (const InputError&) {  // then as they are
    }
    round_trip(file_of(bytes));
}

}  // namespace distill::fuzz
