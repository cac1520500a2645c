// data_png.h: an image of a data set as a file, and as a picture may hold it.
// defines: encode_png, png_uri
#pragma once
#include <cstdint>
#include <string>

namespace distill {

/// planes: R, G, B, height x width bytes each, as data sets have them.
std::string encode_png(const uint8_t* planes, int height, int width);
/// "data:image/png;base64,…", for an <image> of SVG or HTML.
std::string png_uri(const std::string& png);

}  // namespace distill
