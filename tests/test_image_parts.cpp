// What the decoder leaves out of an image file: depths of PNM, checksums of PNG, colours beyond a palette, which way up, what is dropped.
#include "data_image_parts.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base_files.h"
#include "complaints.h"
#include "data_image.h"
#include "data_jpeg_check.h"

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

std::string png_header(int width, int height, int depth, int colour, bool interlaced = false) {
    const std::string rest{static_cast<char>(depth), static_cast<char>(colour), '\0', '\0', static_cast<char>(interlaced)};
    return chunk("IHDR", big_endian(static_cast<uint32_t>(width), 4) + big_endian(static_cast<uint32_t>(height), 4) + rest);
}

std::string png(const std::string& chunks) { return "\x89PNG\r\n\x1a\n" + chunks + chunk("IEND", ""); }

/// A critical chunk that nobody knows: the decoder refuses what has it, and reads no pixel of it.
std::string unknown_chunk() { return chunk("NONE", ""); }

std::string deflated(const std::string& bytes) {
    uLongf size = ::compressBound(bytes.size());
    std::string out(size, '\0');
    REQUIRE(::compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == Z_OK);
    return out.substr(0, size);
}

/// Colours of a palette, row by row, `depth` bits each in its PNG.
struct Indices {
    int width, height, depth;
    std::vector<uint8_t> at;
};

/// What a PNG compresses: rows of bits (interlaced: of each of the seven passes), all by one of the five filters.
std::string scanlines(const Indices& image, int filter, bool interlaced) {
    constexpr int passes[8][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                  {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}, {0, 0, 1, 1}};
    std::string all;
    for (int pass = interlaced ? 0 : 7; pass < (interlaced ? 7 : 8); ++pass) {
        std::vector<int> above;
        for (int y = passes[pass][1]; y < image.height; y += passes[pass][3]) {
            std::vector<int> line;
            for (int x = passes[pass][0], bits = 0; x < image.width; x += passes[pass][2], bits += image.depth) {
                if (bits % 8 == 0) line.push_back(0);
                line.back() |= image.at[static_cast<size_t>(y * image.width + x)] << (8 - image.depth - bits % 8);
            }
            if (line.empty()) continue;
            above.resize(line.size());
            all += static_cast<char>(filter);
            for (size_t i = 0; i < line.size(); ++i) {
                const int a = i > 0 ? line[i - 1] : 0, b = above[i], c = i > 0 ? above[i - 1] : 0, p = a + b - c;
                const int paeth = std::abs(p - a) <= std::min(std::abs(p - b), std::abs(p - c)) ? a
                                  : std::abs(p - b) <= std::abs(p - c)                          ? b
                                                                                                : c;
                const int predicted[] = {0, a, b, (a + b) / 2, paeth};
                all += static_cast<char>(line[i] - predicted[filter]);
            }
            above = line;
        }
    }
    return all;
}

/// Colour i of the palette is (i, 2i, 255 - i).
std::string indexed_png(const Indices& image, int colours, int filter, bool interlaced, const std::string& after = "") {
    std::string palette;
    for (int i = 0; i < colours; ++i) palette += {static_cast<char>(i), static_cast<char>(2 * i), static_cast<char>(255 - i)};
    return png(png_header(image.width, image.height, image.depth, 3, interlaced) + chunk("PLTE", palette) +
               chunk("IDAT", deflated(scanlines(image, filter, interlaced))) + after);
}

/// A bitmap with Windows' header and a palette of the colours (i, 3i, 5i), of which it states one: how many there are is told by their room.
/// Of no planes it is no image to the decoder.
std::string bitmap(int width, int height, int bits, int colours, const std::string& rows, int planes = 1, int compression = 0) {
    const auto n = [](int value, int bytes) { return number(static_cast<uint32_t>(value), bytes, false); };
    std::string palette;
    for (int i = 0; i < colours; ++i) palette += n(5 * i % 256, 1) + n(3 * i % 256, 1) + n(i, 1) + n(0, 1);
    return "BM" + n(0, 4) + n(0, 4) + n(54 + 4 * colours, 4) + n(40, 4) + n(width, 4) + n(height, 4) + n(planes, 2) + n(bits, 2) +
           n(compression, 4) + n(0, 4) + n(0, 4) + n(0, 4) + n(1, 4) + n(0, 4) + palette + rows;
}

