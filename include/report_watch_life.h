// report_watch_life.h: is somebody at work on a run or a search? By its lock, and by when it last wrote something.
// defines: WatchedState, SignsOfLife, state_by, WatchTime, age_of, quiet_time, may_hide_locks, file_system_of
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace distill {

/// running: a process holds its lock. silent: one does, and has written nothing for ten minutes and for the time of three epochs, or
/// while nobody knows how long an epoch takes, for an hour. unclear: nobody seen from here holds it, but its file system may hide the lock
/// of another host, and it wrote something within five minutes. stopped: no process is at it, and it is not finished. broken: its files
/// cannot be read.
enum class WatchedState { running, silent, unclear, stopped, broken, finished };

struct SignsOfLife {
    bool finished = false;
    bool locked = false;                  ///< RunFolder::is_locked(): the system gives a lock back when its process dies, however that dies
    bool may_hide_locks = false;          ///< of its file system
    double quiet_seconds = 0;             ///< since it last wrote something: whoever trains writes a checkpoint every two minutes
    std::optional<double> epoch_seconds;  ///< where an epoch has ended
};
WatchedState state_by(const SignsOfLife& signs);

using WatchTime = std::chrono::system_clock::time_point;

/// Seconds since a file was last written, 0 for one whose clock is ahead; none where there is none.
std::optional<double> age_of(const std::filesystem::path& file, WatchTime now);

/// Seconds since one of its files, of what has no epochs.csv (a search) also one of its trainings', was last written; 0 where there is none.
double quiet_time(const std::filesystem::path& folder, WatchTime now);

/// May a file system of this type (statfs) leave a lock unseen that another host holds? NFS asks its server, unless mounted with nolock or
/// local_lock; SMB, 9P and FUSE need not ask anybody, nor need Lustre, GPFS and BeeGFS as they are mounted.
bool may_hide_locks(uint32_t file_system);
uint32_t file_system_of(const std::filesystem::path& place);  ///< 0 where nobody can tell

}  // namespace distill
