#include "data_image.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base_files.h"
#include "base_texts.h"
#include "data_image_parts.h"
#include "data_jpeg_check.h"
#include "data_jpeg_scans.h"

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace distill {
namespace {

/// Feeds a file's bytes to stb_image and notices when it asks for more than there are. stb goes on with zeros then, so half a JPEG
/// would pass as an image with a grey lower half. It asks in two ways: for its window (always the same buffer, first of all), where a
/// short answer is normal at the end and only an empty one is a lack; and for a given number of bytes into another buffer.
struct Feed {
    std::string_view bytes;
    size_t at = 0;
    const char* window = nullptr;
    bool starved = false;

    static int read(void* user, char* into, int size) {
        Feed& feed = *static_cast<Feed*>(user);
        if (!feed.window) feed.window = into;
        const size_t wanted = static_cast<size_t>(size), got = std::min(wanted, feed.bytes.size() - feed.at);
        std::memcpy(into, feed.bytes.data() + feed.at, got);
        feed.at += got;
        if (got == 0 || (got < wanted && into != feed.window)) feed.starved = true;
        return static_cast<int>(got);
    }
    static void skip(void* user, int n) {  // n < 0 steps back
        Feed& feed = *static_cast<Feed*>(user);
        const auto target = static_cast<int64_t>(feed.at) + n;
        feed.at = static_cast<size_t>(std::clamp<int64_t>(target, 0, static_cast<int64_t>(feed.bytes.size())));
    }
    static int eof(void* user) {
        const Feed& feed = *static_cast<Feed*>(user);
        return feed.at >= feed.bytes.size();
    }
};

constexpr stbi_io_callbacks callbacks{Feed::read, Feed::skip, Feed::eof};
/// How many pixels a byte of a file can stand for: of a BMP one a bit; of a PNG that times deflate's 1032; of a JPEG, whose every block
/// takes a bit and whose 32x32 pixels have at least eight blocks, 1024.
int64_t most_pixels_a_byte(std::string_view bytes) { return bytes[0] == 'B' ? 8 : bytes[0] == '\x89' ? 8 * 1032 : 1024; }

/// Refuses a header of a hundred bytes that claims gigabytes, which the decoder would allocate and fill before it misses the rest. False for
/// one that the decoder does not take: it will say why.
bool check_claim(std::string_view bytes) {
    constexpr int64_t most_samples = int64_t{1} << 28;
    Feed feed{bytes};
    int width = 0, height = 0, channels = 0;
    if (!stbi_info_from_callbacks(&callbacks, &feed, &width, &height, &channels)) return false;
    const int64_t pixels = std::abs(int64_t{width} * height);  // a BMP's height is negative where it begins at the top
    if (pixels == 0) input_error("it says that it has ", width, "x", height, " pixels, expected at least one");
    if (pixels > most_samples / channels)
        input_error("it says that it has ", width, "x", height, " pixels of ", channels, " samples, expected at most ", most_samples,
                    " samples");
    if (pixels / most_pixels_a_byte(bytes) > static_cast<int64_t>(bytes.size()))
        input_error("it says that it has ", width, "x", height, " pixels, which its ", bytes.size(), " bytes cannot hold");
    return true;
}

/// Source pixels [first, first + weights.size()) and how much of each an output pixel covers; the weights sum to the source's length.
struct Cover {
    int first;
    std::vector<uint32_t> weights;
};

/// In units of 1/out source pixels, source pixel j is [j*out, (j+1)*out) and output pixel i is [i*in, (i+1)*in).
std::vector<Cover> covers(int in, int out) {
    std::vector<Cover> result;
    for (int64_t i = 0; i < out; ++i) {
        const int64_t begin = i * in, end = begin + in;
        Cover cover{static_cast<int>(begin / out), {}};
        for (int64_t j = cover.first; j * out < end; ++j)
            cover.weights.push_back(static_cast<uint32_t>(std::min(end, (j + 1) * out) - std::max(begin, j * out)));
        result.push_back(std::move(cover));
    }
    return result;
}

/// stb's own answer: `channels` samples a pixel, the last of 2 and 4 is alpha.
Image without_alpha(const stbi_uc* samples, int width, int height, int channels) {
    Image image{height, width, {}};
    const size_t pixels = size_t(width) * size_t(height), step = size_t(channels);
    image.pixels.resize(3 * pixels);
    for (size_t i = 0; i < pixels; ++i, samples += step) {
        for (size_t c = 0; c < 3; ++c) image.pixels[3 * i + c] = samples[channels < 3 ? 0 : c];
        image.transparent |= channels % 2 == 0 && samples[step - 1] != 255;
    }
    return image;
}

Image decoded(std::string_view bytes) {
    if (is_pnm(bytes)) return decode_pnm(bytes);
    const int orientation = is_png(bytes) ? png_orientation(bytes) : jpeg_orientation(bytes);
    check_jpeg(bytes);
    if (check_claim(bytes)) {
        if (is_png(bytes)) check_png_pixels(bytes);
        check_bmp_pixels(bytes);
        check_jpeg_scans(bytes);
    }
    Feed feed{bytes};
    int width = 0, height = 0, channels = 0;
    stbi__g_failure_reason = nullptr;  // else a failure without a reason shows the one before
    const std::unique_ptr<stbi_uc, void (*)(void*)> samples(stbi_load_from_callbacks(&callbacks, &feed, &width, &height, &channels, 0),
                                                            &stbi_image_free);
    const char* const reason = stbi_failure_reason();
    if (!samples || feed.starved)
        input_error(samples ? "truncated" : printable(reason && *reason ? reason : "the decoder gives no reason"),
                    feed.starved ? text(", the image goes on where the file ends: byte ", bytes.size()) : "");
    Image image = without_alpha(samples.get(), width, height, channels);
    return orientation == 1 ? image : turn_upright(image, orientation);
}

}  // namespace

BrokenImage::BrokenImage(const std::string& name, const std::string& why)
    : InputError(
          text(name, ": cannot be decoded (", why, "), expected a whole JPEG, PNG, BMP, or raw PGM or PPM image; replace or remove it")),
      file(name),
      reason(why) {}

Image decode_image(std::string_view bytes, const std::string& name) {
    try {
        return decoded(bytes);
    } catch (const InputError& error) {
        throw BrokenImage(name, error.what());
    }
}

Image load_image(const std::filesystem::path& path) { return decode_image(read_file(path), path.string()); }

void resize_to_planes(const Image& image, int size, uint8_t* planes) {
    const std::vector<Cover> rows = covers(image.height, size), columns = covers(image.width, size);
    const size_t plane = size_t(size) * size_t(size);
    const uint64_t area = uint64_t(image.height) * uint64_t(image.width);
    std::vector<uint64_t> sums(size_t(size) * 3);
    for (int y = 0; y < size; ++y) {
        std::fill(sums.begin(), sums.end(), 0);
        for (size_t r = 0; r < rows[size_t(y)].weights.size(); ++r) {
            const uint8_t* const line = &image.pixels[(size_t(rows[size_t(y)].first) + r) * size_t(image.width) * 3];
            for (size_t x = 0; x < size_t(size); ++x) {
                const uint8_t* from = line + size_t(columns[x].first) * 3;
                uint64_t mix[3] = {0, 0, 0};
                for (const uint32_t weight : columns[x].weights)
                    for (int c = 0; c < 3; ++c) mix[c] += weight * uint64_t{*from++};
                for (size_t c = 0; c < 3; ++c) sums[x * 3 + c] += rows[size_t(y)].weights[r] * mix[c];
            }
        }
        for (size_t x = 0; x < size_t(size); ++x)
            for (size_t c = 0; c < 3; ++c)
                planes[c * plane + size_t(y) * size_t(size) + x] = static_cast<uint8_t>((sums[x * 3 + c] + area / 2) / area);
    }
}

}  // namespace distill
