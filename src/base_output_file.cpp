#include "base_output_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base_error.h"
#include "base_files.h"

namespace distill {

void require_output(const std::string& option, const fs::path& file, const std::function<bool()>& is_own, const std::string& kind) {
    if (file.empty()) return;
    const std::string name = option + " " + file.string();
    const fs::path folder = fs::absolute(behind_links(file)).parent_path();
    std::error_code unknown;
    if (file.filename().empty() || fs::is_directory(file, unknown)) input_error(name, ": is a folder; name a file in it");
    if (!fs::is_directory(folder, unknown)) input_error(name, ": the folder ", folder.string(), " is not there; make it first");
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        input_error(name, ": cannot be written (", std::strerror(errno), "); choose another folder");
    if (!fs::exists(file, unknown)) return;
    if (!fs::is_regular_file(file, unknown)) input_error(name, ": is no regular file, which would be replaced; name another");
    if (fs::file_size(file, unknown) == 0) return;
    if (!is_own()) input_error(name, ": is there and is no ", kind, ", which alone would be replaced; name another file or remove it");
}

void require_output(const std::string& option, const fs::path& file, const std::string& begins, const std::string& kind) {
    const auto begins_so = [&] {
        std::string head(begins.size(), '\0');
        std::ifstream(file, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
        return head == begins;
    };
    require_output(option, file, begins_so, kind);
}

void require_not_read(const std::string& option, const fs::path& file, const fs::path& input) {
    std::error_code unknown;
    if (one_output(file, input) || fs::equivalent(file, input, unknown))
        input_error(option, " ", file.string(), ": is the file ", input.string(), ", which is read and must stay as it is; name another");
}

bool one_output(const fs::path& a, const fs::path& b) {
    const auto place = [](const fs::path& file) { return fs::weakly_canonical(fs::absolute(behind_links(file))); };
    return !a.empty() && !b.empty() && place(a) == place(b);
}

}  // namespace distill
