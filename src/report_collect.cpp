#include <map>

#include "base_error.h"
#include "base_files.h"
#include "base_nearest.h"
#include "report.h"
#include "report_ktg.h"

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
    const CsvTable table = read_csv(file, finished ? ReadCsv::all : ReadCsv::whole_lines);
    std::vector<Epoch> epochs;
    table.column("epoch"), table.column("train_loss"), table.column("test_acc");  // also where there is no row yet
    for (size_t r = 0; r < table.rows.size(); ++r) {
        if (table.cell_number(r, "epoch") != static_cast<double>(r))
            input_error(file.string(), ": row ", r + 1, ": found epoch ", table.cell(r, "epoch"), ", expected ", r,
                        " (one row an epoch, from 0); the file was edited or two runs wrote it");
        epochs.push_back({table.cell_number(r, "train_loss"), bounded(table, r, "test_acc", 0, 100)});
    }
    return epochs;
}

/// The columns of result.csv that are text. What config.csv has of them stands for an unfinished run.
const std::vector<std::pair<const char*, std::string Run::*>> text_fields = {
    {"id", &Run::id},         {"dataset", &Run::dataset}, {"teacher", &Run::teacher}, {"student", &Run::student},
    {"method", &Run::method}, {"seed", &Run::seed},       {"device", &Run::device},   {"precision", &Run::precision},
    {"commit", &Run::commit}};

/// What the report computes with must be numbers.
void check_facts(const fs::path& file, const Config& config) {
    constexpr int64_t most_stages = 1000000;
    for (const auto& row : config) {
        const auto& [option, value] = row;
        const bool is_accuracy = option.rfind("info.teacher", 0) == 0 && option.find("_accuracy") != std::string::npos;
        if (const double percent = is_accuracy ? number_of(row, file) : 0; !(percent >= 0 && percent <= 100))
            input_error(file.string(), ": option '", option, "': found '", value, "', expected 0 to 100");
        const bool is_stage = option == "info.stage", counts = is_stage || option == "info.train_images" || option == "info.test_images";
        const int64_t count = counts ? parsed_whole(value).value_or(0) : 1;
        if (count < 1 || (is_stage && count > most_stages))
            input_error(file.string(), ": option '", option, "': found '", value, "', expected a whole number from 1");
    }
}

void fill_run(Run& run) {
    const fs::path& folder = run.folder;
    run.finished = fs::exists(folder / "result.csv");
    run.config = read_config(folder / "config.csv");
    check_facts(folder / "config.csv", run.config);
    run.stage = value_of(run.config, "info.stage");
    if (fs::exists(folder / "epochs.csv")) run.epochs = read_epochs(folder / "epochs.csv", run.finished);
    if (!run.finished) {
        for (const auto& [name, field] : text_fields) run.*field = value_of(run.config, name);
        if (run.student.empty()) run.student = value_of(run.config, "net");  // the option's other name
        return read_graph_of(run);
    }
    const CsvTable result = read_csv(folder / "result.csv");
    if (result.rows.size() != 1) input_error(result.path.string(), ": found ", result.rows.size(), " rows, expected one");
    for (const auto& [name, field] : text_fields) run.*field = result.cell(0, name);
    run.last = bounded(result, 0, "last", 0, 100);
    run.best = bounded(result, 0, "best", 0, 100);
    run.seconds = bounded(result, 0, "seconds", 0, 1e12);
    read_graph_of(run);
}

/// Whatever is wrong with one run is no reason to say nothing of the others.
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

}  // namespace

std::vector<Run> collect_runs(const std::vector<fs::path>& folders) {
    std::map<fs::path, fs::path> found;  // by canonical path: a folder named twice counts once
    bool search = false;
    const auto look = [&](const fs::path& folder) {
        if (fs::exists(folder / "result.csv") || fs::exists(folder / "epochs.csv")) found.emplace(fs::canonical(folder), folder);
        search |= fs::exists(folder / "journal.csv");
    };
    for (const fs::path& folder : folders) {
        if (!fs::is_directory(folder)) input_error(folder.string(), ": is no folder, expected a run folder or one with run folders in it");
        look(folder);
        const auto passed_over = fs::directory_options::skip_permission_denied;
        for (auto at = fs::recursive_directory_iterator(folder, passed_over); at != fs::recursive_directory_iterator(); ++at) {
            if (std::error_code gone; !at->is_directory(gone)) continue;
            // A search's trials, and what they needed, are its journal's; what it trained in the end are runs like others.
            const fs::path parent = at->path().parent_path(), name = at->path().filename();
            const bool of_search = fs::exists(parent / "journal.csv") || fs::exists(parent / "retrained");
            if (of_search && (name == "trials" || name == "pretrained" || name == "teachers"))
                at.disable_recursion_pending();
            else
                look(at->path());
        }
    }
    std::vector<Run> runs;
    for (const auto& [canonical, folder] : found) runs.push_back(read_run(folder));
    if (runs.empty() && !search)
        input_error("no run found in ", folders.empty() ? "no folder at all" : folders.front().string(),
                    folders.size() > 1 ? " and the other folders" : "", ": expected a result.csv or epochs.csv in it or below");
    return runs;
}

}  // namespace distill
