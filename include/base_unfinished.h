// base_unfinished.h: what is being made has a name of its maker's own until it is whole.
// defines: sync_folder, is_still_at, is_unfinished, UnfinishedFile, UnfinishedFolder
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

namespace distill {

namespace fs = std::filesystem;

/// Makes a rename in `folder` last through a power cut, where the file system knows how.
void sync_folder(const fs::path& folder);

/// Is the file that `file` was opened on still the one at `path`? A lock that waited may be one on a file that was replaced meanwhile.
bool is_still_at(int file, const fs::path& path);

/// Is it the name of what is being made, or of what a killed maker has left?
bool is_unfinished(const fs::path& name);

/// A file that will be `target`, and lies beside it as .NAME.partial-XXXXXX until place(): nobody else has that name, so two makers of one
/// target never meet before the end. Its maker holds a lock on it (flock) that the system gives back even after kill -9; so the next maker
/// of the same target can tell what a killed one has left, and removes it. Errors are fs::filesystem_error.
class UnfinishedFile {
  public:
    explicit UnfinishedFile(const fs::path& target);
    ~UnfinishedFile();  ///< removes it, unless placed
    UnfinishedFile(const UnfinishedFile&) = delete;
    UnfinishedFile& operator=(const UnfinishedFile&) = delete;

    void write(std::string_view bytes);
    /// Syncs it and renames it over `target`: a reader, or a kill at any moment, sees what was there or all of this.
    void place();

  private:
    fs::path target_, path_;
    int file_ = -1;
};

/// The same for a folder. Its lock is the file .NAME.partial-XXXXXX.lock beside it, and is held by the processes started meanwhile, too
/// (an unpacking program outlives a killed parent). Folders above the target that are not there are made, and go if nothing came of it.
class UnfinishedFolder {
  public:
    /// InputError if another process is making `target` now; fs::filesystem_error if the folder cannot be made.
    explicit UnfinishedFolder(const fs::path& target);
    ~UnfinishedFolder();  ///< removes it, unless placed
    UnfinishedFolder(const UnfinishedFolder&) = delete;
    UnfinishedFolder& operator=(const UnfinishedFolder&) = delete;

    const fs::path& path() const { return path_; }
    /// Renames it, or the folder `inner` of it, to `target`. False, and nothing is changed, if a folder with something in it, or a file,
    /// has come there.
    bool place(const fs::path& inner = {});
    /// Puts it where `target` is, in one step where the file system can, and removes what was there.
    void replace(const fs::path& inner = {});

  private:
    void discard() noexcept;
    fs::path target_, path_;
    std::vector<fs::path> made_;  ///< parents, the deepest first
    int lock_ = -1;
};

}  // namespace distill
