// Whole searches through the program itself: real trainings of tiny networks, workers and searches killed, and what is refused.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "ktg_graph_run.h"
#include "ktg_workers.h"
#include "report.h"
#include "report_collect.h"
#include "search_journal.h"
#include "search_space.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Workplace : TempFolder {
    Workplace() {
        synthesize(path() / "data", {"s", 3, 8, 50, 20});
        synthesize(path() / "data", {"other", 2, 8, 40, 20});
    }
};

std::string searching(const std::string& run, const std::string& more) {
    return "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8,wrn-10-1 --epochs 4 --lr-steps 3 --batch 10 "
           "--alone-batch 10 --lr 0.05 --seed 3 --run " +
           run + " " + more;
}

std::vector<JournalRow> rows_of(const fs::path& run) { return read_journal(run / "journal.csv").rows; }

size_t rows_so_far(const fs::path& run) { return lines_in(run / "journal.csv"); }

void wait_for_rows(Command& command, const fs::path& run, size_t rows) {
    wait_until(command, [&] { return rows_so_far(run) >= rows; });
}

std::vector<pid_t> workers_of(pid_t parent) {
    std::ifstream in(text("/proc/", parent, "/task/", parent, "/children"));
    std::vector<pid_t> pids;
    for (pid_t pid; in >> pid;) pids.push_back(pid);
    return pids;
}

/// A process that has ended may wait for its parent's (or init's) attention: a zombie.
bool lives(pid_t pid) {
    std::ifstream in(text("/proc/", pid, "/stat"));
    std::string stat;
    std::getline(in, stat);
    const size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.compare(name_end, 3, ") Z") != 0;
}

bool all_gone(const std::vector<pid_t>& pids) {
    for (const auto deadline = Clock::now() + Seconds(10); Clock::now() < deadline; std::this_thread::sleep_for(Seconds(0.01)))
        if (std::none_of(pids.begin(), pids.end(), lives)) return true;
    return false;
}

/// Every trial has one end, and its journal is whole.
void check_complete(const fs::path& run, int64_t trials) {
    std::map<int64_t, int> ends;
    for (const JournalRow& r : rows_of(run)) ends[r.trial] += is_end(r.event);
    CHECK(static_cast<int64_t>(ends.size()) == trials);
    for (const auto& [trial, count] : ends) CHECK_MESSAGE(count == 1, "trial " << trial);
}

/// The same trials, rungs, winners and accuracies.
void check_equal(const fs::path& a, const fs::path& b) {
    CHECK(read_file(a / "journal.csv") == read_file(b / "journal.csv"));
    CHECK(read_file(a / "search.csv") == read_file(b / "search.csv"));
    CHECK(read_file(a / "best1.csv") == read_file(b / "best1.csv"));
    for (const fs::path run : {"retrained/best1/s3", "retrained/plain-resnet8/s3"})
        CHECK(read_file(a / run / "student.safetensors") == read_file(b / run / "student.safetensors"));
}

}  // namespace

