#include "base_project.h"

#include <system_error>

#include "base_error.h"

namespace distill {

namespace fs = std::filesystem;

fs::path project_data(const std::string& name, const std::string& wanted, const std::string& otherwise) {
    const fs::path data = fs::path("data") / name;
    if (fs::is_directory(data)) return data;
    std::error_code unknown;  // no /proc: the current folder alone is looked at
    fs::path place = fs::read_symlink("/proc/self/exe", unknown).parent_path();
    for (int up = 0; up < 3; ++up, place = place.parent_path())  // the program lies in the project's build/<configuration>
        if (fs::is_directory(place / data)) return place / data;
    input_error(wanted, ": found ", data.string(),
                " neither in the current folder nor in the program's project; go to the project's folder", otherwise);
}

}  // namespace distill
