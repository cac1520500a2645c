#include "data_jpeg_check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

#include "base_error.h"
#include "data_jpeg_segments.h"

namespace distill {
namespace {

constexpr size_t most_codes = 255;  // of 256 places, the last is the decoder's mark for a long code

/// Which tables have come: a bit for each number, Huffman's for both classes; and by which a component of the frame is quantized.
struct Tables {
    unsigned dc = 0, ac = 0, quantization = 0;
    std::map<uint8_t, uint8_t> quantization_of;
};

/// A table is its class and number, 16 counts of codes by their length, then a byte for each code. The decoder begins one before `end`, the
/// segment's, and reads on behind it; behind the file it reads zeros.
void check_huffman_tables(std::string_view bytes, size_t at, size_t end, Tables& tables) {
    constexpr size_t head = 17;
    while (at < std::min(end, bytes.size())) {
        size_t codes = 0;
        for (size_t i = at + 1; i < std::min(at + head, bytes.size()); ++i) codes += byte_at(bytes, i);
        if (codes > most_codes)
            input_error("JPEG, byte ", at, ": found a Huffman table of ", codes, " codes, expected at most ", most_codes);
        (byte_at(bytes, at) >> 4 == 0 ? tables.dc : tables.ac) |= 1u << (byte_at(bytes, at) & 15);
        at += head + codes;
    }
}

/// A table is its precision and number, then 64 values of one or two bytes.
void note_quantization_tables(std::string_view bytes, size_t at, size_t end, Tables& tables) {
    for (; at < std::min(end, bytes.size()); at += byte_at(bytes, at) >> 4 ? 129 : 65)
        tables.quantization |= 1u << (byte_at(bytes, at) & 15);
}

/// A frame is the samples' depth, height and width, a number of components, of each its name, sampling and quantization table.
void note_components(std::string_view bytes, size_t at, size_t end, Tables& tables) {
    constexpr size_t head = 6, each = 3;
    for (at += head; at + each <= std::min(end, bytes.size()); at += each)
        tables.quantization_of.emplace(byte_at(bytes, at), byte_at(bytes, at + 2));  // of two of one name the decoder takes the first
}

/// A scan is a number of components, of each its name and which tables it goes by, then the first and last coefficient and the bits'
/// places. A table that has not come is uninitialised memory to the decoder.
void check_scan(std::string_view bytes, size_t at, size_t end, bool progressive, const Tables& tables) {
    end = std::min(end, bytes.size());
    const size_t components = at < end ? byte_at(bytes, at) : 0, rest = at + 1 + 2 * components;
    if (rest + 3 > end) return;  // the decoder says so
    const bool begins_at_dc = byte_at(bytes, rest) == 0, refines = byte_at(bytes, rest + 2) >> 4 != 0;
    for (size_t i = 0; i < components; ++i) {
        const size_t place = at + 2 + 2 * i;
        const unsigned dc = byte_at(bytes, place) >> 4, ac = byte_at(bytes, place) & 15;
        const bool needs_dc = !progressive || (begins_at_dc && !refines), needs_ac = !progressive || !begins_at_dc;
        if ((needs_dc && !(tables.dc >> dc & 1)) || (needs_ac && !(tables.ac >> ac & 1)))
            input_error("JPEG, byte ", place, ": found a scan by the Huffman tables ", dc, " and ", ac,
                        ", expected such as are given before it");
        const auto component = tables.quantization_of.find(byte_at(bytes, place - 1));
        if (component != tables.quantization_of.end() && (component->second > 15 || !(tables.quantization >> component->second & 1)))
            input_error("JPEG, byte ", place - 1, ": found a scan by the quantization table ", int{component->second},
                        ", expected one that is given before it");
    }
}

/// Which colours the components are: how many there are, and the transform that an APP14 segment names, -1 where there is none.
struct Colours {
    int components = 0, transform = -1;
};

/// Adobe's segment is a tag, a version and two flags of two bytes each, then the transform.
void note_transform(std::string_view segment, Colours& colours) {
    constexpr std::string_view tag("Adobe\0", 6);  // and the version's upper byte, as the decoder has it
    if (segment.size() >= 12 && segment.substr(0, tag.size()) == tag) colours.transform = byte_at(segment, 11);
}

/// Refuses four components that are not as Adobe stores CMYK (transform 0) or YCCK (2): 255 minus the ink, which the decoder knows. Without
/// its segment samples are the ink itself, and the decoder would take them for YCbCr and alpha.
void check_colours(const Colours& colours) {
    if (colours.components != 4 || colours.transform == 0 || colours.transform == 2) return;
    input_error("JPEG of four components (CMYK): found ",
                colours.transform < 0 ? "no Adobe segment (APP14)" : text("an Adobe segment (APP14) of transform ", colours.transform),
                ", expected one of transform 0 or 2, which says how inks are stored: convert it to RGB first");
}

}  // namespace

void check_jpeg(std::string_view bytes) {
    if (!is_jpeg(bytes)) return;
    if (bytes[1] == '\xFF')  // which the decoder does not read as these checks do
        input_error("JPEG, byte 1: found fill bytes before an image's start, expected none");
    Tables tables;
    Colours colours;
    bool progressive = false;
    for (auto segment = next_jpeg_segment(bytes, 0); segment; segment = next_jpeg_segment(bytes, segment->end)) {
        const auto [marker, at, end] = *segment;
        if (marker == JpegSegment::end_of_image) return check_colours(colours);
        if (marker == JpegSegment::progressive_frame) progressive = true;
        if (segment->is_frame()) {
            note_components(bytes, at, end, tables);
            colours.components = bytes.size() - at > 5 ? byte_at(bytes, at + 5) : 0;
        }
        if (marker == JpegSegment::quantization_tables) note_quantization_tables(bytes, at, end, tables);
        if (marker == JpegSegment::huffman_tables) check_huffman_tables(bytes, at, end, tables);
        if (marker == JpegSegment::start_of_scan) check_scan(bytes, at, end, progressive, tables);
        if (end > bytes.size()) return;  // the decoder says so
        if (marker == JpegSegment::app14) note_transform(bytes.substr(at, end - at), colours);
    }
}

}  // namespace distill
