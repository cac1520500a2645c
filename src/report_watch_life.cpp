#include "report_watch_life.h"

#include <sys/vfs.h>

#include <algorithm>

#include "base_files.h"

namespace distill {
namespace {

double seconds_between(fs::file_time_type written, WatchTime now) {
    const auto age = fs::file_time_type::clock::now() - written + (now - std::chrono::system_clock::now());
    return std::max(0.0, std::chrono::duration<double>(age).count());
}

/// Seconds for which a training at work may write nothing. Its checkpoints come more often, unless a step, the choice of a GPU's plans or
/// a test takes longer, and how long those take an epoch tells.
double patience(const std::optional<double>& epoch_seconds) {
    constexpr double before_an_epoch = 3600, at_least = 600, epochs = 3;
    return epoch_seconds ? std::max(at_least, epochs * *epoch_seconds) : before_an_epoch;
}

}  // namespace

WatchedState state_by(const SignsOfLife& signs) {
    constexpr double two_checkpoints = 300;
    if (signs.finished) return WatchedState::finished;
    if (signs.locked) return signs.quiet_seconds > patience(signs.epoch_seconds) ? WatchedState::silent : WatchedState::running;
    return signs.may_hide_locks && signs.quiet_seconds < two_checkpoints ? WatchedState::unclear : WatchedState::stopped;
}

std::optional<double> age_of(const fs::path& file, WatchTime now) {
    std::error_code not_there;
    const fs::file_time_type written = fs::last_write_time(file, not_there);
    return not_there ? std::nullopt : std::optional<double>(seconds_between(written, now));
}

double quiet_time(const fs::path& folder, WatchTime now) {
    std::optional<fs::file_time_type> newest;
    const auto look_below = [&](auto at) {
        std::error_code gone;
        for (; !gone && at != decltype(at)(); at.increment(gone)) {
            std::error_code not_there;
            if (!at->is_regular_file(not_there)) continue;
            if (const auto written = at->last_write_time(not_there); !not_there) newest = std::max(newest.value_or(written), written);
        }
    };
    std::error_code gone;
    if (fs::exists(folder / "epochs.csv", gone))
        look_below(fs::directory_iterator(folder, gone));
    else
        look_below(fs::recursive_directory_iterator(folder, gone));
    return newest ? seconds_between(*newest, now) : 0;
}

bool may_hide_locks(uint32_t file_system) {
    // As statfs(2), linux/magic.h (which older systems have without some of them) and coreutils' stat know them.
    constexpr uint32_t nfs = 0x6969, smb = 0x517B, cifs = 0xFF534D42, smb2 = 0xFE534D42, fuse = 0x65735546, plan9 = 0x01021997,
                       ceph = 0x00C36400, afs = 0x5346414F, lustre = 0x0BD00BD0, gpfs = 0x47504653, beegfs = 0x19830326;
    constexpr uint32_t shared[] = {nfs, smb, cifs, smb2, fuse, plan9, ceph, afs, lustre, gpfs, beegfs};
    return std::find(std::begin(shared), std::end(shared), file_system) != std::end(shared);
}

uint32_t file_system_of(const fs::path& place) {
    struct statfs found;
    return ::statfs(place.c_str(), &found) == 0 ? static_cast<uint32_t>(found.f_type) : 0;
}

}  // namespace distill