TEST_CASE("command line: ktg search: two workers, one killed -9, to a table of the best graph beside the known methods") {
    const Workplace folder;
    Command command(folder, searching("run", "--trials 12 --jobs 2 --threads 2 --best 2 --retrain-seeds 2"));
    wait_for_rows(command, folder / "run", 8);
    REQUIRE(workers_of(command.pid()).size() == 2);
    const auto lost_one = [&] { return read_file(folder / "run/journal.csv").find(",lost,") != std::string::npos; };
    for (size_t rows = rows_so_far(folder / "run"); command.running() && !lost_one(); rows += 3) {  // it may be between two trials
        const std::vector<pid_t> workers = workers_of(command.pid());                               // none while one is being replaced
        if (!workers.empty()) ::kill(workers.front(), SIGKILL);
        wait_for_rows(command, folder / "run", rows + 3);
    }
    const Ended end = command.wait();
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"val              10", "12/12 done", "best1: trial ", "test accuracy in %", "written to run/search.csv"}));

    check_complete(folder / "run", 12);
    int lost = 0;
    std::map<int64_t, double> errors;
    for (const JournalRow& r : rows_of(folder / "run")) {
        lost += r.event == TrialEvent::lost;
        if (r.event == TrialEvent::lost) CHECK(says(r.detail, {"worker ", " ended by signal 9"}));
        CHECK(r.event != TrialEvent::failed);
        if (r.event == TrialEvent::complete) errors[r.trial] = *r.error;
        const SearchSpace space{"resnet8", {"resnet8", "wrn-10-1"}, 2};
        if (r.event == TrialEvent::started || r.event == TrialEvent::rejected) CHECK(r.detail == graph_line(space.random(3, r.trial)));
    }
    CHECK(lost >= 1);

    const CsvTable table = read_csv(folder / "run/search.csv");
    REQUIRE(table.rows.size() >= 5);
    for (size_t row = 0; row < table.rows.size(); ++row) {
        CHECK(table.cell(row, "n") == "2");
        const double mean = table.cell_number(row, "test_mean");
        CHECK((mean >= 0 && mean <= 100));
        std::vector<double> accuracies;
        for (const char* seed : {"s3", "s4"}) {
            const CsvTable result = read_csv(folder / "run/retrained" / table.cell(row, "id") / seed / "result.csv");
            accuracies.push_back(result.cell_number(0, "last"));
            const Config config = read_config(folder / "run/retrained" / table.cell(row, "id") / seed / "config.csv");
            CHECK("s" + value_of(config, "seed") == seed);
            CHECK(value_of(config, "val") == "0");  // on all images, those that scored among them
        }
        const fs::path seeds = folder / "run/retrained" / table.cell(row, "id");
        CHECK(without_seconds(seeds / "s3/epochs.csv") != without_seconds(seeds / "s4/epochs.csv"));
        CHECK(mean == doctest::Approx(spread(accuracies).mean));
    }
    CHECK(table.cell(0, "id") == "best1");
    const auto best = std::min_element(errors.begin(), errors.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    CHECK(table.cell(0, "trial") == std::to_string(best->first));
    CHECK(table.cell_number(0, "search_error") == best->second);
    CHECK(table.cell(2, "id") == "plain-resnet8");
    CHECK(table.cell(2, "graph") == "resnet8 | through");
    std::set<std::string> ids;
    for (size_t row = 2; row < table.rows.size(); ++row) ids.insert(table.cell(row, "id").substr(0, 3));
    CHECK(ids == std::set<std::string>{"pla", "kd-", "dml"});

    // Weights stay of the best two trials alone; checkpoints of none.
    int with_weights = 0;
    for (const auto& entry : fs::directory_iterator(folder / "run/trials")) {
        with_weights += fs::exists(entry.path() / "student.safetensors");
        CHECK_FALSE(fs::exists(entry.path() / "checkpoint.bin"));
        CHECK(fs::exists(entry.path() / "epochs.csv"));
    }
    CHECK(with_weights == 2);

    // What a run says of its images is what it had: trials and networks of frozen nodes without those that scored, the others all.
    const auto facts = [](const fs::path& of) {
        const Config config = read_config(of / "config.csv");
        return joined({value_of(config, "info.train_images"), value_of(config, "info.test_images"), value_of(config, "info.data_sha256")});
    };
    for (const char* val : {"0", "10"})
        succeed(folder,
                text("train --net resnet8 --dataset s --epochs 1 --batch 10 --lr 0.01 --threads 1 --quiet --val ", val, " --run val", val));
    CHECK(facts(folder / "val0").substr(0, 8) == "50, 20, ");
    CHECK(facts(folder / "val10").substr(0, 8) == "40, 10, ");
    for (const char* place : {"trials", "pretrained"})
        if (fs::exists(folder / "run" / place))
            for (const auto& entry : fs::directory_iterator(folder / "run" / place)) CHECK(facts(entry.path()) == facts(folder / "val10"));
    CHECK(facts(folder / "run/retrained/best1/s3") == facts(folder / "val0"));
    CHECK(facts(folder / "run") == facts(folder / "val0"));
    const Graph found = read_graph(folder / "run/best1.csv");
    CHECK(graph_line(found) == table.cell(0, "graph"));
    require_weights(found, "best1.csv");

    // The trainings of the end are runs for the report; trials are not.
    const std::vector<Run> runs = collect_runs({folder / "run"});
    CHECK(runs.size() >= 2 * table.rows.size());
    for (const Run& run : runs) CHECK(run.folder.string().find("trials") == std::string::npos);
}

