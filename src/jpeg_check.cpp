#include "jpeg_check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "error.h"

namespace distill {
namespace {

constexpr uint8_t huffman_tables = 0xC4, start_of_image = 0xD8, end_of_image = 0xD9;
constexpr size_t most_codes = 255;  // of 256 places, the last is the decoder's mark for a long code

uint8_t byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

/// Neither data that looks like a marker nor a marker that stands alone.
bool has_segment(uint8_t marker) { return marker > 1 && (marker < 0xD0 || marker > 0xD8); }

/// A table is its class and number, 16 counts of codes by their length, then a byte for each code. The decoder begins one before `end`, the
/// segment's, and reads on behind it; behind the file it reads zeros.
void check_huffman_tables(std::string_view bytes, size_t at, size_t end) {
    constexpr size_t head = 17;
    while (at < std::min(end, bytes.size())) {
        size_t codes = 0;
        for (size_t i = at + 1; i < std::min(at + head, bytes.size()); ++i) codes += byte(bytes, i);
        if (codes > most_codes)
            input_error("JPEG, byte ", at, ": found a Huffman table of ", codes, " codes, expected at most ", most_codes);
        at += head + codes;
    }
}

}  // namespace

void check_jpeg(std::string_view bytes) {
    const size_t start = bytes.find_first_not_of('\xFF');  // here, too, any number of them
    if (start == 0 || start == std::string_view::npos || byte(bytes, start) != start_of_image) return;
    for (size_t at = bytes.find('\xFF', start); at != std::string_view::npos; at = bytes.find('\xFF', at)) {
        while (at < bytes.size() && byte(bytes, at) == 0xFF) ++at;  // any number of them may precede a marker
        if (at == bytes.size() || byte(bytes, at) == end_of_image) return;
        const uint8_t marker = byte(bytes, at++);
        if (!has_segment(marker)) continue;
        if (bytes.size() - at < 2) return;
        const size_t length = size_t{byte(bytes, at)} << 8 | byte(bytes, at + 1);  // these two bytes count
        if (marker == huffman_tables) check_huffman_tables(bytes, at + 2, at + length);
        if (length < 2 || length > bytes.size() - at) return;  // the decoder says so
        at += length;
    }
}

}  // namespace distill
