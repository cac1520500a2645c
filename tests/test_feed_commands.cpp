// FEED through the program: teachers trained first, sweeps over their number, chains; stopped and gone on with; bad input.
#include <signal.h>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "method_table.h"
#include "paper.h"
#include "train_options.h"
#include "train_recipes.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string schedule = " --dataset s --batch 32 --lr 0.01 --lr-steps 1 --threads 1 --quiet --log-steps ";
const std::string training = schedule + "--epochs 2 ";
const std::string parallel = "feed parallel --student resnet8" + training;
const std::string sweep = "feed sweep --student resnet8" + training;
const std::string two = "--train-teachers 2 --teacher-nets resnet8 ";

std::string option_of(const fs::path& run, const std::string& option) { return value_of(read_config(run / "config.csv"), option); }

/// Sends SIGINT once the run in this folder has so many epochs behind it.
Ended interrupted(const TempFolder& folder, const std::string& line, const fs::path& run, size_t epochs) {
    Command command(folder, line);
    wait_until(command, [&] { return lines_in(run / "epochs.csv") >= 1 + epochs; });
    command.send(SIGINT);
    const Ended end = command.wait();
    CAPTURE(end.err);
    CHECK(end.code == 3);
    CHECK(end.err.find('\n') == end.err.size() - 1);
    CHECK(fs::exists(run / "checkpoint.bin"));
    CHECK_FALSE(fs::exists(run / "result.csv"));
    return end;
}

}  // namespace

TEST_CASE("feed commands: teachers are trained first as `train` does, and used again") {
    const Workplace folder;
    const fs::path teachers = folder / "runs/teachers-s-resnet8";
    succeed(folder, parallel + two + "--seed 7 --run one", {"2 teacher(s), resnet8, in runs/teachers-s-resnet8: 2 to train", "teacher1"});
    CHECK(read_csv(folder / "one/result.csv").cell(0, "teacher") == "resnet8+resnet8");
    for (const char* seed : {"0", "1"}) {  // of their own, whatever the student's is, and in a role of their own
        CHECK(option_of(teachers / ("s" + std::string(seed)), "seed") == seed);
        CHECK(option_of(teachers / ("s" + std::string(seed)), "info.role") == "teacher");
    }
    succeed(folder, "kd --method ensemble --student resnet8 " + training + two + "--run ensemble", {"resnet8: 0 to train"});
    // Three: the third is trained. The names of the teachers are those of `--teachers`.
    succeed(folder, parallel + "--train-teachers 3 --teacher-nets resnet8 --run three", {"1 to train", "s0: finished before, skipped"});
    const std::string named = "runs/teachers-s-resnet8/s0/student.safetensors,runs/teachers-s-resnet8/s1/student.safetensors";
    CHECK(option_of(folder / "one", "teachers") == named);
    succeed(folder, parallel + "--seed 7 --run named --teachers " + named);
    check_same_training(folder / "named", folder / "one");
    // A run that goes on finds its options, the teachers' included, in its folder; the same command may be given again.
    succeed(folder, "feed parallel --resume --run one", {"one: finished before"});
    succeed(folder, parallel + two + "--seed 7 --run one --resume", {"one: finished before"});
    succeed(folder, "feed sequential --stages 1 --train-teachers 1 --teacher-nets resnet8 --run chain" + training, {"0 to train"});
    CHECK(option_of(folder / "chain/stage1", "student") == "resnet8");

    // Made longer, and from another folder: its teachers are those that it has.
    const Ended longer = run(folder, "feed parallel --resume --epochs 3 --run one");
    CAPTURE(longer.err);
    CHECK(longer.code == 0);
    CHECK(read_csv(folder / "one/epochs.csv").rows.size() == 3);
    const TempFolder elsewhere;
    succeed(elsewhere, "feed parallel --resume --run " + (folder / "one").string(), {"finished before"});
    CHECK(listing(elsewhere.path()).empty());
}

