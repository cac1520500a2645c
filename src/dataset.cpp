#include "dataset.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <optional>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "core_philox.h"

namespace distill {
namespace {

constexpr int kCoarseClasses = 20;  // CIFAR-100's superclasses

/// meta.csv's rows by key; every complaint names the file and the row.
class Meta {
  public:
    explicit Meta(fs::path path) : path_(std::move(path)) {
        const CsvTable table = read_csv(path_);
        for (size_t row = 0; row < table.rows.size(); ++row) rows_[table.cell(row, "key")] = table.cell(row, "value");
    }

    int64_t integer(const std::string& key, int64_t low, int64_t high) const {
        const double value = real(key);
        if (value != std::floor(value) || value < double(low) || value > double(high))
            input_error(path_.string(), ": row '", key, "': found '", rows_.at(key), "', expected a whole number, ", low, " to ", high);
        return static_cast<int64_t>(value);
    }

    double real(const std::string& key) const {
        const auto row = rows_.find(key);
        if (row == rows_.end()) missing(key);
        const auto value = parsed_number(row->second);
        if (!value || !std::isfinite(*value))
            input_error(path_.string(), ": row '", key, "': found '", row->second, "', expected a number");
        return *value;
    }

    /// The row, if there is one, must say what was found in `file`. `required`: there must be one.
    void check(const std::string& key, const std::string& found, const fs::path& file, bool required) const {
        const auto row = rows_.find(key);
        if (row == rows_.end() && required) missing(key);
        if (row != rows_.end() && row->second != found)
            input_error(file.string(), ": found ", key, " ", found, ", expected ", row->second, " as ", path_.string(),
                        " says; the file was changed or damaged: fetch, import or copy it again");
    }

  private:
    [[noreturn]] void missing(const std::string& key) const {
        input_error(path_.string(), ": has no row '", key, "'; make the set again with `distill data import --force`");
    }

    fs::path path_;
    std::map<std::string, std::string> rows_;
};

struct RecordLayout {
    int label_bytes, classes, height, width;
    int64_t pixels() const { return int64_t{3} * height * width; }
    int64_t size() const { return label_bytes + pixels(); }
};

int64_t records_in(const fs::path& path, const RecordLayout& layout) {
    std::error_code error;
    const auto bytes = static_cast<int64_t>(fs::file_size(path, error));
    if (error) cannot_read(path, error.value());
    if (bytes == 0) input_error(path.string(), ": is empty, expected records of ", layout.size(), " bytes; fetch or import it again");
    if (bytes % layout.size() != 0)
        input_error(path.string(), ": found ", bytes, " bytes, expected a multiple of ", layout.size(), " (", layout.label_bytes,
                    layout.label_bytes == 1 ? " label + 3x" : " labels + 3x", layout.height, "x", layout.width, "): after ",
                    bytes / layout.size(), " records ", bytes % layout.size(),
                    " bytes are left over; it is truncated or of another layout: fetch or import it again");
    return bytes / layout.size();
}

void check_label(const fs::path& path, int64_t offset, int64_t record, int label, int classes, const char* kind) {
    if (label >= classes)
        input_error(path.string(), ": byte ", offset, " (record ", record, "): found ", kind, " ", label, ", expected 0 to ", classes - 1,
                    "; the file is damaged or of another data set: fetch or import it again");
}

/// Fills records [first, first + count) of `out` from the file.
void read_records(const fs::path& path, const RecordLayout& layout, int64_t first, int64_t count, Split& out) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(path.c_str(), "rb"), &std::fclose);
    if (!in) cannot_read(path, errno);
    const size_t pixels = static_cast<size_t>(layout.pixels());
    unsigned char labels[2];
    for (int64_t i = 0; i < count; ++i) {
        const int64_t at = first + i;
        if (std::fread(labels, 1, layout.label_bytes, in.get()) != size_t(layout.label_bytes) ||
            std::fread(&out.pixels[size_t(at) * pixels], 1, pixels, in.get()) != pixels) {
            if (std::ferror(in.get())) cannot_read(path, errno);
            input_error(path.string(), ": ends in record ", i, " of ", count, ", it was cut while it was read; read it again");
        }
        const int label = labels[layout.label_bytes - 1];
        if (layout.label_bytes == 2) check_label(path, i * layout.size(), i, labels[0], kCoarseClasses, "coarse label");
        check_label(path, i * layout.size() + layout.label_bytes - 1, i, label, layout.classes, "label");
        out.labels[size_t(at)] = label;
    }
}

