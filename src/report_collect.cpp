#include "report_collect.h"

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "report_folders.h"
#include "search_journal.h"

namespace distill {
namespace {

/// A cell that must be finite and within [low, high].
double bounded(const CsvTable& table, size_t row, const std::string& column, double low, double high) {
    const double value = table.cell_number(row, column);
    if (!(value >= low && value <= high))
        input_error(table.path.string(), ": row ", row + 1, ", column '", column, "': found ", value, ", expected ", low, " to ", high);
    return value;
}

/// Of a run under way, or one that was killed, the last line may not be whole.
std::vector<Epoch> read_epochs(const fs::path& file, bool finished) {
    const CsvTable table = read_csv(file, finished ? ReadCsv::whole : ReadCsv::whole_lines);
    std::vector<Epoch> epochs;
    table.require_columns({"epoch", "train_loss", "test_acc"});
    for (size_t r = 0; r < table.rows.size(); ++r) {
        if (table.cell_number(r, "epoch") != static_cast<double>(r))
            input_error(file.string(), ": row ", r + 1, ": found epoch ", table.cell(r, "epoch"), ", expected ", r,
                        " (one row an epoch, from 0); the file was edited or two runs wrote it");
        epochs.push_back({table.cell_number(r, "train_loss"), bounded(table, r, "test_acc", 0, 100)});
    }
    return epochs;
}

/// None where there is no such table, or none that can be read: a run is no worse for its log.
std::vector<Sitting> read_sittings(const fs::path& file) {
    std::vector<Sitting> sittings;
    try {
        const CsvTable table = read_csv(file, ReadCsv::whole_lines);
        for (size_t row = 0; row < table.rows.size(); ++row) sittings.push_back({table.cell(row, "began_utc"), table.cell(row, "machine")});
    } catch (const std::runtime_error&) {  // a disk that fails, too
        return {};
    }
    return sittings;
}

/// The columns of result.csv that are text. What config.csv has of them stands for an unfinished run.
const std::vector<std::pair<const char*, std::string Run::*>> text_fields = {
    {"id", &Run::id},     {"dataset", &Run::dataset}, {"teacher", &Run::teacher},     {"student", &Run::student}, {"method", &Run::method},
    {"seed", &Run::seed}, {"device", &Run::device},   {"precision", &Run::precision}, {"commit", &Run::commit}};

/// What the report computes with must be numbers.
void check_facts(const fs::path& file, const Config& config) {
    constexpr int64_t most_stages = 1000000;
    for (const auto& row : config) {
        const auto& [option, value] = row;
        const bool is_accuracy = starts_with(option, "info.teacher") && option.find("_accuracy") != std::string::npos;
        if (const double percent = is_accuracy ? number_of(row, file) : 0; !(percent >= 0 && percent <= 100))
            input_error(file.string(), ": option '", option, "': found '", value, "', expected 0 to 100");
        const bool is_stage = option == "info.stage", counts = is_stage || option == "info.train_images" || option == "info.test_images";
        const int64_t count = counts ? parsed_whole(value).value_or(0) : 1;
        if (count < 1 || (is_stage && count > most_stages))
            input_error(file.string(), ": option '", option, "': found '", value, "', expected a whole number from 1",
                        is_stage ? text(" to ", most_stages) : std::string());
    }
}

/// Of a finished run on the same data; none otherwise.
std::optional<double> accuracy_of_run(const fs::path& run, const std::string& dataset) {
    if (!fs::exists(run / "result.csv")) return std::nullopt;
    const CsvTable result = read_result(run);
    if (result.cell(0, "dataset") != dataset) return std::nullopt;
    return result.cell_number(0, "last");
}

/// A ktg run's graph.csv with what the run made of it, and the graph's name: a shipped one's, "SEARCH/best1" of what a search trained in
/// the end, else the name of the file or, if that is graph.csv, of its folder. A run has its graph.csv before its first epoch.
void read_graph_of(Run& run) {
    if (run.method != "ktg") return;
    run.graph = read_graph(run.folder / "graph.csv");
    if (fs::exists(run.folder / "edges.csv") && !run.epochs.empty()) run.outcome = read_graph_outcome(*run.graph, run.folder);
    if (!run.outcome.faults.empty()) input_error(run.outcome.faults.begin()->second);
    const fs::path file = value_of(run.config, "graph"), folder = file.parent_path(), retrained = folder.parent_path().parent_path();
    if (retrained.filename() == "retrained")
        run.graph_name = (retrained.parent_path().filename() / folder.parent_path().filename()).string();
    else
        run.graph_name = file.filename() == "graph.csv" ? folder.filename().string() : file.stem().string();
}

void fill_run(Run& run) {
    const fs::path& folder = run.folder;
    run.finished = fs::exists(folder / "result.csv");
    run.config = read_config(folder / "config.csv");
    check_facts(folder / "config.csv", run.config);
    run.stage = value_of(run.config, "info.stage");
    if (fs::exists(folder / "epochs.csv")) run.epochs = read_epochs(folder / "epochs.csv", run.finished);
    run.sittings = read_sittings(folder / "sessions.csv");
    if (!run.finished) {
        for (const auto& [name, field] : text_fields) run.*field = value_of(run.config, name);
        if (run.student.empty()) run.student = value_of(run.config, "net");  // the option's other name
        return read_graph_of(run);
    }
    const CsvTable result = read_result(folder);
    for (const auto& [name, field] : text_fields) run.*field = result.cell(0, name);
    run.last = bounded(result, 0, "last", 0, 100);
    run.best = bounded(result, 0, "best", 0, 100);
    run.seconds = bounded(result, 0, "seconds", 0, 1e12);
    read_graph_of(run);
}

/// Of the nodes that the run trains.
void take_trained(GraphOutcome& outcome, const CsvTable& epochs) {
    epochs.require_columns({"test_acc"});
    for (size_t i = 0; i < outcome.accuracy.size() && !epochs.rows.empty(); ++i) {
        const std::string column = i == 0 ? "test_acc" : "test_acc_" + std::to_string(i);
        if (epochs.has(column)) outcome.accuracy[i] = epochs.cell_number(epochs.rows.size() - 1, column);
    }
}

/// Of the others, from the run's config.csv, or from the run that trained one.
void take_frozen(GraphOutcome& outcome, const Graph& graph, const fs::path& file) {
    const Config config = read_config(file);
    for (size_t i = 0; i < outcome.accuracy.size(); ++i)
        for (const auto& row : config)
            if (!outcome.accuracy[i] && row.first == "info.node" + std::to_string(i) + "_accuracy")
                outcome.accuracy[i] = number_of(row, file);

    for (size_t i = 0; i < outcome.accuracy.size(); ++i)
        if (!outcome.accuracy[i] && graph.nodes[i].weights.filename() == "student.safetensors")
            outcome.accuracy[i] = accuracy_of_run(graph.nodes[i].weights.parent_path(), value_of(config, "dataset"));
}

/// Of the last epoch.
std::vector<EdgeOutcome> edges_of(const CsvTable& table, const Graph& graph) {
    table.require_columns({"epoch", "target", "source", "weight", "loss", "both_right", "source_only", "target_only", "none_right"});
    std::vector<EdgeOutcome> edges;
    for (size_t row = 0; row < table.rows.size(); ++row) {
        if (table.cell(row, "epoch") != table.cell(table.rows.size() - 1, "epoch")) continue;
        const auto value = [&](const char* column) { return table.cell_number(row, column); };
        const double images = value("both_right") + value("source_only") + value("target_only") + value("none_right");
        const auto node = [&](const char* column) { return static_cast<int>(table.cell_whole(row, column, graph.size() - 1)); };
        edges.push_back({node("target"), node("source"), value("weight"), value("loss"), value("both_right") / images,
                         value("source_only") / images, value("target_only") / images, value("none_right") / images});
    }
    return edges;
}

}  // namespace

Run read_run(const fs::path& folder) {
    Run run;
    run.folder = folder;
    try {
        fill_run(run);
    } catch (const std::exception& e) {
        run = Run();
        run.folder = folder;
        run.fault = e.what();
    }
    return run;
}

GraphOutcome read_graph_outcome(const Graph& graph, const fs::path& run) {
    GraphOutcome outcome;
    outcome.accuracy.resize(graph.nodes.size());
    const ReadCsv which = fs::exists(run / "result.csv") ? ReadCsv::whole : ReadCsv::whole_lines;
    const auto take = [&](const char* name, const auto& from) { read_or_note(outcome.faults, run / name, from); };
    take("epochs.csv", [&](const fs::path& file) { take_trained(outcome, read_csv(file, which)); });
    take("config.csv", [&](const fs::path& file) { take_frozen(outcome, graph, file); });
    take("edges.csv", [&](const fs::path& file) { outcome.edges = edges_of(read_csv(file, which), graph); });
    return outcome;
}

std::vector<Run> collect_runs(const std::vector<fs::path>& folders) {
    bool search = false;
    const auto is_run = [&](const fs::path& folder) {
        search |= has_journal(folder);
        return fs::exists(folder / "result.csv") || fs::exists(folder / "epochs.csv");
    };
    std::vector<Run> runs;
    for (const fs::path& folder : folders_below(folders, is_run)) runs.push_back(read_run(folder));
    if (runs.empty() && !search)
        input_error("no run found in ", folders.empty() ? "no folder at all" : folders.front().string(),
                    folders.size() > 1 ? " and the other folders" : "", ": expected a result.csv or epochs.csv in it or below");
    return runs;
}

}  // namespace distill