TEST_CASE("command line: ktg search: SIGINT ends with 3; --resume ends like the uninterrupted search, also from a torn journal") {
    const Workplace folder;
    const std::string all = "--trials 8 --jobs 1 --threads 1 --retrain-seeds 1";
    REQUIRE(run(folder, searching("whole", all)).code == 0);
    Command command(folder, searching("cut", all));
    wait_for_rows(command, folder / "cut", 7);
    const std::vector<pid_t> workers = workers_of(command.pid());
    CHECK(workers.size() == 1);
    command.send(SIGINT);
    const Ended end = command.wait();
    CHECK(end.code == 3);
    CHECK(says(end.err, {"distill: interrupted", "--resume --run cut"}));
    CHECK(all_gone(workers));
    CHECK_FALSE(fs::exists(folder / "cut/search.csv"));

    // A kill in the middle of a row leaves a torn line.
    std::ofstream(folder / "cut/journal.csv", std::ios::app | std::ios::binary) << "5,runn";
    check_rejected(folder, searching("cut", all), {"this run folder exists", "--resume"});
    check_rejected(folder, searching("cut", "--resume --trials 7"), {"--trials 7", "was started with 8", "longer, not shorter"});
    for (const char* file : {"config.csv", "journal.csv"})  // of a machine that was taken away
        put_file(folder / "elsewhere" / file, read_file(folder / "cut" / file));
    const Ended resumed = run(folder, "ktg search --resume --run cut");
    CAPTURE(resumed.err);
    CHECK(resumed.code == 0);
    CHECK(says(resumed.out, {"its last line was cut off after 6 bytes, and is dropped"}));
    check_equal(folder / "cut", folder / "whole");
    check_complete(folder / "cut", 8);
    succeed(folder, "ktg search --resume --run elsewhere");
    check_equal(folder / "elsewhere", folder / "whole");

    // Another search's journal is refused, and a search whose journal is gone.
    const std::string journal = read_file(folder / "cut/journal.csv");
    std::string other = journal;
    other.replace(other.find("seed=3"), 6, "seed=4");
    put_file(folder / "cut/journal.csv", other);
    REQUIRE(fs::exists(folder / "cut/search.csv"));
    for (const char* resumed_as : {"", " --trials 12"})
        check_rejected(folder, text("ktg search --resume --run cut", resumed_as), {"another search", "found seed = 4, expected 3"});
    fs::remove(folder / "cut/journal.csv");
    for (const char* resumed_as : {"", " --trials 12"})
        check_rejected(folder, text("ktg search --resume --run cut", resumed_as), {"journal of the trials beside it is gone"});
    // Other data under the same name.
    put_file(folder / "cut/journal.csv", journal);
    fs::remove_all(folder / "data/s");
    synthesize(folder / "data", {"s", 3, 8, 50, 20, 1});
    check_rejected(folder, "ktg search --resume --run cut", {"data set is not the one this run was started with"});
}

TEST_CASE("command line: ktg search: made longer it ends like one begun so; another best graph is trained beside the one before it") {
    const Workplace folder;
    const std::string all = "--jobs 1 --threads 1 --retrain-seeds 1 --trials ";
    succeed(folder, searching("whole", all + "10"));
    succeed(folder, searching("grown", all + "6"));
    succeed(folder, "ktg search --resume --run grown --trials 10", {"note: grown goes on from 6 to 10 trials", "10/10 done"});
    const auto best = [&](const char* column) { return read_csv(folder / "grown/search.csv").cell(0, column); };
    const auto check_as_whole = [&] {
        CHECK(read_file(folder / "grown/journal.csv") == read_file(folder / "whole/journal.csv"));
        CHECK(read_file(folder / "grown/best1.csv") == read_file(folder / "whole/best1.csv"));
        for (const char* column : {"trial", "search_error", "test_mean", "n", "graph"})
            CHECK_MESSAGE(best(column) == read_csv(folder / "whole/search.csv").cell(0, column), column);
        CHECK(read_file(folder / "grown/retrained" / best("id") / "s3/student.safetensors") ==
              read_file(folder / "whole/retrained/best1/s3/student.safetensors"));
    };
    check_as_whole();
    CHECK(value_of(read_config(folder / "grown/config.csv"), "trials") == "10");
    CHECK(says(run(folder, "ktg search --auto-resume --run grown --trials 10").out, {"grown: finished before, skipped"}));
    for (const char* how : {"--resume", "--auto-resume"})
        check_rejected(folder, text("ktg search --run grown --trials 9 ", how), {"--trials 9", "was started with 10", "not shorter"});

    // As if the shorter one had found a graph that the longer one did not.
    put_file(folder / "grown/retrained/best1/s3/graph.csv", read_file(folder / "grown/retrained/plain-resnet8/s3/graph.csv"));
    fs::remove(folder / "grown/search.csv");
    succeed(folder, "ktg search --resume --run grown",
            {"best1-trial" + read_csv(folder / "whole/search.csv").cell(0, "trial") + ": trial "});
    CHECK(best("id") == "best1-trial" + best("trial"));
    check_as_whole();
}

