#include "report_watch_look.h"

#include <algorithm>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "graph.h"
#include "method.h"
#include "method_table.h"
#include "report_collect.h"
#include "report_folders.h"

namespace distill {
namespace {

std::string seed_of(const Config& config) {
    const std::string seed = value_of(config, "seed");
    return seed.empty() ? "" : ", seed " + seed;
}

std::string told(const std::string& teachers, const std::string& student) {
    return teachers.empty() ? student : teachers + " -> " + student;
}

/// Teachers and student; of a graph its other nodes and its target, and before it has been written what it was made from.
std::string networks_of(const fs::path& run, const Config& config) {
    if (fs::exists(run / "graph.csv")) {
        const Graph graph = read_graph(run / "graph.csv");
        std::vector<std::string> others;
        for (int i = 1; i < graph.size(); ++i) others.push_back(graph.node(i).model);
        return told(joined(others, "+"), graph.node(0).model);
    }
    const std::string net = value_of(config, "net"), student = net.empty() ? value_of(config, "student") : net;
    const std::string one = value_of(config, "teacher"), teacher = one.empty() ? value_of(config, "teacher-nets") : one;
    if (!student.empty()) return told(teacher, student);
    const std::string models = value_of(config, "models");
    return value_of(config, "graph") + (models.empty() ? "" : " of " + models);
}

/// So many of `epochs` as --max-steps leaves of a training on the run's images.
int64_t within_max_steps(const Config& config, int64_t epochs) {
    const int64_t images = whole_of(config, "info.train_images"), batch = whole_of(config, "batch"), most = whole_of(config, "max-steps");
    if (images <= 0 || batch <= 0 || most <= 0) return epochs;
    const int64_t steps = value_of(config, "drop-last") == "on" ? std::max<int64_t>(1, images / batch) : (images + batch - 1) / batch;
    return std::min(epochs, (most + steps - 1) / steps);
}

/// Epochs of what a method trains first, as its option that was declared so (TableOption::of_phase) says it.
int64_t epochs_of_phase(const Config& config) {
    const MethodRow* const row = find_method(value_of(config, "method"));
    if (!row) return 0;
    OptionTable table;  // `distill kd` keeps all of its kin's
    const auto own = row->options();
    own->add_to(table);
    for (const TableOption& option : table.options())
        if (option.is_phase_length) return within_max_steps(config, whole_of(config, option.name));
    return 0;
}

/// Speed and time left by the table's last three epochs, `left` being those to come. The present one began when the table was last written,
/// or with the process (sessions.csv).
void set_pace(Watched& w, const Config& config, const CsvTable& epochs, int64_t left, WatchTime now) {
    const size_t n = epochs.rows.size(), some = std::min<size_t>(3, n);
    if (n == 0) return;
    double seconds = 0;
    for (size_t row = n - some; row < n; ++row) seconds += epochs.cell_number(row, "seconds") / static_cast<double>(some);
    w.epoch_seconds = seconds;
    if (const int64_t images = whole_of(config, "info.train_images"); images > 0 && seconds > 0)
        w.images_per_second = static_cast<double>(images) / seconds;
    const double written = age_of(epochs.path, now).value_or(0), begun = age_of(w.folder / "sessions.csv", now).value_or(written);
    w.left_seconds = std::max(0.0, seconds * static_cast<double>(left) - std::min(written, begun));
}

/// Of `feed reconstruct`, from config.csv, which has a checksum of each network, reconstruct.csv, which has a row of each pair, and the
/// table of the decoder that is being trained.
void look_at_reconstruction(Watched& w, const Config& config, WatchTime now) {
    int64_t students = 0, teachers = 0;
    for (const auto& [key, value] : config) {
        students += is_checksum(key) && starts_with(key, "info.student");
        teachers += is_checksum(key) && starts_with(key, "info.teacher");
    }
    w.what = text(value_of(config, "method"), ": students ", students, ", teachers ", teachers, seed_of(config));
    w.planned = students * teachers;
    w.done = static_cast<int64_t>(epochs_in(w.folder / "reconstruct.csv").rows.size());
    const CsvTable decoder = epochs_in(w.folder / text("decoder", w.done, ".csv"));
    const auto trained = static_cast<int64_t>(decoder.rows.size());
    set_pace(w, config, decoder, (w.planned - w.done) * whole_of(config, "epochs") - trained, now);
}

/// Of a run, from config.csv, epochs.csv, and until that has an epoch the table of what is trained first. InputError for one that has ended
/// and that the report leaves out.
void look_at_run(Watched& w, const Config& config, WatchTime now) {
    if (fs::exists(w.folder / "result.csv"))
        if (const std::string fault = read_run(w.folder).fault; !fault.empty()) input_error(fault);
    w.what = value_of(config, "method") + ": " + networks_of(w.folder, config) + seed_of(config);
    w.planned = within_max_steps(config, whole_of(config, "epochs"));
    if (fs::exists(w.folder / "reconstruct.csv")) return look_at_reconstruction(w, config, now);
    const CsvTable epochs = epochs_in(w.folder / "epochs.csv"), first = epochs_in(w.folder / (Phase().name + ".csv"));
    if (!epochs.columns.empty()) epochs.require_columns({"test_acc", "best_acc", "seconds"});
    const auto done = static_cast<int64_t>(epochs.rows.size()), prepared = static_cast<int64_t>(first.rows.size());
    if (const int64_t planned = epochs_of_phase(config); done == 0 && !first.columns.empty() && prepared < planned) {
        w.phase = Phase().name;
        w.done = prepared;
        w.planned = planned;
        return set_pace(w, config, first, planned - prepared, now);
    }
    if (done == 0) return;
    w.done = done;
    w.last = epochs.cell_number(epochs.rows.size() - 1, "test_acc");
    w.best = epochs.cell_number(epochs.rows.size() - 1, "best_acc");
    set_pace(w, config, epochs, w.planned - w.done, now);
}

/// A run ends with result.csv, a search or a transfer with search.csv, a reconstruction with its last pair.
bool is_finished(const Watched& w) {
    const bool whole = fs::exists(w.folder / "reconstruct.csv") && w.done == w.planned;
    return whole || fs::exists(w.folder / "result.csv") || fs::exists(w.folder / "search.csv");
}

}  // namespace

CsvTable epochs_in(const fs::path& file) {
    std::error_code none;
    const bool begun = fs::exists(file, none) && fs::file_size(file, none) > 0;
    return begun ? read_csv(file, ReadCsv::whole_lines) : CsvTable();
}

std::optional<Watched> look_at(const fs::path& folder, WatchTime now) {
    Watched w;
    w.folder = folder;
    try {
        w.quiet_seconds = quiet_time(folder, now);
        const bool locked = RunFolder::is_locked(folder);  // looked at first: what gives it back meanwhile has finished, not stopped
        const Config config = read_config(folder / "config.csv");
        is_search(folder) ? look_at_search(w, config) : look_at_run(w, config, now);
        w.state = state_by({is_finished(w), locked, may_hide_locks(file_system_of(folder)), w.quiet_seconds, w.epoch_seconds});
        if (w.state != WatchedState::running && w.state != WatchedState::unclear) w.left_seconds.reset();
    } catch (const std::exception& e) {
        if (!fs::exists(folder / "config.csv")) return std::nullopt;
        w.state = WatchedState::broken;
        w.what = e.what();
        w.phase.clear();
    }
    return w;
}

}  // namespace distill
