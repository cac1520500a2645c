#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base_csv.h"
#include "base_files.h"
#include "cmd_data.h"
#include "complaints.h"
#include "data_synth.h"
#include "dataset.h"
#include "dataset_writer.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A CIFAR record whose three planes are constant.
std::string record(const std::vector<int>& labels, int red, int green, int blue) {
    std::string bytes;
    for (const int label : labels) bytes += char(label);
    return bytes + std::string(1024, char(red)) + std::string(1024, char(green)) + std::string(1024, char(blue));
}

SynthOptions small(const std::string& name) {
    SynthOptions options;
    options.dataset = name;
    options.classes = 3;
    options.size = 8;
    options.train = 30;
    options.test = 6;
    return options;
}

void put_cifar10(const fs::path& data, const std::string& last_batch) {
    for (int i = 1; i <= 5; ++i)
        put_file(data / "cifar-10-batches-bin" / text("data_batch_", i, ".bin"), i < 5 ? record({i}, i, 2 * i, 200) : last_batch);
    put_file(data / "cifar-10-batches-bin/test_batch.bin", record({9}, 1, 2, 3) + record({0}, 4, 5, 6));
}

}  // namespace

TEST_CASE("dataset: cifar10's five batches are read in order, with their statistics") {
    const TempFolder data;
    put_cifar10(data.path(), record({7}, 5, 10, 200) + record({8}, 6, 12, 200));
    const Dataset d = load_dataset(data.path(), "cifar10");
    CHECK(d.height == 32);
    CHECK(d.width == 32);
    CHECK(d.classes == 10);
    CHECK_FALSE(d.imported);
    CHECK(d.train.records == 6);
    CHECK(d.train.labels == std::vector<int32_t>{1, 2, 3, 4, 7, 8});
    CHECK(d.test.labels == std::vector<int32_t>{9, 0});
    CHECK(d.train.pixels.size() == 6 * 3072);
    CHECK(d.train.pixels[4 * 3072] == 5);                          // record 4, red
    CHECK(d.train.pixels[4 * 3072 + 1024] == 10);                  // green
    CHECK(d.train.pixels[4 * 3072 + 2048] == 200);                 // blue
    CHECK(d.stats.mean[0] == doctest::Approx(3.5).epsilon(1e-6));  // 1 .. 6
    CHECK(d.stats.mean[1] == doctest::Approx(7.0).epsilon(1e-6));
    CHECK(d.stats.std[0] == doctest::Approx(std::sqrt(35.0 / 12)).epsilon(1e-6));
    CHECK(d.stats.std[1] == doctest::Approx(2 * std::sqrt(35.0 / 12)).epsilon(1e-6));
    CHECK(d.stats.std[2] == 1.0f);  // a constant channel must not divide by zero
}

TEST_CASE("dataset: cifar10 from train.bin and test.bin alone, and its optional meta.csv") {
    const TempFolder data;
    const fs::path folder = data / "cifar-10-batches-bin";
    put_file(folder / "train.bin", record({1}, 1, 1, 1));
    put_file(folder / "test.bin", record({2}, 2, 2, 2));
    CHECK(load_dataset(data.path(), "cifar10").train.records == 1);
    put_file(folder / "meta.csv", "key,value\nrecords_train,1\nsha256_train," + sha256_of_file(folder / "train.bin") + "\n");
    CHECK(load_dataset(data.path(), "cifar10").train.labels[0] == 1);
    put_file(folder / "meta.csv", "key,value\nsha256_test,00\n");
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar10"); }), {"test.bin", "sha256_test", "expected 00", "meta.csv"}));
}

TEST_CASE("dataset: cifar100 uses the fine label and checks both") {
    const TempFolder data;
    const fs::path folder = data / "cifar-100-binary";
    put_file(folder / "train.bin", record({19, 99}, 1, 2, 3) + record({0, 4}, 3, 2, 1));
    put_file(folder / "test.bin", record({3, 42}, 1, 2, 3));
    const Dataset d = load_dataset(data.path(), "cifar100");
    CHECK(d.classes == 100);
    CHECK(d.train.labels == std::vector<int32_t>{99, 4});
    CHECK(d.test.labels == std::vector<int32_t>{42});
    CHECK(d.train.pixels[0] == 1);

    put_file(folder / "train.bin", record({1, 2}, 0, 0, 0) + record({0, 100}, 0, 0, 0));
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar100"); }),
               {"train.bin", "byte 3075", "record 1", "found label 100", "expected 0 to 99"}));
    put_file(folder / "train.bin", record({20, 2}, 0, 0, 0));
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar100"); }), {"byte 0", "coarse label 20", "expected 0 to 19"}));
}