TEST_CASE("command line: ktg search: a graph that was trained at another rank is not trained again") {
    const Workplace folder;
    succeed(folder, searching("run", "--trials 8 --best 2 --stopping off --jobs 1 --threads 1 --retrain-seeds 1"));
    const CsvTable before = read_csv(folder / "run/search.csv");
    const std::string best = read_file(folder / "run/best1.csv");
    REQUIRE(before.cell(1, "id") == "best2");
    // As if the ranks had been the other way round before the search was made longer.
    const fs::path retrained = folder / "run/retrained";
    fs::rename(retrained / "best1", retrained / "held");
    fs::rename(retrained / "best2", retrained / "best1");
    fs::rename(retrained / "held", retrained / "best2");
    fs::remove(folder / "run/search.csv");
    const Ended again = run(folder, "ktg search --resume --run run");
    CAPTURE(again.err);
    REQUIRE(again.code == 0);
    CHECK(says(again.out, {"best2: trial " + before.cell(0, "trial"), "best1: trial " + before.cell(1, "trial")}));
    CHECK(again.out.find("on all training data:") == std::string::npos);
    const CsvTable after = read_csv(folder / "run/search.csv");
    REQUIRE(after.rows.size() == before.rows.size());
    CHECK(after.cell(0, "id") == "best2");
    CHECK(after.cell(1, "id") == "best1");
    for (size_t row = 0; row < after.rows.size(); ++row)
        for (const char* column : {"trial", "test_mean", "graph"})
            CHECK_MESSAGE(after.cell(row, column) == before.cell(row, column), column);
    CHECK(read_file(folder / "run/best1.csv") == best);
}

