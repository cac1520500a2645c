// data_image_parts.h: what the decoder leaves out of an image file: raw PNM, checksums, a palette's end, which way up a photograph is.
// defines: is_png, is_pnm, decode_pnm, png_orientation, check_png_pixels, check_bmp_pixels, jpeg_orientation, turn_upright
#pragma once
#include <string_view>

#include "data_pixels.h"

namespace distill {

/// These read a file's bytes and never beyond them. InputError with the reason alone (no file name), one line.

/// A raw PGM or PPM (P5, P6) of any depth: samples are scaled by maxval/255, rounded. Also refuses other PNM (P1 to P4, P7), and CR LF
/// behind the header where bytes are left over: all samples would be off by one.
Image decode_pnm(std::string_view bytes);
bool is_pnm(std::string_view bytes);

/// Checks that a PNG's chunks are all there, up to IEND, and the CRC of the critical ones. Returns the orientation in its eXIf chunk,
/// else 1.
int png_orientation(std::string_view bytes);
bool is_png(std::string_view bytes);
/// For images whose header the decoder takes, and of a size that memory is there for. Inflates a PNG's image, a scanline at a time, and refuses one whose Adler-32 does not fit, which ends early or goes on for 64 KiB, or
/// which names a colour that its palette does not have. Also what the decoder would show in other colours: Apple's CgBI, and depths that
/// PNG does not have.
void check_png_pixels(std::string_view bytes);
/// Refuses an uncompressed BMP with a colour beyond its palette; what is no BMP passes.
void check_bmp_pixels(std::string_view bytes);

/// EXIF orientation, 1 to 8 (1: upright), of a JPEG's APP1 segment; 1 where it says nothing that makes sense.
int jpeg_orientation(std::string_view bytes);

/// The image as it is meant to be seen: mirrored or turned as orientation 1 to 8 says (EXIF 2.3, tag 274).
Image turn_upright(const Image& stored, int orientation);

}  // namespace distill
