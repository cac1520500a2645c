// dataset.h: a labelled image set in memory, read from CIFAR's binary records.
// defines: Split, channel_names, Normalization, Dataset, DatasetFiles, ChannelSums, load_dataset, does_not_fit, keep_per_class,
//          hold_out_validation, locate_dataset, datasets_in
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace distill {

namespace fs = std::filesystem;

/// Records in the order of the file. pixels: records x 3 x H x W bytes, planes R, G, B.
struct Split {
    int64_t records = 0;
    std::vector<uint8_t> pixels;
    std::vector<int32_t> labels;
};

/// As meta.csv and `data info` name the planes.
inline constexpr const char* channel_names[3] = {"red", "green", "blue"};

/// Per channel, in units of 255: a network sees (byte - mean) / std.
struct Normalization {
    float mean[3] = {0, 0, 0};
    float std[3] = {1, 1, 1};
};

struct Dataset {
    std::string name;
    int height = 0, width = 0, classes = 0;
    Split train, test;
    std::vector<std::string> class_names;  ///< by label; none where the folder does not say: classes.csv, or the official list of names
    Normalization stats;                   ///< of the training images: an import's from its meta.csv, the official sets' computed
    bool imported = false;                 ///< false: official CIFAR
};

/// Where a data set's bytes lie. A record is `label_bytes` labels (the class is the last of them), then 3 x H x W pixels.
///
///     cifar10    DIR/cifar-10-batches-bin/{data_batch_1..5,test_batch}.bin, or {train,test}.bin there   <label><pixels>
///     cifar100   DIR/cifar-100-binary/{train,test}.bin                                                  <coarse><fine><pixels>
///     NAME       DIR/NAME/{train,test}.bin and meta.csv                                                 <label><pixels>
///
/// The classes' names are in classes.csv (columns label,name), of the official sets in batches.meta.txt and fine_label_names.txt.
/// meta.csv has the columns key,value and the rows height, width, classes, records_train, records_test, sha256_train, sha256_test,
/// mean_red .. mean_blue, std_red .. std_blue. The official folders need none; a row that is there is checked (sha256_<file's stem>).
struct DatasetFiles {
    fs::path folder;
    std::vector<fs::path> train;
    fs::path test;
    int label_bytes = 1;
    bool official = false;
};

/// Mean and (population) standard deviation of the three channels, from exact integer sums.
class ChannelSums {
  public:
    /// One image: 3 planes of `plane` bytes.
    void add(const uint8_t* planes, int64_t plane);
    /// A channel that is constant everywhere gets std 1, so that normalising stays finite.
    Normalization result() const;

  private:
    uint64_t sum_[3] = {}, square_[3] = {}, count_ = 0;
};

/// The files of data set `name` under `data_dir`. InputError if the name is unknown (lists those found and the official ones)
/// or a file is missing (says which command makes it).
DatasetFiles locate_dataset(const fs::path& data_dir, const std::string& name);

/// Names that load_dataset would find under `data_dir`, sorted.
std::vector<std::string> datasets_in(const fs::path& data_dir);

/// Reads and checks everything. InputError naming file, place, found and expected for: a size that is no multiple of the record,
/// a label out of range, a count or checksum that differs from meta.csv's, a malformed meta.csv; and all that locate_dataset throws.
/// A failure for one that the memory does not hold.
Dataset load_dataset(const fs::path& data_dir, const std::string& name);

/// A failure that says of `set` (its file, or its name) how much its images take, and how it becomes smaller. `found`: what memory there is.
[[noreturn]] void does_not_fit(const std::string& set, int64_t images, int64_t bytes, const std::string& found);

/// Keeps the first `n` training records of each class, in the file's order (`--per-class n`); a class of fewer keeps all. `stats` stay the
/// whole training set's. InputError unless some class has more, so that something is left out.
void keep_per_class(Dataset& d, int64_t n);

/// Moves `n` training records into `test`, in place of the test set (`--val n`): each class in proportion to its size (largest
/// remainders first; one of each is left), the choice fixed by `seed`; both parts keep the file's order. `stats` stay the whole training
/// set's, so that runs with and without validation see the same inputs. InputError unless 1 <= n <= train.records - classes there.
void hold_out_validation(Dataset& d, int64_t n, uint64_t seed);

}  // namespace distill
