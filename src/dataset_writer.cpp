#include "dataset_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"

namespace distill {
namespace {

void check_name(const std::string& name) {
    const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || std::strchr("._-", c); });
    if (name.empty() || name[0] == '.' || !plain)
        input_error("--dataset: found '", name, "', expected a folder name of letters, digits, '.', '_', '-' that does not start with '.'");
    for (const char* official : {"cifar10", "cifar100", "cifar-10-batches-bin", "cifar-100-binary"})
        if (name == official) input_error("--dataset: '", name, "' is kept for the official files; choose another name");
}

/// Refuses a folder that --force must not replace: what is no data set of this program's, or holds more, which nobody could make again.
void require_replaceable(const fs::path& folder) {
    constexpr const char* header = "key,value";
    const fs::path meta = folder / "meta.csv";
    if (!fs::is_regular_file(meta))
        input_error(folder.string(), ": exists and is no data set (no meta.csv), so --force does not replace it; move it away");
    std::ifstream in(meta);
    std::string line;
    std::getline(in, line);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line != header)
        input_error(meta.string(), ": line 1: found '", first_characters(printable(line), 40), "', expected '", header,
                    "': the folder is no data set of this program's, so --force does not replace it; move it away");
    std::error_code unseen;
    std::set<std::string> others;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, unseen)) {
        const std::string name = entry.path().filename().string();
        const bool own = name == "train.bin" || name == "test.bin" || name == "meta.csv" || name == "classes.csv";
        std::error_code unknown;
        if (entry.is_directory(unknown) || !(own || is_left_by_a_desktop(name))) others.insert(name);
    }
    if (unseen) cannot_read(folder, unseen.value());
    if (!others.empty())
        input_error((folder / *others.begin()).string(),
                    ": is no file of a data set, and --force would remove it; move it away, or choose another name with --dataset");
}

}  // namespace

DatasetWriter::DatasetWriter(const fs::path& data_dir, const std::string& name, int height, int width, std::vector<ClassName> classes,
                             bool force)
    : folder_((data_dir.empty() ? fs::path(".") : data_dir) / name),
      force_(force),
      height_(height),
      width_(width),
      classes_(std::move(classes)) {
    check_name(name);
    if (classes_.empty() || classes_.size() > 256)
        input_error("data set '", name, "': found ", classes_.size(), " classes, expected 1 to 256 (a label is one byte); ",
                    "choose with --classes N");
    if (height < 1 || width < 1 || height > 4096 || width > 4096)
        input_error("data set '", name, "': found an image size of ", height, "x", width, ", expected 1 to 4096");
    if (fs::exists(folder_) && !force)
        input_error(folder_.string(), ": exists already; give --force to replace it, or another name with --dataset");
    if (fs::exists(folder_)) require_replaceable(folder_);
    try {
        unfinished_.emplace(behind_links(folder_));
    } catch (const fs::filesystem_error& error) {
        cannot_write(folder_, error.code().value());
    }
    open(sinks_[train], unfinished_->path() / "train.bin");
    open(sinks_[test], unfinished_->path() / "test.bin");
}

void DatasetWriter::open(Sink& sink, const fs::path& path) {
    sink.path = path;
    sink.file = std::fopen(path.c_str(), "wb");
    if (!sink.file) cannot_write(path, errno);
}

void DatasetWriter::close(Sink& sink) {
    const bool flushed = std::fflush(sink.file) == 0 && ::fsync(::fileno(sink.file)) == 0;
    const int reason = errno;
    std::FILE* const file = sink.file;
    sink.file = nullptr;
    if (std::fclose(file) != 0 || !flushed) cannot_write(sink.path, flushed ? errno : reason);
}

void DatasetWriter::append(Part part, const uint8_t* records, size_t count) {
    Sink& sink = sinks_[part];
    if (std::fwrite(records, record_size(), count, sink.file) != count) cannot_write(sink.path, errno);
    sink.records += int64_t(count);
    if (part == train)
        for (size_t i = 0; i < count; ++i) sums_.add(records + i * record_size() + 1, int64_t{height_} * width_);
}

void DatasetWriter::finish() {
    for (Sink& sink : sinks_) {
        if (sink.records == 0) input_error(folder_.string(), ": would have no ", sink.path.stem().string(), " images; give it some");
        close(sink);
    }
    const Normalization stats = sums_.result();
    std::string meta = text("key,value\nheight,", height_, "\nwidth,", width_, "\nclasses,", classes_.size(), "\n");
    for (const Sink& sink : sinks_) meta += text("records_", sink.path.stem().string(), ",", sink.records, "\n");
    for (const Sink& sink : sinks_) meta += text("sha256_", sink.path.stem().string(), ",", sha256_of_file(sink.path), "\n");
    for (int c = 0; c < 3; ++c) meta += text("mean_", channel_names[c], ",", number(stats.mean[c]), "\n");
    for (int c = 0; c < 3; ++c) meta += text("std_", channel_names[c], ",", number(stats.std[c]), "\n");

    const bool with_words = std::any_of(classes_.begin(), classes_.end(), [](const ClassName& c) { return !c.words.empty(); });
    std::vector<std::string> columns = {"label", "name"};
    if (with_words) columns.push_back("words");
    std::vector<std::vector<std::string>> rows;
    for (const ClassName& name : classes_) {
        rows.push_back({std::to_string(rows.size()), name.name});
        if (with_words) rows.back().push_back(name.words);
    }
    write_file_atomically(unfinished_->path() / "classes.csv", csv_text(columns, rows));
    write_file_atomically(unfinished_->path() / "meta.csv", meta);  // the last file: it also syncs the folder
    try {
        if (force_ && fs::is_regular_file(folder_ / "meta.csv")) {
            require_replaceable(folder_);  // of what has come meanwhile
            unfinished_->replace();
        } else if (!unfinished_->place())
            input_error(folder_.string(), ": another process has made this set meanwhile; use it, or choose another name with --dataset");
    } catch (const fs::filesystem_error& error) {
        cannot_write(folder_, error.code().value());
    }
    unfinished_.reset();
}

}  // namespace distill
