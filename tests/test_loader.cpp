#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <numeric>
#include <set>
#include <vector>

#include "complaints.h"
#include "core_backend.h"
#include "data_loader.h"
#include "device.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr int kSide = 16, kPad = 4, kMiddle = kSide / 2;  // the middle pixel is in every crop: kPad < kMiddle

/// Every pixel tells where it is from: red = its row + 1, green = its column + 1, blue = its record + 1; padding alone has 0.
Split signposts(int64_t records, int first) {
    Split s;
    s.records = records;
    for (int64_t r = 0; r < records; ++r) {
        s.labels.push_back(static_cast<int32_t>((first + r) % 7));
        for (int plane = 0; plane < 3; ++plane)
            for (int y = 0; y < kSide; ++y)
                for (int x = 0; x < kSide; ++x)
                    s.pixels.push_back(static_cast<uint8_t>(1 + (plane == 0 ? y : plane == 1 ? x : first + static_cast<int>(r))));
    }
    return s;
}

Dataset signposted(int64_t train, int64_t test) {
    Dataset d;
    d.name = "signposts";
    d.height = d.width = kSide;
    d.classes = 7;
    d.train = signposts(train, 0);
    d.test = signposts(test, 100);
    return d;
}

/// Raw bytes come out (mean 0, std 1), in batches of 16.
LoaderOptions raw(bool crop_flip, bool shuffle = true) {
    LoaderOptions o;
    o.batch = 16;
    o.shuffle = shuffle;
    o.start = 5;
    o.augmentation.crop_flip = crop_flip;
    return o;
}

/// A batch in host memory.
struct Seen {
    int64_t n;
    std::vector<float> images;
    std::vector<int32_t> labels, records;
    explicit Seen(const Batch& b)
        : n(b.size()),
          images(b.images.value().to_host()),
          labels(b.labels.ints(), b.labels.ints() + n),
          records(b.records.ints(), b.records.ints() + n) {
        REQUIRE(b.images.shape() == Shape{n, kSide, kSide, 3});
    }
    int at(int64_t image, int y, int x, int channel) const {
        return static_cast<int>(images[static_cast<size_t>(((image * kSide + y) * kSide + x) * 3 + channel)]);
    }
    int record(int64_t image) const { return at(image, kMiddle, kMiddle, 2) - 1; }
    bool operator==(const Seen& o) const { return images == o.images && labels == o.labels; }
};

std::vector<Seen> epoch_of(Loader& loader, int64_t epoch) {
    loader.begin_epoch(epoch);
    std::vector<Seen> batches;
    for (int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
        batches.emplace_back(loader.train_batch(loader.batch_size(step)));
        loader.advance();
    }
    return batches;
}

std::vector<int> order_of(const std::vector<Seen>& epoch) {
    std::vector<int> records;
    for (const Seen& b : epoch)
        for (int64_t i = 0; i < b.n; ++i) records.push_back(b.record(i));
    return records;
}

/// What was done to an image, read off its middle.
struct Crop {
    int down, right;
    bool flip;
};
Crop crop_of(const Seen& b, int64_t image) {
    const int column = b.at(image, kMiddle, kMiddle, 1), next = b.at(image, kMiddle, kMiddle + 1, 1);
    const bool flip = next < column;
    return {b.at(image, kMiddle, kMiddle, 0) - 1 - kMiddle, column - 1 - (flip ? kSide - 1 - kMiddle : kMiddle), flip};
}

/// The pixel that a naive crop of the padded, then flipped image shows: (row, column) counted from 1, or 0 for padding.
std::array<int, 2> expected_at(const Crop& c, int y, int x, bool reflect) {
    const auto source = [&](int at) {
        if (at >= 0 && at < kSide) return at + 1;
        if (!reflect) return 0;
        return (at < 0 ? -at : 2 * (kSide - 1) - at) + 1;
    };
    const int row = source(y + c.down), column = source((c.flip ? kSide - 1 - x : x) + c.right);
    return row == 0 || column == 0 ? std::array<int, 2>{0, 0} : std::array<int, 2>{row, column};
}

}  // namespace

