// Fashion-MNIST's idx files: labels and images, plain or gzipped, and the drawing of every image.
#include <zlib.h>

#include "data_import.h"
#include "data_import_sources.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

constexpr size_t side = 28;

std::string idx(const std::vector<uint32_t>& sizes, const std::string& data) {
    std::string bytes{'\0', '\0', '\x8', char(sizes.size())};
    for (const uint32_t size : sizes)
        for (int shift = 24; shift >= 0; shift -= 8) bytes += char(size >> shift);
    return bytes + data;
}

std::string gzipped(const std::string& bytes) {
    const fs::path path = folder() / "gz";
    const gzFile out = gzopen(path.c_str(), "wb");
    gzwrite(out, bytes.data(), unsigned(bytes.size()));
    gzclose(out);
    return read_file(path);
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string labels = idx({2}, {'\1', '\7'}), images = idx({2, side, side}, std::string(2 * side * side, 'x'));
    return {joined_parts({labels, images}), joined_parts({gzipped(labels), gzipped(images)}),
            joined_parts({idx({0}, ""), idx({0, side, side}, "")})};
}

void parse(const std::string& bytes) {
    const std::vector<std::string> parts = parts_of(bytes, 2);
    for (const char* part : {"train", "t10k"}) {
        file_of(parts[0], (std::string(part) + "-labels-idx1-ubyte").c_str());
        file_of(parts[1], (std::string(part) + "-images-idx3-ubyte").c_str());
    }
    ImportOptions options;
    options.kind = "fashion-mnist";
    options.from = folder();
    options.size = 8;
    options.classes = 9;
    const ImportSource source = list_fashion_mnist(options);
    std::vector<uint8_t> planes(3 * 8 * 8);
    for (size_t i = 0; i < source.train.labels.size(); ++i) {
        require(source.train.labels[i] < 9, "a label is one of the chosen classes");
        source.train.draw(i, planes.data());
    }
}

}  // namespace distill::fuzz
