#include "paper.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "csv.h"
#include "error.h"

namespace distill {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> paper_columns = {"id",     "table",  "dataset", "teacher", "student",
                                                "method", "metric", "value",   "std",     "source"};

template <class Strings>
std::string joined(const Strings& parts) {
    std::string all;
    for (const std::string& part : parts) all += (all.empty() ? "" : ", ") + part;
    return all;
}

std::optional<double> number_or_empty(const CsvTable& table, size_t row, const std::string& column) {
    if (table.cell(row, column).empty()) return std::nullopt;
    return table.cell_number(row, column);
}

/// Levenshtein distance: how many letters a typing error got wrong.
size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = std::exchange(row[0], i);
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

fs::path paper_folder(const fs::path& asked) {
    if (!asked.empty()) return asked;
    std::error_code unknown;  // no /proc: the current folder alone is looked at
    const fs::path beside = fs::read_symlink("/proc/self/exe", unknown).parent_path() / "data/paper";
    for (const fs::path& folder : {fs::path("data/paper"), beside})
        if (fs::is_directory(folder)) return folder;
    input_error("the papers' numbers: found neither data/paper in the current folder nor ", beside.string(),
                "; name their folder with --paper DIR");
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
            rows.push_back({cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6], number_or_empty(table, r, "value"),
                            number_or_empty(table, r, "std"), cell[9]});
            if (cell[0].empty()) input_error(file.string(), ": row ", r + 1, " has no id; give it one");
            const auto [first, fresh] = seen.emplace(cell[0], file);
            if (!fresh)
                input_error(file.string(), ": row ", r + 1, ": the id '", cell[0], "' is there already, in ", first->second.string());
        }
    }
    return rows;
}

const PaperRow& find_paper_row(const std::vector<PaperRow>& rows, const std::string& id) {
    for (const PaperRow& row : rows)
        if (row.id == id) return row;
    std::vector<std::pair<size_t, std::string>> nearest;
    for (const PaperRow& row : rows) nearest.emplace_back(edit_distance(id, row.id), row.id);
    std::sort(nearest.begin(), nearest.end());
    nearest.resize(std::min<size_t>(nearest.size(), 5));
    std::vector<std::string> names;
    for (const auto& [distance, name] : nearest) names.push_back(name);
    input_error("unknown experiment id '", id, "'; the nearest of ", rows.size(), " in data/paper: ", joined(names));
}

const PaperRow* student_alone(const std::vector<PaperRow>& rows, const PaperRow& row) {
    for (const PaperRow& other : rows)
        if (other.method == "student" && other.dataset == row.dataset && other.teacher == row.teacher && other.student == row.student)
            return &other;
    return nullptr;
}

}  // namespace distill