/// An 8x8 grey PNG with stored (not compressed) data: every pixel 10. `spoil`: the chunk whose checksum is wrong, or "Adler-32".
std::string grey_png(const std::string& spoil = "", const std::string& before = "") {
    std::string rows;
    for (int y = 0; y < 8; ++y) rows += std::string(1, '\0') + std::string(8, '\x0a');
    std::string stored = "\x78\x01\x01" + number(72, 2, false) + number(0xFFFF - 72, 2, false) + rows;
    const auto sum = static_cast<uint32_t>(::adler32(1, reinterpret_cast<const Bytef*>(rows.data()), 72));
    stored += big_endian(sum ^ (spoil == "Adler-32" ? 1 : 0), 4);
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

TEST_CASE("image: CR LF behind a PNM's header is refused, a CR alone is a blank") {
    CHECK(says(reason("P6\r\n2 1\r\n255\r\n" + std::string(6, 'x')), {"some.file: cannot be decoded", "PNM header, byte 12: found CR LF",
                                                                      "written by a program that puts CR LF where a line ends"}));
    CHECK(says(reason("P5 1 2 65535\r\nabcd"), {"byte 12: found CR LF"}));
    CHECK(says(reason("P5\r\n2 1\r\n255\r\n\r\nx"), {"found CR LF"}));  // where a sample was LF, CR came before that, too
    CHECK(decode_image("P5 2 1 255\r\nx", "x").pixels == std::vector<uint8_t>{10, 10, 10, 120, 120, 120});  // LF is a sample
    CHECK(decode_image("P5\r\n1 1\r\n255\nx", "x").pixels == std::vector<uint8_t>{120, 120, 120});
}

TEST_CASE("image: a PNG's compressed data is whole and fits its Adler-32, in however many chunks") {
    CHECK(says(reason(grey_png("Adler-32")), {"some.file: cannot be decoded (damaged, the compressed data: "}));

    const std::string rows("\0\1\2\0\3\4\0\5\6", 9), data = deflated(rows), header = png_header(2, 3, 8, 0);
    const std::vector<uint8_t> pixels = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6};
    CHECK(decode_image(png(header + chunk("IDAT", data)), "x").pixels == pixels);
    std::string pieces;
    for (const char c : data) pieces += chunk("IDAT", std::string(1, c)) + chunk("IDAT", "");
    CHECK(decode_image(png(header + pieces), "x").pixels == pixels);
    CHECK(decode_image(png(header + chunk("IDAT", data + "more")), "x").pixels == pixels);
    CHECK(decode_image(png(header + chunk("IDAT", deflated(rows + std::string(1000, '\0')))), "x").pixels == pixels);

    CHECK(says(reason(png(header + chunk("IDAT", deflated(rows + std::string(1 << 16, '\0'))))),
               {"the compressed data goes on behind the last row for 65536 bytes and more"}));
    CHECK(says(reason(png(header + chunk("IDAT", deflated(rows.substr(0, 8))))), {"truncated, the compressed data ends in row 2"}));
    CHECK(says(reason(png(header + chunk("IDAT", data.substr(0, data.size() - 4)))), {"truncated", "where the last IDAT ends"}));
}

