// What the decoder leaves out of an image file: depths of PNM, checksums of PNG, which way up, what is dropped.
#include "data_image_parts.h"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base_files.h"
#include "complaints.h"
#include "data_image.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

std::string big_endian(uint32_t value, int bytes) {
    std::string out;
    while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes));
    return out;
}

std::string number(uint32_t value, int bytes, bool big) {
    std::string out = big_endian(value, bytes);
    return big ? out : std::string(out.rbegin(), out.rend());
}

std::string chunk(const std::string& type, const std::string& data, uint32_t spoil = 0) {
    const std::string body = type + data;
    const auto sum = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
    return big_endian(static_cast<uint32_t>(data.size()), 4) + body + big_endian(sum ^ spoil, 4);
}

/// An 8x8 grey PNG with stored (not compressed) data: every pixel 10. `spoil`: the chunk whose checksum is wrong.
std::string grey_png(const std::string& spoil = "", const std::string& before = "") {
    std::string rows;
    for (int y = 0; y < 8; ++y) rows += std::string(1, '\0') + std::string(8, '\x0a');
    std::string stored = "\x78\x01\x01" + number(72, 2, false) + number(0xFFFF - 72, 2, false) + rows;
    stored += big_endian(static_cast<uint32_t>(::adler32(1, reinterpret_cast<const Bytef*>(rows.data()), 72)), 4);
    const auto part = [&](const std::string& type, const std::string& data) { return chunk(type, data, type == spoil ? 1 : 0); };
    return "\x89PNG\r\n\x1a\n" + part("IHDR", big_endian(8, 4) + big_endian(8, 4) + std::string("\x08\0\0\0\0", 5)) + before +
           part("tEXt", "Title") + part("IDAT", stored) + part("IEND", "");
}

/// EXIF's structure with one entry of no interest, and the orientation.
std::string tiff(bool big, int orientation) {
    const auto n = [big](uint32_t value, int bytes) { return number(value, bytes, big); };
    const std::string head = big ? std::string("MM\0*", 4) : std::string("II*\0", 4);
    return head + n(8, 4) + n(2, 2) + n(271, 2) + n(2, 2) + n(1, 4) + n(0, 4) + n(274, 2) + n(3, 2) + n(1, 4) +
           n(static_cast<uint32_t>(orientation), 2) + n(0, 2) + n(0, 4);
}

/// A JPEG with these bytes as an APP1 segment after its first two.
std::string with_app1(const std::string& jpeg, const std::string& data) {
    return jpeg.substr(0, 2) + "\xFF\xE1" + big_endian(static_cast<uint32_t>(data.size() + 2), 2) + data + jpeg.substr(2);
}

std::string reason(const std::string& bytes) {
    return complaint<BrokenImage>([&] { decode_image(bytes, "some.file"); });
}

}  // namespace

TEST_CASE("image: PNM of every depth is scaled to bytes") {
    CHECK(decode_image("P5 3 1 15\n" + std::string("\x00\x07\x0f", 3), "x").pixels ==
          std::vector<uint8_t>{0, 0, 0, 119, 119, 119, 255, 255, 255});
    CHECK(decode_image("P6 1 1 1\n" + std::string("\x00\x01\x00", 3), "x").pixels == std::vector<uint8_t>{0, 255, 0});
    const Image wide = decode_image(
        "P6\n# of a scanner\n2 # wide\n 1\t65535\n" + std::string("\x00\x00\x80\x00\xff\xff\x00\x80\x00\x81\xff\x00", 12), "x");
    CHECK(wide.width == 2);
    CHECK(wide.pixels == std::vector<uint8_t>{0, 128, 255, 0, 1, 254});  // 0x80/257 = 0.498, 0x81/257 = 0.502
    CHECK(decode_image("P5 1 1 300\n" + std::string("\x01\x2c", 2), "x").pixels == std::vector<uint8_t>{255, 255, 255});
    CHECK(decode_image("P5 2 1 255\n" + std::string("\x0a\xff", 2), "x").pixels == std::vector<uint8_t>{10, 10, 10, 255, 255, 255});
}

TEST_CASE("image: a PNM header that makes no sense is refused before anything is decoded") {
    const std::string four(4, 'x');
    CHECK(says(reason("P5 2 2 0\n" + four), {"some.file: cannot be decoded", "the largest sample", "1 to 65535"}));
    CHECK(says(reason("P5 2 2 65536\n" + four), {"the largest sample", "1 to 65535"}));
    CHECK(says(reason("P5 0 2 255\n" + four), {"byte 3", "the width"}));
    CHECK(says(reason("P5 2 -2 255\n" + four), {"byte 5", "the height"}));
    CHECK(says(reason("P5 99999999999999999999 2 255\n" + four), {"the width", "1 to 16777216"}));
    CHECK(says(reason("P5 16777216 16777216 255\n" + four), {"truncated", "the file ends: byte 29"}));
    CHECK(says(reason("P5 2 2 15\n" + four), {"found the sample 120", "at most 15"}));
    CHECK(says(reason("P5 2 2 256\n" + four), {"truncated", "byte 15"}));
    CHECK(says(reason("P5 2 2"), {"truncated", "the header"}));
    CHECK(says(reason("P5 2 2 # no end"), {"truncated", "the header"}));
    CHECK(says(reason("P5 2 2 255"), {"truncated"}));
    CHECK(says(reason("P3 1 1 255\n1 2 3\n"), {"P3", "P5 or P6"}));
    CHECK(says(reason("P7\nWIDTH 1\n"), {"P7", "P5 or P6"}));
}

