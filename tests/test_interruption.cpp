// Trainings of the program itself that are stopped by signals at any moment, and go on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "train_interruption.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

std::string training(int epochs, int threads, const std::string& run, const std::string& method = "train") {
    return text(method, " --net resnet8 --dataset s --batch 32 --seed 5 --lr-steps ", epochs / 2, " --log-steps --epochs ", epochs,
                " --threads ", threads, " --run ", run);
}

/// Whole rows of a table that may be in the making: lines after the header.
size_t rows_of(const fs::path& csv) { return std::max<size_t>(lines_in(csv), 1) - 1; }

void wait_for_rows(Command& command, const fs::path& csv, size_t rows) {
    wait_until(command, [&] { return rows_of(csv) >= rows; });
}

/// While it lives, what is started hears SIGHUP, though these tests were started by nohup.
class HearsHangup {
  public:
    ~HearsHangup() { ::signal(SIGHUP, before_); }

  private:
    sighandler_t before_ = ::signal(SIGHUP, SIG_DFL);
};

}  // namespace

TEST_CASE("interruption: SIGINT, SIGTERM and SIGHUP end with 3 and a checkpoint, --resume ends like the uninterrupted run") {
    const Workplace folder(400);
    const HearsHangup beside_nohup;
    REQUIRE(run(folder, training(10, 1, "whole")).code == 0);
    for (const auto& [signal, name] : {std::pair(SIGINT, "int"), std::pair(SIGTERM, "term"), std::pair(SIGHUP, "hup")}) {
        CAPTURE(name);
        Command command(folder, training(10, 1, name));
        wait_for_rows(command, folder / name / "epochs.csv", 1);
        command.send(signal);
        const Ended end = command.wait();
        CAPTURE(end.err);
        CHECK(end.code == 3);
        CHECK(end.err.find('\n') == end.err.size() - 1);
        CHECK(says(end.err, {"distill: interrupted in epoch ", "after step ", std::string("--resume --run ") + name}));
        CHECK(fs::exists(folder / name / "checkpoint.bin"));
        CHECK_FALSE(fs::exists(folder / name / "result.csv"));
        CHECK_FALSE(fs::exists(folder / name / "student.safetensors"));
        check_rejected(folder, training(10, 1, name), {"this run folder exists", "--resume"});
        const Ended resumed = run(folder, std::string("train --resume --run ") + name);  // options and seed come from the run
        CHECK(resumed.code == 0);
        CHECK(says(resumed.out, {"seed             5", "epoch 10/10"}));
        check_same_training(folder / name, folder / "whole");
    }
}

TEST_CASE("interruption: under nohup a closed terminal stops nothing; the hint can be copied into a shell") {
    const Workplace folder(400);
    const HearsHangup beside_nohup;
    ::signal(SIGHUP, SIG_IGN);
    Command deaf(folder, training(3, 1, "deaf"));
    ::signal(SIGHUP, SIG_DFL);
    wait_for_rows(deaf, folder / "deaf/epochs.csv", 1);
    deaf.send(SIGHUP);
    CHECK(deaf.wait().code == 0);

    Command command(folder, training(40, 1, "it's(v2)"));
    wait_for_rows(command, folder / "it's(v2)/epochs.csv", 1);
    command.send(SIGHUP);
    command.send(SIGHUP);   // a shell sends it again to its jobs
    command.send(SIGTERM);  // a session that ends
    command.send(SIGTERM);  // timeout(1): once for its child, once for the child's group
    const Ended end = command.wait();
    CHECK(end.code == 3);
    CHECK(says(end.err, {"go on with --resume --run 'it'\\''s(v2)'"}));
}

