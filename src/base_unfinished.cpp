#include "base_unfinished.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "base_error.h"

namespace distill {

bool is_still_at(int file, const fs::path& path) {
    struct stat ours, there;
    return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

namespace {

constexpr size_t drawn_letters = 6;
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const std::string lock_ending = ".lock", partial = ".partial-";

[[noreturn]] void fail(const fs::path& path) {
    throw fs::filesystem_error("unfinished", path, std::error_code(errno, std::generic_category()));
}

fs::path folder_of(const fs::path& target) { return target.has_parent_path() ? target.parent_path() : fs::path("."); }

std::string begin_of(const fs::path& target) { return "." + target.filename().string() + partial; }

fs::path drawn_name(const fs::path& target) {
    unsigned char random[drawn_letters];
    if (::getentropy(random, sizeof random) != 0) fail(target);
    std::string name = begin_of(target);
    for (const unsigned char r : random) name += letters[r % letters.size()];
    return folder_of(target) / name;
}

/// Has `name` the form that drawn_name() gives, with `ending` behind it?
bool is_drawn(const std::string& name, const std::string& begin, const std::string& ending) {
    const size_t end = begin.size() + drawn_letters;
    return name.size() == end + ending.size() && name.compare(0, begin.size(), begin) == 0 &&
           name.compare(end, ending.size(), ending) == 0 &&
           name.substr(begin.size(), drawn_letters).find_first_not_of(letters) == std::string::npos;
}

/// A new file with this process's lock on it; −1, errno EEXIST, if the name is taken. Where a file system knows no locks it goes without:
/// the name alone keeps makers apart, and nobody tidies up there.
int open_locked(const fs::path& path, int flags) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | flags, 0644);
    if (file < 0) return -1;
    const bool taken = ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && is_still_at(file, path)) return file;
    ::close(file);  // someone who tidies up was quicker than our lock, and removes it
    errno = EEXIST;
    return -1;
}

/// Removes what killed makers of `target` have left: what is locked by nobody. `ending`: of the locks of folders. Whether one is at work.
bool tidy(const fs::path& target, const std::string& ending) {
    const std::string begin = begin_of(target);
    bool at_work = false;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(target), ignored)) {
        const std::string path = entry.path().string();
        if (!is_drawn(entry.path().filename().string(), begin, ending)) continue;
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (file < 0) continue;
        const bool free = ::flock(file, LOCK_EX | LOCK_NB) == 0;
        at_work |= !free && errno == EWOULDBLOCK;
        if (free && is_still_at(file, path)) {
            if (!ending.empty()) fs::remove_all(path.substr(0, path.size() - ending.size()), ignored);
            ::unlink(path.c_str());
        }
        ::close(file);
    }
    return at_work;
}

}  // namespace

bool is_unfinished(const fs::path& name) {
    const std::string text = name.filename().string();
    const size_t end = text.rfind(partial);
    return text[0] == '.' && end != std::string::npos && is_drawn(text, text.substr(0, end + partial.size()), "");
}

void sync_folder(const fs::path& folder) {
    const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;  // a file system without folder handles: the rename itself is still atomic
    ::fsync(fd);
    ::close(fd);
}

UnfinishedFile::UnfinishedFile(const fs::path& target) : target_(target) {
    tidy(target_, "");
    do {
        path_ = drawn_name(target_);
        file_ = open_locked(path_, O_CLOEXEC);
    } while (file_ < 0 && errno == EEXIST);
    if (file_ < 0) fail(target_);
}

UnfinishedFile::~UnfinishedFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
    ::close(file_);  // the lock ends last
}

void UnfinishedFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(file_, bytes.data(), bytes.size());
        if (n >= 0)
            bytes.remove_prefix(static_cast<size_t>(n));
        else if (errno != EINTR)
            fail(target_);
    }
}

void UnfinishedFile::place() {
    if (::fsync(file_) != 0 || ::rename(path_.c_str(), target_.c_str()) != 0) fail(target_);
    path_.clear();
    sync_folder(target_.parent_path());
}

UnfinishedFolder::UnfinishedFolder(const fs::path& target) : target_((target / "").parent_path()) {
    if (tidy(target_, lock_ending)) input_error(target_.string(), ": another process is making it; wait for it, or choose another name");
    for (fs::path above = target_.parent_path(); !above.empty() && !fs::exists(above); above = above.parent_path()) made_.push_back(above);
    try {
        fs::create_directories(folder_of(target_));
        do {
            path_ = drawn_name(target_);
            lock_ = open_locked(path_.string() + lock_ending, 0);
        } while (lock_ < 0 && errno == EEXIST);
        if (lock_ < 0 || ::mkdir(path_.c_str(), 0777) != 0) fail(target_);
    } catch (...) {
        discard();
        throw;
    }
}

UnfinishedFolder::~UnfinishedFolder() { discard(); }

void UnfinishedFolder::discard() noexcept {
    std::error_code ignored;  // nothing more can be done about a folder that refuses to go
    if (lock_ >= 0) {
        fs::remove_all(path_, ignored);
        ::unlink((path_.string() + lock_ending).c_str());
        ::close(lock_);
    }
    for (const fs::path& folder : made_) ::rmdir(folder.c_str());  // only if empty
}

bool UnfinishedFolder::place(const fs::path& inner) {
    if (::rename((path_ / inner).c_str(), target_.c_str()) != 0) {  // by itself it replaces no folder that has something in it
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) return false;
        fail(target_);
    }
    sync_folder(folder_of(target_));
    return true;
}

void UnfinishedFolder::replace(const fs::path& inner) {
    if (place(inner)) return;
    if (::renameat2(AT_FDCWD, (path_ / inner).c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
        if (errno != EINVAL && errno != ENOSYS) fail(target_);
        const fs::path old =
            path_.string() + ".old";  // a file system that cannot exchange: a kill between the steps leaves the old one here
        fs::rename(target_, old);
        if (!place(inner)) input_error(target_.string(), ": another process has made it meanwhile; look at what is there and try again");
        fs::remove_all(old);
    }
    sync_folder(folder_of(target_));
}

}  // namespace distill
