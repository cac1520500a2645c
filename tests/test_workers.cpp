// The pool of worker processes: those that die early, for another's fault or their own, slots that share the data, jobs over processes.
#include <signal.h>

#include <map>

#include "base_files.h"
#include "complaints.h"
#include "data_synth.h"
#include "ktg_graph_run.h"
#include "ktg_known_methods.h"
#include "ktg_worker_plan.h"
#include "run_experiment.h"
#include "train_checkpoint.h"
#include "train_recipes.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const fs::path program = program_beside();

Options tiny(const TempFolder& folder) {
    Options o = options_of(find_recipe("ktg"));
    o.data = (folder / "data").string();
    o.dataset = "s";
    o.normalize = "none";
    o.device = "cpu";
    o.epochs = 2;
    o.batch = 10;
    o.threads = 1;
    return o;
}

std::string prepared(const TempFolder& folder, const std::string& name) {
    prepare_graph_run(folder / name, mutual_learning({"resnet8"}), tiny(folder), {}, {});
    return (folder / name).string();
}

struct Workplace : TempFolder {
    Workplace() { synthesize(path() / "data", {"s", 2, 8, 20, 10}); }
};

/// Stands for the program: its first `deaths` starts end at once.
std::string dying(const TempFolder& folder, int deaths) {
    const fs::path script = folder / "program";
    put_file(script, text("#!/bin/sh\necho >> ", (folder / "starts").string(), "\n[ $(wc -l < ", (folder / "starts").string(), ") -le ",
                          deaths, " ] && exit 7\nexec ", program.string(), " \"$@\"\n"));
    fs::permissions(script, fs::perms::owner_all);
    return script.string();
}

}  // namespace

TEST_CASE("workers: one that dies before it is ready is replaced, its replacement too; after three the pool says so") {
    const Workplace folder;
    const std::string run = prepared(folder, "run");
    {
        WorkerProcesses pool({dying(folder, 2), {{1, {}}}});
        CHECK(train_all(pool, {run}, {}, true).empty());
        CHECK(fs::exists(folder / "run/result.csv"));
    }
    fs::remove(folder / "starts");
    WorkerProcesses pool({dying(folder, 3), {{1, {}}}});
    const std::string why = complaint<std::runtime_error>([&] { train_all(pool, {prepared(folder, "other")}, {}, true); });
    CHECK(says(why, {"worker 0 ended by exit code 7 before it could begin, 3 times"}));
}

TEST_CASE("workers: an error that is no training's ends the process; of several runs in it each then trains alone, and one is to blame") {
    const Workplace folder;
    const std::string good = prepared(folder, "good"), bad = prepared(folder, "bad"), alone = prepared(folder, "alone");
    fs::create_symlink("checkpoint.bin", folder / "bad/checkpoint.bin");  // no file and no missing one: an error that nobody foresees
    REQUIRE(train_all(*std::make_unique<WorkerProcesses>(WorkerPlan{program.string(), {{1, {}}}}), {alone}, {}, true).empty());
    WorkerProcesses pool({program.string(), {{2, {}}, {1, {}}}});
    CHECK(pool.slots() == 3);
    std::map<int, std::string> under_way{{0, good}, {1, bad}};
    for (const auto& [slot, run] : under_way) pool.train(slot, run);
    std::map<std::string, int> ended, blamed, requeued;
    while (ended[good] == 0 || blamed[bad] < 2) {
        const PoolMessage m = pool.wait();
        const std::string run = under_way.at(m.slot);
        if (m.kind == PoolMessage::Kind::epoch) pool.answer(m.slot, true);
        if (m.kind == PoolMessage::Kind::ended) ++ended[run];
        CHECK(m.kind != PoolMessage::Kind::failed);
        if (m.kind != PoolMessage::Kind::lost) continue;
        CHECK(says(m.detail, {"worker 0 ended by exit code 1: ", "bad", "symbolic links"}));
        ++(m.blamed ? blamed : requeued)[run];
        if (!m.blamed || blamed[run] < 2) pool.train(m.slot, run);
    }
    CHECK(blamed[good] == 0);
    CHECK(ended[bad] == 0);
    // A probe decides between the run and the machine.
    int probes = 0;
    const auto sound = [&](int64_t) { return prepared(folder, text("probe", ++probes)); };
    const std::vector<FailedRun> failed = train_all(pool, {bad, prepared(folder, "next")}, sound, true);
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].folder == bad);
    CHECK(says(failed[0].reason, {"its worker died 2 times; last: ", "symbolic links"}));
    CHECK(probes == 1);
    CHECK(fs::exists(folder / "next/result.csv"));
    CHECK(says(complaint<std::runtime_error>([&] {
                   train_all(
                       pool, {bad}, [&](int64_t) { return bad; }, true);
               }),
               {"bad lost its worker 2 times", "a single step", "symbolic links"}));
    // Slots share what they read; a run is the same as alone.
    CHECK(read_file(folder / "good/student.safetensors") == read_file(folder / "alone/student.safetensors"));
}

