// fuzz.h: what a fuzzing target of one parser says, and what all targets share (docs/fuzzing.md).
// defines: seeds, parse, require, file_of, folder, parts_of, joined_parts
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base_files.h"

namespace distill::fuzz {

// ---- said by each target

/// Valid inputs to begin with, made with the project's own writers; kinds that these do not write are fixtures of tests/golden.
std::vector<std::string> seeds();

/// Reads the bytes as the program would. Ends in a value or in InputError; any other exception, a report of a sanitizer, a failed
/// require(), more than 5 s or 2 GiB are finds.
void parse(const std::string& bytes);

// ---- for all of them

/// Ends the process with this line if it does not hold.
void require(bool holds, const char* what);

/// This process's own folder in memory, removed at its end.
const fs::path& folder();

/// The bytes as a file of that folder.
fs::path file_of(const std::string& bytes, const char* name = "input");

/// An input that stands for several files: each but the last begins with its length, 4 bytes little-endian, cut to what is there. Missing
/// ones are empty.
std::vector<std::string> parts_of(const std::string& bytes, size_t count);
std::string joined_parts(const std::vector<std::string>& parts);

}  // namespace distill::fuzz