Split read_split(const std::vector<fs::path>& paths, const RecordLayout& layout) {
    std::vector<int64_t> counts;
    for (const fs::path& path : paths) counts.push_back(records_in(path, layout));
    Split split;
    split.records = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    try {
        split.pixels.resize(size_t(split.records * layout.pixels()));
        split.labels.resize(size_t(split.records));
    } catch (const std::exception&) {  // bad_alloc, or length_error
        const fs::path place = paths.size() == 1 ? paths.front() : paths.front().parent_path();
        does_not_fit(place.string(), split.records, split.records * (layout.pixels() + int64_t{sizeof split.labels[0]}),
                     "the machine's memory does not hold them");
    }
    int64_t first = 0;
    for (size_t i = 0; i < paths.size(); first += counts[i++]) read_records(paths[i], layout, first, counts[i], split);
    return split;
}

void check_against(const Meta& meta, const DatasetFiles& files, const Dataset& d) {
    const bool required = !files.official;
    if (files.official) {
        meta.check("height", text(d.height), files.folder, false);
        meta.check("width", text(d.width), files.folder, false);
        meta.check("classes", text(d.classes), files.folder, false);
    }
    meta.check("records_train", text(d.train.records), files.train.front(), required);
    meta.check("records_test", text(d.test.records), files.test, required);
    std::vector<fs::path> all = files.train;
    all.push_back(files.test);
    for (const fs::path& path : all) meta.check("sha256_" + path.stem().string(), sha256_of_file(path), path, required);
}

Normalization measured(const Split& split, int64_t plane) {
    ChannelSums sums;
    for (int64_t i = 0; i < split.records; ++i) sums.add(&split.pixels[size_t(i * 3 * plane)], plane);
    return sums.result();
}

Normalization stated(const Meta& meta, const fs::path& folder) {
    Normalization stats;
    for (int c = 0; c < 3; ++c) {
        stats.mean[c] = float(meta.real(text("mean_", channel_names[c])));
        stats.std[c] = float(meta.real(text("std_", channel_names[c])));
        if (!(stats.std[c] > 0))
            input_error((folder / "meta.csv").string(), ": row 'std_", channel_names[c], "': found ", stats.std[c],
                        ", expected more than 0");
    }
    return stats;
}

DatasetFiles official_files(const fs::path& data_dir, const std::string& name) {
    DatasetFiles files;
    files.official = true;
    if (name == "cifar100") {
        files.folder = data_dir / "cifar-100-binary";
        files.label_bytes = 2;
        files.train = {files.folder / "train.bin"};
        files.test = files.folder / "test.bin";
        return files;
    }
    files.folder = data_dir / "cifar-10-batches-bin";
    for (int i = 1; i <= 5; ++i) files.train.push_back(files.folder / text("data_batch_", i, ".bin"));
    files.test = files.folder / "test_batch.bin";
    if (fs::exists(files.folder / "train.bin") &&
        std::none_of(files.train.begin(), files.train.end(), [](const fs::path& p) { return fs::exists(p); })) {
        files.train = {files.folder / "train.bin"};
        files.test = files.folder / "test.bin";
    }
    return files;
}

/// Names by label: an import's classes.csv, or the list in an official archive. A folder without either has none.
std::vector<std::string> read_class_names(const DatasetFiles& files, int classes) {
    std::vector<std::string> names;
    const fs::path table = files.folder / "classes.csv";
    if (!files.official && fs::exists(table)) {
        const CsvTable csv = read_csv(table);
        for (size_t row = 0; row < csv.rows.size(); ++row) {
            if (csv.cell(row, "label") != text(row))
                input_error(table.string(), ": row ", row + 1, ": found the label '", csv.cell(row, "label"), "', expected ", row);
            names.push_back(as_utf8(csv.cell(row, "name")));
        }
        if (names.size() != size_t(classes))
            input_error(table.string(), ": found ", names.size(), " classes, expected ", classes, " as meta.csv says");
    }
    const fs::path list = files.folder / (classes == 10 ? "batches.meta.txt" : "fine_label_names.txt");
    if (files.official && fs::is_regular_file(list)) {
        for (std::string line : split(read_file(list), '\n')) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            if (!line.empty()) names.push_back(as_utf8(line));
        }
        if (names.size() != size_t(classes)) names.clear();
    }
    return names;
}

bool is_official(const std::string& name) { return name == "cifar10" || name == "cifar100"; }

