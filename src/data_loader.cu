#include "data_loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base_error.h"
#include "core_philox.h"
#include "launch.h"

namespace distill {
namespace {

/// One row is one line of one image of the batch. T: what an element of the batch is.
template <class T>
struct GatherLine {
    const uint8_t* pixels;
    const int32_t *labels, *order;
    const int32_t* position;  ///< first record in the order, epoch; or null, then `first`
    int64_t first;
    int64_t height, width;
    Augmentation augmentation;
    uint64_t start;
    float scale[3], shift[3];  ///< value = byte·scale + shift
    T* images;
    int32_t *batch_labels, *batch_records;

    /// Index into the image of a coordinate of its padded form; −1: padding.
    DISTILL_HD static int64_t source(int64_t at, int64_t extent, bool reflect) {
        if (at >= 0 && at < extent) return at;
        if (!reflect) return -1;
        return at < 0 ? -at : 2 * extent - 2 - at;
    }
    int64_t moved_bytes() const { return 3 * width * static_cast<int64_t>(sizeof *pixels + sizeof *images); }
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, Lane lane) const {
        const int64_t n = row / height, line = row % height, record = order[(position ? position[0] : first) + n];
        int64_t down = 0, right = 0;
        bool flip = false;
        if (augmentation.crop_flip) {
            const uint64_t key = random_key(start, Purpose::augment, static_cast<uint64_t>(position[1]));
            const Random4 r = philox(key, static_cast<uint64_t>(record));
            const auto choices = static_cast<uint32_t>(2 * augmentation.pad + 1);
            down = static_cast<int64_t>((static_cast<uint64_t>(r.v[0]) * choices) >> 32) - augmentation.pad;
            right = static_cast<int64_t>((static_cast<uint64_t>(r.v[1]) * choices) >> 32) - augmentation.pad;
            flip = (r.v[2] >> 31) != 0;
        }
        const int64_t plane = height * width, w = width, y = source(line + down, height, augmentation.reflect);
        const uint8_t* from = pixels + record * 3 * plane + (y < 0 ? 0 : y) * w;
        T* to = images + row * w * 3;
        const bool reflect = augmentation.reflect;
        const float s0 = scale[0], s1 = scale[1], s2 = scale[2], t0 = shift[0], t1 = shift[1], t2 = shift[2];
        lane.each(w, [=](int64_t i) {
            const int64_t x = source((flip ? w - 1 - i : i) + right, w, reflect), at = x < 0 ? 0 : x;
            const float seen = y < 0 || x < 0 ? 0.0f : 1.0f;
            to[3 * i] = seen * static_cast<float>(from[at]) * s0 + t0;
            to[3 * i + 1] = seen * static_cast<float>(from[plane + at]) * s1 + t1;
            to[3 * i + 2] = seen * static_cast<float>(from[2 * plane + at]) * s2 + t2;
        });
        if (line == 0 && lane.first()) {
            batch_labels[n] = labels[record];
            batch_records[n] = static_cast<int32_t>(record);
        }
    }
};

struct Advance {
    int32_t* position;
    int32_t batch;
    DISTILL_HD void operator()(int64_t) const {
        position[0] += batch;
        ++position[2];
        ++position[3];
    }
};

DeviceData::Part to_device(Backend& backend, const Split& split, const std::string& set) {
    DeviceData::Part d;
    d.records = split.records;
    try {
        d.pixels = Tensor(backend, {1, 1, 1, static_cast<int64_t>(split.pixels.size() + 3) / 4});
        d.labels = Tensor::integers(backend, {1, 1, 1, std::max<int64_t>(1, split.records)});
    } catch (const OutOfMemory& e) {  // whose remedy is a smaller batch
        does_not_fit("data set " + set, split.records, static_cast<int64_t>(split.pixels.size()), e.found);
    }
    backend.upload(d.pixels.data(), split.pixels.data(), split.pixels.size());
    backend.upload(d.labels.ints(), split.labels.data(), split.labels.size() * sizeof(int32_t));
    return d;
}

}  // namespace

DeviceData::DeviceData(Backend& backend, const Dataset& data)
    : name(data.name),
      height(data.height),
      width(data.width),
      train(to_device(backend, data.train, name)),
      test(to_device(backend, data.test, name)) {
    backend.synchronize();
}

std::vector<uint8_t> DeviceData::image_bytes(const Part& part) const {
    const std::vector<float> elements = part.pixels.to_host();
    std::vector<uint8_t> bytes(static_cast<size_t>(part.records * 3 * height * width));
    if (!bytes.empty()) std::memcpy(bytes.data(), elements.data(), bytes.size());
    return bytes;
}

