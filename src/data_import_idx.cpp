#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include "base_error.h"
#include "base_files.h"
#include "data_image.h"
#include "data_import_sources.h"

namespace distill {
namespace {

constexpr int kSide = 28, kPadded = 32;

/// The file, or its .gz; zlib reads both.
fs::path idx_path(const fs::path& folder, const std::string& name) {
    for (const std::string& candidate : {name + ".gz", name})
        if (fs::is_regular_file(folder / candidate)) return folder / candidate;
    input_error((folder / (name + ".gz")).string(), ": is missing, expected Fashion-MNIST's four idx files in --from; ",
                "Debian's package dataset-fashion-mnist has them (`make deps` installs it)");
}

/// An idx file of bytes: big-endian magic 0x0000080<d>, d sizes, data. Returns the data; `sizes` must match, except the first (read).
std::vector<uint8_t> read_idx(const fs::path& path, std::vector<uint32_t> sizes, uint32_t& count) {
    const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(path.c_str(), "rb"), &gzclose);
    if (!in) cannot_read(path, errno);
    const auto fill = [&](uint8_t* into, size_t bytes, const char* what) {
        for (size_t done = 0; done < bytes;) {
            const int got = gzread(in.get(), into + done, unsigned(std::min<size_t>(bytes - done, 1 << 20)));
            int error = Z_OK;
            if (got < 0 && gzerror(in.get(), &error) && error == Z_ERRNO) cannot_read(path, errno);
            if (got <= 0)
                input_error(path.string(), ": ends after ", done, " of ", bytes, " bytes of ", what,
                            "; it is truncated or damaged: install or copy it again");
            done += size_t(got);
        }
    };
    const auto number = [&] {
        uint8_t b[4];
        fill(b, 4, "a number in its header");
        return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
    };
    const uint32_t magic = number(), expected = 0x800u + uint32_t(sizes.size());
    if (magic != expected)
        input_error(path.string(), ": byte 0: found magic number ", magic, ", expected ", expected, " (idx, bytes, ", sizes.size(), "-d)");
    size_t bytes = 1;
    for (size_t i = 0; i < sizes.size(); ++i) {
        const uint32_t found = number();
        if (i > 0 && found != sizes[i]) input_error(path.string(), ": byte ", 4 + 4 * i, ": found size ", found, ", expected ", sizes[i]);
        if (i == 0) count = found;
        bytes *= found;
    }
    // Grown as it is read: a damaged header then costs an error message, not gigabytes.
    std::vector<uint8_t> data;
    while (data.size() < bytes) {
        const size_t at = data.size(), step = std::min<size_t>(bytes - at, 1 << 22);
        data.resize(at + step);
        fill(&data[at], step, text("data (at ", at, " of ", bytes, ")").c_str());
    }
    uint8_t beyond;
    if (gzread(in.get(), &beyond, 1) != 0) input_error(path.string(), ": goes on after its ", bytes, " bytes of data; copy it again");
    return data;
}

ImportPart idx_part(const ImportOptions& options, const std::string& prefix, int classes) {
    const fs::path image_path = idx_path(options.from, prefix + "-images-idx3-ubyte");
    const fs::path label_path = idx_path(options.from, prefix + "-labels-idx1-ubyte");
    uint32_t images = 0, labels = 0;
    const auto pixels = std::make_shared<const std::vector<uint8_t>>(read_idx(image_path, {0, kSide, kSide}, images));
    const std::vector<uint8_t> label = read_idx(label_path, {0}, labels);
    if (images != labels) input_error(label_path.string(), ": found ", labels, " labels, expected ", images, " as ", image_path.string());

    ImportPart part;
    std::vector<int> count(10, 0);
    const auto chosen = std::make_shared<std::vector<size_t>>();
    for (size_t i = 0; i < labels; ++i) {
        if (label[i] >= 10)
            input_error(label_path.string(), ": record ", i, " (byte ", 8 + i, "): found label ", int{label[i]}, ", expected 0 to 9");
        if (label[i] >= classes || (options.limit > 0 && count[label[i]]++ >= options.limit)) continue;
        part.labels.push_back(label[i]);
        chosen->push_back(i);
    }
    part.draw = [pixels, chosen, size = options.size](size_t i, uint8_t* planes) {
        Image padded{kPadded, kPadded, std::vector<uint8_t>(size_t{kPadded} * kPadded * 3, 0)};
        const uint8_t* from = &(*pixels)[(*chosen)[i] * kSide * kSide];
        constexpr int margin = (kPadded - kSide) / 2;
        for (int y = 0; y < kSide; ++y)
            for (int x = 0; x < kSide; ++x, ++from)
                for (int c = 0; c < 3; ++c) padded.pixels[size_t(((y + margin) * kPadded + x + margin) * 3 + c)] = *from;
        resize_to_planes(padded, size, planes);
        return Drawn{};
    };
    return part;
}

}  // namespace

ImportSource list_fashion_mnist(const ImportOptions& options) {
    ImportSource source;
    // Names as in the data set's own README (Debian: /usr/share/doc/dataset-fashion-mnist).
    for (const char* name : {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"})
        source.classes.push_back({name, ""});
    if (options.classes > 10) input_error("--classes: found ", options.classes, ", expected at most 10, Fashion-MNIST's");
    if (options.classes > 0) source.classes.resize(size_t(options.classes));
    source.train = idx_part(options, "train", int(source.classes.size()));
    source.test = idx_part(options, "t10k", int(source.classes.size()));
    return source;
}

}  // namespace distill
