// base_output_file.h: files that a user names for what a command makes: what is wrong with such a name is said before the work.
// defines: require_output, require_not_read, one_output
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace distill {

/// The file can be written, and replaces nothing but one of its own kind, which `begins` so, or an empty one. InputError naming `option`
/// for a folder, a device, a file of another kind, and a place that is not there or takes no file. An empty path: nothing was asked for.
void require_output(const std::string& option, const std::filesystem::path& file, const std::string& begins, const std::string& kind);
/// The same for a kind that is not told by its beginning: is what is there one?
void require_output(const std::string& option, const std::filesystem::path& file, const std::function<bool()>& is_own,
                    const std::string& kind);

/// The file is not `input`, by whatever name, which the command reads and must find again. InputError naming `option`. An empty path: none.
void require_not_read(const std::string& option, const std::filesystem::path& file, const std::filesystem::path& input);

/// Do both name one file, be it there or not? Not if either is empty.
bool one_output(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace distill
