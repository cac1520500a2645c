#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_version.h"
#include "command.h"
#include "complaints.h"
#include "core_backend.h"
#include "core_dtype.h"
#include "cpu_waiting_threads.h"
#include "device.h"
#include "train_progress.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string on_s = " --dataset s --batch 32 --threads 1 --quiet ";
const std::string one_epoch = on_s + "--epochs 1 --net resnet8 ";

std::map<std::string, std::string> config_of(const fs::path& run) {
    const CsvTable table = read_csv(run / "config.csv");
    std::map<std::string, std::string> config;
    for (const auto& row : table.rows) config[row[0]] = row[1];
    return config;
}

/// The figure after `before` in a text.
std::string after(const std::string& text, const std::string& before) {
    const size_t at = text.find(before);
    REQUIRE(at != std::string::npos);
    return text.substr(at + before.size(), text.find_first_of(" ,\n", at + before.size()) - at - before.size());
}

}  // namespace

TEST_CASE("command line: every subcommand explains itself") {
    const TempFolder folder;
    std::vector<std::string> lines{""};
    for (size_t i = 0; i < lines.size(); ++i) {
        CAPTURE(lines[i]);
        const Ended end = run(folder, lines[i] + "--help");
        CHECK(end.code == 0);
        CHECK(end.err.empty());
        CHECK(says(end.out, {"--help", "Usage"}));
        for (const std::string& name : subcommands_in(end.out)) lines.push_back(lines[i] + name + " ");
    }
    for (const char* deep : {"ktg search ", "weights export ", "bench costs ", "paper rows ", "data import "})
        CHECK(std::count(lines.begin(), lines.end(), deep) == 1);
    CHECK(says(run(folder, "train --help").out, {"--net", "--student", "--lr-steps", "crop-flip|none", "150,180,210"}));
    CHECK(says(run(folder, "info").out, {"resnet20", "wrn-40-2"}));
}

TEST_CASE("command line: an unknown or missing subcommand lists those there are") {
    const TempFolder folder;
    check_rejected(folder, "",
                   {"a subcommand is missing", "data, train, kd, ", "reviewkd", ", eval, info, weights, report, compare, watch, bench"});
    check_rejected(folder, "trian --epochs 3", {"unknown subcommand 'trian'", "did you mean train?", "data, train, kd"});
    check_rejected(folder, "data improt x", {"data: unknown subcommand 'improt'", "did you mean import?", "fetch, import, synth, info"});
    check_rejected(folder, "data", {"data: a subcommand is missing", "fetch, import, synth, info", "distill data --help"});
    check_rejected(folder, "bench",
                   {"bench: a subcommand is missing", "train, kd, ", "reviewkd", ", feed, mhgd, ktg, several, costs, svd"});
    check_rejected(folder, "report", {"report: RUNS is required", "distill report --help"});
}

TEST_CASE("command line: an unknown option is named, with the nearest and all valid ones") {
    const Workplace folder;
    check_rejected(folder, "train" + one_epoch + "--epoch 3",
                   {"train: unknown option --epoch;", "did you mean --epochs?", "--lr-steps, --momentum"});
    check_rejected(folder, "train --lr_steps=3", {"unknown option --lr_steps;", "did you mean --lr-steps?"});
    check_rejected(folder, "kd --kd-weight 2", {"kd: unknown option --kd-weight", "--temperature, --alpha, --gamma", "distill kd --help"});
    check_rejected(folder, "bench train --nett resnet8", {"bench train: unknown option --nett", "did you mean --net?"});
    check_rejected(folder, "data synth --sise 8", {"data synth: unknown option --sise", "did you mean --size?"});
    check_rejected(folder, "--loudly", {"unknown option --loudly", "valid are: --help, --version"});
    check_rejected(folder, "train" + one_epoch + "fast", {"train: unexpected 'fast'"});
    check_rejected(folder, "train --epochs", {"train: --epochs", "required"});
}

