#include "files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "error.h"

namespace distill {
namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

DigestContext begin_digest(const EVP_MD* algorithm) {
    DigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    if (!context || EVP_DigestInit_ex(context.get(), algorithm, nullptr) != 1) failure("libcrypto: cannot start a digest");
    return context;
}

std::string end_digest(const DigestContext& context) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
    unsigned length = 0;
    if (EVP_DigestFinal_ex(context.get(), bytes.data(), &length) != 1) failure("libcrypto: cannot finish a digest");
    std::string hex;
    for (unsigned i = 0; i < length; ++i) {
        hex += "0123456789abcdef"[bytes[i] >> 4];
        hex += "0123456789abcdef"[bytes[i] & 15];
    }
    return hex;
}

std::string digest_of_file(const fs::path& path, const EVP_MD* algorithm) {
    std::ifstream in(path, std::ios::binary);
    if (!in) input_error(path.string(), ": cannot be read (", std::strerror(errno), ")");
    DigestContext context = begin_digest(algorithm);
    std::vector<char> chunk(1 << 20);
    while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in.gcount() > 0)
        EVP_DigestUpdate(context.get(), chunk.data(), static_cast<size_t>(in.gcount()));
    if (in.bad()) input_error(path.string(), ": reading stopped (", std::strerror(errno), ")");
    return end_digest(context);
}

void sync_folder(const fs::path& folder) {
    const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;  // a file system without folder handles: the rename itself is still atomic
    ::fsync(fd);
    ::close(fd);
}

/// The file, opened for this writer alone: others of the same name, here or in other processes, wait until it is closed. So no two mix
/// their bytes, and what a killed one has left is written over by the next instead of lying about. Negative if it cannot be opened.
int open_alone(const fs::path& path) {
    for (;;) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) return fd;
        while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {}
        struct stat ours, there;
        if (::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
            return fd;
        ::close(fd);  // the one before has renamed it meanwhile
    }
}

}  // namespace

std::string read_file(const fs::path& path) {
    std::error_code unused;
    if (fs::is_directory(path, unused)) input_error(path.string(), ": is a folder, expected a file");
    if (fs::exists(path, unused) && !fs::is_regular_file(path, unused)) input_error(path.string(), ": is no regular file");
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) input_error(path.string(), ": cannot be read (", std::strerror(errno), ")");
    std::string bytes(static_cast<size_t>(in.tellg()), '\0');
    in.seekg(0);
    if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
        input_error(path.string(), ": reading stopped after ", in.gcount(), " of ", bytes.size(), " bytes");
    return bytes;
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
    const fs::path temporary = path.string() + ".tmp";
    const int fd = open_alone(temporary);
    bool good = fd >= 0 && ::ftruncate(fd, 0) == 0;
    for (size_t done = 0; good && done < bytes.size();) {
        const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
        if (n >= 0)
            done += static_cast<size_t>(n);
        else
            good = errno == EINTR;
    }
    good = good && ::fsync(fd) == 0;
    good = good && std::rename(temporary.c_str(), path.c_str()) == 0;
    const int reason = errno;
    if (!good && fd >= 0) ::unlink(temporary.c_str());
    if (fd >= 0) ::close(fd);  // after the rename: it ends the lock
    if (!good) cannot_write(path, reason);
    sync_folder(path.parent_path());
}

void cannot_write(const fs::path& path, int reason) {
    const std::string what = text(path.string(), ": cannot be written (", std::strerror(reason), ")");
    if (reason == ENOSPC || reason == EDQUOT) throw WriteError(what + "; free some space or choose another folder");
    for (const int fault : {EIO, ENXIO, ENODEV, ESTALE, ETIMEDOUT, EFBIG, ENOMEM, EMFILE, ENFILE})
        if (reason == fault) throw WriteError(what);
    input_error(what, "; choose another folder");
}

std::string sha256_hex(std::string_view bytes) {
    DigestContext context = begin_digest(EVP_sha256());
    EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
    return end_digest(context);
}

std::string sha256_of_file(const fs::path& path) { return digest_of_file(path, EVP_sha256()); }
std::string md5_of_file(const fs::path& path) { return digest_of_file(path, EVP_md5()); }

}  // namespace distill
