#include "base_files.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base_error.h"
#include "base_unfinished.h"

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
    if (!in) cannot_read(path, errno);
    DigestContext context = begin_digest(algorithm);
    std::vector<char> chunk(1 << 20);
    while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in.gcount() > 0)
        EVP_DigestUpdate(context.get(), chunk.data(), static_cast<size_t>(in.gcount()));
    if (in.bad()) cannot_read(path, errno);
    return end_digest(context);
}

}  // namespace

std::string read_file(const fs::path& path) {
    std::error_code unused;
    if (fs::is_directory(path, unused)) input_error(path.string(), ": is a folder, expected a file");
    if (fs::exists(path, unused) && !fs::is_regular_file(path, unused)) input_error(path.string(), ": is no regular file");
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) cannot_read(path, errno);
    std::string bytes(static_cast<size_t>(in.tellg()), '\0');
    in.seekg(0);
    if (in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) return bytes;
    if (in.bad()) cannot_read(path, errno);
    input_error(path.string(), ": ends after ", in.gcount(), " of ", bytes.size(), " bytes, it was cut while it was read; read it again");
}

bool is_left_by_a_desktop(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return name[0] == '.' || name == "thumbs.db" || name == "ehthumbs.db" || name == "desktop.ini" || name == "__macosx" ||
           name == "icon\r";
}

fs::path behind_links(fs::path path) {
    constexpr int most = 40;  // as Linux has it; weakly_canonical() stops at a link to what is not there
    std::error_code no_link;
    for (int followed = 0; fs::is_symlink(path, no_link); ++followed) {
        if (followed == most) throw fs::filesystem_error("links", path, std::make_error_code(std::errc::too_many_symbolic_link_levels));
        path = path.parent_path() / fs::read_symlink(path);
    }
    return path;
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
    try {
        UnfinishedFile file(behind_links(path));
        file.write(bytes);
        file.place();
    } catch (const fs::filesystem_error& error) {
        cannot_write(path, error.code().value());
    }
}

bool is_machines_fault(int reason) {
    for (const int fault : {ENOSPC, EDQUOT, EIO, ENXIO, ENODEV, ESTALE, ETIMEDOUT, EFBIG, ENOMEM, EMFILE, ENFILE})
        if (reason == fault) return true;
    return false;
}

void cannot_write(const fs::path& path, int reason) {
    const std::string what = text(path.string(), ": cannot be written (", std::strerror(reason), ")");
    if (reason == ENOSPC || reason == EDQUOT) throw WriteError(what + "; free some space or choose another folder");
    if (is_machines_fault(reason)) throw WriteError(what);
    input_error(what, "; choose another folder");
}

void cannot_read(const fs::path& path, int reason) {
    const std::string what = text(path.string(), ": cannot be read (", std::strerror(reason), ")");
    if (is_machines_fault(reason)) throw WriteError(what);
    input_error(what);
}

std::string sha256_hex(std::string_view bytes) {
    DigestContext context = begin_digest(EVP_sha256());
    EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
    return end_digest(context);
}

std::string sha256_of_file(const fs::path& path) { return digest_of_file(path, EVP_sha256()); }
std::string md5_of_file(const fs::path& path) { return digest_of_file(path, EVP_md5()); }

}  // namespace distill
