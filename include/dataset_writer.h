// dataset_writer.h: makes an imported data set's folder, all of it or nothing.
// defines: ClassName, DatasetWriter
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base_unfinished.h"
#include "dataset.h"

namespace distill {

struct ClassName {
    std::string name;   ///< the folder's, the wnid, …
    std::string words;  ///< what it means, may be empty
};

/// Writes DIR/<name>/{train.bin,test.bin,meta.csv,classes.csv} (layout: DatasetFiles) in an UnfinishedFolder of its own, which finish()
/// renames: a set is one writer's or another's, never parts of both. DIR/<name> may be a link, which stays (behind_links).
class DatasetWriter {
  public:
    enum Part { train, test };

    /// Creates DIR and the unfinished folder. InputError if the name is not one plain word or an official one, there are no classes or more
    /// than 256, DIR cannot be written, another process is making the set, or it exists: with `force` it is replaced, if it is a data set
    /// (has a meta.csv of this program's) and holds no other file than a set's, which would go with it.
    DatasetWriter(const fs::path& data_dir, const std::string& name, int height, int width, std::vector<ClassName> classes, bool force);
    DatasetWriter(const DatasetWriter&) = delete;
    DatasetWriter& operator=(const DatasetWriter&) = delete;

    /// Bytes of a record: one label, then the planes R, G, B.
    size_t record_size() const { return 1 + 3 * size_t(height_) * size_t(width_); }
    /// Appends whole records. WriteError or InputError if they cannot be written (cannot_write).
    void append(Part part, const uint8_t* records, size_t count);
    /// Flushes, writes meta.csv and classes.csv, renames the folder into place. InputError, too, if another writer's has come there.
    void finish();

    const fs::path& folder() const { return folder_; }

  private:
    struct Sink {
        ~Sink() {
            if (file) std::fclose(file);
        }
        fs::path path;
        std::FILE* file = nullptr;
        int64_t records = 0;
    };
    void open(Sink& sink, const fs::path& path);
    void close(Sink& sink);

    fs::path folder_;  ///< as it is called, perhaps by a link
    bool force_;
    int height_, width_;
    std::vector<ClassName> classes_;
    std::optional<UnfinishedFolder> unfinished_;
    Sink sinks_[2];
    ChannelSums sums_;
};

}  // namespace distill