TEST_CASE("feed commands: side by side the teachers are the same; a folder of others is refused") {
    const Workplace folder;
    succeed(folder, parallel + two + "--run one");
    succeed(folder, parallel + two + "--runs 2 --side-by-side 2 --teachers-run elsewhere --run both");
    for (const char* seed : {"s0", "s1"}) check_same_training(folder / "elsewhere" / seed, folder / "runs/teachers-s-resnet8" / seed);
    check_rejected(folder, "feed parallel --student resnet8" + schedule + two + "--epochs 3 --run other",
                   {"runs/teachers-s-resnet8/s0", "was trained with epochs 2", "asked for is 3", "--teachers-run"});
    const std::string larger = "--train-teachers 1 --teacher-nets resnet14 ";
    check_rejected(folder, "feed parallel --student resnet8" + training + larger + "--teachers-run elsewhere",
                   {"elsewhere/s0", "student resnet8", "asked for is resnet14"});
    fs::create_directory(folder / "mistaken");
    fs::copy(folder / "one", folder / "mistaken/s0", fs::copy_options::recursive);
    check_rejected(folder, parallel + two + "--teachers-run mistaken", {"mistaken/s0", "method feed", "asked for is train"});
    fs::remove_all(folder / "data/s");
    synthesize(folder / "data", {"s", 4, 16, 100, 40, 1});
    check_rejected(folder, parallel + two + "--run again", {"runs/teachers-s-resnet8/s0", "the data set is not the one"});
}

TEST_CASE("feed commands: the teachers of a sweep over epochs have the recipe's own, and its rate's steps") {
    const Workplace folder;
    const std::string line = "ensemble --student resnet8 --dataset s --batch 32 --threads 1 --quiet --max-steps 1 " + two + "--run e ";
    check_rejected(folder, line + "--sweep recipe=crd,feed", {"--train-teachers 2: teachers are the same for all values of a sweep"});
    succeed(folder, line + "--sweep epochs=10,20");
    const Options usual = options_of(find_recipe("feed"));
    const fs::path teacher = folder / "runs/teachers-s-resnet8/s0";
    CHECK(option_of(teacher, "epochs") == std::to_string(usual.epochs));
    CHECK(option_of(teacher, "lr-steps") == usual.lr_steps);
    CHECK(option_of(folder / "e/epochs10", "lr-steps") != usual.lr_steps);
}

TEST_CASE("feed commands: an interrupted training of teachers goes on with the same command") {
    const Workplace folder(400);
    const std::string line = "feed parallel --student resnet8" + schedule + two + "--epochs 4 --run ";
    succeed(folder, line + "whole --teachers-run whole-teachers");
    const Ended end = interrupted(folder, line + "cut --teachers-run teachers", folder / "teachers/s1", 1);
    CHECK(says(end.err, {"interrupted in the training of the teachers in teachers", "the same command"}));
    CHECK_FALSE(fs::exists(folder / "cut"));
    succeed(folder, line + "cut --teachers-run teachers", {"1 to train", "teachers/s0: finished before"});
    for (const char* seed : {"s0", "s1"}) check_same_training(folder / "teachers" / seed, folder / "whole-teachers" / seed);
    check_same_training(folder / "cut", folder / "whole");
}

