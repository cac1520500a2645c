#include <algorithm>

#include "base_error.h"
#include "base_files.h"
#include "report_folders.h"
#include "report_watch_look.h"
#include "search_history.h"

namespace distill {
namespace {

/// What the trainings of a search have taken so far.
struct Trainings {
    int64_t all = 0, ended = 0;
    int64_t under_way = 0, at_work = 0;  ///< begun and not ended; of those the locked ones: after --resume fewer may be
    int64_t epochs = 0, epochs_left = 0;
    double seconds = 0;  ///< of all epochs, those of trainings under way among them

    void add_time(const fs::path& run) {
        const CsvTable table = epochs_in(run / "epochs.csv");
        for (size_t row = 0; row < table.rows.size(); ++row) seconds += table.cell_number(row, "seconds");
        epochs += static_cast<int64_t>(table.rows.size());
    }
    void add_under_way(const fs::path& run) {
        ++under_way;
        at_work += RunFolder::is_locked(run);
    }
    double side_by_side() const { return static_cast<double>(at_work > 0 ? at_work : std::max<int64_t>(1, under_way)); }
};

/// Of trials those that are timed: a rejected or repeated one takes no time, one whose folder is gone nobody knows how much.
Trainings of_trials(const SearchHistory& history) {
    Trainings t;
    for (const TrialRecord& trial : history.trials) {
        const fs::path run = history.folder / "trials" / std::to_string(trial.trial);
        if (trial.state == TrialEvent::started) t.add_under_way(run);
        t.ended += is_untrained(trial.state) || (trial.state != TrialEvent::started && fs::exists(run / "epochs.csv"));
        t.add_time(run);
    }
    return t;
}

/// Of the runs in those of these folders that are there; all train to their end.
Trainings of_runs(std::vector<fs::path> places) {
    places.erase(std::remove_if(places.begin(), places.end(), [](const fs::path& place) { return !fs::is_directory(place); }),
                 places.end());
    Trainings t;
    for (const fs::path& run : folders_below(places, [](const fs::path& folder) { return fs::exists(folder / "config.csv"); })) {
        const int64_t before = t.epochs, planned = whole_of(read_config(run / "config.csv"), "epochs");
        const bool ended = fs::exists(run / "result.csv");
        t.add_time(run);
        ++t.all;
        t.ended += ended;
        if (ended) continue;
        t.epochs_left += std::max<int64_t>(0, planned - (t.epochs - before));
        if (fs::exists(run / "epochs.csv")) t.add_under_way(run);
    }
    return t;
}

/// Speed by the epochs so far, `images` in each.
void set_pace(Watched& w, const Trainings& t, int64_t images) {
    if (t.epochs == 0 || !(t.seconds > 0)) return;
    w.epoch_seconds = t.seconds / static_cast<double>(t.epochs);
    if (images > 0) w.images_per_second = t.side_by_side() * static_cast<double>(images) / *w.epoch_seconds;
}

}  // namespace

/// From journal.csv and the tables of its trainings: pretrained networks, then trials, then what is trained on all images. The time left is
/// that of the stage: of trials the time of one in the mean for each to come, as the search itself reckons, since most are stopped early; of
/// trainings to their end the time of their epochs.
void look_at_search(Watched& w, const Config& config) {
    const bool transfers = value_of(config, "method") == "ktg-transfer", searching = has_journal(w.folder);
    const SearchHistory history = searching ? read_search(w.folder) : SearchHistory{w.folder, config, {}, {}, {}, {}};
    if (!history.faults.empty()) input_error(history.faults.begin()->second);
    w.what = transfers ? "ktg-transfer: " + value_of(config, "transfer") + " on " + value_of(config, "dataset") : search_title(history);
    w.planned = whole_of(history.study, "trials");
    for (const TrialRecord& trial : history.trials) w.done += trial.state != TrialEvent::started;
    if (const auto order = ranked(history); !order.empty()) w.best = 100 - *order.front()->error;

    const bool ended = fs::exists(w.folder / "search.csv");
    if (ended && !transfers) return;
    const int64_t all_images = whole_of(config, "info.train_images");
    const int64_t images = all_images - whole_of(config, "val");
    if (searching && (w.done < w.planned || !fs::exists(w.folder / "retrained"))) {
        const Trainings t = of_trials(history);
        set_pace(w, t, images);
        if (t.ended > 0)
            w.left_seconds = t.seconds / static_cast<double>(t.ended) * static_cast<double>(w.planned - w.done) / t.side_by_side();
        return;
    }
    const bool before = !searching && !transfers;
    using Folders = std::vector<fs::path>;
    const Trainings t = of_runs(before ? Folders{w.folder / "pretrained"} : Folders{w.folder / "teachers", w.folder / "retrained"});
    w.phase = transfers ? "" : before ? "pretraining" : "retraining";
    w.done = t.ended;
    w.planned = t.all;
    set_pace(w, t, before ? images : all_images);
    if (w.epoch_seconds) w.left_seconds = *w.epoch_seconds * static_cast<double>(t.epochs_left) / t.side_by_side();
}

}  // namespace distill