Loader::Loader(Backend& backend, std::shared_ptr<const DeviceData> shared, const LoaderOptions& options)
    : backend_(&backend), data_(std::move(shared)), options_(options) {
    const DeviceData& data = *data_;
    const auto require = [&](int64_t records, const char* part) {
        if (options.batch < 1 || options.batch > records)
            input_error(options.batch_option, " ", options.batch, ": the ", part, " part of ", data.name, " has ", records,
                        " records; choose a batch from 1 to ", records);
    };
    if (options.trains) require(data.train.records, "training");
    options_.batch = std::min(options.batch, std::max<int64_t>({1, data.train.records, data.test.records}));  // sums of it stay small
    if (options.augmentation.crop_flip && options.augmentation.reflect && std::min(data.height, data.width) <= options.augmentation.pad)
        input_error(data.name, ": images of ", data.height, "x", data.width, " cannot be reflected by ", options.augmentation.pad,
                    " pixels");
    position_ = Tensor::integers(backend, {1, 1, 1, 4});
    order_ = Tensor::integers(backend, {1, 1, 1, std::max<int64_t>(1, data.train.records)});
    test_order_ = Tensor::integers(backend, {1, 1, 1, std::max<int64_t>(1, data.test.records)});
    std::vector<int32_t> in_order(static_cast<size_t>(test_order_.size()));
    std::iota(in_order.begin(), in_order.end(), 0);
    test_order_.upload(in_order.data());
}

int64_t Loader::steps_per_epoch() const {
    const int64_t records = data_->train.records;
    return options_.drop_last ? records / options_.batch : (records + options_.batch - 1) / options_.batch;
}

int64_t Loader::batch_size(int64_t step) const { return std::min(options_.batch, data_->train.records - step * options_.batch); }

void Loader::begin_epoch(int64_t epoch, int64_t step, std::string_view phase) {
    draws_ = phase.empty() ? options_.start : random_key(options_.start, Purpose::start, hash_name(phase));
    std::vector<int32_t> order(static_cast<size_t>(data_->train.records));
    std::iota(order.begin(), order.end(), 0);
    if (options_.shuffle) {
        const uint64_t key = random_key(draws_, Purpose::shuffle, static_cast<uint64_t>(epoch));
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
    int32_t position[4];
    const int64_t values[4] = {step * options_.batch, epoch, epoch * steps_per_epoch() + step, step};
    std::transform(values, values + 4, position, [](int64_t v) { return static_cast<int32_t>(v); });
    position_.upload(position);
}

Batch Loader::train_batch(int64_t images) {
    return gather(data_->train, images, order_.ints(), position_.ints(), 0, options_.augmentation);
}

void Loader::advance() { for_each_element(*backend_, 1, Advance{position_.ints(), static_cast<int32_t>(options_.batch)}); }

Batch Loader::test_batch(int64_t step) const {
    Augmentation none;
    none.crop_flip = false;
    const int64_t first = step * options_.batch;
    return gather(data_->test, std::min(options_.batch, test_records() - first), test_order_.ints(), nullptr, first, none);
}

Batch Loader::gather(const DeviceData::Part& from, int64_t images, const int32_t* order, const int32_t* position, int64_t first,
                     const Augmentation& augmentation) const {
    const int64_t height = data_->height, width = data_->width;
    Batch batch{Var(Tensor(*backend_, {images, height, width, 3}, backend_->activation_type())),
                Tensor::integers(*backend_, {images, 1, 1, 1}), position_.view(2, {}), Tensor::integers(*backend_, {images, 1, 1, 1})};
    with_type(batch.images.type(), [&](auto t) {
        using T = decltype(t);
        GatherLine<T> g{};
        g.pixels = reinterpret_cast<const uint8_t*>(from.pixels.data());
        g.labels = from.labels.ints();
        g.order = order;
        g.position = position;
        g.first = first;
        g.height = height;
        g.width = width;
        g.augmentation = augmentation;
        g.start = draws_;
        for (int c = 0; c < 3; ++c) {
            g.scale[c] = 1.0f / options_.normalization.std[c];
            g.shift[c] = -options_.normalization.mean[c] / options_.normalization.std[c];
        }
        g.images = batch.images.as<T>();
        g.batch_labels = batch.labels.ints();
        g.batch_records = batch.records.ints();
        for_each_row(*backend_, images * height, width * 3, g);
    });
    return batch;
}

}  // namespace distill
