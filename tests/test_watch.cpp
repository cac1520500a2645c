// What `distill watch` tells of runs by their files, and trainings that end before a limit of time.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "base_unfinished.h"
#include "command.h"
#include "report_watch.h"
#include "run_folders.h"
#include "train_interruption.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

const Config options = {{"method", "kd"}, {"teacher", "resnet20"}, {"student", "resnet8"},
                        {"seed", "3"},    {"epochs", "10"},        {"info.train_images", "600"}};

/// Four epochs of ten, each of 20 s.
RunFolder begun(const fs::path& folder) {
    RunFolder run = RunFolder::create(folder, options);
    put_file(folder / "epochs.csv", "epoch,test_acc,best_acc,seconds\n0,10,10,50\n1,20,20,20\n2,40,40,20\n3,30,40,20\n4,3");
    return run;
}

const Watched& at(const std::vector<Watched>& all, const fs::path& folder) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Watched& w) { return w.folder == folder; });
    REQUIRE(found != all.end());
    return *found;
}

const std::string tiny = "train --net resnet8 --dataset s --batch 32 --epochs 2 --threads 1 --quiet ";

}  // namespace

TEST_CASE("watch: a run that is locked is running, silent after ten minutes; one that is not has stopped; the torn last row is none") {
    const TempFolder folder;
    RunFolder run = begun(folder / "a");
    const auto look = [&](seconds later) { return at(watch_folders({folder.path()}, system_clock::now() + later), folder / "a"); };
    const Watched stopped = look(seconds(0));
    CHECK(stopped.state == WatchedState::stopped);
    CHECK(stopped.what == "kd: resnet20 -> resnet8, seed 3");
    CHECK(stopped.done == 4);
    CHECK(stopped.planned == 10);
    CHECK(*stopped.last == 30);
    CHECK(*stopped.best == 40);
    CHECK(*stopped.epoch_seconds == doctest::Approx(20));
    CHECK(*stopped.images_per_second == doctest::Approx(30));
    CHECK_FALSE(stopped.left_seconds);

    run.lock();
    const Watched running = look(seconds(30));
    CHECK(running.state == WatchedState::running);
    CHECK(*running.left_seconds == doctest::Approx(6 * 20 - 30).epsilon(0.05));
    CHECK(look(seconds(500)).left_seconds == 0);
    const Watched silent = look(seconds(700));
    CHECK(silent.state == WatchedState::silent);
    CHECK(silent.quiet_seconds == doctest::Approx(700).epsilon(0.01));
    CHECK(look(seconds(-100)).quiet_seconds == 0);  // another host's clock is ahead
}

TEST_CASE("watch: what is being made, or was left by a killed maker, is no run") {
    const TempFolder folder;
    begun(folder / "a");
    CHECK(watch_folders({folder.path()}, system_clock::now()).size() == 1);
    fs::copy(folder / "a", folder / ".b.partial-aaaaaa");
    REQUIRE(is_unfinished(".b.partial-aaaaaa"));
    CHECK(watch_folders({folder.path()}, system_clock::now()).size() == 1);
    fs::copy(folder / "a", folder / "b.partial-aaaaaa");  // somebody's own
    CHECK(watch_folders({folder.path()}, system_clock::now()).size() == 2);
}

TEST_CASE("watch: epochs of an hour are not silent after ten minutes") {
    const TempFolder folder;
    RunFolder run = RunFolder::create(folder / "a", options);
    put_file(folder / "a/epochs.csv", "epoch,test_acc,best_acc,seconds\n0,10,10,3600\n");
    run.lock();
    CHECK(watch_folders({folder.path()}, system_clock::now() + seconds(2 * 3600)).front().state == WatchedState::running);
    CHECK(watch_folders({folder.path()}, system_clock::now() + seconds(4 * 3600)).front().state == WatchedState::silent);
}

