// base_files.h: whole files in and out, never half-written; checksums.
// defines: read_file, is_left_by_a_desktop, behind_links, write_file_atomically, is_machines_fault, cannot_write, cannot_read,
//          sha256_hex, sha256_of_file, md5_of_file
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace distill {

namespace fs = std::filesystem;

/// The file's bytes. InputError if it is missing or no file; what cannot be read ends as cannot_read() says.
std::string read_file(const fs::path& path);

/// Is it a name of what desktops and archivers leave beside a user's files? None of it is an image.
bool is_left_by_a_desktop(std::string name);

/// What a link stands for, be it there or not, so that the link stays one when that is made; what is no link as it is.
/// fs::filesystem_error for links that go round.
fs::path behind_links(fs::path path);

/// Writes an UnfinishedFile beside what `path` stands for (behind_links) and renames it over that, so that a reader (or a kill at any
/// moment) sees the old file or the new one, and one writer's. On failure nothing of it is left and the error names path and reason
/// (cannot_write).
void write_file_atomically(const fs::path& path, std::string_view bytes);

/// Does errno's value `reason` say that the disk is full or broken, or memory or handles are short, rather than that the place is wrong?
bool is_machines_fault(int reason);

/// What a write that failed with errno's value `reason` throws: InputError where the place is wrong (no such folder, not allowed,
/// read-only, a name too long), WriteError where it is the machine's fault.
[[noreturn]] void cannot_write(const fs::path& path, int reason);
/// The same of a read, which WriteError stands for, too: a disk that fails is no fault of what lies on it.
[[noreturn]] void cannot_read(const fs::path& path, int reason);

/// Lower-case hexadecimal digests (OpenSSL's libcrypto).
std::string sha256_hex(std::string_view bytes);
std::string sha256_of_file(const fs::path& path);
std::string md5_of_file(const fs::path& path);

}  // namespace distill