TEST_CASE("feed commands: a sweep is parallel with the first teachers, in one command") {
    const Workplace folder;
    const std::string line = sweep + "--train-teachers 3 --teacher-nets resnet8 --numbers 1,3 --runs 2 --run ";
    succeed(folder, line + "sweep", {"3 of 3 teachers: 2 of 2 runs left", "1 of 3 teachers", "teachers  last %"});
    const CsvTable table = read_csv(folder / "sweep/sweep.csv");
    CHECK(table.columns == std::vector<std::string>{"teachers", "seed", "last", "best", "seconds"});
    REQUIRE(table.rows.size() == 4);
    CHECK(table.cell(0, "teachers") == "1");
    CHECK(table.cell(3, "teachers") == "3");
    CHECK(table.cell(3, "seed") == "1");
    CHECK(table.cell(2, "last") == read_csv(folder / "sweep/n3/s0/result.csv").cell(0, "last"));
    CHECK_FALSE(fs::exists(folder / "sweep/n2"));
    succeed(folder, parallel + "--teachers runs/teachers-s-resnet8/s0/student.safetensors --seed 1 --run single");
    check_same_training(folder / "single", folder / "sweep/n1/s1");

    check_rejected(folder, line + "sweep", {"sweep", "this run folder exists", "--resume"});
    const std::string before = without_seconds(folder / "sweep/sweep.csv");
    for (const char* gone : {"n1/s1", "n1/s0", "sweep.csv"}) fs::remove_all(folder / "sweep" / gone);
    succeed(folder, "feed sweep --resume --runs 2 --run sweep", {"3 of 3 teachers: 0 of 2", "1 of 3 teachers: 2 of 2"});
    CHECK(without_seconds(folder / "sweep/sweep.csv") == before);
    check_same_training(folder / "single", folder / "sweep/n1/s1");
    fs::remove_all(folder / "sweep/n1");
    succeed(folder, line + "sweep --side-by-side 2 --resume");
    check_same_training(folder / "single", folder / "sweep/n1/s1");
    // Named teachers, and by default every number of them.
    const std::string named = "runs/teachers-s-resnet8/s2/student.safetensors,runs/teachers-s-resnet8/s1/student.safetensors";
    succeed(folder, sweep + "--seed 4 --run named --teachers " + named);
    CHECK(read_csv(folder / "named/sweep.csv").rows.size() == 2);
    CHECK(option_of(folder / "named/n1/s4", "teachers") == "runs/teachers-s-resnet8/s2/student.safetensors");
    fs::remove_all(folder / "named/n2");
    succeed(folder, sweep + "--resume --run named --teachers " + named, {"1 of 2 teachers: 0 of 1", "2 of 2 teachers: 1 of 1"});
}

