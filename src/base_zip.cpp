#include "base_zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base_error.h"
#include "base_weights.h"

namespace distill {
namespace {

// Sizes and signatures of PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.3.16; numbers are little-endian.
constexpr size_t local_bytes = 30, entry_bytes = 46, end64_bytes = 56, locator_bytes = 20, end_bytes = 22, longest_comment = 0xffff;
constexpr std::string_view local_sign{"PK\3\4", 4}, entry_sign{"PK\1\2", 4}, end64_sign{"PK\6\6", 4}, locator_sign{"PK\6\7", 4},
    end_sign{"PK\5\6", 4};
constexpr uint32_t in_zip64 = 0xffffffff;  // stands for a number that its zip64 field has
constexpr const char* remedy = "; download or save the file again";

class Archive {
  public:
    Archive(const std::string& file, std::string_view bytes) : file_(file), bytes_(bytes) {}

    std::vector<ZipEntry> entries() {
        find_directory();
        std::vector<Placed> placed;
        for (size_t at = directory_, end = directory_ + directory_size_; at < end;) placed.push_back(entry(at));
        refuse_overlaps(placed);
        std::vector<ZipEntry> all;
        for (const Placed& p : placed) all.push_back(p.entry);
        return all;
    }

  private:
    struct Placed {
        ZipEntry entry;
        size_t begin, end;  ///< local header and data
    };

    template <class... Args>
    [[noreturn]] void bad(const Args&... args) const {
        input_error(file_, ": ", args..., remedy);
    }

    /// The bytes from `at` on, which the archive must have.
    std::string_view part(size_t at, size_t size, const char* what) const {
        if (at > bytes_.size() || size > bytes_.size() - at)
            bad("byte ", at, ": ", what, " of ", size, " bytes should be here, the file has ", bytes_.size(),
                " bytes: cut short, or damaged");
        return bytes_.substr(at, size);
    }

    template <class T>
    static T number(std::string_view from, size_t at) {
        T value;
        std::memcpy(&value, from.data() + at, sizeof value);
        return value;
    }

    /// The archive's last record says where the directory is; a comment may follow it.
    void find_directory() {
        size_t at = bytes_.size() < end_bytes ? 0 : bytes_.size() - end_bytes;
        const size_t first = at > longest_comment ? at - longest_comment : 0;
        const auto ends_here = [&](size_t place) {
            return bytes_.size() >= end_bytes && bytes_.substr(place, 4) == end_sign &&
                   place + end_bytes + number<uint16_t>(bytes_, place + 20) == bytes_.size();
        };
        while (at > first && !ends_here(at)) --at;
        if (!ends_here(at)) bad("is a zip archive without its end record: cut short (found ", bytes_.size(), " bytes)");
        directory_size_ = number<uint32_t>(bytes_, at + 12);
        directory_ = number<uint32_t>(bytes_, at + 16);
        if (at >= locator_bytes && bytes_.substr(at - locator_bytes, 4) == locator_sign) {
            const auto place = number<uint64_t>(bytes_, at - locator_bytes + 8);
            const std::string_view end64 = part(place, end64_bytes, "the zip64 end record");
            if (end64.substr(0, 4) != end64_sign) bad("byte ", place, ": no zip64 end record, which the zip64 locator places here");
            directory_size_ = number<uint64_t>(end64, 40);
            directory_ = number<uint64_t>(end64, 48);
        }
        part(directory_, directory_size_, "the directory");
    }

