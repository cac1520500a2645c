// image.h: image files to bytes, and their reduction to one size.
// defines: Image, load_image, resize_to_planes
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace distill {

/// pixels: height x width x 3 bytes, R G B beside each other.
struct Image {
    int height = 0, width = 0;
    std::vector<uint8_t> pixels;
};

/// Decodes a JPEG, PNG, BMP, PGM or PPM (stb_image); grey becomes three equal channels, alpha is dropped. InputError naming the file and
/// stb's reason if it is not one of these or broken, and for a file that ends before its image does (stb itself fills such a one up) or
/// cannot hold what its header claims, and for a colour image of more than 89 million pixels.
Image load_image(const std::filesystem::path& path);

/// To size x size, written as planes R, G, B (3 x size x size). Each output pixel is the mean of the source area that it covers
/// (fractions of source pixels count as such), rounded: exact integers, the same bytes on every machine. An image that is not square is
/// squeezed, not cropped.
void resize_to_planes(const Image& image, int size, uint8_t* planes);

}  // namespace distill
