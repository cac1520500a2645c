#include "data_png.h"

#include <openssl/evp.h>

#include <vector>

#include "base_error.h"

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"  // of its formats one is used
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace distill {

std::string encode_png(const uint8_t* planes, int height, int width) {
    constexpr int channels = 3;
    const auto plane = static_cast<size_t>(height) * static_cast<size_t>(width);
    std::vector<uint8_t> pixels(channels * plane);
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < plane; ++i) pixels[i * channels + c] = planes[c * plane + i];
    std::string png;
    const auto write = [](void* into, void* bytes, int size) {
        static_cast<std::string*>(into)->append(static_cast<const char*>(bytes), static_cast<size_t>(size));
    };
    if (stbi_write_png_to_func(write, &png, width, height, channels, pixels.data(), width * channels) == 0)
        failure("encode_png: an image of ", height, "x", width, " cannot be encoded");
    return png;
}

std::string png_uri(const std::string& png) {
    std::string code((png.size() + 2) / 3 * 4 + 1, '\0');  // and a byte that ends it
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(code.data()), reinterpret_cast<const unsigned char*>(png.data()),
                                     static_cast<int>(png.size()));
    code.resize(static_cast<size_t>(size));
    return "data:image/png;base64," + code;
}

}  // namespace distill