TEST_CASE("feed commands: an interrupted sweep and an interrupted chain end like the uninterrupted ones") {
    const Workplace folder(400);
    succeed(folder, "train --net resnet8 --epochs 1 --save a.safetensors --run a" + schedule);
    succeed(folder, "train --net resnet8 --epochs 1 --save b.safetensors --seed 1 --run b" + schedule);
    const std::string chain = "feed sequential --stages 2 --epochs 4 --teachers a.safetensors --seed 3" + schedule + "--run ";
    succeed(folder, chain + "whole");
    const Ended end = interrupted(folder, chain + "cut --save c.safetensors", folder / "cut/stage2", 1);
    CHECK_FALSE(fs::exists(folder / "c.safetensors"));  // the last stage's alone
    CHECK(says(end.err, {"interrupted in cut/stage2", "distill feed sequential --resume --run cut"}));
    CHECK(fs::exists(folder / "cut/stage1/result.csv"));
    succeed(folder, "feed sequential --resume --run cut", {"cut/stage1: finished before", "stage 2 of 2"});
    CHECK(read_file(folder / "c.safetensors") == read_file(folder / "cut/stage2/student.safetensors"));
    succeed(folder, "feed sequential --resume --run cut --save d.safetensors", {"saved: d.safetensors", "cut/stage2: finished before"});
    check_rejected(folder, chain + "other --save no/where.safetensors", {"--save no/where", "the folder is not there"});
    for (const char* stage : {"stage1", "stage2"}) {
        check_same_training(folder / "cut" / stage, folder / "whole" / stage);
        CHECK(option_of(folder / "cut" / stage, "info.stage") == std::string(stage).substr(5));
    }

    succeed(folder, "feed sequential --by ban --stages 2 --epochs 1 --teachers a.safetensors" + schedule + "--run reborn");
    check_rejected(folder, "feed sequential --by ban --beta 7 --teachers a.safetensors --run other",
                   {"--beta", "is FEED's", "leave it out"});
    fs::create_directories(folder / "single");
    put_file(folder / "single/config.csv", "option,value\nmethod,ban\n");
    check_rejected(folder, "feed sequential --by ban --teachers a.safetensors --run single", {"single: holds a run that is no chain"});
    succeed(folder, "feed sequential --resume --run reborn", {"reborn/stage1: finished before", "reborn/stage2: finished before"});

    // Its stages keep what `distill ban` does, and nothing of FEED's.
    succeed(folder, "ban --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --epochs 1" + schedule + "--run ban");
    const Config ban = read_config(folder / "ban/config.csv");
    for (const char* stage : {"reborn/stage1", "reborn/stage2"}) {
        const Config config = read_config(folder / stage / "config.csv");
        for (const auto& [option, value] : config)
            if (!is_circumstance(option) && option != "teachers") CHECK_MESSAGE(value_of(ban, option) == value, option);
        for (const char* weight : {"temperature", "alpha", "gamma"}) CHECK(value_of(config, weight) == "1");
        for (const char* of_feed : {"beta", "feed-norm", "ntl-depth"}) CHECK_FALSE(has_option(config, of_feed));
    }
    // One begun before that has FEED's options on file instead, and goes on all the same.
    for (const char* stage : {"reborn/stage1", "reborn/stage2"}) {
        std::string config = read_file(folder / stage / "config.csv");
        for (const std::string row : {"\ntemperature,1", "\nalpha,1", "\ngamma,1"}) {
            REQUIRE(config.find(row + "\n") != std::string::npos);
            config.erase(config.find(row + "\n"), row.size());
        }
        put_file(folder / stage / "config.csv", config + "beta,500\nfeed-norm,l1\nntl-depth,3\nntl-slope,0.1\n");
    }
    const std::string before = read_file(folder / "reborn/stage2/student.safetensors");
    for (const char* file : {"result.csv", "checkpoint.bin", "student.safetensors"}) fs::remove(folder / "reborn/stage2" / file);
    succeed(folder, "feed sequential --resume --run reborn", {"reborn/stage1: finished before", "stage 2 of 2"});
    CHECK(fs::exists(folder / "reborn/stage2/result.csv"));
    CHECK(read_file(folder / "reborn/stage2/student.safetensors") == before);

    const std::string swept =
        "feed sweep --student resnet8 --epochs 4 --teachers a.safetensors,b.safetensors --seed 5" + schedule + "--run ";
    succeed(folder, swept + "all");
    const Ended stopped = interrupted(folder, swept + "some", folder / "some/n1/s5", 1);
    CHECK(says(stopped.err, {"interrupted in some/n1/s5", "the same command and --resume"}));
    CHECK_FALSE(fs::exists(folder / "some/sweep.csv"));
    succeed(folder, "feed sweep --resume --run some", {"2 of 2 teachers: 0 of 1", "1 of 2 teachers: 1 of 1"});
    for (const char* run : {"n1/s5", "n2/s5"}) check_same_training(folder / "some" / run, folder / "all" / run);
    CHECK(without_seconds(folder / "some/sweep.csv") == without_seconds(folder / "all/sweep.csv"));
}