TEST_CASE("image: a PNG's colour beyond its palette is refused at every depth, by every filter, interlaced or not") {
    for (const int depth : {1, 2, 4, 8})
        for (int filter = 0; filter <= 4; ++filter)
            for (const bool interlaced : {false, true}) {
                CAPTURE(depth);
                CAPTURE(filter);
                CAPTURE(interlaced);
                const int colours = depth == 1 ? 1 : depth == 2 ? 3 : depth == 4 ? 13 : 200;
                Indices image{11, 9, depth, {}};
                std::vector<uint8_t> pixels;
                for (int i = 0; i < 99; ++i) {
                    const int colour = (i * i + 7 * i) % colours;
                    image.at.push_back(static_cast<uint8_t>(colour));
                    for (const int sample : {colour, 2 * colour, 255 - colour}) pixels.push_back(static_cast<uint8_t>(sample));
                }
                CHECK(decode_image(indexed_png(image, colours, filter, interlaced), "x").pixels == pixels);
                for (const int place : {0, 10, 47, 88, 98}) {
                    Indices beyond = image;
                    beyond.at[static_cast<size_t>(place)] = static_cast<uint8_t>(colours);
                    CHECK(says(reason(indexed_png(beyond, colours, filter, interlaced, unknown_chunk())),
                               {text("some.file: cannot be decoded (column ", place % 11, ", row ", place / 11, ": found colour ", colours,
                                     ", expected one below ", colours, ", as many as its PLTE has)")}));
                }
            }
    const std::string two = deflated(std::string("\0\x0F\0\x0F", 4));
    for (const bool interlaced : {false, true})  // narrower than most passes; the bits behind a row's last pixel are nobody's
        CHECK(decode_image(png(png_header(1, 2, 4, 3, interlaced) + chunk("PLTE", "abc") + chunk("IDAT", two)), "x").pixels ==
              std::vector<uint8_t>{'a', 'b', 'c', 'a', 'b', 'c'});
}

TEST_CASE("image: a PNG that the decoder would show in other colours is refused") {
    const std::string data = chunk("IDAT", deflated(std::string(4, '\0'))) + unknown_chunk();
    CHECK(says(reason(png(chunk("CgBI", std::string(4, '\0')) + png_header(1, 1, 8, 2) + data)), {"chunk CgBI", "convert it first"}));
    CHECK(says(reason(png(png_header(1, 1, 2, 2) + data)), {"found colour type 2 of 2 bits a sample, which PNG does not have"}));
}

TEST_CASE("image: a PNG's header that the decoder does not take is told in its words, whatever else is wrong") {
    const std::string data = chunk("IDAT", deflated(std::string(4, '\0'))), size = big_endian(1, 4) + big_endian(1, 4);
    const auto header = [&](const std::string& rest) { return chunk("IHDR", size + rest); };
    CHECK(says(reason(png(header(std::string("\x08\2\1\0\0", 5)) + data)), {"bad comp method"}));
    CHECK(says(reason(png(header(std::string("\x08\2\0\1\0", 5)) + data)), {"bad filter method"}));
    CHECK(says(reason(png(header(std::string("\x08\2\0\0\2", 5)) + data)), {"bad interlace method"}));
    CHECK(says(reason(png(png_header(1, 1, 8, 2) + png_header(9, 9, 16, 6) + data)), {"multiple IHDR"}));
    CHECK(says(reason(png(png_header(1, 1, 8, 2))), {"no IDAT"}));
    CHECK(says(reason(png(png_header(1, 1, 8, 3) + data)), {"no PLTE"}));
    CHECK(says(reason(png(chunk("NONE", "") + png_header(1, 1, 8, 2) + data)), {"first not IHDR"}));
}

