// image_files.h: small image files of known pixels.
// defines: testing::gradient, testing::put_jpeg, testing::put_png
#pragma once
#include <cstdint>
#include <vector>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include "base_files.h"
#include "complaints.h"

namespace distill::testing {

/// An image with something to compress: a gradient around `shade`.
inline std::vector<uint8_t> gradient(int width, int height, int channels, int shade) {
    std::vector<uint8_t> pixels;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < channels; ++c) pixels.push_back(uint8_t((shade + 3 * x + 5 * y + 40 * c) % 256));
    return pixels;
}

/// tests/golden/gradient.jpg, 40x40.
inline void put_jpeg(const fs::path& path) { put_file(path, read_file(golden("gradient.jpg"))); }

inline void put_png(const fs::path& path, int width, int height, int channels, int shade) {
    fs::create_directories(path.parent_path());
    REQUIRE(stbi_write_png(path.c_str(), width, height, channels, gradient(width, height, channels, shade).data(), 0));
}

}  // namespace distill::testing