TEST_CASE("command line: a value that does not fit is named with what does") {
    const Workplace folder;
    const std::pair<const char*, const char*> wrong[] = {
        {"--epochs x", "a whole number from 1 on"},
        {"--epochs 0", "a whole number from 1 on"},
        {"--epochs 1.5", "a whole number from 1 on"},
        {"--epochs 99999999999", "a whole number from 1 on"},
        {"--max-steps -1", "a whole number from 0"},
        {"--batch 0", "a whole number from 1 on"},
        {"--lr fast", "a number from 0 on"},
        {"--lr nan", "a number from 0 on"},
        {"--lr inf", "a number from 0 on"},
        {"--lr -0.1", "a number from 0 on"},
        {"--momentum 1.5", "a number from 0 to 1"},
        {"--weight-decay -1", "a number from 0 on"},
        {"--seed -1", "a whole number from 0 on"},
        {"--runs 0", "a whole number from 1 on"},
        {"--val -5", "a whole number from 0 on"},
        {"--threads -1", "a whole number from 0 on"},
        {"--nesterov yes", "on or off"},
        {"--augment flip", "one of crop-flip, none"},
        {"--crop-pad edge", "one of zero, reflect"},
        {"--device gpu", "one of auto, cpu, cuda"},
        {"--precision fp8", "one of fp32"},
    };
    for (const auto& [option, expected] : wrong) {
        std::istringstream words(option);
        std::string name, value;
        words >> name >> value;
        check_rejected(folder, "train" + one_epoch + option, {name + ": found '" + value + "'", std::string("expected ") + expected});
    }
    check_rejected(folder, "train" + one_epoch + "--lr-steps 3,2", {"--lr-steps: found '3,2'", "rising epochs like 150,180,210"});
    check_rejected(folder, "train" + one_epoch + "--normalize half", {"--normalize: found 'half'", "auto, none, or six numbers"});
    for (const char* never : {"0,0,0,inf,inf,inf", "nan,0,0,1,1,1"})
        check_rejected(folder, "train" + one_epoch + "--normalize " + never, {"--normalize: found '", "six numbers"});
    check_rejected(folder, "train" + one_epoch + "--normalize 1,2,3,4,5,0", {"--normalize: found '1,2,3,4,5,0'", "s > 0"});
    check_rejected(folder, "kd --temperature 0", {"--temperature: found '0'", "a number above 0"});
    check_rejected(folder, "kd --teacher-min 101", {"--teacher-min: found '101'", "a number from 0 to 100"});
    check_rejected(folder, "reviewkd --kd-weight heavy", {"--kd-weight: found 'heavy'", "auto, or a number from 0 on"});
    check_rejected(folder, "reviewkd --kd-warmup -1", {"--kd-warmup: found '-1'", "a whole number from 0 on"});
    check_rejected(folder, "reviewkd --teacher-bn none", {"--teacher-bn: found 'none'", "one of running, batch"});
    check_rejected(folder, "data synth --size two --data d", {"data synth: --size", "two", "4 to 4096"});
    for (const char* seed : {"-1", "99999999999999999999", "010"})
        check_rejected(folder, std::string("data synth --data d --seed ") + seed,
                       {"data synth: --seed", std::string("found '") + seed + "'"});
    check_rejected(folder, "data synth --dataset --size 8", {"data synth: --dataset: its value is missing, there is the option --size"});
    check_rejected(folder, "data synth --train 0 --data d", {"data synth: --train", "0 not in range 1 to"});
    check_rejected(folder, "bench train --net resnet8 --steps few", {"--steps: found 'few'", "expected a whole number from 1 on"});
}

