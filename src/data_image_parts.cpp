#include "data_image_parts.h"

#include <zlib.h>

#include <algorithm>
#include <optional>

#include "base_error.h"
#include "base_texts.h"

namespace distill {
namespace {

constexpr std::string_view png_signature = "\x89PNG\r\n\x1a\n";

uint8_t byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

/// Unsigned whole number of `size` bytes at `at`; none if it is not all there.
std::optional<uint32_t> number_at(std::string_view bytes, size_t at, size_t size, bool big_endian) {
    if (at > bytes.size() || size > bytes.size() - at) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | byte(bytes, big_endian ? at + i : at + size - 1 - i);
    return value;
}

[[noreturn]] void ends_early(std::string_view bytes, const std::string& what) {
    input_error("truncated, ", what, " goes on where the file ends: byte ", bytes.size());
}

/// The header's next number: after blanks, and comments from # to the end of a line.
uint32_t pnm_number(std::string_view bytes, size_t& at, const char* what, uint32_t high) {
    const auto is_blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    bool comment = false;
    for (; at < bytes.size() && (comment || bytes[at] == '#' || is_blank(bytes[at])); ++at)
        comment = (comment || bytes[at] == '#') && bytes[at] != '\n' && bytes[at] != '\r';
    if (at == bytes.size()) ends_early(bytes, "the header");
    const size_t begin = at;
    uint32_t value = 0;
    for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9' && value <= high; ++at) value = 10 * value + uint32_t(bytes[at] - '0');
    if (at == begin || value < 1 || value > high)
        input_error("PNM header, byte ", begin, ": expected ", what, ", a whole number from 1 to ", high);
    return value;
}

/// Orientation in a TIFF structure, as EXIF has it: a header, then a table of twelve-byte entries.
int tiff_orientation(std::string_view tiff) {
    const bool big = tiff.substr(0, 4) == std::string_view("MM\0*", 4);
    if (!big && tiff.substr(0, 4) != std::string_view("II*\0", 4)) return 1;
    const auto table = number_at(tiff, 4, 4, big);
    const auto entries = table ? number_at(tiff, *table, 2, big) : std::nullopt;
    constexpr uint32_t orientation_tag = 274, short_type = 3;
    for (size_t i = 0; entries && i < *entries; ++i) {
        const size_t at = size_t{*table} + 2 + 12 * i;
        if (number_at(tiff, at, 2, big) != orientation_tag) continue;
        const auto value = number_at(tiff, at + 8, 2, big);
        return number_at(tiff, at + 2, 2, big) == short_type && value && *value >= 1 && *value <= 8 ? int(*value) : 1;
    }
    return 1;
}

}  // namespace

bool is_pnm(std::string_view bytes) {
    return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
           (bytes[2] == '#' || bytes[2] == ' ' || (bytes[2] >= '\t' && bytes[2] <= '\r'));
}

Image decode_pnm(std::string_view bytes) {
    if (bytes[1] != '5' && bytes[1] != '6') input_error("PNM of the kind P", bytes[1], ", expected raw samples: P5 or P6");
    constexpr uint32_t most = 1 << 24, deepest = 65535;
    const size_t channels = bytes[1] == '6' ? 3 : 1;
    size_t at = 2;
    const uint32_t width = pnm_number(bytes, at, "the width", most), height = pnm_number(bytes, at, "the height", most);
    const uint32_t maxval = pnm_number(bytes, at, "the largest sample", deepest);
    const size_t size = maxval > 255 ? 2 : 1, pixels = size_t{width} * height;
    ++at;  // the one blank behind the header
    if (at > bytes.size() || pixels * channels * size > bytes.size() - at) ends_early(bytes, "the image");
    Image image{int(height), int(width), {}};
    image.pixels.reserve(pixels * 3);
    for (size_t i = 0; i < pixels * channels; ++i, at += size) {
        const uint32_t sample = *number_at(bytes, at, size, true);
        if (sample > maxval)
            input_error("byte ", at, ": found the sample ", sample, ", expected at most ", maxval, " as the PNM header says");
        image.pixels.insert(image.pixels.end(), channels == 1 ? 3 : 1, uint8_t((sample * 255 + maxval / 2) / maxval));
    }
    return image;
}

bool is_png(std::string_view bytes) { return bytes.substr(0, png_signature.size()) == png_signature; }

int png_orientation(std::string_view bytes) {
    int orientation = 1;
    for (size_t at = png_signature.size();;) {  // length, type, data, CRC of type and data
        const auto length = number_at(bytes, at, 4, true);
        if (!length || bytes.size() - at < 12 || *length > bytes.size() - at - 12) ends_early(bytes, text("the chunk at byte ", at));
        const std::string_view type = bytes.substr(at + 4, 4), data = bytes.substr(at + 8, *length);
        const bool critical = (byte(type, 0) & 32) == 0;
        const uint32_t sum = static_cast<uint32_t>(
            ::crc32_z(::crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(type.data()), 4 + data.size()));  // they lie side by side
        const uint32_t stated = *number_at(bytes, at + 8 + data.size(), 4, true);
        if (critical && sum != stated)
            input_error("damaged: the checksum of chunk ", printable(std::string(type)), " at byte ", at, " is ", sum, ", expected ",
                        stated, " as the file says");
        if (type == "eXIf" && sum == stated) orientation = tiff_orientation(data);
        if (type == "IEND") return orientation;
        at += 12 + data.size();
    }
}

int jpeg_orientation(std::string_view bytes) {
    constexpr uint8_t start_of_scan = 0xDA, end = 0xD9, app1 = 0xE1;
    constexpr std::string_view exif("Exif\0\0", 6);
    if (bytes.substr(0, 2) != "\xFF\xD8") return 1;
    for (size_t at = 2; at + 4 <= bytes.size() && byte(bytes, at) == 0xFF;) {
        const uint8_t marker = byte(bytes, at + 1);
        const bool alone = marker == 0xFF || marker == 1 || (marker >= 0xD0 && marker <= 0xD7);  // 0xFF: one more before the marker
        if (marker == start_of_scan || marker == end) return 1;
        if (alone) {
            at += marker == 0xFF ? 1 : 2;
            continue;
        }
        const uint32_t length = *number_at(bytes, at + 2, 2, true);  // with these two bytes
        if (length < 2 || length > bytes.size() - at - 2) return 1;
        const std::string_view segment = bytes.substr(at + 4, length - 2);
        if (marker == app1 && segment.substr(0, exif.size()) == exif) return tiff_orientation(segment.substr(exif.size()));
        at += 2 + length;
    }
    return 1;
}

Image turn_upright(const Image& stored, int orientation) {
    const bool across = orientation >= 5;  // rows become columns
    const int w = stored.width, h = stored.height;
    Image image{across ? w : h, across ? h : w, {}};
    image.transparent = stored.transparent;
    image.turned = true;
    image.pixels.reserve(stored.pixels.size());
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
            const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
            const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
            const int along = across ? y : x, down = across ? x : y;
            const int column = from_right ? w - 1 - along : along, row = from_below ? h - 1 - down : down;
            const auto from = stored.pixels.begin() + 3 * (std::ptrdiff_t{row} * w + column);
            image.pixels.insert(image.pixels.end(), from, from + 3);
        }
    return image;
}

}  // namespace distill
