// data_jpeg_check.h: what a JPEG must hold before the decoder sees it.
// defines: check_jpeg
#pragma once
#include <string_view>

namespace distill {

/// Walks a JPEG's segments as the decoder does; what is no JPEG passes. InputError with the reason alone (no file's name) for a Huffman
/// table of more codes than the decoder's table has places: stb_image 2.27 would write behind it; for a scan by a table that has not
/// come, which is uninitialised memory to it; for fill bytes before all else, which libjpeg refuses, too; and for four components, unless
/// an Adobe segment says that they are CMYK or YCCK as Adobe stores them: the decoder would take them for YCbCr and alpha.
void check_jpeg(std::string_view bytes);

}  // namespace distill
