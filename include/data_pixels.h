// data_pixels.h: a decoded image.
// defines: Image
#pragma once
#include <cstdint>
#include <vector>

namespace distill {

/// pixels: height x width x 3 bytes, R G B beside each other.
struct Image {
    int height = 0, width = 0;
    std::vector<uint8_t> pixels;
    bool turned = false;       ///< as its EXIF orientation asks
    bool transparent = false;  ///< some of it was; the alpha is dropped
};

}  // namespace distill