TEST_CASE("image: a BMP's colour beyond its palette is refused, at every depth and in either order of rows") {
    const std::string bytes("\0\1\2\xFF\3\4\4\xFF", 8);  // a row ends at a multiple of four bytes, in no pixel's colour
    CHECK(decode_image(bitmap(3, 2, 8, 5, bytes), "x").pixels ==
          std::vector<uint8_t>{3, 9, 15, 4, 12, 20, 4, 12, 20, 0, 0, 0, 1, 3, 5, 2, 6, 10});
    CHECK(decode_image(bitmap(1, 1, 8, 256, std::string("\xFF\0\0\0", 4)), "x").pixels == std::vector<uint8_t>{255, 253, 251});
    const std::string nibbles("\x12\x3F\0\0", 4), bits("\x20\0\0\0", 4);
    CHECK(decode_image(bitmap(3, 1, 4, 4, nibbles), "x").pixels == std::vector<uint8_t>{1, 3, 5, 2, 6, 10, 3, 9, 15});
    CHECK(decode_image(bitmap(2, 1, 1, 1, bits), "x").pixels == std::vector<uint8_t>(6, 0));
    CHECK(says(reason(bitmap(3, 1, 8, 4, std::string("\3\7\0\1", 4), 1, 1)), {"RLE"}));  // other bytes than colours; the decoder's matter

    const auto message = [](const std::string& bmp) { return complaint([&] { check_bmp_pixels(bmp); }); };
    CHECK(says(message(bitmap(3, 2, 8, 4, bytes, 0)), {"column 1, row 0: found colour 4, expected one below 4, as many as its palette"}));
    CHECK(says(message(bitmap(3, -2, 8, 4, bytes, 0)), {"column 1, row 1: found colour 4"}));
    CHECK(says(message(bitmap(3, 2, 8, 4, bytes, 0, -1)), {"column 1, row 0: found colour 4"}));
    CHECK(says(message(bitmap(3, 1, 4, 3, nibbles, 0)), {"column 2, row 0: found colour 3, expected one below 3"}));
    CHECK(says(message(bitmap(3, 1, 1, 1, bits, 0)), {"column 2, row 0: found colour 1, expected one below 1"}));

    // OS/2's header, as an array that is no image (of no planes): the decoder counts four of the sixteen colours too few.
    const auto os2 = [](const std::string& row) {
        const auto n = [](uint32_t value, int size) { return number(value, size, false); };
        return "BM" + n(0, 4) + n(0, 4) + n(26 + 48, 4) + n(12, 4) + n(2, 2) + n(1, 2) + n(0, 2) + n(4, 2) + std::string(48, 'p') + row;
    };
    CHECK(message(os2(std::string("\xBB\0\0\0", 4))) == "");
    CHECK(says(message(os2(std::string("\xBC\0\0\0", 4))), {"column 1, row 0: found colour 12, expected one below 12", "OS/2", "convert"}));
    CHECK(message("BM") == "");
    CHECK(message("no bitmap") == "");
}

TEST_CASE("image: a JPEG of four components must say that it is Adobe's CMYK or YCCK") {
    const std::string begin = "\xFF\xD8", end = "\xFF\xD9";
    const auto frame = [](int components) {
        std::string bytes = "\xFF\xC0" + big_endian(static_cast<uint32_t>(8 + 3 * components), 2) + std::string("\x08\0\1\0\1", 5);
        bytes += static_cast<char>(components);
        for (int i = 0; i < components; ++i) bytes += {static_cast<char>(i), '\x11', '\0'};
        return bytes;
    };
    const auto app14 = [](const std::string& data) { return "\xFF\xEE" + big_endian(static_cast<uint32_t>(data.size() + 2), 2) + data; };
    const auto adobe = [](char transform) { return std::string("Adobe\0\x64\0\0\0\0", 11) + transform; };
    const auto message = [&](const std::string& bytes) { return complaint([&] { check_jpeg(begin + bytes + end); }); };
    for (const char transform : {'\0', '\2'}) {
        CHECK(message(app14(adobe(transform)) + frame(4)) == "");
        CHECK(message(frame(4) + app14(adobe(transform))) == "");
    }
    for (const int components : {1, 3}) CHECK(message(frame(components)) == "");
    const std::string none = message(frame(4));
    CHECK(says(none, {"JPEG of four components (CMYK): found no Adobe segment (APP14)", "convert it to RGB first"}));
    CHECK(message(app14("Ducky" + adobe('\0')) + frame(4)) == none);
    CHECK(message(app14(adobe('\0').substr(0, 11)) + frame(4)) == none);
    CHECK(
        says(message(app14(adobe('\1')) + frame(4)), {"found an Adobe segment (APP14) of transform 1, expected one of transform 0 or 2"}));
    CHECK(says(message(app14(adobe('\0')) + frame(4) + app14(adobe('\1'))), {"of transform 1"}));  // the decoder goes by the last
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