TEST_CASE("interruption: a second signal ends the process, unless it comes at once") {
    const auto status_after = [](double pause) {
        const pid_t child = ::fork();
        if (child == 0) {
            catch_interruption();
            ::raise(SIGTERM);
            std::this_thread::sleep_for(Seconds(pause));
            ::raise(SIGTERM);
            ::_exit(interruption() ? 3 : 0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return status;
    };
    const int at_once = status_after(0), later = status_after(0.6);
    CHECK((WIFEXITED(at_once) && WEXITSTATUS(at_once) == 3));
    CHECK((WIFSIGNALED(later) && WTERMSIG(later) == SIGTERM));
}

TEST_CASE("interruption: speed and time left are told once there has been a step") {
    const Workplace folder(64);
    const std::string an_epoch_a_step = "train --net resnet8 --dataset s --batch 64 --epochs 60 --threads 1 --run r";
    Command command(folder, an_epoch_a_step);
    wait_for_rows(command, folder / "r/epochs.csv", 2);
    command.send(SIGTERM);  // after an epoch's last step
    CHECK(command.wait().code == 3);
    const std::string out = run(folder, "train --resume --run r").out;
    const size_t first = out.find("epoch "), second = out.find('\n', first);
    CHECK(out.substr(first, second - first).find(" img/s") == std::string::npos);
    CHECK(out.substr(first, second - first).find("ETA") == std::string::npos);
    CHECK(says(out.substr(second), {" img/s  ETA 0:00:"}));
}

TEST_CASE("interruption: of several runs, the one under way goes on and the rest follow") {
    const Workplace folder;
    const std::string both = "train --net resnet8 --dataset s --batch 32 --log-steps --epochs 6 --threads 1 --runs 2 --run ";
    REQUIRE(run(folder, both + "whole").code == 0);
    Command command(folder, both + "cut");
    wait_for_rows(command, folder / "cut/s0/epochs.csv", 2);
    command.send(SIGTERM);
    const Ended end = command.wait();
    CHECK(end.code == 3);
    CHECK(says(end.err, {"go on with --resume --run cut\n"}));
    CHECK(run(folder, "train --resume --run cut").code == 0);
    for (const char* seed : {"s0", "s1"}) check_same_training(folder / "cut" / seed, folder / "whole" / seed);
}

namespace {

/// A subcommand's training as `line` has it for a run's folder, killed twenty times and each time gone on with, beside one that is left alone.
void check_kills(const TempFolder& folder, const std::string& command_name, const std::function<std::string(const std::string&)>& line,
                 int epochs) {
    constexpr int kills = 20;
    const std::string whole = command_name + "-whole", cut = command_name + "-cut", go_on = command_name + " --resume --run " + cut;
    const auto seconds_of = [&](const std::string& command) {
        const auto started = Clock::now();
        const Ended end = run(folder, command);
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
        return Seconds(Clock::now() - started).count();
    };
    seconds_of("info --net resnet8");  // the first start reads the libraries from the disk
    const double start_up = seconds_of("info --net resnet8"), work = seconds_of(line(whole)) - start_up;

    // From half the start-up to a tenth of the work behind it: the kills fall on every part, and together stay short of the whole.
    const double earliest = start_up / 2, latest = start_up + work / 10;
    std::mt19937 random(1);
    size_t epochs_seen = 0;
    for (int kill = 0; kill < kills; ++kill) {
        const bool begun = fs::exists(folder / cut);
        Command command(folder, begun ? go_on : line(cut));
        // Not beyond this kill's share of the epochs: on a busy machine the measured time may be too long.
        const size_t share = static_cast<size_t>((kill + 1) * epochs / (kills + 2));
        const auto until = Clock::now() + Seconds(earliest + (latest - earliest) * (random() % 1000) / 1000);
        while (Clock::now() < until && !(begun && rows_of(folder / cut / "epochs.csv") > share))
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        REQUIRE(command.running());
        command.send(SIGKILL);
        CHECK(command.wait().code == 128 + SIGKILL);
        if (fs::exists(folder / cut)) CHECK(fs::exists(folder / cut / "config.csv"));
        epochs_seen = std::max(epochs_seen, rows_of(folder / cut / "epochs.csv"));
    }
    MESSAGE(command_name, ": ", kills, " kills within ", epochs_seen, " of ", epochs, " epochs");
    CHECK(epochs_seen > 3);  // the kills did meet the run at work
    CHECK_FALSE(fs::exists(folder / cut / "result.csv"));
    CHECK(run(folder, go_on).code == 0);
    check_same_training(folder / cut, folder / whole);
    if (const char* file = "graphs.csv"; fs::exists(folder / whole / file))
        CHECK(read_file(folder / cut / file) == read_file(folder / whole / file));
}

}  // namespace

TEST_CASE("slow: interruption: twenty kill -9 at random moments, each resumed, end like the uninterrupted run") {
    const Workplace folder(400);
    check_kills(
        folder, "train", [](const std::string& run) { return training(60, 2, run); }, 60);
    const std::string taught =
        "hkd --student resnet8 --teacher resnet8 --teacher-weights train-whole/student.safetensors --negatives-count 50 "
        "--dataset s --batch 32 --seed 5 --lr 0.01 --lr-steps 20 --log-steps --epochs 40 --threads 2 --run ";
    check_kills(
        folder, "hkd", [&](const std::string& run) { return taught + run; }, 40);
    CHECK(fs::exists(folder / "hkd-whole/graphs.csv"));
    check_kills(
        folder, "ffsd", [](const std::string& run) { return training(30, 2, run, "ffsd"); }, 30);
}

TEST_CASE("slow: interruption: the same seed and threads give the same files; one thread and two see the same batches") {
    const Workplace folder(400);
    for (const char* name : {"first", "second"}) REQUIRE(run(folder, training(3, 2, name)).code == 0);
    check_same_training(folder / "first", folder / "second");
    REQUIRE(run(folder, training(3, 1, "single")).code == 0);
    const CsvTable two = read_csv(folder / "first/steps.csv"), one = read_csv(folder / "single/steps.csv");
    REQUIRE(one.rows.size() == two.rows.size());
    // Sums over threads round differently, and training lets that grow; the first steps tell the same images from others.
    for (size_t step = 0; step < 3; ++step)
        CHECK(one.cell_number(step, "loss") == doctest::Approx(two.cell_number(step, "loss")).epsilon(1e-4));
}

TEST_SUITE_END();
