// data_image.h: image files to bytes, and their reduction to one size.
// defines: BrokenImage, decode_image, load_image, resize_to_planes
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base_error.h"
#include "data_pixels.h"

namespace distill {

/// What decode_image and load_image throw. what() is the whole line; of many files, name and reason alone can stand in a list.
struct BrokenImage : InputError {
    BrokenImage(const std::string& name, const std::string& why);
    std::string file, reason;
};

/// Decodes the bytes of a JPEG, PNG or BMP (stb_image), or of a raw PGM or PPM of any depth (our own reader). Grey becomes three equal
/// channels, alpha is dropped, and a photograph is turned as its EXIF orientation asks. BrokenImage, with `name`, if it is none of these or
/// broken: also if a checksum in a PNG does not fit, if the bytes end before the image does (stb itself fills such a one up) or cannot hold
/// what the header claims, for a JPEG whose scans lack blocks, a colour that the palette does not have, a CMYK JPEG that does not say how its
/// inks are stored, and a colour image of more than 89 million pixels.
Image decode_image(std::string_view bytes, const std::string& name);
/// The same from a file, which read_file() reads.
Image load_image(const std::filesystem::path& path);

/// To size x size, written as planes R, G, B (3 x size x size). Each output pixel is the mean of the source area that it covers
/// (fractions of source pixels count as such), rounded: exact integers, the same bytes on every machine. An image that is not square is
/// squeezed, not cropped.
void resize_to_planes(const Image& image, int size, uint8_t* planes);

}  // namespace distill
