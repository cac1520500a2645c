// base_project.h: the data that lie in the program's project, found from wherever it is started.
// defines: project_data
#pragma once
#include <filesystem>
#include <string>

namespace distill {

/// The folder data/`name` under the current folder, else in the project that the executable lies in. InputError if there is neither:
/// "`wanted`: found data/`name` neither …; go to the project's folder`otherwise`".
std::filesystem::path project_data(const std::string& name, const std::string& wanted, const std::string& otherwise);

}  // namespace distill
