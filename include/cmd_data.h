// cmd_data.h: the subcommands `data fetch|import|synth|info`.
// defines: add_data_commands, print_dataset_info
#pragma once
#include <cstdio>
#include <filesystem>
#include <string>

namespace distill {

class Subcommand;

/// Registers `data` and its four subcommands under `app`; each one's callback does its work while `app` parses and throws what that throws.
void add_data_commands(Subcommand app);

/// Loads a data set (load_dataset's errors) and prints counts, smallest and largest class, size, mean, std and SHA-256 of each file:
/// as text, or as CSV with the columns key,value.
void print_dataset_info(const std::filesystem::path& data_dir, const std::string& name, bool csv, std::FILE* out);

}  // namespace distill
