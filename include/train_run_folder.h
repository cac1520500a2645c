// train_run_folder.h: runs/<name>/ and the files in it.
// defines: Config, read_config, value_of, has_option, whole_of, numbered_folders, seed_folder, holds_seeds, number_of, is_checksum,
//          started_in, started_as, found_again, read_result, ResultRow, RunFolder
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base_csv.h"
#include "train_option_table.h"

namespace distill {

/// Option and value, in config.csv's order.
using Config = std::vector<std::pair<std::string, std::string>>;
/// InputError for a file that is not whole (ReadCsv::whole), or no run's: without those columns, or the row `method`.
Config read_config(const std::filesystem::path& file);
std::string value_of(const Config& config, const std::string& option);  ///< "" if there is none
bool has_option(const Config& config, const std::string& option);
int64_t whole_of(const Config& config, const std::string& option);  ///< 0 if there is no whole number
/// A row's value as a number. InputError naming `file` and the option if it is none.
double number_of(const Config::value_type& row, const std::filesystem::path& file);

/// The folders `prefix`<number> in `base`, by number (s0, s1, … of seeds); none where there is no such folder.
std::map<uint64_t, std::filesystem::path> numbered_folders(const std::filesystem::path& base, char prefix);

/// s<seed> in `base`: the run of that seed, where there are several.
std::filesystem::path seed_folder(const std::filesystem::path& base, uint64_t seed);
/// Does `base` hold runs of seeds, that of `seed` among them, rather than one run alone, whose file or folder `alone` would lie in `base`?
bool holds_seeds(const std::filesystem::path& base, uint64_t seed, const char* alone);

/// Does a row say what a file holds (info.…_sha256)?
bool is_checksum(const std::string& key);

/// The rows of config.csv that say from which folder a run was started, and into which one.
constexpr const char* started_in = "info.folder";
constexpr const char* started_as = "info.run";

/// An option's value in a run's `config`, its paths (TableOption::places) as they are to be looked for now that the run lies in `run`:
/// where the run's process saw them; then where they are if all has moved along with the run's folder; else as from here.
std::string found_again(const std::filesystem::path& run, const Config& config, const TableOption& option, const std::string& value);

/// result.csv of a run's folder. InputError if it is not whole, or has another number of rows than one.
CsvTable read_result(const std::filesystem::path& run);

/// result.csv, one row.
struct ResultRow {
    std::string id, dataset, teacher, student, method, seed;
    double last = 0, best = 0;  ///< test accuracy in %
    int best_epoch = 0;
    double seconds = 0;
    std::string device, precision, commit;
};

class RunFolder {
  public:
    /// Makes the folder with its config.csv, whole or not at all: `config`, and from where the run was started (info.folder) into which
    /// folder (info.run). InputError if it exists, or another process makes it.
    static RunFolder create(const std::filesystem::path& path, const Config& config);
    /// A folder made before. InputError if it is not there or has no config.csv.
    static RunFolder reopen(const std::filesystem::path& path);

    /// Is a process training in this folder? False, too, where there is none, or nobody can tell.
    static bool is_locked(const std::filesystem::path& path);

    /// Keeps other processes from training here as long as this object, or a process started meanwhile, lives. InputError if one already
    /// does, and still does after `patience` seconds.
    void lock(double patience = 0);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path file(const char* name) const { return path_ / name; }
    std::filesystem::path checkpoint() const { return file("checkpoint.bin"); }
    bool finished() const { return std::filesystem::exists(file("result.csv")); }
    Config config() const;
    /// InputError if its starts and batches were drawn by another version's key: what goes on or is used beside it would not fit.
    void require_start_key() const;
    /// Changes the values of options that config.csv has, all or none. The folder must be locked, and stays so.
    void set_options(const Config& changed);
    void write_result(const ResultRow& row) const;

    /// Starts a table anew, or goes on after its first `keep` rows.
    CsvWriter table(const char* name, const std::vector<std::string>& columns, bool resume, size_t keep) const;

  private:
    explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
    std::shared_ptr<void> lock_;  ///< an open file; the system gives the lock back even after kill -9
};

}  // namespace distill