TEST_CASE("image: a PNG whose critical chunk does not fit its checksum is refused, an ancillary one's is nobody's business") {
    CHECK(decode_image(grey_png(), "x").pixels == std::vector<uint8_t>(8 * 8 * 3, 10));
    CHECK(says(reason(grey_png("IDAT")), {"some.file: cannot be decoded", "checksum of chunk IDAT at byte 50", "expected"}));
    CHECK(says(reason(grey_png("IHDR")), {"checksum of chunk IHDR at byte 8"}));
    CHECK(says(reason(grey_png("IEND")), {"checksum of chunk IEND"}));
    CHECK(decode_image(grey_png("tEXt"), "x").pixels == std::vector<uint8_t>(8 * 8 * 3, 10));
    std::string flipped = grey_png();
    flipped[70] = static_cast<char>(flipped[70] ^ 0x80);
    CHECK(says(reason(flipped), {"checksum of chunk IDAT"}));

    // A critical chunk that nobody knows, and whose name is not printable.
    const std::string unknown = reason(grey_png("", chunk("\x03\xff\n\x1b", "")));
    CHECK(says(unknown, {"cannot be decoded ("}));
    CHECK(unknown.find("()") == std::string::npos);
    CHECK(std::all_of(unknown.begin(), unknown.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

TEST_CASE("image: every EXIF orientation is honoured, in both byte orders, of a JPEG and of a PNG") {
    const std::string jpeg = read_file(golden("gradient.jpg"));
    const Image plain = decode_image(jpeg, "x");
    CHECK_FALSE(plain.turned);
    const int last = plain.width - 1;  // 40x40
    const auto pixel = [](const Image& image, int x, int y) { return image.pixels[static_cast<size_t>(3 * (y * image.width + x))]; };
    // Where the upright image's pixel (7, 2) lies in the stored one.
    const int stored[][2] = {{7, 2}, {last - 7, 2}, {last - 7, last - 2}, {7, last - 2},
                             {2, 7}, {2, last - 7}, {last - 2, last - 7}, {last - 2, 7}};
    for (int orientation = 1; orientation <= 8; ++orientation)
        for (const bool big : {false, true}) {
            CAPTURE(orientation);
            const std::string exif = std::string("Exif\0\0", 6) + tiff(big, orientation);
            CHECK(jpeg_orientation(with_app1(jpeg, exif)) == orientation);
            const Image upright = decode_image(with_app1(with_app1(jpeg, exif), "http://ns.adobe.com/xap/1.0/"), "x");
            CHECK(upright.turned == (orientation != 1));
            CHECK(pixel(upright, 7, 2) == pixel(plain, stored[orientation - 1][0], stored[orientation - 1][1]));
            CHECK(png_orientation(grey_png("", chunk("eXIf", tiff(big, orientation)))) == orientation);
        }
    const Image oblong = turn_upright({2, 3, {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5}}, 6);  // rows 012, 345
    CHECK(oblong.width == 2);
    CHECK(oblong.height == 3);
    std::string rows;
    for (size_t i = 0; i < 6; ++i) rows += static_cast<char>('0' + oblong.pixels[3 * i]);
    CHECK(rows == "304152");  // its right column is the stored top row
}

TEST_CASE("image: an EXIF that is cut or makes no sense says nothing") {
    const std::string jpeg = read_file(golden("gradient.jpg")), exif = std::string("Exif\0\0", 6) + tiff(true, 6);
    for (size_t length = 0; length < exif.size(); ++length) {
        CAPTURE(length);
        const bool has_entry = length >= exif.size() - 6;  // its value ends there
        CHECK(jpeg_orientation(with_app1(jpeg, exif.substr(0, length))) == (has_entry ? 6 : 1));
    }
    const std::string whole = with_app1(jpeg, exif);
    for (size_t length = 0; length < 60; ++length) CHECK((jpeg_orientation(whole.substr(0, length)) == 1) == (length < 6 + exif.size()));
    CHECK(jpeg_orientation(with_app1(jpeg, std::string("Exif\0\0", 6) + tiff(true, 9))) == 1);
    CHECK(jpeg_orientation(with_app1(jpeg, std::string("Exif\0\0", 6) + tiff(true, 0))) == 1);
    std::string far = exif;
    far.replace(10, 4, "\xff\xff\xff\xff");  // the table lies beyond
    CHECK(jpeg_orientation(with_app1(jpeg, far)) == 1);
    far = exif;
    far.replace(14, 2, "\xff\xff");  // more entries than there are; the orientation comes before the end
    CHECK(jpeg_orientation(with_app1(jpeg, far)) == 6);
}

TEST_SUITE_END();