TEST_CASE("command line: the resolved configuration prints first and is what config.csv keeps") {
    const Workplace folder;
    const Ended end =
        run(folder, "train --dataset s --net resnet8 --epochs 1 --batch 32 --threads 1 --lr 0.123456789123 --seed 7 --id mine");
    CHECK(end.code == 0);
    CHECK(end.err.empty());
    std::istringstream lines(end.out);
    std::string line;
    std::getline(lines, line);
    CHECK(line == "distill train");
    std::map<std::string, std::string> printed;
    while (std::getline(lines, line) && line.compare(0, 2, "  ") == 0) {
        std::istringstream words(line);
        std::string name, value;
        words >> name >> value;
        printed[name] = value;
    }
    std::map<std::string, std::string> kept = config_of(folder / "runs/train-s-resnet8");
    CHECK(kept.at("method") == "train");
    CHECK(kept.at("student") == "resnet8");
    CHECK(kept.at("lr") == "0.123456789");
    CHECK(kept.at("seed") == "7");
    CHECK(kept.at("id") == "mine");
    const bool on_gpu = make_backend("auto")->device() == Device::cuda;
    CHECK(kept.at("device") == (on_gpu ? "cuda" : "cpu"));  // what auto came to
    CHECK(kept.at("threads") == "1");
    CHECK(std::count(kept.at("normalize").begin(), kept.at("normalize").end(), ',') == 5);
    CHECK(kept.count("info.commit") == 1);
    CHECK(says(kept.at("info.machine"), on_gpu ? std::vector<std::string>{"cuda", "cuDNN"} : std::vector<std::string>{"cpu", "oneDNN"}));
    for (auto option = kept.begin(); option != kept.end();)
        option = option->second.empty() || option->first == "method" || option->first.compare(0, 5, "info.") == 0 ? kept.erase(option)
                                                                                                                  : std::next(option);
    CHECK(printed == kept);
    CHECK(says(end.out, {"note: --epochs 1 instead of 240: scaled --lr-steps 150,180,210 to none;", "epoch 1/1  loss",
                         "runs/train-s-resnet8: last "}));

    CHECK(says(run(folder, "train" + one_epoch + "--run quiet").out, {"distill train", "quiet: last "}));
    CHECK(output_of(folder, "train" + one_epoch + "--run quieter").find("epoch 1/1") == std::string::npos);
}

TEST_CASE("command line: a training leaves its tables, its result and weights that eval reads back to the same figures") {
    const Workplace folder;
    REQUIRE(run(folder, "train" + on_s + "--epochs 3 --net resnet8 --run t --save t.safetensors").code == 0);
    const CsvTable result = read_csv(folder / "t/result.csv"), epochs = read_csv(folder / "t/epochs.csv");
    REQUIRE(result.rows.size() == 1);
    REQUIRE(epochs.rows.size() == 3);
    CHECK(result.cell(0, "method") == "train");
    CHECK(result.cell(0, "student") == "resnet8");
    CHECK(result.cell(0, "last") == epochs.cell(2, "test_acc"));
    CHECK(result.cell(0, "best") == epochs.cell(2, "best_acc"));
    CHECK(epochs.cell(static_cast<size_t>(result.cell_number(0, "best_epoch")), "test_acc") == result.cell(0, "best"));
    CHECK(read_file(folder / "t.safetensors") == read_file(folder / "t/student.safetensors"));
    const auto said = read_safetensors(folder / "t.safetensors").metadata;
    CHECK(said.at("network") == "resnet8");
    CHECK(said.at("dataset") == "s");
    CHECK(said.at("accuracy") == result.cell(0, "last"));

    const Ended eval = run(folder, "eval --dataset s --net resnet8 --batch 32 --threads 1 --init t.safetensors");
    CHECK(eval.code == 0);
    CHECK(after(eval.out, "loss ") == epochs.cell(2, "test_loss"));
    const std::string at_once = "eval --dataset s --net resnet8 --threads 1 --init t.safetensors --batch ";
    CHECK(output_of(folder, at_once + "9223372036854775807") == output_of(folder, at_once + "100000"));
    CHECK(std::stod(after(eval.out, "test accuracy ")) == doctest::Approx(result.cell_number(0, "last")).epsilon(0.001));

    // As a teacher it is measured first, and must reach --teacher-min.
    const std::string from_t = on_s + "--epochs 1 --student resnet8 --teacher resnet8 --teacher-weights t.safetensors ";
    const Ended kd = run(folder, "kd" + from_t + "--run kd");
    CHECK(kd.code == 0);
    CHECK(says(kd.out, {"teacher resnet8: test accuracy", "kd: last"}));
    CHECK(kd.out.find("teacher resnet8: test accuracy") < kd.out.find("kd: last"));
    CHECK(config_of(folder / "kd").at("info.teacher_accuracy") == result.cell(0, "last"));
    check_rejected(folder, "reviewkd" + from_t + "--run r --teacher-min 100",
                   {"t.safetensors", "--teacher-min asks for 100", "accuracy is "});
    const Ended warned = run(folder, "reviewkd" + from_t + "--run r --normalize none");
    CHECK(warned.code == 0);
    CHECK(says(warned.out, {" was trained with normalization "}));
    CHECK(fs::exists(folder / "r/helpers.safetensors"));
    CHECK_FALSE(fs::exists(folder / "kd/helpers.safetensors"));

    // Starting weights: training from t at rate 0 only moves the running statistics.
    REQUIRE(run(folder, "train" + one_epoch + "--init t.safetensors --lr 0 --run again").code == 0);
    CHECK(read_safetensors(folder / "again/student.safetensors").tensors.at("conv1.weight").data ==
          read_safetensors(folder / "t.safetensors").tensors.at("conv1.weight").data);
}

