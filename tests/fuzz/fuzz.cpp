// fuzz.cpp: libFuzzer's two entries. A target is called with a folder for its corpus; an empty one gets the target's seeds.
#include "fuzz.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base_error.h"

namespace distill::fuzz {
namespace {

/// Written plainly: an fsync for each input would leave the disk the work.
void put(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

struct MemoryFolder {
    fs::path path;
    MemoryFolder() {
        const fs::path memory = "/dev/shm";
        std::string name = ((fs::is_directory(memory) ? memory : fs::temp_directory_path()) / "distill-fuzz-XXXXXX").string();
        if (!::mkdtemp(name.data())) failure(name, ": cannot be made");
        path = name;
    }
    ~MemoryFolder() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

}  // namespace

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
    std::abort();
}

const fs::path& folder() {
    static const MemoryFolder made;
    return made.path;
}

fs::path file_of(const std::string& bytes, const char* name) {
    const fs::path path = folder() / name;
    put(path, bytes);
    return path;
}

std::vector<std::string> parts_of(const std::string& bytes, size_t count) {
    std::vector<std::string> parts(count);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        size_t length = bytes.size() - at;
        if (i + 1 < count) {
            uint32_t stated = 0;
            std::memcpy(&stated, bytes.data() + at, std::min(sizeof stated, length));
            at += std::min(sizeof stated, length);
            length = std::min<size_t>(stated, bytes.size() - at);
        }
        parts[i] = bytes.substr(at, length);
        at += length;
    }
    return parts;
}

std::string joined_parts(const std::vector<std::string>& parts) {
    std::string bytes;
    for (size_t i = 0; i < parts.size(); ++i) {
        const auto length = static_cast<uint32_t>(parts[i].size());
        if (i + 1 < parts.size()) bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
        bytes += parts[i];
    }
    return bytes;
}

}  // namespace distill::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    namespace fs = std::filesystem;
    for (int i = 1; i < *argc; ++i) {
        const fs::path corpus = (*argv)[i];
        if (corpus.string()[0] == '-' || !fs::is_directory(corpus) || !fs::is_empty(corpus)) continue;
        int number = 0;
        for (const std::string& seed : distill::fuzz::seeds()) distill::fuzz::put(corpus / ("seed" + std::to_string(number++)), seed);
        break;
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        distill::fuzz::parse({reinterpret_cast<const char*>(data), size});
    } catch (const distill::InputError& refused) {
        distill::fuzz::require(*refused.what() != '\0', "a refusal says why");
    } catch (const std::filesystem::filesystem_error&) {  // a name that no file can have: main() says so
    }
    return 0;
}
