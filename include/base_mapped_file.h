// base_mapped_file.h: a file's bytes without a copy of them.
// defines: MappedFile
#pragma once
#include <filesystem>
#include <string_view>

namespace distill {

/// A file mapped for reading, so that only what is looked at takes memory, and that of the system's cache. The file must not be made shorter
/// meanwhile.
class MappedFile {
  public:
    /// Errors as read_file's.
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::string_view bytes() const { return {start_, size_}; }
    /// Gives back the memory of the whole pages within `part` of the bytes; they are read again if looked at again.
    void release(std::string_view part) const;

  private:
    char* start_ = nullptr;
    size_t size_ = 0;
};

}  // namespace distill
