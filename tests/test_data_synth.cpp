#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base_error.h"
#include "base_files.h"
#include "data_synth.h"
#include "dataset.h"
#include "testing.h"

using namespace distill;
using distill::testing::TempFolder;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// What a texture is, wherever it begins and whatever cast lies on it: mean absolute differences at small distances.
std::vector<double> features(const uint8_t* planes, int size) {
    std::vector<double> result;
    for (int channel = 0; channel < 3; ++channel, planes += size * size)
        for (int lag = 1; lag <= 8; ++lag)
            for (const int step : {lag, lag * size}) {
                double sum = 0;
                for (int i = 0; i + step < size * size; ++i) sum += std::abs(int{planes[i]} - int{planes[i + step]});
                result.push_back(sum / (size * size - step));
            }
    return result;
}

/// Accuracy on the test images of the nearest class mean of `feature`.
template <class Feature>
double nearest_mean_accuracy(const Dataset& d, Feature feature) {
    const size_t pixels = size_t(3 * d.height * d.width);
    const auto of = [&](const Split& split, int64_t i) { return feature(&split.pixels[size_t(i) * pixels], d.height); };
    std::vector<std::vector<double>> mean(size_t(d.classes), std::vector<double>(of(d.train, 0).size(), 0));
    for (int64_t i = 0; i < d.train.records; ++i) {
        const std::vector<double> f = of(d.train, i);
        for (size_t k = 0; k < f.size(); ++k) mean[size_t(d.train.labels[size_t(i)])][k] += f[k] * d.classes / double(d.train.records);
    }
    int right = 0;
    for (int64_t i = 0; i < d.test.records; ++i) {
        const std::vector<double> f = of(d.test, i);
        std::vector<double> distance;
        for (const auto& m : mean) {
            distance.push_back(0);
            for (size_t k = 0; k < f.size(); ++k) distance.back() += (f[k] - m[k]) * (f[k] - m[k]);
        }
        right += std::min_element(distance.begin(), distance.end()) - distance.begin() == d.test.labels[size_t(i)];
    }
    return double(right) / double(d.test.records);
}

std::vector<double> mean_colour(const uint8_t* planes, int size) {
    std::vector<double> result;
    for (int channel = 0; channel < 3; ++channel, planes += size * size) {
        double sum = 0;
        for (int i = 0; i < size * size; ++i) sum += planes[i];
        result.push_back(sum / (size * size));
    }
    return result;
}

}  // namespace

TEST_CASE("data synth: textures tell the classes apart, mean colours do not") {
    const TempFolder data;
    SynthOptions options;
    options.train = 1000;
    options.test = 500;
    synthesize(data.path(), options);
    const Dataset d = load_dataset(data.path(), "synth");
    CHECK(d.imported);
    CHECK(d.train.records == 1000);
    CHECK(d.test.records == 500);
    for (int64_t i = 0; i < 20; ++i) CHECK(d.train.labels[size_t(i)] == i % 10);
    const double by_texture = nearest_mean_accuracy(d, features), by_colour = nearest_mean_accuracy(d, mean_colour);
    MESSAGE("nearest mean: ", by_texture, " by texture, ", by_colour, " by colour");
    CHECK(by_texture > 0.8);
    CHECK(by_colour < 0.35);
}

TEST_CASE("data synth: the same options give the same bytes, the test set is independent of the training set's size") {
    const TempFolder data;
    SynthOptions options;
    options.classes = 4;
    options.size = 12;
    options.train = 40;
    options.test = 8;
    options.seed = 3;
    synthesize(data.path(), options);
    // Recorded once: integers only, so every machine must make these very bytes.
    CHECK(sha256_of_file(data / "synth/train.bin") == "14145af97e47f867da15e78a7ab6bc9f17260d8edd31fb46527d975a32dcd363");
    const std::string test = read_file(data / "synth/test.bin");
    options.force = true;
    options.train = 20;
    synthesize(data.path(), options);
    CHECK(read_file(data / "synth/test.bin") == test);
    options.seed = 4;
    synthesize(data.path(), options);
    CHECK(read_file(data / "synth/test.bin") != test);
}

TEST_CASE("data synth: bad options are named and leave nothing") {
    const TempFolder data;
    const auto rejects = [&](auto change) {
        SynthOptions options;
        change(options);
        CHECK_THROWS_AS(synthesize(data / "made", options), InputError);
        CHECK_FALSE(fs::exists(data / "made"));
    };
    rejects([](SynthOptions& o) { o.classes = 257; });
    rejects([](SynthOptions& o) { o.classes = 0; });
    rejects([](SynthOptions& o) { o.size = 3; });
    rejects([](SynthOptions& o) { o.train = 0; });
    rejects([](SynthOptions& o) { o.dataset = "../up"; });
    rejects([](SynthOptions& o) { o.dataset = ""; });
    rejects([](SynthOptions& o) { o.dataset = "cifar10"; });
}

TEST_SUITE_END();