TEST_CASE("command line: --runs makes a folder a seed; --resume skips what is finished and adds what is missing") {
    const Workplace folder;
    const std::string line = "train" + one_epoch + "--seed 3 --run r ";
    REQUIRE(run(folder, line + "--runs 2").code == 0);
    CHECK(config_of(folder / "r/s3").at("seed") == "3");
    CHECK(config_of(folder / "r/s4").at("seed") == "4");
    CHECK(read_file(folder / "r/s3/student.safetensors") != read_file(folder / "r/s4/student.safetensors"));
    const auto before = listing(folder / "r/s3");

    check_rejected(folder, line + "--runs 3", {"r/s3: this run folder exists", "--resume", "--run"});
    const Ended more = run(folder, line + "--runs 3 --resume");
    CHECK(more.code == 0);
    CHECK(says(more.out, {"r/s3: finished before, skipped", "r/s4: finished before, skipped", "r/s5: last "}));
    CHECK(config_of(folder / "r/s5").at("seed") == "5");
    CHECK(listing(folder / "r/s3") == before);

    // A seed of several is the one that is run by itself.
    REQUIRE(run(folder, "train" + one_epoch + "--seed 4 --run alone").code == 0);
    CHECK(without_seconds(folder / "alone/epochs.csv") == without_seconds(folder / "r/s4/epochs.csv"));
    check_rejected(folder, "train" + one_epoch + "--runs 2 --run q --save x.safetensors", {"--save x.safetensors", "2 runs"});
}

TEST_CASE("command line: a resumed run has the options it began with; by hand only the same may be said") {
    const Workplace folder;
    REQUIRE(run(folder, "train" + one_epoch + "--run r --lr 0.02").code == 0);
    for (const char* same : {"", "--lr 0.02", "--lr 0.0200 --device auto --threads 0 --normalize auto --epochs 1", "--quiet"}) {
        CAPTURE(same);
        const Ended end = run(folder, std::string("train --run r --resume ") + same);
        CHECK(end.code == 0);
        CHECK(says(end.out, {"r: finished before, skipped", "lr               0.02"}));
    }
    check_rejected(folder, "train --run r --resume --lr 0.1", {"--lr 0.1", "r was started with 0.02", "another folder"});
    check_rejected(folder, "train --run r --resume --net resnet14", {"--student resnet14", "r was started with resnet8"});
    check_rejected(folder, "kd --run r --resume", {"r: was started with: distill train"});
    check_rejected(folder, "train --run nowhere --resume", {"nowhere: no run to resume here", "start it without --resume"});
    put_file(folder / "r/config.csv", "option,value\nmethod,train\nepochs,many\n");
    check_rejected(folder, "train --run r --resume", {"r/config.csv: option 'epochs': found 'many', expected a whole number from 1 on"});
}

