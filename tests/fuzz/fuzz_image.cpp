// Images: our checks, then the decoder, then the resizing. The checksums of a PNG are set right, too, so that what they guard is reached.
#pragma clang attribute push(__attribute__((no_sanitize("undefined"))), apply_to = function)  // the writer of the seeds is not at stake
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma clang attribute pop
#include <zlib.h>

#include <functional>
#include <vector>

#include "base_error.h"
#include "data_image.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

std::string pixels(int width, int height, int channels) {
    std::string all;
    for (int i = 0; i < width * height * channels; ++i) all += char(i * 37 % 251);
    return all;
}

void append(void* to, void* data, int size) { static_cast<std::string*>(to)->append(static_cast<const char*>(data), size_t(size)); }

std::string collected(const std::function<int(std::string*)>& write) {
    std::string bytes;
    require(write(&bytes) != 0, "stb_image_write writes");
    return bytes;
}

uint32_t big_endian(const std::string& bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | uint8_t(bytes[at + i]);
    return value;
}

void put_big_endian(std::string& bytes, size_t at, uLong value) {
    for (size_t i = 0; i < 4; ++i) bytes[at + i] = char(value >> (24 - 8 * i));
}

/// The Adler-32 of an IDAT as it should be, where all of the compressed data lies in it and is not large.
void set_adler(std::string& png, size_t data, size_t length) {
    static std::vector<Bytef> inflated(1 << 16);
    z_stream stream{};
    require(inflateInit2(&stream, -15) == Z_OK, "zlib begins");  // without the two bytes before the data and the sum behind it
    stream.next_in = reinterpret_cast<Bytef*>(&png[data + 2]);
    stream.avail_in = uInt(length - 2);
    stream.next_out = inflated.data();
    stream.avail_out = uInt(inflated.size());
    if (inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in >= 4)
        put_big_endian(png, data + length - stream.avail_in, adler32(1, inflated.data(), uInt(stream.total_out)));
    inflateEnd(&stream);
}

/// Every whole chunk's checksum as it should be.
std::string with_checksums(std::string png) {
    for (size_t at = 8; at + 12 <= png.size();) {
        const size_t length = big_endian(png, at);
        if (length > png.size() - at - 12) break;
        if (length > 2 && png.compare(at + 4, 4, "IDAT") == 0) set_adler(png, at + 8, length);
        put_big_endian(png, at + 8 + length, crc32(0, reinterpret_cast<const Bytef*>(&png[at + 4]), uInt(length + 4)));
        at += length + 12;
    }
    return png;
}

/// A turned one: "Orientation: 6" as EXIF has it, in a JPEG's APP1 behind the first marker, in a PNG's eXIf behind the header.
std::string with_exif(std::string image) {
    static const std::string turned("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26);
    static const std::string app1("\xFF\xE1\0\x22\x45xif\0\0", 10), chunk("\0\0\0\x1A\x65XIf", 8);
    if (image[0] == '\xFF') return image.insert(2, app1 + turned);
    return with_checksums(image.insert(33, chunk + turned + "sum_"));
}

/// Eight pixels of a palette of three colours in two bits each; and the same in a byte each as a bitmap.
std::string indexed_png() {
    std::string png("\x89PNG\r\n\x1a\n\0\0\0\xDIHDR\0\0\0\x8\0\0\0\1\2\3\0\0\0sum_", 33);
    png += std::string("\0\0\0\x9PLTE", 8) + pixels(3, 1, 3) + "sum_";
    png += std::string("\0\0\0\xEIDAT\x78\1\1\3\0\xFC\xFF\0\x18\x24sum_", 22) + "sum_";  // stored as it is
    return with_checksums(png + std::string("\0\0\0\0IENDsum_", 12));
}

std::string indexed_bmp() {
    std::string bmp("BM\0\0\0\0\0\0\0\0\x42\0\0\0\x28\0\0\0\x8\0\0\0\1\0\0\0\1\0\x8\0", 30);
    bmp += std::string(16, '\0') + std::string("\3\0\0\0\0\0\0\0", 8);
    return bmp + pixels(3, 1, 4) + std::string("\0\1\2\0\0\2\1\0", 8);
}

void load(const std::string& bytes) {
    const Image image = decode_image(bytes, "input");
    require(image.height > 0 && image.width > 0, "an image has a pixel");
    require(image.pixels.size() == size_t{3} * size_t(image.height) * size_t(image.width), "an image has all its pixels");
    std::vector<uint8_t> planes(3 * 5 * 5);
    resize_to_planes(image, 5, planes.data());
}

}  // namespace

std::vector<std::string> seeds() {
    std::vector<std::string> all = {"P6\n3 2\n255\n" + pixels(3, 2, 3), "P5\n# grey\n4 4\n255\n" + pixels(4, 4, 1),
                                    "P5 2 2 15\n" + std::string(4, '\5')};
    for (const int channels : {1, 2, 3, 4})
        all.push_back(collected(
            [&](std::string* to) { return stbi_write_png_to_func(append, to, 7, 5, channels, pixels(7, 5, channels).data(), 0); }));
    for (const int quality : {20, 95})  // with chroma at half the size, and without
        all.push_back(
            collected([&](std::string* to) { return stbi_write_jpg_to_func(append, to, 17, 9, 3, pixels(17, 9, 3).data(), quality); }));
    for (const size_t plain : {5, 7}) all.push_back(with_exif(all[plain]));  // a PNG and a JPEG
    all.push_back(collected([&](std::string* to) { return stbi_write_bmp_to_func(append, to, 5, 3, 3, pixels(5, 3, 3).data()); }));
    all.push_back(indexed_png());
    all.push_back(indexed_bmp());
    for (const auto& kind : fs::directory_iterator(fs::path(__FILE__).parent_path().parent_path() / "golden/jpeg"))
        all.push_back(read_file(kind.path()));  // progressive, with restarts, of several scans: nothing here writes such
    return all;
}

void parse(const std::string& bytes) {
    if (bytes.compare(0, 8, "\x89PNG\r\n\x1a\n") == 0) {
        try {
            load(with_checksums(bytes));
        } catch (const InputError&) {  // then as it is
        }
    }
    load(bytes);
}

}  // namespace distill::fuzz