TEST_CASE("command line: ktg search: a loss that is not finite fails its trial alone; the authors' score; a graph elsewhere") {
    const Workplace folder;
    const Ended failed = run(folder, searching("wild", "--trials 3 --lr 1e30 --threads 1"));
    CHECK(failed.code == 1);
    CHECK(says(failed.err, {"journal.csv: no trial was complete"}));
    int failures = 0;
    for (const JournalRow& r : rows_of(folder / "wild")) {
        if (r.event != TrialEvent::failed) continue;
        CHECK(says(r.detail, {"the loss is "}));
        ++failures;
    }
    check_complete(folder / "wild", 3);
    CHECK(failures > 0);

    const Ended scored = run(folder, searching("test", "--trials 2 --score test --threads 1 --retrain-seeds 1 --sampler grid"));
    CHECK(scored.code == 0);
    CHECK(says(scored.out, {"trials are scored on the test set, as the authors do", "val              0"}));
    CHECK(rows_of(folder / "test")[0].detail == "resnet8 resnet8 | through through | through through");

    put_file(folder / "found.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,wrn-10-1,,cutoff,cutoff\n");
    const Ended moved = run(folder,
                            "ktg search --transfer found.csv --dataset other --epochs 1 --batch 10 --alone-batch 20 --threads 1 "
                            "--retrain-seeds 2 --run moved");
    CAPTURE(moved.err);
    CHECK(moved.code == 0);
    const CsvTable table = read_csv(folder / "moved/search.csv");
    REQUIRE(table.rows.size() == 5);
    CHECK(table.cell(0, "id") == "transferred");
    // Plain training as a network alone is trained, and with the graphs' batch.
    CHECK(table.cell(1, "id") == "plain-resnet8");
    CHECK(table.cell(2, "id") == "plain-resnet8-batch10");
    const auto batch_of = [&](const std::string& id) {
        return value_of(read_config(folder / "moved/retrained" / id / "s0/config.csv"), "batch");
    };
    CHECK(batch_of("plain-resnet8") == "20");
    CHECK(batch_of("plain-resnet8-batch10") == "10");
    CHECK(batch_of("transferred") == "10");
    CHECK(table.cell(0, "n") == "2");
    CHECK(fs::exists(folder / "moved/teachers/wrn-10-1/student.safetensors"));
    CHECK(read_csv(folder / "moved/retrained/transferred/s1/result.csv").cell(0, "dataset") == "other");

    // A teacher as the tool over several machines trains it (tools/ktg_trials.py), and what --as-teacher is not for.
    const std::string teacher = "ktg train --graph plain --models 0=wrn-10-1 --dataset other --epochs 1 --batch 20 --threads 1 --quiet ";
    const auto weights = [&](const char* of) { return read_file(folder / of / "student.safetensors"); };
    succeed(folder, teacher + "--as-teacher --run by-tool");
    CHECK(weights("by-tool") == weights("moved/teachers/wrn-10-1"));
    succeed(folder, teacher + "--run alone");
    CHECK(weights("alone") != weights("by-tool"));
    check_rejected(folder, "ktg train --graph dml --models 0=resnet8,1=resnet8 --dataset other --as-teacher", {"--as-teacher", "one node"});

    // It goes on by its folder alone, from any folder, and with no other graph under the same name.
    fs::remove(folder / "moved/search.csv");
    const TempFolder elsewhere;
    CHECK(run(elsewhere, "ktg search --resume --run " + (folder / "moved").string()).code == 0);
    CHECK(fs::exists(folder / "moved/search.csv"));
    CHECK(says(run(folder, "ktg search --auto-resume --run moved").out, {"moved: finished before, skipped"}));
    check_rejected(folder, "ktg train --resume --run moved", {"was started with: distill ktg search --transfer;"});
    put_file(folder / "found.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,through\n1,wrn-10-1,,cutoff,cutoff\n");
    check_rejected(folder, "ktg search --resume --run moved", {"transferred/s0/graph.csv", "another graph"});

    // An ensemble is no network that could be trained alone.
    put_file(folder / "sum.csv",
             "node,model,weights,gate_0,gate_1,gate_2\n0,ensemble:1+2,,cutoff,cutoff,cutoff\n"
             "1,resnet8,,cutoff,through,through\n2,resnet8,,cutoff,through,through\n");
    const Ended sum = run(folder,
                          "ktg search --transfer sum.csv --dataset other --epochs 1 --batch 10 --alone-batch 10 --threads 1 "
                          "--retrain-seeds 1 --run sum");
    CAPTURE(sum.err);
    CHECK(sum.code == 0);
    CHECK(says(sum.out, {"note: transferred: its target, ensemble:1+2, is no network"}));
    CHECK(read_csv(folder / "sum/search.csv").rows.size() == 1);
}

TEST_CASE("command line: ktg search: SIGTERM to all of its processes leaves checkpoints; it goes on with more jobs and threads") {
    const Workplace folder;
    const std::string all = "--trials 8 --jobs 1 --threads 1 --retrain-seeds 1";
    Command command(folder, searching("cut", all));
    wait_for_rows(command, folder / "cut", 4);
    for (const pid_t worker : workers_of(command.pid())) ::kill(worker, SIGTERM);  // to it alone: it is replaced, and no run has lost
    wait_for_rows(command, folder / "cut", rows_so_far(folder / "cut") + 2);
    REQUIRE(command.running());
    for (const pid_t worker : workers_of(command.pid())) ::kill(worker, SIGTERM);
    command.send(SIGTERM);
    CHECK(command.wait().code == 3);
    const Ended resumed = run(folder, "ktg search --resume --run cut --jobs 2 --threads 2");
    CAPTURE(resumed.err);
    CHECK(resumed.code == 0);
    CHECK(says(resumed.out, {"only --jobs 1 repeats exactly", "keep the device and threads they began with"}));
    check_complete(folder / "cut", 8);
    for (const JournalRow& r : rows_of(folder / "cut")) CHECK(r.event != TrialEvent::lost);
}