TEST_CASE("command line: a preset sets what its row says, an option given by hand wins") {
    const Workplace folder;
    put_file(folder / "data/paper/some.csv",
             "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n"
             "t-56,T,cifar100,resnet56,resnet20,teacher,train,recipe=kd student=resnet56,top1,72,,x\n"
             "s-20,T,cifar100,resnet56,resnet20,student,train,recipe=kd,top1,69,,x\n"
             "kd-20,T,cifar100,resnet56,resnet20,kd,kd,recipe=kd,top1,70,,x\n"
             "review-20,T,cifar100,resnet56,resnet20,reviewkd,reviewkd,recipe=reviewkd,top1,71,,x\n"
             "review-none,T,cifar100,resnet56,resnet20,reviewkd-none,reviewkd,recipe=reviewkd no-review=on no-hcl=on,top1,69,,x\n");
    const std::string quick = " --dataset s --epochs 1 --max-steps 1 --threads 1 --quiet ";
    REQUIRE(run(folder, "train --preset s-20 --run s" + quick).code == 0);
    const auto student = config_of(folder / "s");
    CHECK(student.at("student") == "resnet20");
    CHECK(student.at("batch") == "64");
    CHECK(student.at("lr") == "0.05");
    CHECK(student.at("nesterov") == "off");
    CHECK(student.at("dataset") == "s");  // by hand
    CHECK(student.at("id") == "s-20");
    CHECK(read_csv(folder / "s/result.csv").cell(0, "id") == "s-20");

    REQUIRE(run(folder, "train --preset t-56 --net resnet8 --batch 16 --lr 0.2 --id other --run t" + quick).code == 0);
    const auto teacher = config_of(folder / "t");
    CHECK(teacher.at("student") == "resnet8");
    CHECK(teacher.at("batch") == "16");
    CHECK(teacher.at("lr") == "0.2");
    CHECK(teacher.at("nesterov") == "off");
    CHECK(teacher.at("id") == "other");

    const std::string from_t = "--teacher resnet8 --teacher-weights t/student.safetensors --student resnet8 --batch 32 ";
    REQUIRE(run(folder, "reviewkd --preset review-none --run r " + from_t + quick).code == 0);
    const auto review = config_of(folder / "r");
    CHECK(review.at("no-review") == "on");
    CHECK(review.at("no-hcl") == "on");
    CHECK(review.at("no-abf") == "off");
    CHECK(review.at("lr") == "0.1");  // the paper's own
    CHECK(review.at("nesterov") == "on");
    CHECK(review.at("kd-weight") == "1");  // the pair's, by the networks given by hand

    check_rejected(folder, "train --preset s-21" + quick, {"unknown experiment id 's-21'", "the nearest of 5", "s-20"});
    check_rejected(folder, "train --preset kd-20" + quick, {"--preset kd-20", "method kd", "use it with: distill kd"});
    check_rejected(folder, "kd --preset review-20" + quick, {"--preset review-20", "use it with: distill reviewkd"});
    check_rejected(folder, "train --preset s-20 --threads 1", {"cifar100", "distill data fetch cifar100"});
}