TEST_CASE("dataset: a truncated, oversized or empty file is named with its size") {
    const TempFolder data;
    const std::string whole = record({1}, 1, 1, 1);
    for (const std::string& bytes : {whole.substr(0, 3072), whole + "x", whole.substr(0, 1)}) {
        put_cifar10(data.path(), bytes);
        CHECK(says(complaint([&] { load_dataset(data.path(), "cifar10"); }),
                   {"data_batch_5.bin", text("found ", bytes.size(), " bytes"), "multiple of 3073"}));
    }
    put_cifar10(data.path(), "");
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar10"); }), {"data_batch_5.bin", "is empty"}));
    put_cifar10(data.path(), record({10}, 1, 1, 1));
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar10"); }), {"data_batch_5.bin", "byte 0", "found label 10", "0 to 9"}));
}

TEST_CASE("dataset: what is missing says where it belongs and what makes it") {
    const TempFolder data;
    CHECK(says(complaint([&] { load_dataset(data.path(), "cifar100"); }),
               {(data / "cifar-100-binary/train.bin").string(), "is missing", "distill data fetch cifar100"}));
    put_cifar10(data.path(), record({1}, 1, 1, 1));
    synthesize(data.path(), small("mine"));
    CHECK(datasets_in(data.path()) == std::vector<std::string>{"cifar10", "mine"});
    CHECK(says(complaint([&] { load_dataset(data.path(), "yours"); }),
               {"'yours'", "found there: cifar10, mine", "official names: cifar10, cifar100", "distill data import"}));
    CHECK(says(complaint([&] { load_dataset(data.path(), "fashion-mnist"); }), {"distill data import fashion-mnist"}));
    CHECK(says(complaint([&] { load_dataset(data / "nowhere", "x"); }), {"found there: none"}));
    CHECK(says(complaint([&] { load_dataset(data.path(), ""); }), {"no data set ''"}));
    fs::remove(data / "mine/test.bin");
    CHECK(says(complaint([&] { load_dataset(data.path(), "mine"); }), {"test.bin", "is missing", "--force"}));
}

TEST_CASE("dataset: an import is checked against its meta.csv") {
    const TempFolder data;
    synthesize(data.path(), small("mine"));
    const fs::path folder = data / "mine";
    const std::string bytes = read_file(folder / "train.bin"), meta = read_file(folder / "meta.csv");
    const auto load = [&] { load_dataset(data.path(), "mine"); };
    CHECK(complaint(load).empty());

    std::string changed = bytes;
    changed[100] = char(changed[100] ^ 1);
    put_file(folder / "train.bin", changed);
    CHECK(says(complaint(load), {"train.bin", "sha256_train", sha256_hex(changed), sha256_hex(bytes)}));
    put_file(folder / "train.bin", bytes.substr(0, bytes.size() - 193));
    CHECK(says(complaint(load), {"train.bin", "records_train 29", "expected 30"}));
    changed = bytes;
    changed[193 * 7] = 3;
    put_file(folder / "train.bin", changed);
    CHECK(says(complaint(load), {"train.bin", "byte 1351", "record 7", "found label 3", "expected 0 to 2"}));
    put_file(folder / "train.bin", bytes);

    const auto replaced = [&](const std::string& row, const std::string& by) {
        std::string other = meta;
        const size_t at = other.find(row);
        REQUIRE(at != std::string::npos);
        other.replace(at, other.find('\n', at) + 1 - at, by);
        return other;
    };
    put_file(folder / "meta.csv", replaced("height,", ""));
    CHECK(says(complaint(load), {"meta.csv", "no row 'height'"}));
    put_file(folder / "meta.csv", replaced("classes,", "classes,257\n"));
    CHECK(says(complaint(load), {"meta.csv", "'classes'", "found '257'", "1 to 256"}));
    put_file(folder / "meta.csv", replaced("width,", "width,eight\n"));
    CHECK(says(complaint(load), {"meta.csv", "'width'", "found 'eight'", "a number"}));
    put_file(folder / "meta.csv", replaced("std_green,", "std_green,0\n"));
    CHECK(says(complaint(load), {"meta.csv", "std_green", "more than 0"}));
    put_file(folder / "meta.csv", replaced("sha256_test,", ""));
    CHECK(says(complaint(load), {"meta.csv", "no row 'sha256_test'"}));
    put_file(folder / "meta.csv", "key,value\n");
    CHECK(says(complaint(load), {"meta.csv", "no row 'height'"}));
}