TEST_CASE("watch: those at work come first; what cannot be read is said; a screen's lines and columns are kept to") {
    const TempFolder folder;
    FinishedRun().with("info.train_images", "500").write(folder / "z");
    put_file(folder / "z/epochs.csv", "epoch,train_loss,test_acc,best_acc,seconds\n0,2,10,10,50\n");
    RunFolder running = begun(folder / "m");
    running.lock();
    put_file(folder / "b/config.csv", "option,value\nmethod,kd\n");
    put_file(folder / "b/epochs.csv", "epoch,test_acc,best_acc,seconds\n0,x,10,50\n");
    const std::vector<Watched> all = watch_folders({folder.path(), folder / "m"}, system_clock::now());  // m counts once
    REQUIRE(all.size() == 3);
    CHECK(all[0].state == WatchedState::running);
    CHECK(all[1].state == WatchedState::broken);
    CHECK(says(all[1].what, {"b/epochs.csv", "test_acc"}));
    CHECK(all[2].state == WatchedState::finished);

    const std::vector<std::string> whole = watch_lines(all, 100, 1000);
    REQUIRE(whole.size() == 5);
    CHECK(whole[0] == "1 running, 1 broken, 1 finished");
    CHECK(says(whole[2], {"running", "4", "10", "30.00", "40.00", "kd: resnet20 -> resnet8"}));
    const std::vector<std::string> few = watch_lines(all, 3, 20);
    REQUIRE(few.size() == 3);
    CHECK(few[0] == "1 running, 1 broken,");
    CHECK(watch_lines(all, 3, 100)[0] == "1 running, 1 broken, 1 finished; 2 of them not shown");

    put_file(folder / "watch.csv", watch_csv(all));
    const CsvTable table = read_csv(folder / "watch.csv");
    CHECK(table.cell(0, "state") == "running");
    CHECK(table.cell_number(0, "epoch_seconds") == doctest::Approx(20));
    CHECK(table.cell(1, "last").empty());
}

TEST_CASE("watch: a reconstruction counts its pairs, a transfer ends with search.csv, and what a search trained on its way is its own") {
    const TempFolder folder;
    const auto look = [&](const char* name) { return at(watch_folders({folder.path()}, system_clock::now()), folder / name); };
    put_file(folder / "r/config.csv",
             "option,value\nmethod,feed reconstruct\nepochs,20\ninfo.student0_sha256,a\ninfo.student1_sha256,b\ninfo.teacher0_sha256,c\n");
    put_file(folder / "r/reconstruct.csv", "method,seed\nkd,0\nfe");
    CHECK(look("r").done == 1);
    CHECK(look("r").planned == 2);
    CHECK(look("r").state == WatchedState::stopped);
    put_file(folder / "r/reconstruct.csv", "method,seed\nkd,0\nfeed,1\n");
    CHECK(look("r").state == WatchedState::finished);

    put_file(folder / "t/config.csv", "option,value\nmethod,ktg-transfer\n");
    fs::create_directories(folder / "t/retrained");
    begun(folder / "t/teachers/resnet8");
    CHECK(look("t").state == WatchedState::stopped);
    put_file(folder / "t/search.csv", "id\n");
    CHECK(look("t").state == WatchedState::finished);
    CHECK(watch_folders({folder.path()}, system_clock::now()).size() == 2);
}

TEST_CASE("watch: a search is as quiet as the last of its trainings, and owns them before it has a journal") {
    const TempFolder folder;
    const auto now = system_clock::now();
    RunFolder search = RunFolder::create(folder / "s", {{"method", "ktg-search"}, {"trials", "5"}});
    search.lock();
    begun(folder / "s/pretrained/resnet8");
    CHECK(watch_folders({folder.path()}, now).size() == 1);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
        if (entry.is_regular_file()) fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - seconds(2000));
    CHECK(at(watch_folders({folder.path()}, now), folder / "s").state == WatchedState::silent);
    put_file(folder / "s/pretrained/resnet8/epochs.csv", "epoch,test_acc,best_acc,seconds\n");
    CHECK(at(watch_folders({folder.path()}, now), folder / "s").state == WatchedState::running);
}

TEST_CASE("watch: the program: a table, its CSV, and one line for what is no run") {
    const TempFolder folder;
    begun(folder / "runs/a");
    const Ended shown = run(folder, "watch runs");  // no terminal: once
    CHECK(shown.code == 0);
    CHECK(says(shown.out, {"1 stopped", "runs/a", "kd: resnet20 -> resnet8"}));
    CHECK(run(folder, "watch --once --csv w.csv runs").code == 0);
    CHECK(read_csv(folder / "w.csv").cell(0, "folder") == "runs/a");
    put_file(folder / "mine.csv", "a,b\n1,2\n");
    check_rejected(folder, "watch runs --csv mine.csv", {"mine.csv"});
    check_rejected(folder, "watch nowhere", {"nowhere", "no folder"});
    fs::create_directory(folder / "empty");
    check_rejected(folder, "watch empty", {"empty", "no run here"});
    check_rejected(folder, "watch runs --every 0", {"--every", "found '0'", "above 0"});
}