[[noreturn]] void unknown_dataset(const fs::path& data_dir, const std::string& name) {
    const std::string found = joined(datasets_in(data_dir));
    std::string remedy = "make one with `distill data import`";
    const std::string here = data_dir == "data" ? "" : " --data " + shell_word(data_dir.string());
    if (name == "tiny-imagenet")
        remedy = text("run `distill data fetch tiny-imagenet", here, "` and `distill data import tiny-imagenet", here, "`");
    if (name == "fashion-mnist") remedy = text("run `distill data import fashion-mnist", here, "`");
    input_error((data_dir / name / "meta.csv").string(), ": is missing, so there is no data set '", name, "' in ", data_dir.string(),
                "; found there: ", found.empty() ? "none" : found, "; official names: cifar10, cifar100 (`distill data fetch NAME`); ",
                remedy);
}

/// How many of `n` to take from groups of these sizes: proportional, rounded down, the rest to the largest remainders; never all of a
/// group.
std::vector<int64_t> proportional_shares(int64_t n, const std::vector<std::vector<int64_t>>& groups, int64_t total) {
    std::vector<int64_t> share, remainder;
    int64_t left = n;
    for (const auto& group : groups) {
        share.push_back(n * int64_t(group.size()) / total);  // n < total: less than the group
        remainder.push_back(n * int64_t(group.size()) % total);
        left -= share.back();
    }
    std::vector<size_t> order(groups.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return remainder[a] > remainder[b]; });
    for (size_t i = 0; left > 0; i = (i + 1) % order.size()) {
        const size_t g = order[i];
        if (share[g] + 1 < int64_t(groups[g].size())) ++share[g], --left;
    }
    return share;
}

}  // namespace

void ChannelSums::add(const uint8_t* planes, int64_t plane) {
    for (int c = 0; c < 3; ++c, planes += plane) {
        uint64_t sum = 0, square = 0;
        for (int64_t i = 0; i < plane; ++i) {
            const uint32_t value = planes[i];
            sum += value;
            square += value * value;
        }
        sum_[c] += sum;
        square_[c] += square;
    }
    count_ += uint64_t(plane);
}

Normalization ChannelSums::result() const {
    Normalization stats;
    for (int c = 0; c < 3 && count_ > 0; ++c) {
        const long double n = count_, mean = sum_[c] / n;
        const long double variance = square_[c] / n - mean * mean;  // the sums are exact, so little is lost here
        stats.mean[c] = float(mean);
        stats.std[c] = variance > 1e-9L ? float(std::sqrt(variance)) : 1.0f;
    }
    return stats;
}

DatasetFiles locate_dataset(const fs::path& data_dir, const std::string& name) {
    DatasetFiles files;
    std::string remedy;
    if (is_official(name)) {
        files = official_files(data_dir, name);
        remedy = text("put the official binary file there, or run `distill data fetch ", name, " --data ", shell_word(data_dir.string()),
                      fs::exists(files.folder) ? " --force`" : "`");
    } else {
        files.folder = data_dir / name;
        files.train = {files.folder / "train.bin"};
        files.test = files.folder / "test.bin";
        remedy = "make the set again with `distill data import --force`";
        if (name.empty() || !fs::is_regular_file(files.folder / "meta.csv")) unknown_dataset(data_dir, name);
    }
    std::vector<fs::path> all = files.train;
    all.push_back(files.test);
    for (const fs::path& path : all)
        if (!fs::is_regular_file(path)) input_error(path.string(), ": is missing, needed for data set '", name, "'; ", remedy);
    return files;
}