TEST_CASE("command line: --precision bf16 leaves float weights; a CPU without bfloat16 refuses it") {
    const Workplace folder;
    // oneDNN does as if the CPU had no more than that.
    setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", 1);
    check_rejected(folder, "train" + one_epoch + "--precision bf16 --device cpu --run none",
                   {"--precision bf16", "no bfloat16 instructions", "use --precision fp32"});
    unsetenv("ONEDNN_MAX_CPU_ISA");

    const Ended end = run(folder, "train" + one_epoch + "--precision bf16 --device cpu --run r");
    if (end.err.find("no bfloat16 instructions") != std::string::npos) return skip(end.err.substr(0, end.err.find('\n')));
    REQUIRE(end.code == 0);
    CHECK(config_of(folder / "r").at("precision") == "bf16");
    CHECK(read_csv(folder / "r/result.csv").cell(0, "precision") == "bf16");
    const std::string bytes = read_file(folder / "r/student.safetensors");
    CHECK(bytes.find("\"F32\"") != std::string::npos);
    CHECK(bytes.find("BF16") == std::string::npos);
    bool finer = false;  // than bfloat16
    for (const auto& [name, tensor] : read_safetensors(folder / "r/student.safetensors").tensors)
        for (const float v : tensor.data) finer = finer || v != static_cast<float>(bfloat16(v));
    CHECK(finer);
}

TEST_CASE("command line: train without a network asks for --net; --version names the commit") {
    const Workplace folder;
    check_rejected(folder, "train" + on_s, {"distill: --net: no network named; there are: "});
    check_rejected(folder, "kd" + on_s, {"distill: --student: no network named"});
    const Ended version = run(folder, "--version");
    CHECK(version.code == 0);
    CHECK(version.out == "distill " + commit() + "\n");
}

TEST_CASE("command line: a standard output that cannot be written is a failure, of every kind of command") {
    const Workplace folder;
    const std::string program = program_beside().string();
    REQUIRE(run(folder, "train" + one_epoch + "--run r").code == 0);
    const std::string eval = "eval --dataset s --batch 32 --threads 1 --weights r/student.safetensors";
    for (const std::string& line : {std::string("info"), std::string("--help"), std::string("--version"), std::string("train --help"),
                                    std::string("data info --dataset s"), std::string("report r"), eval}) {
        CAPTURE(line);
        const std::string in_folder = text("cd '", folder.path().string(), "' && '", program, "' ", line);
        CHECK(WEXITSTATUS(std::system((in_folder + " > /dev/full 2> said").c_str())) == 1);
        CHECK(says(read_file(folder / "said"), {"distill: the standard output cannot be written"}));
        CHECK(WEXITSTATUS(std::system((in_folder + " > said").c_str())) == 0);
    }
}

TEST_CASE("command line: what is printed while standard output is closed goes nowhere, least of all into the run's files") {
    const Workplace folder;
    const std::string line = text("cd '", folder.path().string(), "' && '", program_beside().string(), "' train", one_epoch, "--run ");
    CHECK(WEXITSTATUS(std::system((line + "open > said 2>&1").c_str())) == 0);
    CHECK(WEXITSTATUS(std::system((line + "closed >&- 2>&- <&-").c_str())) == 0);
    CHECK(read_csv(folder / "closed/config.csv").rows.size() == read_csv(folder / "open/config.csv").rows.size());
    CHECK(read_csv(folder / "closed/result.csv").cell(0, "last") == read_csv(folder / "open/result.csv").cell(0, "last"));
}

