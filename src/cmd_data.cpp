#include "cmd_data.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "data_fetch.h"
#include "data_import.h"
#include "data_synth.h"
#include "data_twins.h"
#include "dataset.h"

namespace distill {
namespace {

constexpr const char* kDataHelp = "folder of the data sets";
constexpr int kMost = std::numeric_limits<int>::max();

/// Records of each class.
std::vector<int64_t> class_counts(const Split& split, int classes) {
    std::vector<int64_t> count(size_t(classes), 0);
    for (const int32_t label : split.labels) ++count[size_t(label)];
    return count;
}

/// A line for each class, under a heading; a set without classes.csv has no names.
std::vector<std::vector<std::string>> class_rows(const Dataset& d) {
    std::vector<std::vector<std::string>> rows{{"label", "name", "train", "test"}};
    const std::vector<int64_t> train = class_counts(d.train, d.classes), test = class_counts(d.test, d.classes);
    for (size_t c = 0; c < train.size(); ++c)
        rows.push_back({text(c), d.class_names.empty() ? "" : d.class_names[c], text(train[c]), text(test[c])});
    return rows;
}

/// Smallest and largest number of records of a class, classes without any included.
std::pair<int64_t, int64_t> class_range(const Split& split, int classes) {
    const std::vector<int64_t> count = class_counts(split, classes);
    const auto [low, high] = std::minmax_element(count.begin(), count.end());
    return {*low, *high};
}

void add_fetch(Subcommand data) {
    const auto options = std::make_shared<FetchOptions>();
    const Subcommand fetch = data.add_subcommand("fetch", "download, verify and unpack an official archive");
    fetch.add_option("name", options->name, "cifar10, cifar100 or tiny-imagenet").required();
    fetch.add_option("--data", options->data, kDataHelp).shows_default();
    fetch.add_option("--url", options->url, "take the archive from here (a mirror; file:// works)");
    fetch.add_option("--md5", options->md5, "expect this MD5 instead of the published one; none: no check");
    fetch.add_flag("--force", options->force, "unpack again over a folder that exists and holds nothing else");
    fetch.add_flag("--quiet", options->quiet, "print nothing");
    fetch.callback([options] { fetch_dataset(*options); });
}

void add_import(Subcommand data) {
    const auto options = std::make_shared<ImportOptions>();
    const Subcommand importing = data.add_subcommand("import", "turn image files into the program's binary records");
    importing
        .add_option("kind", options->kind,
                    "tiny-imagenet (the official tree), images (FROM/{train,test}/<class>/*, or val, valid, validation) or fashion-mnist")
        .required();
    importing.add_option("--from", options->from, "source folder [DATA/tiny-imagenet-200; Debian's dataset-fashion-mnist]");
    importing.add_option("--data", options->data, kDataHelp).shows_default();
    importing.add_option("--dataset", options->dataset, "name of the set, a folder under --data [the kind]");
    importing.add_option("--size", options->size, "side of the square images [tiny-imagenet 64, fashion-mnist 32]").within(1, 4096);
    importing.add_option("--classes", options->classes, "only the first so many classes [all]").within(1, 256);
    importing.add_option("--limit", options->limit, "at most so many images a class, in training and in test [all]").within(1, kMost);
    importing.add_option("--test-part", options->test_part,
                         "images: split a tree without a test part, so much of each class for the test, e.g. 0.2");
    importing.add_flag("--force", options->force, "replace a set of this name, whose folder must hold nothing else");
    importing.add_flag("--quiet", options->quiet, "print nothing");
    importing.callback([options] { import_dataset(*options); });
}

void add_synth(Subcommand data) {
    const auto options = std::make_shared<SynthOptions>();
    const auto folder = std::make_shared<fs::path>("data");
    const Subcommand synth = data.add_subcommand("synth", "make a small artificial set, the same on every machine");
    synth.add_option("--dataset", options->dataset, "name of the set, a folder under --data").shows_default();
    synth.add_option("--data", *folder, kDataHelp).shows_default();
    synth.add_option("--classes", options->classes, "number of classes").within(1, 256).shows_default();
    synth.add_option("--size", options->size, "side of the square images").within(4, 4096).shows_default();
    synth.add_option("--train", options->train, "training images").within(1, kMost).shows_default();
    synth.add_option("--test", options->test, "test images").within(1, kMost).shows_default();
    synth.add_option("--seed", options->seed, "seed").shows_default();
    synth.add_flag("--force", options->force, "replace a set of this name, whose folder must hold nothing else");
    synth.callback([options, folder] {
        synthesize(*folder, *options);
        std::printf("%s: %d classes, %d training and %d test images of %dx%d\n", (*folder / options->dataset).c_str(), options->classes,
                    options->train, options->test, options->size, options->size);
    });
}

void add_info(Subcommand data) {
    struct Options {
        fs::path data = "data";
        std::string dataset;
        bool csv = false;
    };
    const auto options = std::make_shared<Options>();
    const Subcommand info = data.add_subcommand("info", "check a data set and print its counts, statistics and checksums");
    info.add_option("--data", options->data, kDataHelp).shows_default();
    info.add_option("--dataset", options->dataset, "cifar10, cifar100 or the name of an import").required();
    info.add_flag("--csv", options->csv, "as CSV: key,value");
    info.callback([options] { print_dataset_info(options->data, options->dataset, options->csv, stdout); });
}

}  // namespace

void print_dataset_info(const fs::path& data_dir, const std::string& name, bool csv, std::FILE* out) {
    const Dataset d = load_dataset(data_dir, name);
    const DatasetFiles files = locate_dataset(data_dir, name);
    std::vector<std::pair<std::string, std::string>> rows = {{"dataset", name},
                                                             {"folder", files.folder.string()},
                                                             {"height", text(d.height)},
                                                             {"width", text(d.width)},
                                                             {"classes", text(d.classes)}};
    for (const auto& [part, split] : {std::pair("train", &d.train), std::pair("test", &d.test)}) {
        const auto [low, high] = class_range(*split, d.classes);
        rows.push_back({text("records_", part), text(split->records)});
        rows.push_back({text("class_min_", part), text(low)});
        rows.push_back({text("class_max_", part), text(high)});
    }
    const Twins::Counts twins = Twins(d).count();
    rows.push_back({"test_in_train", text(twins.test_in_train)});
    rows.push_back({"two_labels", text(twins.two_labels)});
    for (int c = 0; c < 3; ++c) rows.push_back({text("mean_", channel_names[c]), number(d.stats.mean[c])});
    for (int c = 0; c < 3; ++c) rows.push_back({text("std_", channel_names[c]), number(d.stats.std[c])});
    for (const fs::path& path : files.train) rows.push_back({"sha256_" + path.stem().string(), sha256_of_file(path)});
    rows.push_back({"sha256_" + files.test.stem().string(), sha256_of_file(files.test)});

    const std::vector<std::vector<std::string>> classes = class_rows(d);
    if (csv) {
        std::vector<std::vector<std::string>> cells;
        for (const auto& [key, value] : rows) cells.push_back({key, value});
        for (size_t c = 1; c < classes.size(); ++c)
            for (const size_t part : {2, 3})
                cells.push_back({text(classes[0][part], '_', c - 1, classes[c][1].empty() ? "" : "_", classes[c][1]), classes[c][part]});
        std::fputs(csv_text({"key", "value"}, cells).c_str(), out);
        return;
    }
    for (const auto& [key, value] : rows) std::fprintf(out, "%-20s %s\n", key.c_str(), value.c_str());
    std::fputs(aligned(classes, {0, 2, 3}).c_str(), out);
    for (const std::string& line : warnings_of(twins)) std::fprintf(out, "%s\n", line.c_str());
}

void add_data_commands(Subcommand app) {
    const Subcommand data = app.add_subcommand("data", "fetch, import, make and describe data sets");
    data.require_subcommand();
    add_fetch(data);
    add_import(data);
    add_synth(data);
    add_info(data);
}

}  // namespace distill
