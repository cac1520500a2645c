#include "data_image_parts.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base_error.h"
#include "base_texts.h"
#include "data_jpeg_segments.h"

namespace distill {
namespace {

constexpr std::string_view png_signature = "\x89PNG\r\n\x1a\n";
constexpr uint32_t most_side = 1 << 24;  // also the decoder's limit

/// Unsigned whole number of `size` bytes at `at`; none if it is not all there.
std::optional<uint32_t> number_at(std::string_view bytes, size_t at, size_t size, bool big_endian) {
    if (at > bytes.size() || size > bytes.size() - at) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | byte_at(bytes, big_endian ? at + i : at + size - 1 - i);
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

struct PngChunk {
    std::string_view type, data;
};

/// A PNG's chunk at `at`: length, type, data, CRC of type and data.
PngChunk png_chunk(std::string_view bytes, size_t at) {
    const auto length = number_at(bytes, at, 4, true);
    if (!length || bytes.size() - at < 12 || *length > bytes.size() - at - 12) ends_early(bytes, text("the chunk at byte ", at));
    return {bytes.substr(at + 4, 4), bytes.substr(at + 8, *length)};
}

/// Calls visit(chunk, its first byte) for each chunk of a PNG, IEND the last.
template <class Visit>
void each_png_chunk(std::string_view bytes, const Visit& visit) {
    for (size_t at = png_signature.size();;) {
        const PngChunk chunk = png_chunk(bytes, at);
        visit(chunk, at);
        if (chunk.type == "IEND") return;
        at += 12 + chunk.data.size();
    }
}

/// Inflates what a PNG's IDAT chunks hold together, piece by piece.
class PngData {
  public:
    explicit PngData(std::vector<std::string_view> chunks) : chunks_(std::move(chunks)) {
        if (::inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
    }
    ~PngData() { ::inflateEnd(&stream_); }
    PngData(const PngData&) = delete;
    PngData& operator=(const PngData&) = delete;

    /// Fills `into`, unless all ends before. Returns how many bytes came; whoever gets fewer knows that the Adler-32 fits.
    size_t read(std::vector<uint8_t>& into) {
        stream_.next_out = into.data();
        stream_.avail_out = static_cast<uInt>(into.size());
        while (stream_.avail_out > 0 && !ended_) {
            for (; stream_.avail_in == 0 && next_ < chunks_.size(); ++next_) {
                stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunks_[next_].data()));
                stream_.avail_in = static_cast<uInt>(chunks_[next_].size());
            }
            const int result = ::inflate(&stream_, Z_NO_FLUSH);
            if (result == Z_BUF_ERROR) input_error("truncated, the compressed data goes on where the last IDAT ends");
            if (result == Z_MEM_ERROR) throw std::bad_alloc();
            if (result != Z_OK && result != Z_STREAM_END)
                input_error("damaged, the compressed data: ", stream_.msg ? stream_.msg : "no zlib stream that stands alone");
            ended_ = result == Z_STREAM_END;
        }
        return into.size() - stream_.avail_out;
    }

  private:
    std::vector<std::string_view> chunks_;
    size_t next_ = 0;
    z_stream stream_{};
    bool ended_ = false;
};

/// Undoes a scanline's filter (PNG, section 9) where a pixel takes a byte or less. Its first byte, the filter, becomes 0; `above`: the
/// scanline before it, so treated, or zeros.
void unfilter(std::vector<uint8_t>& line, const std::vector<uint8_t>& above) {
    const unsigned filter = std::exchange(line[0], 0);
    if (filter > 4) input_error("found a scanline of filter ", filter, ", expected 0 to 4");
    const auto undo = [&](auto predicted) {
        for (size_t i = 1; i < line.size(); ++i) line[i] = static_cast<uint8_t>(line[i] + predicted(line[i - 1], above[i], above[i - 1]));
    };
    if (filter == 1) undo([](int left, int, int) { return left; });
    if (filter == 2) undo([](int, int up, int) { return up; });
    if (filter == 3) undo([](int left, int up, int) { return (left + up) / 2; });
    if (filter == 4)
        undo([](int left, int up, int corner) {
            const int guess = left + up - corner;
            const int to_left = std::abs(guess - left), to_up = std::abs(guess - up), to_corner = std::abs(guess - corner);
            return to_left <= to_up && to_left <= to_corner ? left : to_up <= to_corner ? up : corner;
        });
}

/// Every `across`-th pixel of every `down`-th row from (x, y) on: an interlaced PNG comes in seven passes.
struct Pass {
    size_t x, y, across, down;
};
constexpr Pass whole{0, 0, 1, 1};

struct Palette {
    int64_t colours;
    const char* whose;  ///< who has so many
};

/// Refuses an index that the palette does not have. row: row y of the pass, `count` indices of `bits` bits, the first in the highest bits.
void check_indices(const uint8_t* row, size_t count, unsigned bits, const Palette& palette, size_t y, const Pass& pass) {
    for (size_t i = 0; i < count; ++i) {
        const unsigned index = row[i * bits / 8] >> (8 - bits - i * bits % 8) & ((1u << bits) - 1);
        if (index >= palette.colours)
            input_error("column ", pass.x + i * pass.across, ", row ", y, ": found colour ", index, ", expected one below ",
                        palette.colours, ", as many as ", palette.whose);
    }
}

}  // namespace

bool is_pnm(std::string_view bytes) {
    return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
           (bytes[2] == '#' || bytes[2] == ' ' || (bytes[2] >= '\t' && bytes[2] <= '\r'));
}

Image decode_pnm(std::string_view bytes) {
    if (bytes[1] != '5' && bytes[1] != '6') input_error("PNM of the kind P", bytes[1], ", expected raw samples: P5 or P6");
    constexpr uint32_t deepest = 65535;
    const size_t channels = bytes[1] == '6' ? 3 : 1;
    size_t at = 2;
    const uint32_t width = pnm_number(bytes, at, "the width", most_side), height = pnm_number(bytes, at, "the height", most_side);
    const uint32_t maxval = pnm_number(bytes, at, "the largest sample", deepest);
    const size_t size = maxval > 255 ? 2 : 1, pixels = size_t{width} * height, needed = pixels * channels * size;
    ++at;  // the one blank behind the header
    if (at > bytes.size() || needed > bytes.size() - at) ends_early(bytes, "the image");
    if (needed < bytes.size() - at && bytes.substr(at - 1, 2) == "\r\n")  // if nothing is left over, LF is the first sample
        input_error("PNM header, byte ", at - 1, ": found CR LF behind the largest sample, expected one blank, then the image: it was ",
                    "written by a program that puts CR LF where a line ends; let that write bytes, not text");
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
    each_png_chunk(bytes, [&](const PngChunk& chunk, size_t at) {
        const auto& [type, data] = chunk;
        const bool critical = (byte_at(type, 0) & 32) == 0;
        const uint32_t sum = static_cast<uint32_t>(
            ::crc32_z(::crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(type.data()), 4 + data.size()));  // they lie side by side
        const uint32_t stated = *number_at(bytes, at + 8 + data.size(), 4, true);
        if (critical && sum != stated)
            input_error("damaged: the checksum of chunk ", printable(std::string(type)), " at byte ", at, " is ", sum, ", expected ",
                        stated, " as the file says");
        if (type == "eXIf" && sum == stated) orientation = tiff_orientation(data);
    });
    return orientation;
}

void check_png_pixels(std::string_view bytes) {
    std::vector<std::string_view> headers, chunks;
    Palette palette{0, "its PLTE has"};
    each_png_chunk(bytes, [&](const PngChunk& chunk, size_t) {
        if (chunk.type == "CgBI")
            input_error("a PNG of Apple's own form (chunk CgBI), red and blue exchanged, expected a standard one: convert it first");
        if (chunk.type == "IHDR") headers.push_back(chunk.data);
        if (chunk.type == "PLTE") palette.colours = static_cast<int64_t>(chunk.data.size() / 3);
        if (chunk.type == "IDAT") chunks.push_back(chunk.data);
    });
    if (headers.size() != 1 || headers[0].size() != 13 || chunks.empty()) return;  // the decoder says so
    const std::string_view header = headers[0];
    const size_t width = *number_at(header, 0, 4, true), height = *number_at(header, 4, 4, true);
    const unsigned depth = byte_at(header, 8), colour = byte_at(header, 9), interlace = byte_at(header, 12);
    constexpr unsigned grey = 0, rgb = 2, indexed = 3, grey_alpha = 4, rgb_alpha = 6;
    const bool of_one_kind = byte_at(header, 10) == 0 && byte_at(header, 11) == 0 && interlace <= 1;  // compression and filters
    if (std::max(width, height) > most_side || !of_one_kind || (colour == indexed && palette.colours == 0)) return;  // as above
    const bool packed = depth == 1 || depth == 2 || depth == 4, samples_of_bytes = depth == 8 || depth == 16;
    const bool known = colour == grey      ? packed || samples_of_bytes
                       : colour == indexed ? packed || depth == 8
                                           : samples_of_bytes && (colour == rgb || colour == grey_alpha || colour == rgb_alpha);
    if (!known) input_error("PNG header: found colour type ", colour, " of ", depth, " bits a sample, which PNG does not have");
    const size_t samples = colour == rgb ? 3 : colour == rgb_alpha ? 4 : colour == grey_alpha ? 2 : 1;

    std::vector<Pass> passes{whole};
    if (interlace == 1)
        passes = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};  // Adam7
    PngData data(std::move(chunks));
    for (const Pass& pass : passes) {
        const size_t columns = (width + pass.across - 1 - pass.x) / pass.across;
        if (columns == 0) continue;
        std::vector<uint8_t> line(1 + (columns * samples * depth + 7) / 8), above(line.size());
        for (size_t y = pass.y; y < height; y += pass.down) {
            if (data.read(line) < line.size()) input_error("truncated, the compressed data ends in row ", y);
            if (colour != indexed || palette.colours >= int64_t{1} << depth) continue;
            unfilter(line, above);
            check_indices(line.data() + 1, columns, depth, palette, y, pass);
            line.swap(above);
        }
    }
    std::vector<uint8_t> rest(1 << 16);  // some programs write a few bytes too many; the decoder would store any number of them
    if (data.read(rest) == rest.size()) input_error("the compressed data goes on behind the last row for ", rest.size(), " bytes and more");
}

