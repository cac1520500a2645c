#include "report_watch.h"

#include <algorithm>
#include <map>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "report_folders.h"

namespace distill {
namespace {

std::string name_of(const Watched& w) {
    switch (w.state) {
        case WatchedState::running: return "running";
        case WatchedState::silent: return "silent " + duration(w.quiet_seconds);
        case WatchedState::unclear: return "unclear " + duration(w.quiet_seconds);
        case WatchedState::stopped: return "stopped " + duration(w.quiet_seconds) + " ago";
        case WatchedState::broken: return "broken";
        case WatchedState::finished: return "finished";
    }
    return "";
}

const char* word_of(WatchedState state) {
    constexpr const char* words[] = {"running", "silent", "unclear", "stopped", "broken", "finished"};
    return words[static_cast<size_t>(state)];
}

std::string what_of(const Watched& w) { return w.phase.empty() ? w.what : w.phase + " of " + w.what; }

std::string percent(const std::optional<double>& value) { return value ? fixed(*value) : "–"; }

std::string counts(const std::vector<Watched>& all) {
    std::map<WatchedState, size_t> of;
    for (const Watched& w : all) ++of[w.state];
    std::vector<std::string> parts;
    for (const auto& [state, n] : of) parts.push_back(text(n, " ", word_of(state)));
    return joined(parts);
}

}  // namespace

std::vector<Watched> watch_folders(const std::vector<fs::path>& folders, WatchTime now) {
    std::vector<Watched> all;
    for (const fs::path& folder : folders_below(folders, [](const fs::path& f) { return fs::exists(f / "config.csv"); }))
        if (auto w = look_at(folder, now)) all.push_back(std::move(*w));
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
        rows.push_back({w.folder.string(), name_of(w), std::to_string(w.done), std::to_string(w.planned), percent(w.last), percent(w.best),
                        w.epoch_seconds ? fixed(*w.epoch_seconds, 1) : "–", w.images_per_second ? fixed(*w.images_per_second, 0) : "–",
                        w.left_seconds ? duration(*w.left_seconds) : "–", what_of(w)});
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
                        cell(w.best), cell(w.epoch_seconds), cell(w.images_per_second), cell(w.left_seconds), number(w.quiet_seconds),
                        w.phase});
    return csv_text({"folder", "state", "what", "done", "planned", "last", "best", "epoch_seconds", "images_per_second", "left_seconds",
                     "quiet_seconds", "phase"},
                    printable(rows));
}

}  // namespace distill