TEST_CASE("feed commands: a finished sweep is made longer, as if it had been begun so") {
    const Workplace folder;
    succeed(folder, "train --net resnet8 --epochs 1 --save a.safetensors --run a" + schedule);
    succeed(folder, "train --net resnet8 --epochs 1 --save b.safetensors --seed 1 --run b" + schedule);
    const std::string line = "feed sweep --student resnet8 --teachers a.safetensors,b.safetensors" + schedule + "--run ";
    succeed(folder, line + "whole --epochs 3");
    succeed(folder, line + "grown --epochs 2");
    succeed(folder, "feed sweep --resume --epochs 3 --run grown",
            {"grown/n2/s0 goes on from 2 to 3 epochs", "2 of 2 teachers: 1 of 1 runs left", "1 of 2 teachers: 1 of 1"});
    for (const char* run : {"n1/s0", "n2/s0"}) {
        check_same_training(folder / "grown" / run, folder / "whole" / run);
        for (const char* option : {"epochs", "lr-steps", "info.by_hand"})
            CHECK_MESSAGE(option_of(folder / "grown" / run, option) == option_of(folder / "whole" / run, option), option);
    }
    CHECK(without_seconds(folder / "grown/sweep.csv") == without_seconds(folder / "whole/sweep.csv"));
    for (const char* again : {"feed sweep --resume --run grown", "feed sweep --resume --epochs 3 --run grown"})
        succeed(folder, again, {"2 of 2 teachers: 0 of 1", "1 of 2 teachers: 0 of 1"});
    check_rejected(folder, "feed sweep --resume --epochs 2 --run grown", {"--epochs 2", "was started with 3", "longer, not shorter"});
    // Runs of two lengths, as an interruption leaves them, or --numbers would.
    succeed(folder, line + "mixed --epochs 2 --numbers 1");
    fs::copy(folder / "whole/n2", folder / "mixed/n2", fs::copy_options::recursive);
    check_rejected(folder, "feed sweep --resume --run mixed", {"mixed: ", "2 epochs in n1/s0 and 3 in n2/s0", "--resume --epochs 3"});
    succeed(folder, "feed sweep --resume --epochs 3 --run mixed", {"2 of 2 teachers: 0 of 1", "1 of 2 teachers: 1 of 1"});
    CHECK(without_seconds(folder / "mixed/sweep.csv") == without_seconds(folder / "whole/sweep.csv"));
    succeed(folder, "feed sequential --stages 1 --epochs 1 --teachers a.safetensors --run chain" + schedule);
    check_rejected(folder, "feed sequential --resume --epochs 2 --run chain", {"--epochs 2", "was started with 1"});
    check_rejected(folder, "feed sequential --resume --stages 2 --run chain", {"--stages 2", "was started with 1"});
    check_rejected(folder, "feed sweep --resume --run chain", {"chain: no sweep to resume here", "name a sweep's folder with --run"});
}

TEST_CASE("feed commands: a row of data/paper sets networks, teachers and schedule") {
    const Workplace folder(256);
    const auto rows = load_paper(paper_folder());
    CHECK(find_paper_row(rows, "feed-c100-resnet110-resnet56-ft").value == 74.48);
    for (int n = 1; n <= 5; ++n) CHECK_FALSE(find_paper_row(rows, "feed-c100-resnet110-resnet56-parallel-" + std::to_string(n)).value);
    const std::string here = " --dataset s --teacher-nets resnet8 --student resnet8 --max-steps 2 --threads 1 --quiet ";
    succeed(folder, "feed parallel --preset feed-c100-resnet110-resnet56-parallel-2 --run two" + here,
            {"id               feed-c100-resnet110-resnet56-parallel-2", "epochs           200", "lr-steps         100,150", "2 to train"});
    CHECK(option_of(folder / "two", "train-teachers") == "2");
    CHECK(option_of(folder / "two", "nesterov") == "off");
    const std::string teacher = "--teacher resnet8 --teacher-weights runs/teachers-s-resnet8/s0/student.safetensors --run ft";
    const std::string shorter = "--dataset s --student resnet8 --max-steps 2 --threads 1 --quiet ";
    succeed(folder, "kd --preset feed-c100-resnet110-resnet56-ft " + shorter + teacher);
    CHECK(option_of(folder / "ft", "method") == "ft");
    CHECK(option_of(folder / "ft", "batch") == "128");
    succeed(folder,
            "feed sequential --preset feed-c100-resnet56-resnet56-sequential --stages 1 --run chain --teachers "
            "runs/teachers-s-resnet8/s0/student.safetensors" +
                here);
    CHECK(read_csv(folder / "chain/stage1/result.csv").cell(0, "id") == "feed-c100-resnet56-resnet56-sequential");
    succeed(folder,
            "feed sequential --preset feed-c100-resnet56-resnet56-ban --stages 1 --run reborn --teachers "
            "runs/teachers-s-resnet8/s0/student.safetensors" +
                here);
    CHECK(read_csv(folder / "reborn/stage1/result.csv").cell(0, "id") == "feed-c100-resnet56-resnet56-ban");
    CHECK(read_csv(folder / "reborn/stage1/result.csv").cell(0, "method") == "ban");
    succeed(folder, "kd --preset feed-c100-resnet110-resnet56-ensemble --train-teachers 1 --run e" + here, {"0 to train"});
    CHECK(option_of(folder / "e", "method") == "ensemble");
    check_rejected(folder, "feed parallel --preset feed-c100-resnet110-resnet56-ft" + here, {"is a row of method ft", "distill ft"});
    check_rejected(folder, "train --net resnet8 --preset feed-c100-resnet56-resnet56-sequential --dataset s",
                   {"row of method feed-sequential", "distill feed sequential"});
    check_rejected(folder, "feed sequential --preset reviewkd-c100-resnet56-resnet20-kd" + here,
                   {"is a row of method kd", "use it with: distill kd"});
}

