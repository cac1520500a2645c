// base_csv.h: the one table format of the project: comma-separated, quoted where needed (RFC 4180), one header row.
// defines: csv_text, CsvTable, ReadCsv, read_csv, CsvWriter, keep_csv_rows
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "base_numbers.h"

namespace distill {

/// A whole table as text, for files that appear whole or not at all (write_file_atomically).
std::string csv_text(const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows);

struct CsvTable {
    std::filesystem::path path;  ///< for messages
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;  ///< each as long as `columns`
    size_t torn_bytes = 0;                       ///< left out at the end (ReadCsv::whole_lines)

    /// Index of a column; InputError naming the file, the column and those present if it is missing.
    size_t column(const std::string& name) const;
    bool has(const std::string& name) const;
    /// InputError, as column() has it, unless all are there: of a table without rows nothing else asks for them.
    void require_columns(std::initializer_list<const char*> names) const;
    /// Cell as text, and as a number (InputError with file, row and column if it is not one).
    const std::string& cell(size_t row, const std::string& name) const;
    double cell_number(size_t row, const std::string& name) const;
    /// A whole number from 0 to `most`; InputError in the same way.
    int64_t cell_whole(size_t row, const std::string& name, int64_t most = std::numeric_limits<int64_t>::max()) const;
};

/// all: what people may write; the last line needs no end. whole: what this program wrote, each line with its end; InputError for a last
/// one without, which was cut off. whole_lines: of a file that rows are appended to, such a line was cut off by a kill, and is left out.
enum class ReadCsv { all, whole, whole_lines };

/// InputError for a missing file, an empty one, a row of another length than the header (file, line, found, expected), or an open quote.
CsvTable read_csv(const std::filesystem::path& path, ReadCsv which = ReadCsv::all);

/// Rows to a file, each flushed as it is written. A file that cannot be written ends as cannot_write (base_files.h) says.
class CsvWriter {
  public:
    enum class Open { fresh, append };
    /// fresh: truncates and writes the header. append: the file must have this very header.
    CsvWriter(const std::filesystem::path& path, std::vector<std::string> columns, Open mode = Open::fresh);
    ~CsvWriter();
    CsvWriter(CsvWriter&& other) noexcept;
    CsvWriter& operator=(CsvWriter&& other) noexcept;
    void row(const std::vector<std::string>& cells);
    void sync();  ///< returns when all rows are on the disk (fsync)

  private:
    void put(const std::vector<std::string>& cells);
    std::filesystem::path path_;
    size_t width_ = 0;
    std::FILE* file_ = nullptr;
};

/// Cuts a CSV after its header and first `rows` rows (what a resumed run keeps). A torn last line beyond them is dropped.
void keep_csv_rows(const std::filesystem::path& path, size_t rows);

}  // namespace distill
