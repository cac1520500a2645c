#include "data_fetch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base_error.h"
#include "base_files.h"
#include "base_subprocess.h"
#include "base_texts.h"
#include "base_unfinished.h"
#include "dataset.h"

namespace distill {
namespace {

struct Archive {
    std::string name, url, file, md5, folder;
};

/// CIFAR: address and MD5 as on its own page, www.cs.toronto.edu/~kriz/cifar.html. Tiny-ImageNet: Stanford publishes no checksum; this
/// is the one by which public loaders of the same address (Avalanche's among them) check their download.
const Archive kArchives[] = {
    {"cifar10", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530",
     "cifar-10-batches-bin"},
    {"cifar100", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8",
     "cifar-100-binary"},
    {"tiny-imagenet", "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de",
     "tiny-imagenet-200"},
};

Archive resolved(const FetchOptions& options) {
    std::vector<std::string> known;
    for (Archive archive : kArchives) {
        known.push_back(archive.name);
        if (archive.name != options.name) continue;
        if (!options.url.empty()) archive.url = options.url;
        if (!options.md5.empty()) {
            archive.md5 = options.md5;
            std::transform(archive.md5.begin(), archive.md5.end(), archive.md5.begin(), [](unsigned char c) { return std::tolower(c); });
        }
        return archive;
    }
    input_error("data fetch: found '", options.name, "', expected one of ", joined(known));
}

bool is_intact(const fs::path& path, const Archive& archive) { return archive.md5 == "none" || md5_of_file(path) == archive.md5; }

ProgramEnd curl(const std::string& url, const fs::path& into, bool show_progress) {
    return run_program({"curl", "--fail", "--location", "--show-error", show_progress ? "--progress-bar" : "--silent", "--continue-at", "-",
                        "--output", into.string(), url},
                       "curl", !show_progress);
}

/// What an earlier call has downloaded, for this process, and the curl that it starts, alone. An empty one goes at the end.
class Part {
  public:
    /// InputError if another process is downloading into it.
    explicit Part(const fs::path& path) : path_(path), file_(::open(path.c_str(), O_RDWR | O_CREAT, 0644)) {
        if (file_ < 0) cannot_write(path, errno);
        const bool taken = ::flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!taken && is_still_at(file_, path)) return;
        ::close(file_);
        input_error(path.string(), ": another process is downloading this archive; wait for it");
    }
    ~Part() {
        std::error_code gone;  // renamed to what it is a part of
        if (fs::file_size(path_, gone) == 0 && !gone) ::unlink(path_.c_str());
        ::close(file_);
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

  private:
    fs::path path_;
    int file_;
};

/// Downloads to `file`.part, from where an earlier call stopped, and renames.
void download(const Archive& archive, const fs::path& file, const FetchOptions& options) {
    const fs::path part = file.string() + ".part";
    const Part ours(part);
    if (fs::exists(file)) return;  // another process was quicker, and has verified it
    const bool show_progress = !options.quiet && ::isatty(STDERR_FILENO);
    const bool resumed = fs::file_size(part) > 0;
    if (resumed && archive.md5 != "none" && is_intact(part, archive)) return fs::rename(part, file);  // a kill came before the rename

    if (!options.quiet) std::printf("%s %s\n", resumed ? "resuming" : "downloading", archive.url.c_str()), std::fflush(stdout);
    ProgramEnd end = curl(archive.url, part, show_progress);
    // curl's 33 and 36: the server cannot resume. A resumed file that is not intact: the part was no beginning of this one.
    if (resumed && (end.code == 33 || end.code == 36 || (end.code == 0 && !is_intact(part, archive)))) {
        fs::resize_file(part, 0);
        end = curl(archive.url, part, show_progress);
    }
    if (end.code != 0)
        failure(archive.url, ": cannot be downloaded (", end.errors.empty() ? text("curl's exit status ", end.code) : end.last_error(),
                "); run the command again to go on where it stopped, or put the file at ", file.string(), " by hand and run it then",
                resumed ? text(" (remove ", part.string(), " to start anew)") : "");
    if (!is_intact(part, archive)) {
        const std::string found = md5_of_file(part);
        fs::resize_file(part, 0);
        input_error(archive.url, ": found MD5 ", found, ", expected ", archive.md5,
                    "; removed what was downloaded: try again or another --url");
    }
    fs::rename(part, file);
}

/// The unpacked folder must be what the other commands read.
void check_unpacked(const Archive& archive, const fs::path& file, const fs::path& where) {
    if (!fs::is_directory(where / archive.folder))
        input_error(file.string(), ": holds no folder ", archive.folder, ", expected the official archive");
    if (archive.name != "tiny-imagenet") {
        load_dataset(where, archive.name);
    } else if (!fs::is_regular_file(where / archive.folder / "wnids.txt")) {
        input_error(file.string(), ": holds no ", archive.folder, "/wnids.txt, expected the official archive");
    }
}

/// Refuses to replace a folder that holds what the unpacked one does not: a user's own would go with it.
void require_nothing_else(const fs::path& folder, const fs::path& unpacked) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
        if ((entry.is_directory() || !is_left_by_a_desktop(entry.path().filename().string())) &&
            !fs::exists(fs::symlink_status(unpacked / entry.path().lexically_relative(folder))))
            input_error(entry.path().string(), ": is not in the archive, and --force would remove it; move it away");
}

void unpack(const Archive& archive, const fs::path& file, const FetchOptions& options) {
    const fs::path folder = options.data / archive.folder;
    if (!options.quiet) std::printf("unpacking %s\n", file.c_str()), std::fflush(stdout);
    UnfinishedFolder unfinished(behind_links(folder));
    const bool zip = file.extension() == ".zip";
    const std::string program = zip ? "unzip" : "tar", into = unfinished.path().string();
    const ProgramEnd end = zip ? run_program({program, "-q", file.string(), "-d", into}, program, true)
                               : run_program({program, "-xzf", file.string(), "-C", into, "--no-same-owner"}, program, true);
    constexpr int unzips_full_disk = 50;
    if ((zip && end.code == unzips_full_disk) || end.errors.find("No space left on device") != std::string::npos)
        cannot_write(folder, ENOSPC);
    if (end.code != 0)
        input_error(file.string(), ": cannot be unpacked (", program, "'s exit status ", end.code, ": ", end.last_error(),
                    "); remove the file and run the command again");
    check_unpacked(archive, file, unfinished.path());
    if (options.force && fs::exists(folder)) {
        require_nothing_else(folder, unfinished.path() / archive.folder);
        unfinished.replace(archive.folder);
    } else if (!unfinished.place(archive.folder))
        input_error(folder.string(), ": another process has unpacked it meanwhile; it can be used");
}

void fetch(const Archive& archive, const fs::path& file, const FetchOptions& options) {
    if (!fs::exists(file))
        download(archive, file, options);
    else if (!is_intact(file, archive))
        input_error(file.string(), ": found MD5 ", md5_of_file(file), ", expected ", archive.md5, "; remove it and run the command again");
    unpack(archive, file, options);
}

}  // namespace

void fetch_dataset(const FetchOptions& options) {
    const Archive archive = resolved(options);
    const fs::path folder = options.data / archive.folder, file = options.data / archive.file;
    if (fs::exists(folder) && !options.force) {
        if (!options.quiet) std::printf("%s is there already (--force unpacks it again)\n", folder.c_str());
        return;
    }
    bool made = false;
    try {
        made = fs::create_directories(options.data);
        fetch(archive, file, options);
    } catch (const fs::filesystem_error& error) {
        cannot_write(error.path1(), error.code().value());
    } catch (...) {
        std::error_code ignored;
        if (made) fs::remove(options.data, ignored);  // only if empty: a part is kept
        throw;
    }
    if (options.quiet) return;
    std::printf("%s is ready (the archive %s may go)\n", folder.c_str(), file.c_str());
    if (archive.name == "tiny-imagenet")
        std::printf("next: distill data import tiny-imagenet --from %s --data %s\n", shell_word(folder.string()).c_str(),
                    shell_word(options.data.string()).c_str());
}

}  // namespace distill