TEST_CASE("feed commands: bad input") {
    const Workplace folder;
    succeed(folder, "train --net resnet8 --epochs 1 --save a.safetensors --run a" + schedule);
    check_rejected(folder, sweep, {"--teachers: no teacher", "--train-teachers"});
    for (const std::string& line : {parallel, sweep, "kd --method ensemble --student resnet8" + training}) {
        check_rejected(folder, line + "--train-teachers 0", {"--teachers: no teacher", "--train-teachers"});
        check_rejected(folder, line + "--train-teachers -1 --teacher-nets resnet8", {"--train-teachers", "found '-1'"});
        check_rejected(folder, line + two + "--teachers a.safetensors",
                       {"--train-teachers 2", "--teachers a.safetensors", "one or the other"});
        check_rejected(folder, line + "--train-teachers 2", {"--train-teachers 2: which network?", "--teacher-nets", "resnet8"});
        check_rejected(folder, line + "--train-teachers 2 --teacher-nets resnet8,resnet14",
                       {"--teacher-nets resnet8,resnet14", "one network"});
        check_rejected(folder, line + "--train-teachers 2 --teacher-nets resnet9", {"unknown network 'resnet9'"});
        check_rejected(folder, line + two + "--student resnet9", {"unknown network 'resnet9'"});
        check_rejected(folder, line + two + "--batch 1000", {"--batch 1000", "100 records"});
        check_rejected(folder, line + two + "--lr-steps 2,1", {"--lr-steps: found '2,1'"});
    }
    check_rejected(folder, parallel + two + "--save no/where.safetensors", {"--save no/where", "the folder is not there"});
    check_rejected(folder, "kd --method ft --student resnet8 --teacher resnet8" + training + two,
                   {"--train-teachers 2", "--method ft", "one teacher"});
    check_rejected(folder, "feed sequential" + training + two, {"--train-teachers 2", "a chain begins with one teacher"});
    check_rejected(folder, sweep + two + "--numbers 1,3", {"--numbers 1,3: found 3", "there are 2 teachers"});
    for (const char* numbers : {"0", "1,,2", "two", "-1", "99999999999999999999"})
        check_rejected(folder, sweep + two + "--numbers " + numbers, {"--numbers " + std::string(numbers), "like 1,3,5"});
    check_rejected(folder, sweep + "--teachers a.safetensors,missing.safetensors --numbers 1", {"missing.safetensors"});
    check_rejected(folder, sweep + two + "--save x.safetensors", {"--save x.safetensors", "sweep"});
    check_rejected(folder, sweep + two + "--preset feed-c100-resnet110-resnet56-parallel-2", {"one number of teachers", "feed parallel"});
    check_rejected(folder, sweep + two + "--resume --run nowhere", {"nowhere", "no sweep to resume"});
    check_rejected(folder, sweep + "--teachers a.safetensors --teacher-min 100", {"a.safetensors", "--teacher-min"});
}

TEST_SUITE_END();
