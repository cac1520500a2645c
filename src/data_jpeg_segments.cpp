#include "data_jpeg_segments.h"

namespace distill {
namespace {

/// Neither data that looks like a marker nor a marker that stands alone.
bool has_segment(uint8_t marker) { return marker > 1 && (marker < 0xD0 || marker > 0xD8); }

}  // namespace

bool is_jpeg(std::string_view bytes) {
    constexpr uint8_t start_of_image = 0xD8;
    const size_t start = bytes.find_first_not_of('\xFF');
    return start != 0 && start != std::string_view::npos && byte_at(bytes, start) == start_of_image;
}

std::optional<JpegSegment> next_jpeg_segment(std::string_view bytes, size_t from) {
    for (size_t at = bytes.find('\xFF', from); at != std::string_view::npos; at = bytes.find('\xFF', at)) {
        while (at < bytes.size() && byte_at(bytes, at) == 0xFF) ++at;  // any number of them may precede a marker
        if (at == bytes.size()) return std::nullopt;
        const uint8_t marker = byte_at(bytes, at++);
        if (marker == JpegSegment::end_of_image) return JpegSegment{marker, at, at};
        if (!has_segment(marker)) continue;
        if (bytes.size() - at < 2) return std::nullopt;
        const size_t length = size_t{byte_at(bytes, at)} << 8 | byte_at(bytes, at + 1);  // these two bytes count
        if (length < 2) return std::nullopt;
        return JpegSegment{marker, at + 2, at + length};
    }
    return std::nullopt;
}

}  // namespace distill