TEST_CASE("time limit: a training ends with 3 and a checkpoint before it, again and again, and comes out like the uninterrupted one") {
    const Workplace folder;
    REQUIRE(run(folder, tiny + "--run whole").code == 0);
    size_t sessions = 0;
    for (Ended end{3, "", ""}; end.code == 3 && sessions < 20; ++sessions) {
        end = run(folder, tiny + "--run cut --auto-resume --time-limit 1s");  // less than the reserve: a step each
        CAPTURE(end.err);
        if (end.code == 3) CHECK(says(end.err, {"distill: --time-limit: interrupted in epoch ", "go on with --resume --run cut"}));
    }
    CHECK(sessions == 9);  // two epochs of four steps, and after the last the end
    CHECK(read_file(folder / "cut/student.safetensors") == read_file(folder / "whole/student.safetensors"));

    const CsvTable log = read_csv(folder / "cut/sessions.csv");
    REQUIRE(log.rows.size() == sessions);
    CHECK(log.cell(0, "step") == "0");
    CHECK(log.cell(5, "epoch") == "1");
    CHECK(log.cell(5, "step") == "1");
    CHECK(says(log.cell(7, "machine"), {"cpu, 1 threads"}));
    CHECK(run(folder, tiny + "--run long --time-limit 1h").code == 0);
    CHECK(read_csv(folder / "long/sessions.csv").rows.size() == 1);
}

TEST_CASE("time limit: trainings side by side, a preparation and a search stop at it, too") {
    const Workplace folder;
    const Ended two = run(folder, tiny + "--run two --runs 2 --side-by-side 2 --time-limit 1s");
    CHECK(two.code == 3);
    CHECK(says(two.err, {"--time-limit: interrupted; 2 of 2 runs, those under way, wrote checkpoints"}));
    REQUIRE(run(folder, tiny + "--run t").code == 0);
    const Ended prepared = run(folder,
                               "ft --student resnet8 --teacher resnet8 --teacher-weights t/student.safetensors --dataset s --batch 32 "
                               "--epochs 1 --threads 1 --quiet --run ft --time-limit 1s");
    CHECK(prepared.code == 3);
    CHECK(says(prepared.err, {"--time-limit: interrupted in epoch 1 of the preparation"}));
    const Ended search = run(folder,
                             "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --trials 3 --epochs 2 --batch 32 "
                             "--alone-batch 32 --threads 1 --devices cpu --quiet --run search --time-limit 1s");
    CHECK(search.code == 3);
    CHECK(says(search.err, {"--time-limit: interrupted; go on with --resume --run search"}));
}

TEST_CASE("time limit: hours, minutes and seconds; nothing else") {
    CHECK(parsed_duration("2h45m") == seconds(9900));
    CHECK(parsed_duration("90m") == seconds(5400));
    CHECK(parsed_duration("1h1m1s") == seconds(3661));
    CHECK(duration_text(seconds(9900)) == "2h45m");
    CHECK(duration_text(seconds(30)) == "30s");
    CHECK(duration_text(seconds(0)).empty());
    for (const char* wrong : {"90", "2h45", "m", "1m2h", "1h1h", "-1h", "0s", "1.5h", "99999999999999999999s", "9000h"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parsed_duration(wrong));
    }
    const Workplace folder;
    check_rejected(folder, tiny + "--time-limit 90", {"--time-limit", "found '90'", "2h45m"});
}

TEST_CASE("time limit: after it a first signal still waits for the checkpoint") {
    catch_interruption(seconds(1));
    CHECK(interruption());
    CHECK(time_is_up());
    ::raise(SIGTERM);  // a second one would end this process
    CHECK(interruption());
    catch_interruption();
    CHECK_FALSE(interruption());
    ::raise(SIGTERM);
    CHECK(interruption());
    CHECK_FALSE(time_is_up());
    catch_interruption();
}

TEST_CASE("sessions.csv: one that cannot be read keeps no run from going on, nor from the report") {
    const Workplace folder;
    REQUIRE(run(folder, tiny + "--run a").code == 0);
    for (const char* broken : {"", "began_utc,epoch\n1\n", "a,b\n1,2\n"}) {
        fs::remove(folder / "a/result.csv");
        put_file(folder / "a/sessions.csv", broken);
        const Ended end = run(folder, "train --resume --run a");
        CHECK(end.code == 0);
        CHECK(says(end.out, {"sessions.csv", "it is begun anew"}));
        CHECK(read_csv(folder / "a/sessions.csv").rows.size() == 1);
    }
    put_file(folder / "a/sessions.csv", "");
    CHECK(says(run(folder, "report a").out, {"resnet8"}));
}

TEST_CASE("sessions.csv: a run that goes on on another machine says so, and ends") {
    const Workplace folder;
    REQUIRE(run(folder, tiny + "--run a").code == 0);
    fs::remove(folder / "a/result.csv");
    std::string log = read_file(folder / "a/sessions.csv");
    log.replace(log.find("cpu, 1"), 6, "cpu, 9");
    put_file(folder / "a/sessions.csv", log + "torn");
    const Ended end = run(folder, "train --resume --run a");
    CHECK(end.code == 0);
    CHECK(says(end.out, {"note: it was trained on 'cpu, 9 threads", "goes on on 'cpu, 1 threads"}));
    CHECK(read_csv(folder / "a/sessions.csv").rows.size() == 2);
}

TEST_SUITE_END();