TEST_CASE("loader: an epoch's order is a permutation, another one for every epoch and seed") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 3);
    Loader loader(*backend, data, raw(false));
    const std::vector<int> first = order_of(epoch_of(loader, 0)), second = order_of(epoch_of(loader, 1));
    std::vector<int> all(50);
    std::iota(all.begin(), all.end(), 0);
    CHECK(first != all);
    CHECK(first != second);
    CHECK(order_of(epoch_of(loader, 0)) == first);
    for (std::vector<int> order : {first, second}) {
        std::sort(order.begin(), order.end());
        CHECK(order == all);
    }
    LoaderOptions options = raw(false);
    options.start = 6;
    Loader other(*backend, data, options);
    CHECK(order_of(epoch_of(other, 0)) != first);

    Loader consecutive(*backend, data, raw(true, false));
    CHECK(order_of(epoch_of(consecutive, 3)) == all);
}

TEST_CASE("loader: a batch tells which records its images are, in training and in testing") {
    const auto backend = make_backend("cpu");
    Loader loader(*backend, signposted(40, 20), raw(true));
    for (const Seen& b : epoch_of(loader, 3))
        for (int64_t i = 0; i < b.n; ++i) CHECK(b.records[static_cast<size_t>(i)] == b.record(i));
    const Seen last(loader.test_batch(1));
    CHECK(last.records == std::vector<int32_t>{16, 17, 18, 19});
}

TEST_CASE("loader: the last batch is smaller, or left out") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 20);
    LoaderOptions options = raw(true);
    Loader loader(*backend, data, options);
    const auto batches = epoch_of(loader, 0);
    REQUIRE(batches.size() == 4);
    CHECK(batches[0].n == 16);
    CHECK(batches[3].n == 2);
    for (const Seen& b : batches)
        for (int64_t i = 0; i < b.n; ++i) CHECK(b.labels[static_cast<size_t>(i)] == b.record(i) % 7);
    CHECK(loader.test_steps() == 2);
    CHECK(loader.test_batch(1).size() == 4);

    options.drop_last = true;
    Loader dropping(*backend, data, options);
    const auto whole = epoch_of(dropping, 0);
    REQUIRE(whole.size() == 3);
    CHECK(whole[2] == batches[2]);
    CHECK(dropping.test_steps() == 2);  // testing leaves nothing out
}

TEST_CASE("loader: an epoch goes on from any step, testing moves nothing, and a batch tells its step") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 20);
    Loader loader(*backend, data, raw(true));
    const auto whole = epoch_of(loader, 3);
    for (const int64_t from : {0, 1, 3}) {
        Loader fresh(*backend, data, raw(true));
        fresh.begin_epoch(3, from);
        for (int64_t step = from; step < 4; ++step) {
            const Batch batch = fresh.train_batch(fresh.batch_size(step));
            CHECK(Seen(batch) == whole[static_cast<size_t>(step)]);
            fresh.test_batch(1);
            CHECK(Seen(fresh.train_batch(fresh.batch_size(step))) == whole[static_cast<size_t>(step)]);  // until it advances
            CHECK(batch.step.ints()[0] == 3 * 4 + step);
            CHECK(fresh.step_of_epoch().ints()[0] == step);
            fresh.advance();
        }
    }
}

TEST_CASE("loader: several read one data set in device memory") {
    const auto here = make_backend("cpu"), there = make_backend("cpu");
    const Dataset data = signposted(50, 20);
    const auto shared = std::make_shared<const DeviceData>(*here, data);
    const size_t bytes = here->arena().system_bytes();
    Loader own(*here, data, raw(true)), first(*there, shared, raw(true)), second(*there, shared, raw(true));
    CHECK(there->arena().system_bytes() < bytes);
    CHECK(epoch_of(first, 1) == epoch_of(own, 1));
    CHECK(epoch_of(second, 1) == epoch_of(own, 1));
    CHECK(Seen(first.test_batch(1)) == Seen(own.test_batch(1)));
}