TEST_CASE("dataset: the validation split is proportional, fixed by its seed, and moves records") {
    const TempFolder data;
    SynthOptions options = small("mine");
    options.train = 32;  // classes of 11, 11 and 10
    synthesize(data.path(), options);
    const Dataset whole = load_dataset(data.path(), "mine");
    const auto held_out = [&](int64_t n, uint64_t seed) {
        Dataset d = whole;
        hold_out_validation(d, n, seed);
        return d;
    };
    const Dataset d = held_out(8, 5);
    CHECK(d.train.records == 24);
    CHECK(d.test.records == 8);
    CHECK(d.train.labels.size() == 24);
    CHECK(d.test.pixels.size() == 8 * 192);
    CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 0) == 3);  // 8*11/32 = 2.75, 2.75, 2.5: two remainders go to 0 and 1
    CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 1) == 3);
    CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 2) == 2);
    CHECK(d.stats.mean[0] == whole.stats.mean[0]);

    std::multimap<std::vector<uint8_t>, int32_t> before, after;
    const auto collect = [](const Split& split, auto& into) {
        auto image = split.pixels.begin();
        for (const int32_t label : split.labels) into.emplace(std::vector<uint8_t>(image, image + 192), label), image += 192;
    };
    collect(whole.train, before);
    collect(d.train, after);
    collect(d.test, after);
    CHECK(before == after);  // every image once, with its label

    CHECK(held_out(8, 5).test.pixels == d.test.pixels);
    CHECK(held_out(8, 6).test.pixels != d.test.pixels);
    std::vector<int32_t> left = held_out(29, 0).train.labels;
    std::sort(left.begin(), left.end());
    CHECK(left == std::vector<int32_t>{0, 1, 2});  // one of each class, whatever their order
    CHECK(says(complaint([&] { held_out(30, 0); }), {"--val", "found 30", "1 to 29", "one of each must be left"}));
    CHECK(says(complaint([&] { held_out(0, 0); }), {"--val", "found 0"}));
}

TEST_CASE("dataset: the validation split never takes a class's only training image") {
    for (const int64_t n : {3, 30, 60, 96}) {
        CAPTURE(n);
        Dataset d;
        d.name = "lean";
        d.height = d.width = 1;
        d.classes = 5;
        d.train.labels = {3, 1};  // classes of one; class 4 has none
        for (int i = 0; i < 98; ++i) d.train.labels.push_back(i < 3 ? 2 : 0);
        d.train.records = 100;
        d.train.pixels.resize(300);
        hold_out_validation(d, n, 0);
        CHECK(d.test.records == n);
        for (const int label : {0, 1, 2, 3}) CHECK(std::count(d.train.labels.begin(), d.train.labels.end(), label) > 0);
        CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 1) == 0);
    }
}

TEST_CASE("dataset: the first records of each class alone, in the file's order; the test part stays") {
    Dataset d;
    d.name = "lean";
    d.height = d.width = 1;
    d.classes = 3;
    d.train.labels = {2, 0, 0, 2, 1, 0, 2};
    d.train.records = 7;
    for (uint8_t i = 0; i < 7; ++i) d.train.pixels.insert(d.train.pixels.end(), 3, i);
    d.test = d.train;
    for (const int64_t n : {0, 3}) {
        Dataset all = d;
        CHECK(says(complaint([&] { keep_per_class(all, n); }), {"--per-class: found ", "expected 1 to 2", "lean has 3"}));
    }
    keep_per_class(d, 2);
    CHECK(d.train.records == 5);
    CHECK(d.train.labels == std::vector<int32_t>{2, 0, 0, 2, 1});
    CHECK(d.train.pixels == std::vector<uint8_t>{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4});
    CHECK(d.test.records == 7);
}

TEST_CASE("dataset: info prints counts, statistics and checksums as CSV") {
    const TempFolder data;
    synthesize(data.path(), small("mine"));
    const fs::path out = data / "info.csv";
    std::FILE* file = std::fopen(out.c_str(), "w");
    REQUIRE(file);
    print_dataset_info(data.path(), "mine", true, file);
    std::fclose(file);
    std::map<std::string, std::string> rows;
    const CsvTable table = read_csv(out);
    for (size_t i = 0; i < table.rows.size(); ++i) rows[table.cell(i, "key")] = table.cell(i, "value");
    CHECK(rows["classes"] == "3");
    CHECK(rows["records_train"] == "30");
    CHECK(rows["class_min_train"] == "10");
    CHECK(rows["class_max_test"] == "2");
    CHECK(rows["sha256_train"] == sha256_of_file(data / "mine/train.bin"));
    const Dataset d = load_dataset(data.path(), "mine");
    CHECK(rows["mean_blue"] == number(d.stats.mean[2]));
    ChannelSums sums;
    for (int i = 0; i < 30; ++i) sums.add(&d.train.pixels[size_t(i) * 192], 64);
    CHECK(sums.result().std[1] == doctest::Approx(d.stats.std[1]).epsilon(1e-6));
}

TEST_SUITE_END();