    /// The directory's entry at `at`, which moves behind it.
    Placed entry(size_t& at) const {
        const size_t here = at, end = directory_ + directory_size_;
        const auto directory_part = [&](size_t place, size_t size) {
            if (size > end - place) bad("byte ", here, ": an entry that the directory, which ends at byte ", end, ", has no room for");
            return bytes_.substr(place, size);
        };
        const std::string_view head = directory_part(here, entry_bytes);
        if (head.substr(0, 4) != entry_sign) bad("byte ", here, ": no entry of the directory, where one is expected");
        const size_t name_bytes = number<uint16_t>(head, 28), extra = number<uint16_t>(head, 30), comment = number<uint16_t>(head, 32);
        const std::string_view rest = directory_part(here + entry_bytes, name_bytes + extra + comment);
        at = here + entry_bytes + rest.size();

        const std::string_view name = rest.substr(0, name_bytes);
        const std::string shown = quoted_name(std::string(name));
        const auto flags = number<uint16_t>(head, 8), method = number<uint16_t>(head, 10);
        if (flags & 1) bad("byte ", here, ": entry ", shown, " is encrypted, expected as torch.save writes it");
        if (method != 0) bad("byte ", here, ": entry ", shown, " is compressed (method ", method, "), expected stored, as torch.save does");
        uint64_t size = number<uint32_t>(head, 24), stored = number<uint32_t>(head, 20), offset = number<uint32_t>(head, 42);
        read_zip64(rest.substr(name_bytes, extra), {&size, &stored, &offset}, here);
        if (size != stored) bad("byte ", here, ": entry ", shown, " has ", size, " bytes and is stored in ", stored, ", expected the same");

        const std::string_view local = part(offset, local_bytes, "an entry's head");
        if (local.substr(0, 4) != local_sign) bad("byte ", offset, ": no entry, where the directory places ", shown);
        const size_t own_name = number<uint16_t>(local, 26), data = offset + local_bytes + own_name + number<uint16_t>(local, 28);
        if (part(offset + local_bytes, own_name, "an entry's name") != name)
            bad("byte ", offset, ": an entry of another name than the directory's ", shown);
        return {{name, part(data, size, "an entry"), number<uint32_t>(head, 16)}, offset, data + size};
    }

    /// Numbers that did not fit the entry's head stand in its field 1, in this order.
    void read_zip64(std::string_view extra, const std::vector<uint64_t*>& numbers, size_t here) const {
        std::string_view field;
        while (extra.size() >= 4 && field.empty()) {
            const size_t size = std::min<size_t>(number<uint16_t>(extra, 2), extra.size() - 4);
            if (number<uint16_t>(extra, 0) == 1) field = extra.substr(4, size);
            extra.remove_prefix(4 + size);
        }
        for (uint64_t* n : numbers) {
            if (*n != in_zip64) continue;
            if (field.size() < 8) bad("byte ", here, ": an entry whose zip64 numbers are missing");
            *n = number<uint64_t>(field, 0);
            field.remove_prefix(8);
        }
    }

    /// So no more is ever read than the file has.
    void refuse_overlaps(std::vector<Placed> placed) const {
        std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.entry.name < b.entry.name; });
        for (size_t i = 1; i < placed.size(); ++i)
            if (placed[i].entry.name == placed[i - 1].entry.name)
                bad("holds two entries ", quoted_name(std::string(placed[i].entry.name)), ", expected one of each name");
        std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
        for (size_t i = 1; i < placed.size(); ++i)
            if (placed[i].begin < placed[i - 1].end)
                bad("byte ", placed[i].begin, ": entry ", quoted_name(std::string(placed[i].entry.name)), " begins within ",
                    quoted_name(std::string(placed[i - 1].entry.name)));
    }

    const std::string& file_;
    std::string_view bytes_;
    size_t directory_ = 0, directory_size_ = 0;
};

}  // namespace

std::vector<ZipEntry> stored_entries(const std::string& file, std::string_view bytes) { return Archive(file, bytes).entries(); }

void check_crc(const std::string& file, const ZipEntry& entry) {
    if (entry.crc == 0) return;
    const uLong found = crc32_z(0, reinterpret_cast<const Bytef*>(entry.data.data()), entry.data.size());
    if (found != entry.crc)
        input_error(file, ": entry ", quoted_name(std::string(entry.name)), " is damaged: its CRC-32 is ", found, ", expected ", entry.crc,
                    remedy);
}

}  // namespace distill