TEST_CASE("loader: crop and flip are what a naive loop does, with either padding") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 3);
    for (const bool reflect : {false, true}) {
        CAPTURE(reflect);
        LoaderOptions options = raw(true);
        options.augmentation.reflect = reflect;
        Loader loader(*backend, data, options);
        int wrong = 0, padded = 0;
        for (const Seen& b : epoch_of(loader, 0))
            for (int64_t i = 0; i < b.n; ++i) {
                const Crop c = crop_of(b, i);
                for (int y = 0; y < kSide; ++y)
                    for (int x = 0; x < kSide; ++x) {
                        const auto want = expected_at(c, y, x, reflect);
                        wrong += b.at(i, y, x, 0) != want[0] || b.at(i, y, x, 1) != want[1] ||
                                 b.at(i, y, x, 2) != (want[0] ? b.record(i) + 1 : 0);
                        padded += want[0] == 0;
                    }
            }
        CHECK(wrong == 0);
        CHECK((padded > 0) == !reflect);
    }
}

TEST_CASE("loader: crops are uniform, flips are even, both fresh for every epoch and record") {
    const auto backend = make_backend("cpu");
    constexpr int records = 60, epochs = 40, draws = records * epochs;
    Loader loader(*backend, signposted(records, 3), raw(true));
    std::array<int, 2 * kPad + 1> down{}, right{};
    int flips = 0, both = 0;
    std::set<std::vector<int>> sequences;
    for (int epoch = 0; epoch < epochs; ++epoch) {
        std::vector<int> sequence(records);
        for (const Seen& b : epoch_of(loader, epoch))
            for (int64_t i = 0; i < b.n; ++i) {
                const Crop c = crop_of(b, i);
                REQUIRE(std::abs(c.down) <= kPad);
                REQUIRE(std::abs(c.right) <= kPad);
                ++down[static_cast<size_t>(c.down + kPad)];
                ++right[static_cast<size_t>(c.right + kPad)];
                flips += c.flip;
                both += c.flip && c.down > 0;
                sequence[static_cast<size_t>(b.record(i))] = c.down * 100 + c.right * 2 + c.flip;
            }
        CHECK(std::set<int>(sequence.begin(), sequence.end()).size() > 20);
        sequences.insert(sequence);
    }
    CHECK(sequences.size() == epochs);
    // Five standard deviations of a binomial count on either side.
    const auto expect = [&](int count, double p) {
        const double spread = 5 * std::sqrt(draws * p * (1 - p));
        CHECK(std::abs(count - draws * p) < spread);
    };
    for (const int count : down) expect(count, 1.0 / 9);
    for (const int count : right) expect(count, 1.0 / 9);
    expect(flips, 0.5);
    expect(both, 0.5 * 4 / 9);
}

TEST_CASE("loader: a record's crop does not depend on its place in the batch") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 3);
    Loader mixed(*backend, data, raw(true)), straight(*backend, data, raw(true, false));
    const auto straight_batches = epoch_of(straight, 2);
    for (const Seen& b : epoch_of(mixed, 2))
        for (int64_t i = 0; i < b.n; ++i) {
            const int record = b.record(i);
            const Crop here = crop_of(b, i), there = crop_of(straight_batches[static_cast<size_t>(record / 16)], record % 16);
            CHECK(here.down == there.down);
            CHECK(here.right == there.right);
            CHECK(here.flip == there.flip);
        }
}

TEST_CASE("loader: threads change nothing") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 20);
    const int before = omp_get_max_threads();
    std::vector<std::vector<Seen>> epochs;
    for (const int threads : {1, 2, 3}) {
        omp_set_num_threads(threads);
        LoaderOptions options = raw(true);
        options.batch = 40;  // 30,720 values: enough that the kernel does run in parallel
        Loader loader(*backend, data, options);
        epochs.push_back(epoch_of(loader, 1));
        epochs.back().emplace_back(loader.test_batch(0));
    }
    omp_set_num_threads(before);
    CHECK(epochs[0] == epochs[1]);
    CHECK(epochs[0] == epochs[2]);
}

