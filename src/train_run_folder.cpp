#include "train_run_folder.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "base_unfinished.h"
#include "core_philox.h"

namespace distill {

Config read_config(const fs::path& file) {
    const CsvTable table = read_csv(file, ReadCsv::whole);
    table.require_columns({"option", "value"});
    Config rows;
    for (size_t i = 0; i < table.rows.size(); ++i) rows.emplace_back(table.cell(i, "option"), table.cell(i, "value"));
    if (value_of(rows, "method").empty())
        input_error(file.string(), ": found no row 'method', which every run has; restore the file, or move it away");
    return rows;
}

CsvTable read_result(const fs::path& run) {
    CsvTable result = read_csv(run / "result.csv", ReadCsv::whole);
    if (result.rows.size() != 1) input_error(result.path.string(), ": found ", result.rows.size(), " rows, expected one");
    return result;
}

std::string value_of(const Config& config, const std::string& option) {
    for (const auto& [name, value] : config)
        if (name == option) return value;
    return "";
}

bool has_option(const Config& config, const std::string& option) {
    return std::any_of(config.begin(), config.end(), [&](const auto& row) { return row.first == option; });
}

int64_t whole_of(const Config& config, const std::string& option) { return parsed_whole(value_of(config, option)).value_or(0); }

std::map<uint64_t, fs::path> numbered_folders(const fs::path& base, char prefix) {
    std::map<uint64_t, fs::path> found;
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(base, none)) {
        const std::string name = entry.path().filename().string();
        const auto number = name[0] == prefix ? parsed_whole(name.substr(1)) : std::nullopt;
        if (number && *number >= 0 && entry.is_directory()) found[static_cast<uint64_t>(*number)] = entry.path();
    }
    return found;
}

fs::path seed_folder(const fs::path& base, uint64_t seed) { return base / ("s" + std::to_string(seed)); }

bool holds_seeds(const fs::path& base, uint64_t seed, const char* alone) {
    return !fs::exists(base / alone) && fs::exists(seed_folder(base, seed));
}

double number_of(const Config::value_type& row, const fs::path& file) {
    const auto number = parsed_number(row.second);
    if (!number) input_error(file.string(), ": option '", row.first, "': found '", row.second, "', expected a number");
    return *number;
}

namespace {

/// One path, or none, as found_again says.
std::string place_now(const fs::path& run, const Config& config, const std::string& value) {
    const fs::path from = value_of(config, started_in), before = value_of(config, started_as);
    if (value.empty() || from.empty() || before.empty()) return value;
    const fs::path old = (from / value).lexically_normal();  // an absolute value stays what it is
    std::error_code ignored;
    if (fs::exists(old, ignored)) return value == old || fs::equivalent(old, value, ignored) ? value : old.string();
    const fs::path along = (fs::absolute(run) / old.lexically_relative(before)).lexically_normal();
    return fs::exists(along, ignored) ? along.string() : value;
}

void write_config(const fs::path& file, const Config& config) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [option, value] : config) rows.push_back({option, value});
    write_file_atomically(file, csv_text({"option", "value"}, rows));
}

}  // namespace

std::string found_again(const fs::path& run, const Config& config, const TableOption& option, const std::string& value) {
    return option.with_places(value, [&](const std::string& path) { return place_now(run, config, path); });
}

bool is_checksum(const std::string& key) {
    const std::string end = "_sha256";
    return key.size() > end.size() && ends_with(key, end);
}

