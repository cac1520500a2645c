// base_zip.h: what lies where in a zip archive of stored entries, as PyTorch's files are.
// defines: ZipEntry, stored_entries, check_crc
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

struct ZipEntry {
    std::string_view name, data;  ///< of the archive's bytes
    uint32_t crc;                 ///< 0: the writer made none (torch.serialization.set_crc32_options)
};

/// The entries of the archive that `bytes` are, zip64 or not, in its directory's order. A library would bring decompression and encryption,
/// which PyTorch's files never have, and copy what is only to be looked at. InputError, which begins with `file`: an archive that is cut short
/// or damaged, an entry that is compressed or encrypted, entries that overlap or have one name.
std::vector<ZipEntry> stored_entries(const std::string& file, std::string_view bytes);

/// InputError if the entry's bytes are not what they were when it was written.
void check_crc(const std::string& file, const ZipEntry& entry);

}  // namespace distill
