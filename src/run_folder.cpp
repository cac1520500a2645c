#include "run_folder.h"

#include <sys/file.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "error.h"
#include "files.h"

namespace distill {
namespace {

std::atomic<int> interrupted{0};  // read by every training's thread
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void on_signal(int signal) {
    if (interrupted) {  // asked twice: let the default action end the process
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
    interrupted = 1;
}

}  // namespace

void catch_interruption() {
    interrupted = 0;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
}

bool interruption() { return interrupted != 0; }

Config read_config(const fs::path& file) {
    const CsvTable table = read_csv(file);
    Config rows;
    for (size_t i = 0; i < table.rows.size(); ++i) rows.emplace_back(table.cell(i, "option"), table.cell(i, "value"));
    return rows;
}

std::string value_of(const Config& config, const std::string& option) {
    for (const auto& [name, value] : config)
        if (name == option) return value;
    return "";
}

double number_of(const Config::value_type& row, const fs::path& file) {
    const auto number = parsed_number(row.second);
    if (!number) input_error(file.string(), ": option '", row.first, "': found '", row.second, "', expected a number");
    return *number;
}

bool is_circumstance(const std::string& option) {
    static const std::set<std::string> names = {"seed", "data", "device", "threads", "save", "log-steps", "preset", "teacher-min",
                                                "teacher-nets", "train-teachers", "teachers-run", "numbers", "stages", "by"};
    return names.count(option) > 0 || option.rfind("info.", 0) == 0;
}

RunFolder RunFolder::create(const fs::path& path, const Config& config) {
    if (fs::exists(path))
        input_error(path.string(), ": this run folder exists; add --resume to go on, name another with --run, or remove it");
    // Made under another name first: a kill leaves no folder that can neither be started nor resumed.
    const fs::path partial = (path / "").parent_path().string() + ".partial";
    std::error_code error, ignored;
    fs::remove_all(partial, ignored);
    fs::create_directories(partial, error);
    try {
        std::vector<std::vector<std::string>> rows;
        for (const auto& [option, value] : config) rows.push_back({option, value});
        if (!error) write_file_atomically(partial / "config.csv", csv_text({"option", "value"}, rows));
    } catch (...) {
        fs::remove_all(partial, ignored);
        throw;
    }
    if (!error) fs::rename(partial, path, error);
    if (!error) return RunFolder(path);
    fs::remove_all(partial, ignored);
    input_error(path.string(), ": the run folder cannot be made (", error.message(), "); name another with --run");
}

RunFolder RunFolder::reopen(const fs::path& path) {
    RunFolder folder(path);
    if (!fs::exists(folder.file("config.csv")))
        input_error(path.string(), ": no run to resume here (config.csv is missing); start it without --resume");
    return folder;
}

void RunFolder::lock(double patience) {
    std::FILE* config = std::fopen(file("config.csv").c_str(), "r");
    if (!config) input_error(file("config.csv").string(), ": cannot be read");
    lock_ = std::shared_ptr<void>(config, [](void* f) { std::fclose(static_cast<std::FILE*>(f)); });
    constexpr std::chrono::milliseconds pause(20);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience);
    while (::flock(::fileno(config), LOCK_EX | LOCK_NB) != 0) {
        if (std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(pause);
            continue;
        }
        input_error(path_.string(), ": another process is training in this run folder; wait for it, or name another with --run");
    }
}

Config RunFolder::config() const { return read_config(file("config.csv")); }

void RunFolder::write_result(const ResultRow& r) const {
    const std::vector<std::string> columns = {"id", "dataset", "teacher", "student", "method", "seed", "last", "best", "best_epoch",
                                              "seconds", "device", "precision", "commit"};
    const std::vector<std::string> row = {r.id, r.dataset, r.teacher, r.student, r.method, r.seed, number(r.last), number(r.best),
                                          std::to_string(r.best_epoch), number(r.seconds), r.device, r.precision, r.commit};
    write_file_atomically(file("result.csv"), csv_text(columns, {row}));
}

CsvWriter RunFolder::table(const char* name, const std::vector<std::string>& columns, bool resume, size_t keep) const {
    if (!resume) return CsvWriter(file(name), columns);
    keep_csv_rows(file(name), keep);
    return CsvWriter(file(name), columns, CsvWriter::Open::append);
}

}  // namespace distill