RunFolder RunFolder::create(const fs::path& path, const Config& config) {
    if (fs::exists(path) && !(fs::is_directory(path) && fs::is_empty(path)))
        input_error(path.string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
    std::error_code ignored;
    Config all = config;
    all.emplace_back(started_in, fs::current_path(ignored).string());
    all.emplace_back(started_as, fs::absolute(path / "", ignored).parent_path().lexically_normal().string());
    try {
        const fs::path named = path.has_filename() ? path : path.parent_path();       // without a slash at the end
        const fs::path place = fs::is_symlink(named) ? fs::canonical(named) : named;  // a link to an empty folder stays one
        UnfinishedFolder unfinished(place);  // a kill leaves no folder that can neither be started nor resumed
        write_config(unfinished.path() / "config.csv", all);
        if (!unfinished.place())
            input_error(path.string(), ": another process has made this run folder meanwhile; name another with --run, or wait for it");
    } catch (const fs::filesystem_error& error) {
        if (is_machines_fault(error.code().value())) cannot_write(path, error.code().value());
        input_error(path.string(), ": the run folder cannot be made (", error.code().message(), "); name another with --run");
    }
    return RunFolder(path);
}

RunFolder RunFolder::reopen(const fs::path& path) {
    RunFolder folder(path);
    std::error_code unseen;
    if (!fs::exists(folder.file("config.csv")))
        input_error(path.string(), ": no run to resume here (config.csv is missing); ",
                    fs::exists(path, unseen) && !fs::is_empty(path, unseen) ? "name a run's folder with --run, or start anew in another"
                                                                            : "start it without --resume");
    return folder;
}

bool RunFolder::is_locked(const fs::path& path) {
    std::FILE* config = std::fopen((path / "config.csv").c_str(), "r");
    if (!config) return false;
    const bool held = ::flock(::fileno(config), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    std::fclose(config);
    return held;
}

void RunFolder::lock(double patience) {
    constexpr std::chrono::milliseconds pause(20);
    constexpr double looked_at = 0.2;  // for a moment is_locked() holds it, too
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::max(patience, looked_at));
    for (;;) {
        std::FILE* config = std::fopen(file("config.csv").c_str(), "r+");  // NFS locks what is open for writing
        if (!config) config = std::fopen(file("config.csv").c_str(), "r");
        if (!config) cannot_read(file("config.csv"), errno);
        std::shared_ptr<void> opened(config, [](void* f) { std::fclose(static_cast<std::FILE*>(f)); });
        if (::flock(::fileno(config), LOCK_EX | LOCK_NB) == 0) {
            if (!is_still_at(::fileno(config), file("config.csv"))) continue;  // set_options has replaced it meanwhile
            lock_ = std::move(opened);
            return;
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            input_error(path_.string(), ": config.csv cannot be locked (", std::strerror(errno),
                        "); name a folder on another file system with --run");
        if (std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(pause);
            continue;
        }
        input_error(path_.string(), ": another process is training in this run folder; wait for it, or name another with --run");
    }
}

void RunFolder::set_options(const Config& changed) {
    Config rows = config();
    for (auto& [name, value] : rows)
        for (const auto& [option, now] : changed)
            if (name == option) value = now;
    write_config(file("config.csv"), rows);
    lock();  // the lock is the file's that was replaced
}

Config RunFolder::config() const { return read_config(file("config.csv")); }

void RunFolder::require_start_key() const {
    const std::string found = value_of(config(), "info.start_key");
    if (found != std::to_string(start_key_version))
        input_error(path_.string(), ": its start weights and batches were drawn by version ", found.empty() ? "1" : found,
                    " of the key, this program draws by version ", start_key_version,
                    "; start anew in another folder, or go on with the program that began it (config.csv, info.commit)");
}

void RunFolder::write_result(const ResultRow& r) const {
    const std::vector<std::string> columns = {"id",   "dataset",    "teacher", "student", "method",    "seed",  "last",
                                              "best", "best_epoch", "seconds", "device",  "precision", "commit"};
    const std::vector<std::string> row = {r.id,
                                          r.dataset,
                                          r.teacher,
                                          r.student,
                                          r.method,
                                          r.seed,
                                          number(r.last),
                                          number(r.best),
                                          std::to_string(r.best_epoch),
                                          number(r.seconds),
                                          r.device,
                                          r.precision,
                                          r.commit};
    write_file_atomically(file("result.csv"), csv_text(columns, {row}));
}

CsvWriter RunFolder::table(const char* name, const std::vector<std::string>& columns, bool resume, size_t keep) const {
    if (!resume) {
        CsvWriter fresh(file(name), columns);
        fresh.sync();  // a checkpoint of no rows yet counts on it
        return fresh;
    }
    keep_csv_rows(file(name), keep);
    return CsvWriter(file(name), columns, CsvWriter::Open::append);
}

}  // namespace distill