void check_bmp_pixels(std::string_view bytes) {
    if (bytes.substr(0, 2) != "BM") return;
    const auto number = [&](size_t at, size_t size) { return int64_t{number_at(bytes, at, size, false).value_or(0)}; };
    constexpr int64_t file_header = 14, os2_header = 12;
    const int64_t begin = number(10, 4), header = number(14, 4);
    const bool os2 = header == os2_header;
    const int64_t width = os2 ? number(18, 2) : number(18, 4), bits = number(os2 ? 24 : 28, 2);
    const int64_t height = os2 ? number(20, 2) : static_cast<int32_t>(number(22, 4));    // below 0: the upper row comes first
    const auto compression = static_cast<int32_t>(os2 ? 0 : number(30, 4));              // signed, to the decoder
    if ((bits != 1 && bits != 4 && bits != 8) || compression > 0 || width == 0) return;  // no palette, or the decoder says so

    // The decoder counts the bytes between header and pixels, 12 too few of an OS/2 bitmap.
    const int64_t room = os2 ? (begin - file_header - os2_header - 12) / 3 : (begin - file_header - header) / 4;
    const Palette palette{std::max<int64_t>(0, room),
                          os2 ? "the decoder reads of an OS/2 bitmap's palette: convert it first" : "its palette has"};
    if (palette.colours >= int64_t{1} << bits) return;
    const int64_t row = (width * bits + 7) / 8, stride = (row + 3) / 4 * 4, size = static_cast<int64_t>(bytes.size());
    for (int64_t y = 0; y < std::abs(height); ++y) {
        const int64_t at = begin + y * stride;
        if (at > size || row > size - at) return;  // the decoder says so
        check_indices(reinterpret_cast<const uint8_t*>(bytes.data()) + at, static_cast<size_t>(width), static_cast<unsigned>(bits), palette,
                      static_cast<size_t>(height > 0 ? height - 1 - y : y), whole);
    }
}

int jpeg_orientation(std::string_view bytes) {
    constexpr std::string_view exif("Exif\0\0", 6);
    if (!is_jpeg(bytes)) return 1;
    for (auto segment = next_jpeg_segment(bytes, 0); segment; segment = next_jpeg_segment(bytes, segment->end)) {
        const auto [marker, at, end] = *segment;
        if (marker == JpegSegment::start_of_scan || marker == JpegSegment::end_of_image || end > bytes.size()) return 1;
        const std::string_view content = bytes.substr(at, end - at);
        if (marker == JpegSegment::app1 && content.substr(0, exif.size()) == exif) return tiff_orientation(content.substr(exif.size()));
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
