#include "loader.h"

#include <algorithm>
#include <numeric>

#include "error.h"
#include "launch.h"
#include "philox.h"

namespace distill {
namespace {

/// One row is one line of one image of the batch.
struct GatherLine {
    const uint8_t* pixels;
    const int32_t *labels, *order, *position;  ///< position: first record in the order, epoch, step
    int64_t height, width;
    Augmentation augmentation;
    uint64_t seed;
    float scale[3], shift[3];  ///< value = byte·scale + shift
    float* images;
    int32_t* batch_labels;

    /// Index into the image of a coordinate of its padded form; −1: padding.
    DISTILL_HD static int64_t source(int64_t at, int64_t extent, bool reflect) {
        if (at >= 0 && at < extent) return at;
        if (!reflect) return -1;
        return at < 0 ? -at : 2 * extent - 2 - at;
    }
    int64_t moved_bytes() const { return 3 * width * static_cast<int64_t>(sizeof *pixels + sizeof *images); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, Lane lane) const {
        const int64_t n = row / height, line = row % height, record = order[position[0] + n];
        int64_t down = 0, right = 0;
        bool flip = false;
        if (augmentation.crop_flip) {
            const uint64_t key = random_key(seed, Purpose::augment, static_cast<uint64_t>(position[1]));
            const Random4 r = philox(key, static_cast<uint64_t>(record));
            const auto choices = static_cast<uint32_t>(2 * augmentation.pad + 1);
            down = static_cast<int64_t>((static_cast<uint64_t>(r.v[0]) * choices) >> 32) - augmentation.pad;
            right = static_cast<int64_t>((static_cast<uint64_t>(r.v[1]) * choices) >> 32) - augmentation.pad;
            flip = (r.v[2] >> 31) != 0;
        }
        const int64_t plane = height * width, w = width, y = source(line + down, height, augmentation.reflect);
        const uint8_t* from = pixels + record * 3 * plane + (y < 0 ? 0 : y) * w;
        float* to = images + row * w * 3;
        const bool reflect = augmentation.reflect;
        const float s0 = scale[0], s1 = scale[1], s2 = scale[2], t0 = shift[0], t1 = shift[1], t2 = shift[2];
        lane.each(w, [=](int64_t i) {
            const int64_t x = source((flip ? w - 1 - i : i) + right, w, reflect), at = x < 0 ? 0 : x;
            const float seen = y < 0 || x < 0 ? 0.0f : 1.0f;
            to[3 * i] = seen * static_cast<float>(from[at]) * s0 + t0;
            to[3 * i + 1] = seen * static_cast<float>(from[plane + at]) * s1 + t1;
            to[3 * i + 2] = seen * static_cast<float>(from[2 * plane + at]) * s2 + t2;
        });
        if (line == 0 && lane.first()) batch_labels[n] = labels[record];
    }
};

}  // namespace

Loader::Loader(Backend& backend, const Dataset& data, const LoaderOptions& options)
    : backend_(&backend), options_(options), height_(data.height), width_(data.width) {
    const auto require = [&](int64_t records, const char* part) {
        if (options.batch < 1 || options.batch > records)
            input_error("--batch ", options.batch, ": the ", part, " part of ", data.name, " has ", records,
                        " records; choose a batch from 1 to ", records);
    };
    require(data.train.records, "training");
    if (options.augmentation.crop_flip && options.augmentation.reflect && std::min(data.height, data.width) <= options.augmentation.pad)
        input_error(data.name, ": images of ", data.height, "x", data.width, " cannot be reflected by ", options.augmentation.pad,
                    " pixels");
    train_ = to_device(data.train);
    test_ = to_device(data.test);
    position_ = Tensor::integers(backend, {1, 1, 1, 3});
    order_ = Tensor::integers(backend, {1, 1, 1, train_.records});
    test_order_ = Tensor::integers(backend, {1, 1, 1, std::max<int64_t>(1, test_.records)});
    std::vector<int32_t> in_order(static_cast<size_t>(test_order_.size()));
    std::iota(in_order.begin(), in_order.end(), 0);
    test_order_.upload(in_order.data());
}

Loader::OnDevice Loader::to_device(const Split& split) const {
    OnDevice d;
    d.records = split.records;
    d.pixels = Tensor(*backend_, {1, 1, 1, static_cast<int64_t>(split.pixels.size() + 3) / 4});
    backend_->upload(d.pixels.data(), split.pixels.data(), split.pixels.size());
    d.labels = Tensor::integers(*backend_, {1, 1, 1, std::max<int64_t>(1, split.records)});
    backend_->upload(d.labels.ints(), split.labels.data(), split.labels.size() * sizeof(int32_t));
    return d;
}

int64_t Loader::steps_per_epoch() const {
    return options_.drop_last ? train_.records / options_.batch : (train_.records + options_.batch - 1) / options_.batch;
}

void Loader::begin_epoch(int64_t epoch) {
    epoch_ = static_cast<int32_t>(epoch);
    std::vector<int32_t> order(static_cast<size_t>(train_.records));
    std::iota(order.begin(), order.end(), 0);
    if (options_.shuffle) {
        const uint64_t key = random_key(options_.seed, Purpose::shuffle, static_cast<uint64_t>(epoch));
        std::vector<uint64_t> rank(order.size());
        for (size_t i = 0; i < rank.size(); ++i) {
            const Random4 r = philox(key, i);
            rank[i] = (static_cast<uint64_t>(r.v[0]) << 32) | r.v[1];
        }
        std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
            const uint64_t ra = rank[static_cast<size_t>(a)], rb = rank[static_cast<size_t>(b)];
            return ra != rb ? ra < rb : a < b;
        });
    }
    order_.upload(order.data());
}

Batch Loader::train_batch(int64_t step) { return gather(train_, order_, step, options_.augmentation); }

Batch Loader::test_batch(int64_t step) const {
    Augmentation none;
    none.crop_flip = false;
    return gather(test_, test_order_, step, none);
}

Batch Loader::gather(const OnDevice& from, const Tensor& order, int64_t step, const Augmentation& augmentation) const {
    const int64_t first = step * options_.batch, count = std::min(options_.batch, from.records - first);
    const int32_t position[3] = {static_cast<int32_t>(first), epoch_, static_cast<int32_t>(epoch_ * steps_per_epoch() + step)};
    Tensor(position_).upload(position);
    Batch batch{Var(Tensor(*backend_, {count, height_, width_, 3})), Tensor::integers(*backend_, {count, 1, 1, 1}), position_.view(2, {})};
    GatherLine g{};
    g.pixels = reinterpret_cast<const uint8_t*>(from.pixels.data());
    g.labels = from.labels.ints();
    g.order = order.ints();
    g.position = position_.ints();
    g.height = height_;
    g.width = width_;
    g.augmentation = augmentation;
    g.seed = options_.seed;
    for (int c = 0; c < 3; ++c) {
        g.scale[c] = 1.0f / options_.normalization.std[c];
        g.shift[c] = -options_.normalization.mean[c] / options_.normalization.std[c];
    }
    g.images = batch.images.data();
    g.batch_labels = batch.labels.ints();
    for_each_row(*backend_, count * height_, width_ * 3, g);
    return batch;
}

}  // namespace distill