std::vector<std::string> datasets_in(const fs::path& data_dir) {
    std::vector<std::string> names;
    std::error_code unreadable;
    for (const char* name : {"cifar10", "cifar100"}) {
        const DatasetFiles files = official_files(data_dir, name);
        if (fs::is_regular_file(files.train.front(), unreadable)) names.push_back(name);
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(data_dir, unreadable)) {
        const std::string name = entry.path().filename().string();
        if (name[0] != '.' && fs::is_regular_file(entry.path() / "meta.csv", unreadable) &&
            fs::is_regular_file(entry.path() / "train.bin", unreadable) && name != "cifar-10-batches-bin" && name != "cifar-100-binary")
            names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

Dataset load_dataset(const fs::path& data_dir, const std::string& name) {
    const DatasetFiles files = locate_dataset(data_dir, name);
    std::optional<Meta> meta;
    if (!files.official || fs::exists(files.folder / "meta.csv")) meta.emplace(files.folder / "meta.csv");
    Dataset d;
    d.name = name;
    d.imported = !files.official;
    d.height = files.official ? 32 : int(meta->integer("height", 1, 4096));
    d.width = files.official ? 32 : int(meta->integer("width", 1, 4096));
    d.classes = name == "cifar10" ? 10 : name == "cifar100" ? 100 : int(meta->integer("classes", 1, 256));
    const RecordLayout layout{files.label_bytes, d.classes, d.height, d.width};
    d.train = read_split(files.train, layout);
    d.test = read_split({files.test}, layout);
    if (meta) check_against(*meta, files, d);
    d.class_names = read_class_names(files, d.classes);
    d.stats = files.official ? measured(d.train, layout.pixels() / 3) : stated(*meta, files.folder);
    return d;
}

void does_not_fit(const std::string& set, int64_t images, int64_t bytes, const std::string& found) {
    failure(set, ": its ", images, " images take ", fixed(double(bytes) / (1 << 30)), " GiB (", found,
            "); free memory, or import images with a smaller --size, --classes or --limit");
}

void keep_per_class(Dataset& d, int64_t n) {
    const size_t pixels = size_t(d.height) * size_t(d.width) * 3;
    std::vector<int64_t> members(size_t(d.classes));
    size_t kept = 0;
    for (size_t i = 0; i < size_t(d.train.records); ++i) {
        if (++members[size_t(d.train.labels[i])] > n) continue;
        const auto image = d.train.pixels.begin() + std::ptrdiff_t(i * pixels);
        if (kept != i) std::copy(image, image + std::ptrdiff_t(pixels), d.train.pixels.begin() + std::ptrdiff_t(kept * pixels));
        d.train.labels[kept++] = d.train.labels[i];
    }
    const int64_t most = *std::max_element(members.begin(), members.end());
    if (n < 1 || n >= most)
        input_error("--per-class: found ", n, ", expected 1 to ", most - 1, " (the largest class of ", d.name, " has ", most,
                    " training records)");
    d.train.records = int64_t(kept);
    d.train.pixels.resize(kept * pixels);
    d.train.labels.resize(kept);
}

void hold_out_validation(Dataset& d, int64_t n, uint64_t seed) {
    std::vector<std::vector<int64_t>> members(size_t(d.classes));
    for (int64_t i = 0; i < d.train.records; ++i) members[size_t(d.train.labels[size_t(i)])].push_back(i);
    const auto present = std::count_if(members.begin(), members.end(), [](const auto& records) { return !records.empty(); });
    if (n < 1 || n > d.train.records - present)
        input_error("--val: found ", n, ", expected 1 to ", d.train.records - present, " (", d.name, " has ", d.train.records,
                    " training records of ", present, " classes, and one of each must be left)");
    const std::vector<int64_t> shares = proportional_shares(n, members, d.train.records);

    std::vector<char> held(size_t(d.train.records), 0);
    const uint64_t key = random_key(seed, Purpose::validation);
    const auto ticket = [key](int64_t record) {  // the record itself breaks a tie
        const Random4 draw = philox(key, uint64_t(record));
        return std::pair(uint64_t{draw.v[0]} << 32 | draw.v[1], record);
    };
    for (size_t c = 0; c < members.size(); ++c) {
        std::sort(members[c].begin(), members[c].end(), [&](int64_t a, int64_t b) { return ticket(a) < ticket(b); });
        for (size_t k = 0; k < size_t(shares[c]); ++k) held[size_t(members[c][k])] = 1;
    }

    const size_t pixels = size_t(d.height) * size_t(d.width) * 3;
    Split validation;
    validation.pixels.reserve(size_t(n) * pixels);
    size_t kept = 0;
    for (size_t i = 0; i < held.size(); ++i) {  // the kept records close up in place: no second copy of the training set
        const auto image = d.train.pixels.begin() + std::ptrdiff_t(i * pixels);
        if (held[i]) {
            validation.pixels.insert(validation.pixels.end(), image, image + std::ptrdiff_t(pixels));
            validation.labels.push_back(d.train.labels[i]);
            continue;
        }
        if (kept != i) std::copy(image, image + std::ptrdiff_t(pixels), d.train.pixels.begin() + std::ptrdiff_t(kept * pixels));
        d.train.labels[kept++] = d.train.labels[i];
    }
    validation.records = n;
    d.train.records = int64_t(kept);
    d.train.pixels.resize(kept * pixels);
    d.train.labels.resize(kept);
    d.test = std::move(validation);
}

}  // namespace distill
