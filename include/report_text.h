// report_text.h: the report as a table, on a terminal and in a CSV.
// defines: write_text, write_csv, csv_begins
#pragma once
#include <filesystem>
#include <iosfwd>

#include "report.h"

namespace distill {

/// An aligned table, the notes below it, then the unfinished runs and those that cannot be read.
void write_text(std::ostream& out, const Report& report);

/// The same columns as raw numbers, one row a group, an unfinished run, and a fault; appears whole or not at all.
void write_csv(const std::filesystem::path& file, const Report& report);
inline const char* const csv_begins = "experiment,status,id,";  ///< every such file

}  // namespace distill
