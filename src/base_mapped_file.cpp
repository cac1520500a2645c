#include "base_mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base_error.h"
#include "base_files.h"

namespace distill {

MappedFile::MappedFile(const std::filesystem::path& path) {
    std::error_code unused;
    if (std::filesystem::is_directory(path, unused)) input_error(path.string(), ": is a folder, expected a file");
    if (std::filesystem::exists(path, unused) && !std::filesystem::is_regular_file(path, unused))
        input_error(path.string(), ": is no regular file");  // not opened: a pipe would wait for its writer
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about {};
    const bool known = file >= 0 && ::fstat(file, &about) == 0;
    if (known) size_ = static_cast<size_t>(about.st_size);
    void* const mapped = known && size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
    const int reason = errno;
    if (file >= 0) ::close(file);
    if (!known || mapped == MAP_FAILED) cannot_read(path, reason);
    start_ = static_cast<char*>(mapped);
}

MappedFile::~MappedFile() {
    if (start_) ::munmap(start_, size_);
}

void MappedFile::release(std::string_view part) const {
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<uintptr_t>(part.data()), end = begin + part.size();
    const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace distill
