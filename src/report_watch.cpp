#include "report_watch.h"

#include <algorithm>
#include <map>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "report_folders.h"
#include "search_history.h"
#include "train_progress.h"
#include "train_run_folder.h"

namespace distill {
namespace {

using Time = std::chrono::system_clock::time_point;

/// Seconds since one of its files, of a search, which has no epochs of its own, also one of its trainings', was last written; 0 for those whose
/// clock is ahead.
double quiet_time(const fs::path& folder, Time now) {
    std::optional<fs::file_time_type> newest;
    const auto look_below = [&](auto at) {
        std::error_code gone;
        for (; !gone && at != decltype(at)(); at.increment(gone)) {
            std::error_code not_there;
            if (!at->is_regular_file(not_there)) continue;
            if (const auto written = at->last_write_time(not_there); !not_there) newest = std::max(newest.value_or(written), written);
        }
    };
    std::error_code gone;
    if (fs::exists(folder / "epochs.csv", gone))
        look_below(fs::directory_iterator(folder, gone));
    else
        look_below(fs::recursive_directory_iterator(folder, gone));
    if (!newest) return 0;
    const auto age = fs::file_time_type::clock::now() - *newest + (now - std::chrono::system_clock::now());
    return std::max(0.0, std::chrono::duration<double>(age).count());
}

std::string subject(const Config& config) {
    const std::string net = value_of(config, "net"), student = net.empty() ? value_of(config, "student") : net;
    const std::string one = value_of(config, "teacher"), teacher = one.empty() ? value_of(config, "teacher-nets") : one;
    const std::string seed = value_of(config, "seed");
    return value_of(config, "method") + ": " + (teacher.empty() ? "" : teacher + " -> ") + student + (seed.empty() ? "" : ", seed " + seed);
}

/// Of `feed reconstruct`, from config.csv, which has a checksum of each network, and reconstruct.csv, which has a row of each pair.
void look_at_reconstruction(Watched& w, const Config& config) {
    int64_t students = 0, teachers = 0;
    for (const auto& [key, value] : config) {
        students += is_checksum(key) && starts_with(key, "info.student");
        teachers += is_checksum(key) && starts_with(key, "info.teacher");
    }
    w.planned = students * teachers;
    w.done = static_cast<int64_t>(read_csv(w.folder / "reconstruct.csv", ReadCsv::whole_lines).rows.size());
}

/// Of a run, from config.csv and epochs.csv; a last line that is being written is left out.
void look_at_run(Watched& w) {
    const Config config = read_config(w.folder / "config.csv");
    w.what = subject(config);
    w.planned = parsed_whole(value_of(config, "epochs")).value_or(0);
    if (fs::exists(w.folder / "reconstruct.csv")) return look_at_reconstruction(w, config);
    if (!fs::exists(w.folder / "epochs.csv")) return;
    const CsvTable epochs = read_csv(w.folder / "epochs.csv", ReadCsv::whole_lines);
    const size_t n = epochs.rows.size();
    w.done = static_cast<int64_t>(n);
    if (n == 0) return;
    w.last = epochs.cell_number(n - 1, "test_acc");
    w.best = epochs.cell_number(n - 1, "best_acc");
    const size_t some = std::min<size_t>(3, n);
    double seconds = 0;
    for (size_t row = n - some; row < n; ++row) seconds += epochs.cell_number(row, "seconds") / static_cast<double>(some);
    w.epoch_seconds = seconds;
    if (const auto images = parsed_whole(value_of(config, "info.train_images")); images && seconds > 0)
        w.images_per_second = static_cast<double>(*images) / seconds;
}

void look_at_search(Watched& w) {
    const SearchHistory history = read_search(w.folder);
    w.what = search_title(history);
    w.planned = parsed_whole(value_of(history.study, "trials")).value_or(0);
    for (const TrialRecord& trial : history.trials) w.done += trial.state != TrialEvent::started;
    if (const auto order = ranked(history); !order.empty()) w.best = 100 - *order.front()->error;
}

/// A run ends with result.csv, a search or a transfer with search.csv.
WatchedState state_of(const Watched& w) {
    const bool whole = fs::exists(w.folder / "reconstruct.csv") && w.done == w.planned;
    if (whole || fs::exists(w.folder / "result.csv") || fs::exists(w.folder / "search.csv")) return WatchedState::finished;
    if (!RunFolder::is_locked(w.folder)) return WatchedState::stopped;
    constexpr double long_enough = 600, epochs = 3;
    return w.quiet_seconds > std::max(long_enough, epochs * w.epoch_seconds.value_or(0)) ? WatchedState::silent : WatchedState::running;
}

/// Nothing, where the folder has gone meanwhile.
std::optional<Watched> look(const fs::path& folder, Time now) {
    Watched w;
    w.folder = folder;
    try {
        w.quiet_seconds = quiet_time(folder, now);
        fs::exists(folder / "journal.csv") ? look_at_search(w) : look_at_run(w);
        w.state = state_of(w);
        if (w.state == WatchedState::running && w.epoch_seconds)
            w.left_seconds = std::max(0.0, *w.epoch_seconds * static_cast<double>(w.planned - w.done) - w.quiet_seconds);
    } catch (const std::exception& e) {
        if (!fs::exists(folder / "config.csv")) return std::nullopt;
        w.state = WatchedState::broken;
        w.what = e.what();
    }
    return w;
}

std::string name_of(const Watched& w) {
    switch (w.state) {
        case WatchedState::running: return "running";
        case WatchedState::silent: return "silent " + duration(w.quiet_seconds);
        case WatchedState::stopped: return "stopped " + duration(w.quiet_seconds) + " ago";
        case WatchedState::broken: return "broken";
        case WatchedState::finished: return "finished";
    }
    return "";
}

const char* word_of(WatchedState state) {
    constexpr const char* words[] = {"running", "silent", "stopped", "broken", "finished"};
    return words[static_cast<size_t>(state)];
}

std::string percent(const std::optional<double>& value) { return value ? fixed(*value) : "–"; }

std::string counts(const std::vector<Watched>& all) {
    std::map<WatchedState, size_t> of;
    for (const Watched& w : all) ++of[w.state];
    std::vector<std::string> parts;
    for (const auto& [state, n] : of) parts.push_back(text(n, " ", word_of(state)));
    return joined(parts);
}

}  // namespace

std::vector<Watched> watch_folders(const std::vector<fs::path>& folders, Time now) {
    std::vector<Watched> all;
    for (const fs::path& folder : folders_below(folders, [](const fs::path& f) { return fs::exists(f / "config.csv"); }))
        if (auto w = look(folder, now)) all.push_back(std::move(*w));
    if (all.empty())
        input_error(folders.front().string(), folders.size() > 1 ? " and the other folders" : "",
                    ": no run here, expected a config.csv in it or below");
    std::stable_sort(all.begin(), all.end(), [](const Watched& a, const Watched& b) {
        return a.state != b.state ? a.state < b.state : a.state == WatchedState::finished && a.quiet_seconds < b.quiet_seconds;
    });
    return all;
}

std::vector<std::string> watch_lines(const std::vector<Watched>& all, size_t lines, size_t columns) {
    std::vector<std::vector<std::string>> rows = {{"run", "state", "done", "of", "test %", "best %", "s/epoch", "img/s", "left", "what"}};
    for (const Watched& w : all) {
        if (rows.size() + 2 > lines) break;
        rows.push_back({printable(w.folder.string()), name_of(w), std::to_string(w.done), std::to_string(w.planned), percent(w.last),
                        percent(w.best), w.epoch_seconds ? fixed(*w.epoch_seconds, 1) : "–",
                        w.images_per_second ? fixed(*w.images_per_second, 0) : "–", w.left_seconds ? duration(*w.left_seconds) : "–",
                        printable(w.what)});
    }
    const size_t hidden = all.size() + 1 - rows.size();
    std::vector<std::string> shown = {counts(all) + (hidden > 0 ? text("; ", hidden, " of them not shown") : "")};
    for (const std::string& line : split(aligned(rows, {2, 3, 4, 5, 6, 7, 8}), '\n')) shown.push_back(line);
    for (std::string& line : shown) line = first_characters(line, columns);
    return shown;
}

std::string watch_csv(const std::vector<Watched>& all) {
    const auto cell = [](const std::optional<double>& value) { return value ? number(*value) : ""; };
    std::vector<std::vector<std::string>> rows;
    for (const Watched& w : all)
        rows.push_back({w.folder.string(), word_of(w.state), w.what, std::to_string(w.done), std::to_string(w.planned), cell(w.last),
                        cell(w.best), cell(w.epoch_seconds), cell(w.images_per_second), cell(w.left_seconds), number(w.quiet_seconds)});
    return csv_text({"folder", "state", "what", "done", "planned", "last", "best", "epoch_seconds", "images_per_second", "left_seconds",
                     "quiet_seconds"},
                    rows);
}

}  // namespace distill