TEST_CASE("command line: waiting threads soon give their cores away, unless the user has said how they wait") {
    const Workplace folder;
    const std::string program = program_beside().string();
    const auto shown = [&](const std::string& set) {
        // libgomp tells what it has read each time that a program starts.
        const std::string line = text("cd '", folder.path().string(), "' && env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ", set,
                                      " OMP_DISPLAY_ENV=verbose '", program, "' info > out 2> said");
        CHECK(std::system(line.c_str()) == 0);
        CHECK(read_file(folder / "out").find("networks: ") == 0);
        return read_file(folder / "said");
    };
    const auto starts = [](const std::string& said) {
        size_t count = 0;
        for (size_t at = 0; (at = said.find("GOMP_SPINCOUNT", at)) != std::string::npos; ++at) ++count;
        return count;
    };
    const std::string quiet = shown("");
    CHECK(starts(quiet) == 2);
    CHECK(quiet.find("GOMP_SPINCOUNT = '1000'") != std::string::npos);
    const std::string own = shown("GOMP_SPINCOUNT=77");
    CHECK(starts(own) == 1);
    CHECK(own.find("GOMP_SPINCOUNT = '77'") != std::string::npos);
    CHECK(starts(shown("OMP_WAIT_POLICY=active")) == 1);
}

TEST_CASE("command line: short turns are asked for, and nothing else about the scheduling changes") {
    Scheduling before{}, after{};
    bool taken = false;
    std::thread([&] {  // one of its own: the setting is a thread's
        before = scheduling();
        taken = take_short_turns();
        after = scheduling();
    })
        .join();
    if (before.policy != Scheduling::usual) return skip("the tests run under another scheduling policy than the usual one");
    CHECK(taken);
    CHECK(after.policy == before.policy);
    CHECK(after.nice == before.nice);
    utsname system{};
    int major = 0, minor = 0;
    REQUIRE(::uname(&system) == 0);
    REQUIRE(std::sscanf(system.release, "%d.%d", &major, &minor) == 2);
    if (std::make_pair(major, minor) < std::make_pair(6, 12)) return skip("turns of their own length are Linux's from 6.12 on");
    CHECK(after.turn_ns == shortest_turn_ns);
}

TEST_CASE("command line: lines of progress fit the terminal") {
    const Workplace folder;
    const std::string program = program_beside().string();
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) return skip("no pseudo-terminal");
    winsize window{};
    window.ws_col = 60;
    REQUIRE(::ioctl(terminal, TIOCSWINSZ, &window) == 0);
    std::string shown;
    const int end = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);  // held open, so that reading ends when this one closes
    std::thread reader([&] {
        char bytes[4096];
        for (ssize_t n; (n = ::read(terminal, bytes, sizeof bytes)) > 0;) shown.append(bytes, static_cast<size_t>(n));
    });
    const std::string line = text("cd '", folder.path().string(), "' && OMP_WAIT_POLICY=passive '", program,
                                  "' train --net resnet8 --dataset s --batch 10 --epochs 3 --threads 1 --run r > ", ::ptsname(terminal));
    CHECK(std::system(line.c_str()) == 0);
    ::close(end);
    reader.join();
    ::close(terminal);
    size_t lines = 0;
    for (size_t at = 0; at < shown.size();) {  // what stands between two returns to the line's begin
        const size_t stop = std::min(shown.find_first_of("\r\n", at), shown.size());
        std::string part = shown.substr(at, stop - at);
        if (const size_t erase = part.find("\033[K"); erase != std::string::npos) part.erase(erase, 3);
        if (part.find("epoch ") == 0) {
            ++lines;
            CHECK_MESSAGE(part.size() <= 60, part);
        }
        at = stop + 1;
    }
    CHECK(lines >= 3);
    CHECK(first_that_fits({"four", "two"}, 4) == "four");
    CHECK(first_that_fits({"four", "two"}, 3) == "two");
    CHECK(first_that_fits({"four", "two"}, 2) == "two");
}

TEST_CASE("command line: words for a shell are quoted where they must be") {
    CHECK(shell_word("runs/a-b_1.2") == "runs/a-b_1.2");
    CHECK(shell_word("runs/my run, v2") == "'runs/my run, v2'");
    CHECK(shell_word("it's") == "'it'\\''s'");
    CHECK(shell_word("$HOME") == "'$HOME'");
    CHECK(shell_word("") == "''");
}

TEST_SUITE_END();