TEST_CASE("loader: pixels are normalised by channel, and padding is a black pixel, not a mean one") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(20, 20);
    LoaderOptions options = raw(false, false);
    const float mean[3] = {125.3f, 123.0f, 113.9f}, std[3] = {63.0f, 62.1f, 66.7f};
    std::copy(mean, mean + 3, options.normalization.mean);
    std::copy(std, std + 3, options.normalization.std);
    Loader loader(*backend, data, options);
    loader.begin_epoch(0);
    const Seen seen(loader.train_batch(16));
    const auto value = [&](const Seen& b, int64_t i, int y, int x, int c) {
        return b.images[static_cast<size_t>(((i * kSide + y) * kSide + x) * 3 + c)];
    };
    double worst = 0;
    for (int64_t i = 0; i < seen.n; ++i)
        for (int y = 0; y < kSide; ++y)
            for (int x = 0; x < kSide; ++x)
                for (int c = 0; c < 3; ++c) {
                    const double byte = data.train.pixels[static_cast<size_t>(((i * 3 + c) * kSide + y) * kSide + x)];
                    const double want = (byte - static_cast<double>(mean[c])) / static_cast<double>(std[c]);
                    worst = worse(worst, std::abs(want - static_cast<double>(value(seen, i, y, x, c))));
                }
    CHECK(worst < 1e-6);

    options.augmentation.crop_flip = true;
    Loader cropping(*backend, data, options);
    int black = 0;
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
        cropping.begin_epoch(epoch);
        const Seen b(cropping.train_batch(16));
        for (int64_t i = 0; i < b.n; ++i) {
            const float corner = value(b, i, 0, 0, 0);
            if (corner * std[0] + mean[0] > 0.5f) continue;  // a pixel of the image: at least 1
            ++black;
            for (int c = 0; c < 3; ++c) CHECK(value(b, i, 0, 0, c) == doctest::Approx(-mean[c] / std[c]));
        }
    }
    CHECK(black > 10);
}

TEST_CASE("loader: test images come whole and in order, whatever the training does") {
    const auto backend = make_backend("cpu");
    const Dataset data = signposted(50, 20);
    Loader loader(*backend, data, raw(true));
    for (const int64_t epoch : {0, 1}) {
        loader.begin_epoch(epoch);
        for (int64_t step = 0; step < loader.test_steps(); ++step) {
            const Seen b(loader.test_batch(step));
            for (int64_t i = 0; i < b.n; ++i) {
                const auto record = static_cast<int>(step * 16 + i);
                CHECK(b.record(i) == 100 + record);
                CHECK(b.labels[static_cast<size_t>(i)] == (100 + record) % 7);
                const Crop c = crop_of(b, i);
                CHECK((c.down == 0 && c.right == 0 && !c.flip));
                CHECK(b.at(i, kSide - 1, 0, 0) == kSide);
            }
        }
    }
}

TEST_CASE("loader: a data set that the device's memory does not hold is to be made smaller, not the batch") {
#ifdef __SANITIZE_ADDRESS__
    return skip("the address sanitizer ends the process where there is no memory");
#endif
    const auto backend = make_backend("cpu");
    Dataset data = signposted(50, 20);
    data.train.pixels.resize(size_t{256} << 20);
    rlimit before;
    REQUIRE(::getrlimit(RLIMIT_AS, &before) == 0);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    REQUIRE(pages > 0);
    const rlimit little = {pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_AS, &little) == 0);
    const std::string message = complaint<std::runtime_error>([&] { DeviceData(*backend, data); });
    ::setrlimit(RLIMIT_AS, &before);
    CHECK(says(message, {"data set signposts: its 50 images take 0.25 GiB (out of memory: ", " bytes asked for, ",
                         "in use); free memory, or import images with a smaller --size, --classes or --limit"}));
    CHECK(complaint<std::runtime_error>([&] { DeviceData(*backend, data); }).empty());
}

TEST_CASE("loader: what does not fit the data is refused") {
    const auto backend = make_backend("cpu");
    Dataset data = signposted(50, 20);
    LoaderOptions options = raw(true);
    const auto refused = [&] { return complaint([&] { Loader(*backend, data, options); }); };
    for (const int64_t batch : {51, 0, -1}) {
        options.batch = batch;
        CHECK(says(refused(), {text("--batch ", batch), "training part of signposts has 50 records", "from 1 to 50"}));
    }
    options.batch = 50;
    CHECK(refused().empty());  // a test part smaller than the batch is one batch
    options.augmentation.reflect = true;
    options.augmentation.pad = kSide;
    CHECK(says(refused(), {"signposts", "16x16", "cannot be reflected by 16 pixels"}));
}
