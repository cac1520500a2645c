#include "base_csv.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"

namespace distill {
namespace {

std::string quoted(const std::string& cell) {
    if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
    std::string out = "\"";
    for (char c : cell) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

std::string line_of(const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) line += (i ? "," : "") + quoted(cells[i]);
    return line + '\n';
}

/// Splits one record starting at `at` and moves `at` behind its line end. False if the text ends inside a quote.
bool next_record(const std::string& bytes, size_t& at, std::vector<std::string>& cells) {
    cells.assign(1, "");
    bool in_quote = false;
    for (; at < bytes.size(); ++at) {
        const char c = bytes[at];
        if (in_quote) {
            if (c != '"')
                cells.back() += c;
            else if (at + 1 < bytes.size() && bytes[at + 1] == '"')
                cells.back() += bytes[++at];
            else
                in_quote = false;
        } else if (c == '"') {
            in_quote = true;
        } else if (c == ',') {
            cells.emplace_back();
        } else if (c == '\n') {
            ++at;
            return true;
        } else if (c != '\r') {
            cells.back() += c;
        }
    }
    return !in_quote;
}

}  // namespace

bool CsvTable::has(const std::string& name) const { return std::find(columns.begin(), columns.end(), name) != columns.end(); }

void CsvTable::require_columns(std::initializer_list<const char*> names) const {
    for (const char* name : names) column(name);
}

std::string csv_text(const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows) {
    std::string all = line_of(columns);
    for (const auto& row : rows) all += line_of(row);
    return all;
}

size_t CsvTable::column(const std::string& name) const {
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end()) input_error(path.string(), ": no column '", name, "'; it has: ", joined(columns));
    return static_cast<size_t>(found - columns.begin());
}

const std::string& CsvTable::cell(size_t row, const std::string& name) const { return rows.at(row)[column(name)]; }

double CsvTable::cell_number(size_t row, const std::string& name) const {
    const std::string& value = cell(row, name);
    const auto parsed = parsed_number(value);
    if (!parsed) input_error(path.string(), ": row ", row + 1, ", column '", name, "': found '", value, "', expected a number");
    return *parsed;
}

int64_t CsvTable::cell_whole(size_t row, const std::string& name, int64_t most) const {
    const std::string& value = cell(row, name);
    const auto parsed = parsed_whole(value);
    if (!parsed || *parsed < 0 || *parsed > most)
        input_error(path.string(), ": row ", row + 1, ", column '", name, "': found '", value, "', expected a whole number from 0",
                    most == std::numeric_limits<int64_t>::max() ? "" : " to " + std::to_string(most));
    return *parsed;
}

CsvTable read_csv(const std::filesystem::path& path, ReadCsv which) {
    std::string bytes = read_file(path);
    CsvTable table;
    table.path = path;
    const size_t torn_bytes = bytes.size() - (bytes.rfind('\n') + 1);  // npos + 1 == 0
    if (which == ReadCsv::whole && torn_bytes > 0)
        input_error(path.string(), ": is cut off after ", bytes.size(),
                    " bytes, expected a line's end there; restore or end it, or move it away");
    if (which == ReadCsv::whole_lines) {
        table.torn_bytes = torn_bytes;
        bytes.resize(bytes.size() - torn_bytes);
    }
    size_t at = bytes.compare(0, 3, "\xEF\xBB\xBF") == 0 ? 3 : 0;  // a spreadsheet's byte-order mark
    if (at == bytes.size()) input_error(path.string(), ": is empty, expected a CSV with a header line");
    std::vector<std::string> cells;
    for (size_t line = 1; at < bytes.size(); ++line) {
        if (!next_record(bytes, at, cells)) input_error(path.string(), ": line ", line, ": a quote is opened and never closed");
        if (line == 1)
            table.columns = cells;
        else if (cells.size() == 1 && cells[0].empty())
            continue;
        else if (cells.size() != table.columns.size())
            input_error(path.string(), ": line ", line, ": found ", cells.size(), " cells, expected ", table.columns.size(),
                        " as in the header");
        else
            table.rows.push_back(cells);
    }
    return table;
}

CsvWriter::CsvWriter(const std::filesystem::path& path, std::vector<std::string> columns, Open mode) : path_(path), width_(columns.size()) {
    if (mode == Open::append && read_csv(path).columns != columns)
        input_error(path.string(), ": its header is not the one this run writes; choose another run folder");
    file_ = std::fopen(path.c_str(), mode == Open::fresh ? "w" : "a");
    if (!file_) cannot_write(path, errno);
    if (mode == Open::fresh) put(columns);
}

CsvWriter::~CsvWriter() {
    if (file_) std::fclose(file_);
}

CsvWriter::CsvWriter(CsvWriter&& other) noexcept
    : path_(std::move(other.path_)), width_(other.width_), file_(std::exchange(other.file_, nullptr)) {}

CsvWriter& CsvWriter::operator=(CsvWriter&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(width_, other.width_);
    std::swap(file_, other.file_);
    return *this;
}

void CsvWriter::row(const std::vector<std::string>& cells) {
    if (cells.size() != width_) failure(path_.string(), ": a row of ", cells.size(), " cells for ", width_, " columns");
    put(cells);
}

void CsvWriter::put(const std::vector<std::string>& cells) {
    const std::string line = line_of(cells);
    if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0) cannot_write(path_, errno);
}

void CsvWriter::sync() {
    if (::fsync(::fileno(file_)) != 0) cannot_write(path_, errno);
}

void keep_csv_rows(const std::filesystem::path& path, size_t rows) {
    const std::string bytes = read_file(path);
    std::vector<std::string> cells;
    size_t at = 0;
    for (size_t line = 0; line <= rows; ++line) {
        if (at >= bytes.size() || !next_record(bytes, at, cells) || bytes[at - 1] != '\n')
            input_error(path.string(), ": has ", line ? line - 1 : 0, " whole rows, the checkpoint expects ", rows,
                        "; the run cannot go on from here: start it anew in another folder");
    }
    if (at < bytes.size()) write_file_atomically(path, std::string_view(bytes).substr(0, at));
}

}  // namespace distill
