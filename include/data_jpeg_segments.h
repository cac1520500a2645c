// data_jpeg_segments.h: a JPEG's segments, one after another.
// defines: byte_at, JpegSegment, is_jpeg, next_jpeg_segment
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace distill {

inline uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

/// As the decoder has it: any number of fill bytes, then the marker of an image's start.
bool is_jpeg(std::string_view bytes);

/// Its content is [at, end), without the length before it: that may end behind the file. The image's end has none.
struct JpegSegment {
    static constexpr uint8_t baseline_frame = 0xC0, progressive_frame = 0xC2, huffman_tables = 0xC4, end_of_image = 0xD9,
                             start_of_scan = 0xDA, quantization_tables = 0xDB, restart_interval = 0xDD, app1 = 0xE1, app14 = 0xEE;
    uint8_t marker;
    size_t at, end;

    bool is_frame() const { return marker >= baseline_frame && marker <= progressive_frame; }
};

/// The first segment that begins at `from` or behind; none where the file ends before, or its length makes no sense. What lies between
/// is passed over: a scan's data, restart markers among it.
std::optional<JpegSegment> next_jpeg_segment(std::string_view bytes, size_t from);

}  // namespace distill
