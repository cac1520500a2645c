// Runs that go on elsewhere, by other means, or for longer; several at once. What a run is does not hang on where its files lie.
#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "search_journal.h"
#include "train_checkpoint.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string training = " --dataset s --batch 32 --epochs 2 --lr 0.02 --lr-steps 1,3 --threads 1 --quiet ";

/// As if a kill had come before the end: resuming computes nothing, but reads all that it needs.
void unfinish(const fs::path& run) { fs::remove(run / "result.csv"); }

/// What an interrupted command says to go on with.
std::string hint_of(const Ended& end) {
    const std::string before = "go on with ";
    const size_t at = end.err.find(before);
    return at == std::string::npos ? "" : end.err.substr(at + before.size(), end.err.size() - at - before.size() - 1);
}

}  // namespace

TEST_CASE("resuming: the paths of a run are free: it is its files' content that counts") {
    const Workplace folder;
    REQUIRE(run(folder, "train --net resnet8" + training + "--run t").code == 0);
    REQUIRE(run(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights t/student.safetensors" + training + "--run kd").code ==
            0);
    const std::string result = without_seconds(folder / "kd/result.csv");
    unfinish(folder / "kd");

    SUBCASE("data and teacher have moved: named anew") {
        fs::create_directory(folder / "far");
        fs::rename(folder / "data", folder / "far/sets");
        fs::rename(folder / "t/student.safetensors", folder / "far/teacher.safetensors");
        check_rejected(folder, "kd --resume --run kd", {"data"});
        check_rejected(folder, "kd --resume --run kd --data far/sets", {"t/student.safetensors"});
        const std::string moved = "kd --resume --run kd --data far/sets --teacher-weights far/teacher.safetensors";
        // Other content under such a name is another run.
        WeightFile other = read_safetensors(folder / "far/teacher.safetensors");
        other.tensors.at("fc.bias").data[0] += 1;
        write_safetensors(folder / "far/other.safetensors", other);
        check_rejected(folder, "kd --resume --run kd --data far/sets --teacher-weights far/other.safetensors",
                       {"the teacher's file is not the one this run was started with"});
        const Ended end = run(folder, moved);
        CAPTURE(end.err);
        CHECK(end.code == 0);
        CHECK(without_seconds(folder / "kd/result.csv") == result);
    }
    SUBCASE("interrupted there once more: the hint names what was named anew") {
        fs::create_directory(folder / "far");
        fs::rename(folder / "data", folder / "far/sets");
        fs::rename(folder / "t/student.safetensors", folder / "far/teacher.safetensors");
        const std::string moved = "--resume --run kd --data far/sets --teacher-weights far/teacher.safetensors --epochs 4";
        const Ended cut = run(folder, "kd " + moved + " --time-limit 1s");
        REQUIRE(cut.code == 3);
        REQUIRE(hint_of(cut) == moved);
        CHECK(run(folder, "kd " + hint_of(cut)).code == 0);
        CHECK(read_csv(folder / "kd/epochs.csv").rows.size() == 4);
    }
    SUBCASE("config.csv says where they are now") {
        fs::rename(folder / "data", folder / "sets");
        std::string config = read_file(folder / "kd/config.csv");
        config.replace(config.find("data,data"), 9, "data,sets");
        write_file_atomically(folder / "kd/config.csv", config);
        CHECK(run(folder, "kd --resume --run kd").code == 0);
        CHECK(without_seconds(folder / "kd/result.csv") == result);
    }
    SUBCASE("all has moved together, or the run is resumed from elsewhere") {
        const fs::path before = folder / "all", after = folder / "moved/all";
        fs::create_directories(before);
        for (const char* part : {"data", "t"}) fs::rename(folder / part, before / part);
        fs::remove_all(folder / "kd");
        const std::string there = "kd --student resnet8 --teacher resnet8 --data all/data --teacher-weights all/t/student.safetensors";
        REQUIRE(run(folder, there + training + "--run all/kd").code == 0);
        unfinish(before / "kd");
        fs::create_directories(after.parent_path());
        fs::rename(before, after);
        CHECK(run(folder, "kd --resume --run moved/all/kd").code == 0);
        unfinish(after / "kd");
        fs::rename(after, before);
        const TempFolder elsewhere;
        const Ended end = run(elsewhere, "kd --resume --run " + (before / "kd").string());
        CAPTURE(end.err);
        CHECK(end.code == 0);
        CHECK(without_seconds(before / "kd/result.csv") == result);
    }
}

TEST_CASE("resuming: of several runs, a chain and a search, too, the hint names what was named anew, and goes on with what is under way") {
    const Workplace folder;
    const std::string at_once = " --time-limit 1s";  // after a step
    const auto interrupted = [&](const std::string& line, const std::string& hint) {
        const Ended end = run(folder, line + at_once);
        CAPTURE(end.err);
        REQUIRE(end.code == 3);
        REQUIRE(says(end.err, {hint + "\n"}));
    };
    REQUIRE(run(folder, "train --net resnet8" + training + "--run t").code == 0);
    REQUIRE(run(folder, "train --net resnet8" + training + "--run r --runs 2").code == 0);
    interrupted("feed sequential --student resnet8 --stages 1 --teachers t/student.safetensors --run chain" + training,
                "distill feed sequential --resume --run chain");
    interrupted(
        "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --sampler grid --trials 2 --epochs 2 --batch 32 "
        "--alone-batch 32 --retrain-seeds 1 --threads 1 --devices cpu --quiet --run search",
        "go on with --resume --run search");
    fs::rename(folder / "data", folder / "sets");
    fs::rename(folder / "t/student.safetensors", folder / "teacher.safetensors");

    const std::string several = "--resume --run r --data sets --epochs 3";
    interrupted("train " + several, "go on with " + several);
    CHECK(run(folder, "train " + several).code == 0);
    for (const char* seed : {"r/s0", "r/s1"}) CHECK(read_csv(folder / seed / "epochs.csv").rows.size() == 3);

    const std::string chain = "feed sequential --resume --run chain --teachers teacher.safetensors --data sets";
    interrupted(chain, "go on with: distill " + chain);
    CHECK(run(folder, chain).code == 0);
    CHECK(fs::exists(folder / "chain/stage1/result.csv"));

    const std::string search = "--resume --run search --data sets";
    interrupted("ktg search " + search, "go on with " + search);
    CHECK(run(folder, "ktg search " + search).code == 0);
    for (const JournalRow& row : read_journal(folder / "search/journal.csv").rows) CHECK(row.event != TrialEvent::failed);
}

TEST_CASE("resuming: with other threads it goes on, and says that its bits will differ") {
    const Workplace folder;
    REQUIRE(run(folder, "train --net resnet8" + training + "--run r").code == 0);
    unfinish(folder / "r");
    const Ended end = run(folder, "train --resume --run r --threads 2");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(says(end.out, {"note: --threads 2: r was started with 1; from here on its bits are not those of a run left alone"}));
    CHECK(output_of(folder, "train --resume --run r").find("note: --threads") == std::string::npos);
}

TEST_CASE("resuming: a normalisation given again is the same, though a run keeps it rounded to floats") {
    const Workplace folder;
    const std::string start = "train --net resnet8" + training + "--run r --normalize ";
    REQUIRE(run(folder, start + "129.3105,124.1085,112.404,68.2125,65.4075,70.4055").code == 0);
    unfinish(folder / "r");
    check_rejected(folder, start + "129.3105,124.1085,112.404,68.2125,65.4075,70.5 --resume", {"--normalize", "was started with 129.3105"});
    const Ended end = run(folder, start + "129.3105,124.1085,112.404,68.2125,65.4075,70.4055 --resume");
    CHECK_MESSAGE(end.code == 0, end.err);
    check_rejected(folder, start + "none --resume", {"--normalize none", "was started with 129.3105"});

    const std::string plain = "train --net resnet8" + training + "--run plain --normalize none";
    REQUIRE(run(folder, plain).code == 0);
    const Ended again = run(folder, plain + " --resume");  // kept as 0,0,0,255,255,255; finished
    CHECK_MESSAGE(again.code == 0, again.err);
    unfinish(folder / "plain");
    CHECK(run(folder, plain + " --resume").code == 0);
}

TEST_CASE("resuming: a finished run is made longer, as if it had been begun so") {
    const Workplace folder;
    const std::string name = "train --net resnet8" + training;
    REQUIRE(run(folder, name + "--run whole --epochs 4").code == 0);
    REQUIRE(run(folder, name + "--run r").code == 0);
    check_rejected(folder, "train --resume --run r --epochs 1", {"--epochs 1", "r was started with 2", "longer, not shorter"});
    const Ended end = run(folder, "train --resume --run r --epochs 4");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(says(end.out,
               {"note: r goes on from 2 to 4 epochs; --lr-steps 1,3 stays: the added epochs begin at rate 0.002, a tenth from epoch 3 "
                "(epochs count from 0 here)\n"}));
    for (const char* option : {"epochs", "info.by_hand"})
        CHECK(value_of(read_config(folder / "r/config.csv"), option) == value_of(read_config(folder / "whole/config.csv"), option));
    check_same_training(folder / "r", folder / "whole");
    for (const char* again : {"train --resume --run r", "train --resume --run r --epochs 4"})
        CHECK(says(run(folder, again).out, {"r: finished before, skipped"}));
    fs::remove(folder / "r/checkpoint.bin");
    check_rejected(folder, "train --resume --run r --epochs 5", {"r/checkpoint.bin: is gone", "--epochs 5", "start anew"});
    REQUIRE(run(folder, name + "--run short --max-steps 3").code == 0);
    check_rejected(folder, "train --resume --run short --epochs 5", {"--epochs 5", "short ends by --max-steps 3"});
}

TEST_CASE("resuming: an unfinished run that has lost its checkpoint is refused and keeps its tables, unless it may never have had one") {
    const Workplace folder;
    succeed(folder, "train --net resnet8" + training + "--run r");
    const std::string weights = read_file(folder / "r/student.safetensors"), epochs = read_file(folder / "r/epochs.csv");
    const std::string one_row = epochs.substr(0, epochs.find('\n', epochs.find('\n') + 1) + 1);
    const auto lose_checkpoint = [&](const fs::path& run) { unfinish(run), fs::remove(run / "checkpoint.bin"); };
    lose_checkpoint(folder / "r");
    const std::string again = "train --net resnet8" + training + "--run r --auto-resume";
    for (const std::string& line : {std::string("train --resume --run r"), std::string("train --resume --run r --epochs 4"), again})
        check_rejected(folder, line,
                       {"r/checkpoint.bin: is gone", "cannot go on from the 2 epochs in its tables", "restore it", "remove r", "--run"});
    CHECK(read_file(folder / "r/epochs.csv") == epochs);

    // What is trained first counts, too.
    const std::string ft = "ft --student resnet8 --teacher resnet8 --teacher-weights r/student.safetensors --paraphraser-epochs 1";
    succeed(folder, ft + training + "--run ft");
    lose_checkpoint(folder / "ft");
    const std::string students = read_file(folder / "ft/epochs.csv");
    put_file(folder / "ft/epochs.csv", students.substr(0, students.find('\n', students.find('\n') + 1) + 1));
    check_rejected(folder, "ft --resume --run ft", {"ft/checkpoint.bin: is gone", "the 2 epochs in its tables"});

    // One whole row may be all that a kill has left before the first checkpoint: it begins again.
    put_file(folder / "r/epochs.csv", one_row + "1,0.002,0.");
    succeed(folder, again, {"r: last "});
    CHECK(read_csv(folder / "r/epochs.csv").rows.size() == 2);
    CHECK(read_file(folder / "r/student.safetensors") == weights);
}

TEST_CASE("resuming: a link to an empty folder is as good as the folder") {
    const Workplace folder;
    fs::create_directory(folder / "far");
    fs::create_directory_symlink(folder / "far", folder / "r");
    CHECK(run(folder, "train --net resnet8" + training + "--run r --auto-resume").code == 0);
    CHECK(fs::is_symlink(folder / "r"));
    CHECK(fs::exists(folder / "far/result.csv"));
}

TEST_CASE("resuming: several runs go on by their common folder alone, those that had not begun, too") {
    const Workplace folder;
    REQUIRE(run(folder, "train --net resnet8" + training + "--run r --runs 3 --seed 5").code == 0);
    unfinish(folder / "r/s6");
    fs::remove_all(folder / "r/s7");
    const Ended end = run(folder, "train --resume --run r --quiet");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(says(end.out, {"r/s5: finished before, skipped", "r/s6: last ", "r/s7: last "}));
    CHECK(value_of(read_config(folder / "r/s7/config.csv"), "seed") == "7");
    CHECK(says(run(folder, "train --resume --run r --seed 6").out, {"r/s6: finished before, skipped"}));  // one of them

    // Begun one by one, with gaps that nobody asked to be filled.
    for (const char* seed : {"2", "9"}) succeed(folder, "train --net resnet8" + training + "--run gaps/s" + seed + " --seed " + seed);
    check_rejected(folder, "train --resume --run gaps", {"gaps: the seeds begun are 2, 9", "--seed N"});
    succeed(folder, "train --resume --run gaps --seed 9", {"gaps/s9: finished before, skipped"});

    // More of them are counted from the first; until one of those has begun the hint names them.
    unfinish(folder / "r/s5");
    const Ended cut = run(folder, "train --resume --run r --runs 4 --epochs 3 --time-limit 1s");
    CHECK(cut.code == 3);
    CHECK(hint_of(cut) == "--resume --run r --epochs 3 --seed 5 --runs 4");
    succeed(folder, "train " + hint_of(cut), {"r/s8: last "});
    CHECK_FALSE(fs::exists(folder / "r/s0"));
    check_rejected(folder, "train --net resnet8" + training + "--resume --run tpyo --runs 3", {"tpyo: no run to resume here"});
    CHECK_FALSE(fs::exists(folder / "tpyo"));
}

TEST_CASE("resuming: runs that were started otherwise do not go on together, nor do those that are longer") {
    const Workplace folder;
    succeed(folder, "train --net resnet8" + training + "--run r/s0 --seed 0");
    succeed(folder, "train --net resnet8" + training + "--weight-decay 0 --threads 2 --run r/s1 --seed 1");
    check_rejected(folder, "train --resume --run r", {"--weight-decay: r/s0 was started with 0.0005, r/s1 with 0", "--resume --run r/s1"});
    succeed(folder, "train --net resnet8" + training + "--run same/s0 --seed 0");
    succeed(folder, "train --net resnet8" + training + "--threads 2 --run same/s1 --seed 1");
    succeed(folder, "train --resume --run same", {"note: --threads: same/s0 was started with 1, same/s1 with 2"});
    succeed(folder, "train --resume --run same/s0 --epochs 3");
    check_rejected(folder, "train --resume --run same",
                   {"same: its runs are of one length, not 2 epochs in s1 and 3 in s0", "--resume --epochs 3"});
    succeed(folder, "train --resume --run same --epochs 3 --threads 1", {"same/s0: finished before, skipped", "same/s1: last "});
}

TEST_CASE("resuming: a copy that is no longer this run's is told of, and stays") {
    const Workplace folder;
    succeed(folder, "train --net resnet8" + training + "--save copy.safetensors --run r");
    CHECK(output_of(folder, "train --resume --run r").find("note: --save") == std::string::npos);
    succeed(folder, "train --net resnet8" + training + "--seed 1 --run other");
    fs::copy_file(folder / "other/student.safetensors", folder / "copy.safetensors", fs::copy_options::overwrite_existing);
    succeed(folder, "train --resume --run r", {"note: --save copy.safetensors: holds other weights than this run's"});
    CHECK(read_file(folder / "copy.safetensors") == read_file(folder / "other/student.safetensors"));
}

TEST_CASE("resuming: chains and sweeps of several seeds go on by their folder alone, too") {
    const Workplace folder;
    REQUIRE(run(folder, "train --net resnet8" + training + "--run t").code == 0);
    const std::string by_t = " --student resnet8 --teachers t/student.safetensors --runs 2 --seed 3" + training;
    REQUIRE(run(folder, "feed sequential --stages 1 --run chain" + by_t).code == 0);
    REQUIRE(run(folder, "feed sweep --run sweep" + by_t).code == 0);
    for (const char* part : {"chain/s3/stage1", "chain/s4/stage1", "sweep/n1/s4"}) unfinish(folder / part);
    for (const char* line : {"feed sequential --resume --run chain --quiet", "feed sweep --resume --run sweep --quiet"}) {
        const Ended end = run(folder, line);
        CAPTURE(end.err);
        CHECK(end.code == 0);
    }
    for (const char* part : {"chain/s3/stage1", "chain/s4/stage1", "sweep/n1/s3", "sweep/n1/s4"})
        CHECK(fs::exists(folder / part / "result.csv"));
    fs::remove_all(folder / "chain/s3");  // to be made anew
    succeed(folder, "feed sequential --run chain --auto-resume" + by_t.substr(0, by_t.find(" --seed")) + training,
            {"chain/s4/stage1: finished before"});
    CHECK(fs::exists(folder / "chain/s3/stage1/result.csv"));
}

TEST_SUITE_END();
