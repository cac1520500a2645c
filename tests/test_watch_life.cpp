// How `distill watch` tells a run at work from one that hangs, and from a dead one.
#include <chrono>

#include "base_files.h"
#include "complaints.h"
#include "report_watch.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

constexpr double minute = 60, hour = 3600;
constexpr uint32_t nfs = 0x6969, fuse = 0x65735546, ext4 = 0xEF53, tmpfs = 0x01021994;

Watched look_later(const fs::path& run, double later) { return *look_at(run, system_clock::now() + seconds(static_cast<long>(later))); }

}  // namespace

TEST_CASE("watch: whoever holds the lock lives, and is silent after an hour, or once an epoch is known after three and ten minutes") {
    const auto quiet = [](double seconds, std::optional<double> epoch) { return state_by({false, true, false, seconds, epoch}); };
    CHECK(quiet(50 * minute, {}) == WatchedState::running);
    CHECK(quiet(hour + 1, {}) == WatchedState::silent);
    CHECK(quiet(9 * minute, minute) == WatchedState::running);
    CHECK(quiet(11 * minute, minute) == WatchedState::silent);
    CHECK(quiet(2 * hour, hour) == WatchedState::running);
    CHECK(quiet(4 * hour, hour) == WatchedState::silent);
    CHECK(state_by({true, true, false, 4 * hour, {}}) == WatchedState::finished);
}

TEST_CASE("watch: without a lock a run is dead at once; where another host's lock may be hidden only after five minutes") {
    const auto unlocked = [](bool may_hide, double seconds) { return state_by({false, false, may_hide, seconds, minute}); };
    CHECK(unlocked(false, 1) == WatchedState::stopped);
    CHECK(unlocked(true, 4 * minute) == WatchedState::unclear);
    CHECK(unlocked(true, 6 * minute) == WatchedState::stopped);
    CHECK(state_by({false, true, true, minute, minute}) == WatchedState::running);
    CHECK(state_by({true, false, true, minute, minute}) == WatchedState::finished);
    for (const uint32_t shared : {nfs, fuse}) CHECK(may_hide_locks(shared));
    for (const uint32_t own : {ext4, tmpfs}) CHECK_FALSE(may_hide_locks(own));
    const TempFolder folder;
    CHECK(file_system_of(folder.path()) != 0);
    CHECK(file_system_of(folder / "nowhere") == 0);

    const Watched w{folder / "a", WatchedState::unclear, "kd", "", 1, 2, {}, {}, {}, {}, {}, 80};
    const std::vector<std::string> lines = watch_lines({w}, 10, 100);
    CHECK(lines[0] == "1 unclear");
    CHECK(lines[2].find("unclear 0:01:20") != std::string::npos);
    CHECK(watch_csv({w}).find(",unclear,kd,1,2,") != std::string::npos);
}

TEST_CASE("watch: a first epoch longer than ten minutes is not silent, nor is a first phase's; checkpoints are signs of life") {
    const TempFolder folder;
    RunFolder run = RunFolder::create(folder / "a", {{"method", "mhgd"}, {"epochs", "2"}, {"mha-epochs", "160"}});
    put_file(folder / "a/epochs.csv", "epoch,test_acc,best_acc,seconds\n");
    CHECK(look_later(folder / "a", 1).state == WatchedState::stopped);
    run.lock();
    CHECK(look_later(folder / "a", 50 * minute).state == WatchedState::running);
    CHECK(look_later(folder / "a", 61 * minute).state == WatchedState::silent);
    put_file(folder / "a/preparation.csv", "epoch,lr,loss_mha,seconds\n");
    CHECK(look_later(folder / "a", 50 * minute).state == WatchedState::running);
    put_file(folder / "a/preparation.csv", "epoch,lr,loss_mha,seconds\n0,0.1,2,30\n");
    CHECK(look_later(folder / "a", 50 * minute).state == WatchedState::silent);

    for (const char* file : {"config.csv", "epochs.csv", "preparation.csv"})
        fs::last_write_time(folder / "a" / file, fs::file_time_type::clock::now() - std::chrono::hours(5));
    CHECK(look_later(folder / "a", 0).state == WatchedState::silent);
    put_file(folder / "a/checkpoint.bin", "");
    CHECK(look_later(folder / "a", minute).state == WatchedState::running);
    CHECK(look_later(folder / "a", minute).quiet_seconds == doctest::Approx(minute).epsilon(0.05));
}

TEST_SUITE_END();
