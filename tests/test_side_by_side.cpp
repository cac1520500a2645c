// Trainings side by side: the same files as one after another, whatever happens to one of them.
#include <signal.h>

#include <algorithm>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string on_s = " --dataset s --batch 32 --threads 1 --log-steps ";
const std::string three = "train --net resnet8" + on_s + "--runs 3 ";

/// The same training, of the same options.
void check_equal(const fs::path& a, const fs::path& b) {
    check_same_training(a, b);
    const auto config_but_place = [](const fs::path& run) {
        Config config = read_config(run / "config.csv");
        for (auto& [option, value] : config)
            if (option == "info.run") value.clear();
        return config;
    };
    CHECK(config_but_place(a) == config_but_place(b));
}

}  // namespace

TEST_CASE("side by side: three trainings end as one after another, byte for byte, and say which is which") {
    const Workplace folder;
    succeed(folder, three + "--epochs 3 --run alone");
    const Ended end = run(folder, three + "--epochs 3 --side-by-side 3 --run beside");
    REQUIRE(end.code == 0);
    for (const char* seed : {"s0", "s1", "s2"}) {
        check_equal(folder / "alone" / seed, folder / "beside" / seed);
        for (const char* epoch : {"1", "2", "3"}) CHECK(says(end.out, {text("\n", seed, ": epoch ", epoch, "/3  loss ")}));
        CHECK(says(end.out, {text("beside/", seed, ": last ")}));
    }
    CHECK(read_file(folder / "alone/s0/student.safetensors") != read_file(folder / "alone/s1/student.safetensors"));
}

TEST_CASE("side by side: fewer at a time than runs, each with its teacher") {
    const Workplace folder;
    succeed(folder, "train --net resnet14" + on_s + "--epochs 1 --run teacher");
    const std::string review = "reviewkd --student resnet8 --teacher resnet14 --teacher-weights teacher/student.safetensors" + on_s +
                               "--epochs 2 --kd-warmup 1 --runs 3 --quiet ";
    succeed(folder, review + "--run alone");
    succeed(folder, review + "--run beside --side-by-side 2");
    for (const char* seed : {"s0", "s1", "s2"}) check_equal(folder / "alone" / seed, folder / "beside" / seed);
}

TEST_CASE("side by side: a signal stops all at a checkpoint, and they go on together") {
    const Workplace folder;
    const std::string line = three + "--epochs 24 ";  // enough for a signal to come in time
    succeed(folder, line + "--run alone");
    Command command(folder, line + "--side-by-side 2 --run cut");
    wait_until(command, [&] { return fs::exists(folder / "cut/s1/checkpoint.bin"); });
    command.send(SIGTERM);
    const Ended end = command.wait();
    CHECK(end.code == 3);
    CHECK(says(end.err, {"distill: interrupted; 2 of 3 runs, those under way, wrote checkpoints; go on with --resume --run cut\n"}));
    CHECK(fs::exists(folder / "cut/s0/checkpoint.bin"));
    CHECK_FALSE(fs::exists(folder / "cut/s2"));  // not begun any more
    succeed(folder, line + "--side-by-side 3 --run cut --resume");
    for (const char* seed : {"s0", "s1", "s2"}) check_equal(folder / "alone" / seed, folder / "cut" / seed);
}

TEST_CASE("side by side: one that fails leaves the others at work and is told at the end, one after another, too") {
    const Workplace folder;
    succeed(folder, three + "--epochs 2 --run alone");
    for (const std::string at_a_time : {"1", "2"}) {
        const std::string name = "hurt" + at_a_time;
        fs::copy(folder / "alone", folder / name, fs::copy_options::recursive);
        for (const char* seed : {"s0", "s1"})
            for (const char* file : {"result.csv", "student.safetensors"}) fs::remove(folder / name / seed / file);
        const fs::path checkpoint = folder / name / "s0/checkpoint.bin";
        write_file_atomically(checkpoint, std::string_view(read_file(checkpoint)).substr(0, 1000));
        const Ended end = run(folder, three + "--epochs 2 --resume --side-by-side " + at_a_time + " --run " + name);
        CHECK(end.code == 2);
        CHECK(std::count(end.err.begin(), end.err.end(), '\n') == 1);
        CHECK(says(end.err, {"1 failure(s) in 3 runs: s0: ", "checkpoint.bin", "cut short"}));
        CHECK(says(end.out, {name + "/s1: last ", name + "/s2: finished before, skipped"}));
        check_equal(folder / "alone/s1", folder / name / "s1");
    }

    const Ended wild = run(folder, three + "--epochs 2 --lr 1e38 --side-by-side 3 --run wild");
    CHECK(wild.code == 1);
    CHECK(says(wild.err, {"3 failure(s) in 3 runs: ", "s0: epoch 0, step 1 ", " | s", "try a smaller --lr"}));
}

TEST_CASE("side by side: a limit that is up at once leaves time for a step of a run that is not finished") {
    const Workplace folder;
    const std::string two = "train --net resnet8" + on_s + "--runs 2 --epochs 12 --run r ";
    succeed(folder, "train --net resnet8" + on_s + "--epochs 12 --run r/s0");
    for (int call = 0; call < 2; ++call) {
        const Ended end = run(folder, two + "--resume --time-limit 1s");
        CHECK(end.code == 3);
        CHECK(says(end.out, {"r/s0: finished before, skipped"}));
        const std::string seeds = call == 0 ? " --seed 0 --runs 2" : "";  // s0 was begun alone and knows of no other; s1 knows both
        CHECK(says(end.err, {"--time-limit: interrupted; 1 of 2 runs, those under way, wrote checkpoints; go on with --resume --run r" +
                             seeds + "\n"}));
        CHECK(fs::exists(folder / "r/s1/checkpoint.bin"));
    }
    succeed(folder, two + "--resume");
    fs::remove(folder / "r/s0/result.csv");  // a failure is told with what is left to do
    fs::remove(folder / "r/s1/result.csv");
    write_file_atomically(folder / "r/s0/checkpoint.bin", "no checkpoint");
    const Ended both = run(folder, two + "--resume --epochs 400 --time-limit 1s");
    CHECK(both.code == 2);
    CHECK(says(both.err, {"1 failure(s) in 2 runs: s0: ", " | interrupted; ", "go on with --resume --run r --epochs 400\n"}));
}

TEST_CASE("side by side: how many at a time is no part of what a run is") {
    const Workplace folder;
    check_rejected(folder, three + "--side-by-side -1", {"--side-by-side: found '-1'", "a whole number from 0 on"});
    succeed(folder, "train --net resnet8" + on_s + "--epochs 1 --side-by-side 4 --run one");  // one run alone
    CHECK(read_file(folder / "one/config.csv").find("side-by-side") == std::string::npos);
}

TEST_SUITE_END();
