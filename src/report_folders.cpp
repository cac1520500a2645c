#include "report_folders.h"

#include <map>

#include "base_error.h"
#include "base_files.h"
#include "base_unfinished.h"
#include "search_journal.h"
#include "train_run_folder.h"

namespace distill {
namespace {

bool is_of_search(const fs::path& folder) {
    const fs::path name = folder.filename();
    return (name == "trials" || name == "pretrained" || name == "teachers" || name == "probe") && is_search(folder.parent_path());
}

/// False where a folder went while it was looked into: that ends the walk.
bool walk(const fs::path& folder, const std::function<void(const fs::path&)>& take) {
    std::error_code gone;
    const auto passed_over = fs::directory_options::skip_permission_denied;
    for (auto at = fs::recursive_directory_iterator(folder, passed_over, gone); !gone && at != fs::recursive_directory_iterator();
         at.increment(gone)) {
        std::error_code not_there;
        if (!at->is_directory(not_there)) continue;
        if (is_of_search(at->path()) || is_unfinished(at->path().filename()))
            at.disable_recursion_pending();
        else
            take(at->path());
    }
    return !gone;
}

}  // namespace

bool is_search(const fs::path& folder) {
    std::error_code gone;
    if (has_journal(folder) || fs::exists(folder / "retrained", gone)) return true;
    try {
        const std::string method = value_of(read_config(folder / "config.csv"), "method");
        return method == "ktg-search" || method == "ktg-transfer";
    } catch (const std::exception&) {
        return false;  // what cannot be read is complained of by who reads it
    }
}

std::vector<fs::path> folders_below(const std::vector<fs::path>& folders, const std::function<bool(const fs::path&)>& wanted) {
    std::map<fs::path, fs::path> found;
    const auto take = [&](const fs::path& folder) {
        std::error_code gone;
        if (!wanted(folder)) return;
        const fs::path place = fs::canonical(folder, gone);
        if (!gone) found.emplace(place, folder);
    };
    for (const fs::path& folder : folders) {
        if (!fs::is_directory(folder)) input_error(folder.string(), ": is no folder, expected a run folder or one with run folders in it");
        take(folder);
        constexpr int looks = 3;
        for (int look = 0; look < looks && !walk(folder, take); ++look) {
        }
    }
    std::vector<fs::path> all;
    for (const auto& [place, folder] : found) all.push_back(folder);
    return all;
}

}  // namespace distill