TEST_CASE("command line: ktg search: a trial that kills its workers has failed once the target alone has trained a step; others go on") {
    const Workplace folder;
    Command command(folder, searching("cut", "--trials 6 --jobs 1 --threads 1 --retrain-seeds 1"));
    wait_for_rows(command, folder / "cut", 4);
    command.send(SIGTERM);
    REQUIRE(command.wait().code == 3);
    std::set<int64_t> open;
    for (const JournalRow& r : rows_of(folder / "cut"))
        begins(r.event) && r.event == TrialEvent::started ? void(open.insert(r.trial))
                                                          : void(r.event != TrialEvent::running && open.erase(r.trial));
    REQUIRE(open.size() == 1);
    const fs::path checkpoint = folder / "cut/trials" / std::to_string(*open.begin()) / "checkpoint.bin";
    fs::remove(checkpoint);
    fs::create_symlink("checkpoint.bin", checkpoint);  // which nobody foresees
    const Ended end = run(folder, "ktg search --resume --run cut");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    check_complete(folder / "cut", 6);
    size_t lost = 0, failed = 0;
    for (const JournalRow& r : rows_of(folder / "cut")) {
        lost += r.event == TrialEvent::lost;
        failed += r.event == TrialEvent::failed;
        if (r.event == TrialEvent::failed) CHECK(says(r.detail, {"its worker died 2 times; last: ", "symbolic links"}));
    }
    CHECK(lost == 2);
    CHECK(failed == 1);
    CHECK_FALSE(fs::exists(folder / "cut/probe"));
}

TEST_CASE("command line: ktg search: what is refused leaves nothing behind") {
    const Workplace folder;
    const auto refused = [&](const std::string& more, const std::vector<std::string>& parts) {
        check_rejected(folder, searching("run", more), parts);
    };
    refused("--models resnet8,resnet9000", {"resnet9000"});
    refused("--target vgg", {"vgg"});
    refused("--nodes 8", {"--nodes", "'8'", "from 2 to 7"});
    refused("--nodes 1", {"--nodes", "'1'"});
    refused("--sampler grid --nodes 7", {"too many to try each"});
    refused("--sampler grid --trials 5000", {"the grid has 512 graphs"});
    refused("--score test --val 5", {"--val 5", "nothing is held out"});
    refused("--batch 100", {"--batch 100", "40"});
    refused("--devices 0,0", {"--devices", "'0,0'"});
    refused("--devices gpu", {"--devices", "'gpu'"});
    refused("--devices ''", {"--devices: found ''"});
    refused("--devices --resume", {"ktg search: --devices: its value is missing, there is the option --resume"});
    refused("--val 50", {"50"});
    refused("--resume", {"no run to resume here"});
    refused("--transfer found.csv", {"--nodes: has no meaning with --transfer"});
    check_rejected(folder, "ktg search --transfer found.csv --dataset s --run run", {"found.csv"});
    check_rejected(folder, "ktg serach", {"unknown subcommand 'serach'", "did you mean search", "show"});
    CHECK(run(folder, "ktg serach").err.find("worker") == std::string::npos);
}

TEST_CASE("command line: ktg search: a worker with two slots trains two runs at a time, each to the bytes of a run alone") {
    const Workplace folder;
    Options options;
    options.data = (folder / "data").string();
    options.dataset = "s";
    options.epochs = 3;
    options.batch = 10;
    options.lr_steps = "2";
    options.threads = 1;
    options.device = "cpu";
    options.normalize = "none";
    const SearchSpace space{"resnet8", {"resnet8", "wrn-10-1"}, 2};
    const auto train_in = [&](const char* name, int slots) {
        std::vector<std::string> folders;
        for (const int64_t graph : {0, 1 + 256, 2 * 64 + 3 * 4 + 256}) {
            folders.push_back((folder / name / std::to_string(graph)).string());
            prepare_graph_run(folders.back(), space.at(graph), options, {}, {});
        }
        WorkerPlan plan;
        plan.program = program_beside().string();
        plan.processes = {{slots, {"OMP_WAIT_POLICY=passive"}}};
        WorkerProcesses pool(plan);
        CHECK(pool.slots() == slots);
        CHECK(train_all(pool, folders, {}, true).empty());
        return folders;
    };
    const std::vector<std::string> alone = train_in("alone", 1), beside = train_in("beside", 2);
    for (size_t i = 0; i < alone.size(); ++i) {
        CHECK(without_seconds(alone[i] + "/epochs.csv") == without_seconds(beside[i] + "/epochs.csv"));
        CHECK(read_file(alone[i] + "/student.safetensors") == read_file(beside[i] + "/student.safetensors"));
    }
}

