// dataset_writer.h: makes an imported data set's folder, all of it or nothing.
// defines: ClassName, DatasetWriter
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "dataset.h"

namespace distill {

struct ClassName {
    std::string name;   ///< the folder's, the wnid, …
    std::string words;  ///< what it means, may be empty
};

/// Writes DIR/<name>/{train.bin,test.bin,meta.csv,classes.csv} (layout: DatasetFiles) into the hidden sibling DIR/.<name>.partial,
/// which finish() renames. Whatever goes wrong before that, the destructor removes it; what a kill leaves, the next writer removes.
class DatasetWriter {
  public:
    enum Part { train, test };

    /// Creates DIR and the partial folder. InputError if the name is not one plain word or an official one, there are no classes or more
    /// than 256, DIR cannot be written, or the set exists: with `force` it is replaced, if it is a data set (has a meta.csv).
    DatasetWriter(const fs::path& data_dir, const std::string& name, int height, int width, std::vector<ClassName> classes, bool force);
    ~DatasetWriter();
    DatasetWriter(const DatasetWriter&) = delete;
    DatasetWriter& operator=(const DatasetWriter&) = delete;

    /// Bytes of a record: one label, then the planes R, G, B.
    size_t record_size() const { return 1 + 3 * size_t(height_) * size_t(width_); }
    /// Appends whole records. InputError if they cannot be written (a full disk).
    void append(Part part, const uint8_t* records, size_t count);
    /// Flushes, writes meta.csv and classes.csv, renames the folder into place.
    void finish();

    const fs::path& folder() const { return folder_; }

  private:
    struct Sink {
        fs::path path;
        std::FILE* file = nullptr;
        int64_t records = 0;
    };
    void open(Sink& sink, const fs::path& path);
    void close(Sink& sink);
    void discard() noexcept;

    fs::path data_dir_, folder_, partial_, replaced_;
    int height_, width_;
    std::vector<ClassName> classes_;
    bool made_data_dir_ = false;
    Sink sinks_[2];
    ChannelSums sums_;
};

}  // namespace distill
