#include "paper.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base_csv.h"
#include "base_error.h"
#include "base_nearest.h"
#include "base_project.h"
#include "base_texts.h"

namespace distill {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> paper_columns = {"id",      "table",   "dataset", "teacher", "student", "method",
                                                "command", "options", "metric",  "value",   "std",     "source"};

std::optional<double> number_or_empty(const CsvTable& table, size_t row, const std::string& column) {
    if (table.cell(row, column).empty()) return std::nullopt;
    return table.cell_number(row, column);
}

/// "heads=4 no-abf=on".
std::vector<std::pair<std::string, std::string>> parse_options(const std::string& cell, const std::string& where) {
    std::vector<std::pair<std::string, std::string>> options;
    for (const std::string& word : split(cell, ' ')) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
            input_error(where, ", column 'options': found '", word, "', expected NAME=VALUE, separated by single spaces");
        options.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return options;
}

}  // namespace

std::string PaperRow::trained() const {
    const auto named = std::find_if(options.begin(), options.end(), [](const auto& option) { return option.first == "student"; });
    return named == options.end() ? student : named->second;
}

std::string PaperRow::training() const {
    std::string all = command + '|' + dataset + '|' + (command == "train" ? "" : teacher) + '|' + trained();
    if (command.empty()) all += id;
    for (const auto& [option, told] : options)
        if (option != "student") all += '|' + option + '=' + told;
    return all;
}

std::string PaperRow::where() const { return (fs::path(folder) / (file + ".csv")).string() + ", row " + id; }

fs::path paper_folder(const fs::path& asked) {
    return asked.empty() ? project_data("paper", "the papers' numbers", ", or name theirs with --paper DIR") : asked;
}

std::vector<PaperRow> load_paper(const fs::path& folder) {
    std::vector<fs::path> files;
    if (!fs::is_directory(folder)) input_error(folder.string(), ": is no folder, expected the papers' numbers (data/paper)");
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".csv") files.push_back(entry.path());
    if (files.empty()) input_error(folder.string(), ": holds no .csv file, expected the papers' numbers (data/paper)");
    std::sort(files.begin(), files.end());

    std::vector<PaperRow> rows;
    std::map<std::string, fs::path> seen;
    for (const fs::path& file : files) {
        const CsvTable table = read_csv(file);
        if (table.columns != paper_columns)
            input_error(file.string(), ": found the columns ", joined(table.columns), "; expected ", joined(paper_columns));
        for (size_t r = 0; r < table.rows.size(); ++r) {
            const std::vector<std::string>& cell = table.rows[r];
            const std::string where = text(file.string(), ": row ", r + 1);
            if (const std::string& metric = table.cell(r, "metric"); metric != "top1" && metric != "top1_best")
                input_error(where, ", column 'metric': found '", metric,
                            "', expected top1 (test accuracy of the last epoch) or top1_best (of the best)");
            rows.push_back({cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[8], number_or_empty(table, r, "value"),
                            number_or_empty(table, r, "std"), cell[11], cell[6], parse_options(cell[7], where), file.stem().string(),
                            folder.string()});
            if (cell[0].empty()) input_error(where, " has no id; give it one");
            const auto [first, fresh] = seen.emplace(cell[0], file);
            if (!fresh) input_error(where, ": the id '", cell[0], "' is there already, in ", first->second.string());
        }
    }
    return rows;
}

const PaperRow& find_paper_row(const std::vector<PaperRow>& rows, const std::string& id) {
    for (const PaperRow& row : rows)
        if (row.id == id) return row;
    if (rows.empty()) input_error("unknown experiment id '", id, "': the papers' numbers that were read have no row");
    std::vector<std::string> ids, files;
    for (const PaperRow& row : rows) {
        ids.push_back(row.id);
        if (files.empty() || files.back() != row.file) files.push_back(row.file);
    }
    input_error("unknown experiment id '", id, "'; the nearest of ", rows.size(), " in ", rows.front().folder, " (", joined(files),
                "): ", joined(nearest(id, ids, 5)));
}

const PaperRow* student_alone(const std::vector<PaperRow>& rows, const PaperRow& row) {
    const auto paper = [](const PaperRow& r) { return r.id.substr(0, r.id.find('-')); };
    const auto is_of_pair = [&](const PaperRow& r) {
        return r.dataset == row.dataset && r.teacher == row.teacher && r.student == row.student && paper(r) == paper(row);
    };
    const size_t again = row.method.find("-reproduction");  // by others, who trained the student, too
    const std::string theirs = again == std::string::npos ? "student" : "student" + row.method.substr(again);
    const PaperRow* elsewhere = nullptr;
    for (const PaperRow& other : rows) {
        if (!is_of_pair(other)) continue;
        if (other.method == theirs && other.table == row.table && other.metric == row.metric) return &other;
        if (!elsewhere && other.method == "student") elsewhere = &other;
    }
    return elsewhere;
}

}  // namespace distill