TEST_CASE("workers: one that is sent a signal and told to end writes its checkpoint all the same") {
    const Workplace folder;
    const std::string run = prepared(folder, "run");
    Subprocess worker({"/bin/sh", "-c", "echo $$; exec " + program.string() + " ktg worker --slots 1"});
    std::vector<std::string> heard;
    const auto wait_for = [&](size_t lines) {
        while (heard.size() < lines) REQUIRE(worker.receive(heard));
    };
    worker.send("0 train " + run);
    wait_for(3);  // its process, ready, the first epoch
    CHECK(says(heard[2], {"0 epoch 1 "}));
    ::kill(std::stoi(heard[0]), SIGTERM);  // while it waits: the next epoch is not finished
    worker.send("0 go");
    worker.send("end");
    const std::string how = worker.wait().how;
    CHECK(says(how, {"exit code "}));
    CHECK(worker.wait().how == how);  // known by now, not waited for again
    CHECK(read_checkpoint(folder / "run/checkpoint.bin").counters.at("epoch") == 1);
}

TEST_CASE("workers: jobs over processes: all of them, as evenly as can be") {
    using Shares = std::vector<int>;
    CHECK(shared_out(3, 2) == Shares{2, 1});
    CHECK(shared_out(1, 4) == Shares{1});
    CHECK(shared_out(8, 3) == Shares{3, 3, 2});
    CHECK(plan_workers("cpu", "auto", 3).processes.size() == 3);
    CHECK(parse_devices("0,2") == std::vector<int>{0, 2});
}

TEST_CASE("workers: a run is trained on the images that it was prepared for, or refused: a set that is imported anew is another") {
    const Workplace folder;
    const auto holding_out = [&](int64_t images) {
        Options o = tiny(folder);
        o.validation = images;
        return o;
    };
    const auto facts = [&](int64_t held_out) {
        Options o = holding_out(held_out);
        return run_facts(open_session(o));
    };
    const Config all = facts(0), held_out = facts(6);
    REQUIRE(value_of(all, "info.data_sha256") != value_of(held_out, "info.data_sha256"));
    const auto prepare = [&](const std::string& name, int64_t images, const Config& facts_of_run) {
        prepare_graph_run(folder / name, mutual_learning({"resnet8"}), holding_out(images), {}, facts_of_run);
        return (folder / name).string();
    };
    const std::string late = prepare("late", 0, all), late_held_out = prepare("late-held-out", 6, held_out);
    WorkerProcesses pool({program.string(), {{1, {}}}});
    // Searches of before had of a trial on file what all images are.
    for (const std::string& good : {prepare("all", 0, all), prepare("held-out", 6, held_out), prepare("older", 6, all)})
        CHECK(train_all(pool, {good}, {}, true).empty());
    CHECK(fs::exists(folder / "older/result.csv"));

    fs::remove_all(folder / "data/s");
    synthesize(folder / "data", {"s", 2, 8, 20, 10, 1});
    CHECK(train_all(pool, {prepare("again", 6, held_out)}, {}, true).empty());  // this worker has the images still
    const auto said = [&](WorkerProcesses& workers, const std::string& run) {
        return complaint([&] { train_all(workers, {run}, {}, true); });
    };
    const std::vector<std::string> refusal = {": the data set is not the one this run was started with (SHA-256 ", "restore it"};
    CHECK(says(said(pool, late), refusal));  // which it opens anew
    WorkerProcesses fresh({program.string(), {{1, {}}}});
    CHECK(says(said(fresh, late_held_out), refusal));
    for (const std::string& run : {late, late_held_out}) CHECK_FALSE(fs::exists(run + "/epochs.csv"));
}

TEST_CASE("workers: a prepared folder that holds another graph is refused; the same one is left as it is") {
    const Workplace folder;
    prepared(folder, "run");
    const std::string before = read_file(folder / "run/graph.csv");
    CHECK_NOTHROW(prepare_graph_run(folder / "run", mutual_learning({"resnet8"}), tiny(folder), {}, {}));
    const auto edited = [&] { prepare_graph_run(folder / "run", mutual_learning({"resnet8", "resnet8"}), tiny(folder), {}, {}); };
    CHECK(says(complaint(edited), {"run/graph.csv", "another graph"}));
    CHECK(read_file(folder / "run/graph.csv") == before);
}

TEST_SUITE_END();