TEST_CASE("slow: ktg search: twenty kill -9 at random moments, each resumed, end with the same trials, rungs and winner") {
    const Workplace folder;
    const std::string all = "--trials 40 --jobs 1 --threads 1 --retrain-seeds 1";
    constexpr int kills = 20;
    const auto seconds_of = [&](const std::string& command) {
        const auto started = Clock::now();
        REQUIRE(run(folder, command).code == 0);
        return Seconds(Clock::now() - started).count();
    };
    seconds_of("info --net resnet8");  // the first start reads the libraries from the disk
    const double start_up = seconds_of("info --net resnet8"), work = seconds_of(searching("whole", all)) - 2 * start_up;
    const double earliest = start_up, latest = 2 * start_up + work / 14;  // two starts: the search's and its worker's
    const size_t all_rows = rows_so_far(folder / "whole");
    std::mt19937 random(1);
    size_t rows_seen = 0;
    for (int kill = 0; kill < kills; ++kill) {
        Command command(folder, fs::exists(folder / "cut") ? "ktg search --resume --run cut" : searching("cut", all));
        // Not beyond this kill's share of the rows: the whole search may have been timed on a busier machine.
        const size_t share = static_cast<size_t>(kill + 1) * all_rows / (kills + 2);
        const auto until = Clock::now() + Seconds(earliest + (latest - earliest) * (random() % 1000) / 1000);
        while (Clock::now() < until && rows_so_far(folder / "cut") <= share) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        REQUIRE(command.running());
        const std::vector<pid_t> workers = workers_of(command.pid());
        command.send(SIGKILL);
        CHECK(command.wait().code == 128 + SIGKILL);
        CHECK(all_gone(workers));
        rows_seen = std::max(rows_seen, rows_so_far(folder / "cut"));
    }
    MESSAGE(kills, " kills within ", rows_seen, " of ", all_rows, " rows of the journal");
    CHECK(rows_seen > 10);  // the kills did meet the search at work
    CHECK_FALSE(fs::exists(folder / "cut/search.csv"));
    const Ended end = run(folder, "ktg search --resume --run cut");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    check_equal(folder / "cut", folder / "whole");
    check_complete(folder / "cut", 40);
}

TEST_CASE("ktg search: a batch too large is complained of by its own option") {
    const Workplace folder;
    check_rejected(folder, "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --batch 10 --threads 1 --run g",
                   {"--alone-batch 128: the training part of s has"});
    check_rejected(folder, "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --alone-batch 10 --threads 1 --run g",
                   {": --batch 64: the training part of s has"});
}

TEST_CASE("ktg search: the tool over several machines finds the program beside it, not in PATH") {
    const Workplace folder;
    if (std::system("python3 -c 1") != 0) return skip("no python3");
    fs::create_symlink(program_beside(), folder / "distill");
    const std::string tool = (fs::absolute(golden("x")).parent_path().parent_path().parent_path() / "tools/ktg_optuna.py").string();
    const std::string line =
        text("cd '", folder.path().string(), "' && python3 '", tool, "' run --distill ./distill --storage x --study y ",
             "--dataset none --nodes 2 --target resnet8 --models resnet8 --trials 1 2> said");
    CHECK(std::system(line.c_str()) != 0);
    const std::string said = read_file(folder / "said");
    CAPTURE(said);
    CHECK(said.find("none") != std::string::npos);  // the program's own complaint of the data set
    CHECK(said.find("No such file or directory; build it") == std::string::npos);
}

TEST_SUITE_END();
