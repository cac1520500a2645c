// What `distill watch` tells of graphs, of what is trained before a student, of reconstructions, and of searches stage by stage.
#include <signal.h>

#include <chrono>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_files.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "method_table.h"
#include "report_watch.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

const char* const no_epoch = "epoch,test_acc,best_acc,seconds\n";

Watched look(const fs::path& folder, int later = 0) {
    const auto found = look_at(folder, system_clock::now() + seconds(later));
    REQUIRE(found.has_value());
    CAPTURE(found->what);
    CHECK(found->state != WatchedState::broken);
    return *found;
}

/// So many epochs of 10 s each.
std::string epochs(int n) {
    std::string all = no_epoch;
    for (int i = 0; i < n; ++i) all += text(i, ",20,20,10\n");
    return all;
}

/// A run of a search: its epochs, and whether it has ended.
void put_run(const fs::path& folder, int done, bool ended) {
    put_file(folder / "config.csv", "option,value\nmethod,ktg\nepochs,4\n");
    put_file(folder / "epochs.csv", epochs(done));
    if (ended) put_file(folder / "result.csv", "id\n");
}

RunFolder locked(const fs::path& folder) {
    RunFolder run = RunFolder::reopen(folder);
    run.lock();
    return run;
}

/// 600 images, of which trials train on 500.
const Config search_options = {{"method", "ktg-search"}, {"dataset", "s"}, {"target", "resnet8"},   {"trials", "10"},
                               {"epochs", "4"},          {"val", "100"},   {"score", "validation"}, {"info.train_images", "600"}};

std::string journal(const std::string& rows) {
    return "trial,event,epoch,error,detail\n,study,,,format=1;dataset=s;target=resnet8;trials=10;epochs=4\n" + rows;
}

std::string started(int trial, const char* event = "started") {
    return text(trial, ",", event, ",0,,resnet8 wrn-10-1 | through cutoff | through through\n");
}

}  // namespace

TEST_CASE("watch: a graph's networks are told, by what it was made from before it is written") {
    const TempFolder folder;
    RunFolder::create(folder / "a", {{"method", "ktg"}, {"seed", "0"}, {"graph", "dml"}, {"models", "0=resnet8a,1=resnet14a"}});
    CHECK(look(folder / "a").what == "ktg: dml of 0=resnet8a,1=resnet14a, seed 0");
    const std::string gates = ",,through,through,through\n";
    put_file(folder / "a/graph.csv",
             "node,model,weights,gate_0,gate_1,gate_2\n0,resnet8a" + gates + "1,resnet14a" + gates + "2,wrn-10-1" + gates);
    CHECK(look(folder / "a").what == "ktg: resnet14a+wrn-10-1 -> resnet8a, seed 0");
    put_file(folder / "a/graph.csv", "node,model,weights,gate_0\n0,resnet8a,,through\n");
    CHECK(look(folder / "a").what == "ktg: resnet8a, seed 0");
}

TEST_CASE("watch: of what is trained first the phase, its epochs, speed and time left; then the student's") {
    const TempFolder folder;
    const fs::path run = folder / "a";
    RunFolder made = RunFolder::create(run, {{"method", "mhgd"},
                                             {"teacher", "resnet14"},
                                             {"student", "resnet8"},
                                             {"batch", "16"},
                                             {"epochs", "2"},
                                             {"max-steps", "0"},
                                             {"mha-epochs", "160"},
                                             {"drop-last", "off"},
                                             {"info.train_images", "600"}});
    made.lock();
    put_file(run / "epochs.csv", no_epoch);
    CHECK(look(run).phase.empty());
    CHECK(look(run).planned == 2);
    put_file(run / "preparation.csv", "epoch,lr,loss_mha,seconds\n");
    const Watched begun = look(run);
    CHECK(begun.phase == "preparation");
    CHECK(begun.done == 0);
    CHECK(begun.planned == 160);
    CHECK_FALSE(begun.left_seconds);
    put_file(run / "preparation.csv", "epoch,lr,loss_mha,seconds\n0,0.1,2,50\n1,0.1,1,20\n2,0.1,1,20\n3,0.1,1,20\n4,0.1,");
    const Watched at_it = look(run, 30);
    CHECK(at_it.done == 4);
    CHECK(*at_it.epoch_seconds == doctest::Approx(20));
    CHECK(*at_it.images_per_second == doctest::Approx(30));
    CHECK(*at_it.left_seconds == doctest::Approx(156 * 20 - 30).epsilon(0.001));
    CHECK_FALSE(at_it.last);
    CHECK(says(watch_lines({at_it}, 10, 200)[2], {"running", "4", "160", "20.0", "0:51:30", "preparation of mhgd: resnet14 -> resnet8"}));
    put_file(folder / "w.csv", watch_csv({at_it}));
    CHECK(read_csv(folder / "w.csv").cell(0, "phase") == "preparation");

    put_file(run / "config.csv", "option,value\nmethod,mhgd\nbatch,16\nepochs,2\nmax-steps,150\nmha-epochs,160\ninfo.train_images,600\n");
    CHECK(look(run).phase.empty());  // 4 epochs of 38 steps are more than 150
    CHECK(look(run).done == 0);
    CHECK(look(run).planned == 2);
    CHECK_FALSE(look(run).epoch_seconds);
    put_file(run / "epochs.csv", epochs(1));
    CHECK(look(run).done == 1);
    CHECK(*look(run).last == 20);
}

TEST_CASE("watch: the time left counts from the last epoch, not from the last checkpoint; of a run that went on from its process") {
    const TempFolder folder;
    const fs::path run = folder / "a";
    RunFolder made = RunFolder::create(run, {{"method", "train"}, {"net", "resnet8"}, {"epochs", "4"}});
    made.lock();
    put_file(run / "epochs.csv", no_epoch + std::string("0,20,20,3600\n"));
    fs::last_write_time(run / "epochs.csv", fs::file_time_type::clock::now() - seconds(3000));
    put_file(run / "checkpoint.bin", "");
    CHECK(*look(run).left_seconds == doctest::Approx(3 * 3600 - 3000).epsilon(0.01));
    put_file(run / "sessions.csv", "began_utc\n");
    CHECK(*look(run, 100).left_seconds == doctest::Approx(3 * 3600 - 100).epsilon(0.01));
}

TEST_CASE("watch: a method says with one option how long its phases are") {
    const TempFolder folder;
    std::map<std::string, std::set<std::string>> of_method;  // its options that say so
    std::set<std::string> all;                               // every method's, as `distill kd` keeps those of its kin
    for (const MethodRow* row : methods()) {
        OptionTable table;
        const auto options = row->options();
        options->add_to(table);
        for (const TableOption& option : table.options())
            if (option.is_phase_length) of_method[row->name].insert(option.name), all.insert(option.name);
    }
    REQUIRE(all.count("mha-epochs") == 1);
    for (const MethodRow* row : methods()) {
        CAPTURE(row->name);
        const std::set<std::string>& own = of_method[row->name];
        CHECK(own.size() <= 1);
        std::string rows;
        for (const std::string& option : all) rows += text(option, own.count(option) ? ",30\n" : ",1\n");
        put_file(folder / row->name / "config.csv", text("option,value\nmethod,", row->name, "\nepochs,2\n", rows));
        put_file(folder / row->name / "preparation.csv", "epoch,lr,loss,seconds\n");
        CHECK(look(folder / row->name).planned == (own.empty() ? 2 : 30));
    }
}

TEST_CASE("watch: a reconstruction has speed and time left by its decoders' tables") {
    const TempFolder folder;
    const fs::path run = folder / "r";
    RunFolder made = RunFolder::create(run, {{"method", "feed reconstruct"},
                                             {"epochs", "20"},
                                             {"info.train_images", "600"},
                                             {"info.student0_sha256", "a"},
                                             {"info.student1_sha256", "b"},
                                             {"info.teacher0_sha256", "c"}});
    made.lock();
    put_file(run / "reconstruct.csv", "method,seed\nkd,0\n");
    put_file(run / "decoder0.csv", "epoch,lr,relative_mse,seconds\n0,0.1,1,5\n");
    CHECK_FALSE(look(run).left_seconds);
    put_file(run / "decoder1.csv", "epoch,lr,relative_mse,seconds\n0,0.1,1,10\n1,0.1,1,10\n");
    const Watched w = look(run);
    CHECK(w.what == "feed reconstruct: students 2, teachers 1");
    CHECK(w.done == 1);
    CHECK(*w.images_per_second == doctest::Approx(60));
    CHECK(*w.left_seconds == doctest::Approx(18 * 10).epsilon(0.01));
}

TEST_CASE("watch: a search's time left is that of a trial in the mean for each to come, over those at work") {
    const TempFolder folder;
    const fs::path base = folder / "s";
    RunFolder search = RunFolder::create(base, search_options);
    search.lock();
    put_file(base / "journal.csv", journal(started(0)));
    put_run(base / "trials/0", 2, false);
    CHECK_FALSE(look(base).left_seconds);  // no trial has ended
    CHECK(*look(base).images_per_second == doctest::Approx(50));

    put_file(base / "journal.csv", journal(started(0) + "0,running,1,70,\n0,complete,4,60,\n" + started(1, "rejected") + started(2) +
                                           "2,stopped,1,80,\n" + started(3) + "3,running,1,75,\n" + started(4) + started(5)));
    put_run(base / "trials/0", 4, true);
    put_run(base / "trials/2", 1, false);
    for (const int trial : {3, 4, 5}) put_run(base / "trials" / std::to_string(trial), trial == 3 ? 1 : 0, false);
    const RunFolder third = locked(base / "trials/3"), fourth = locked(base / "trials/4");  // 5 waits: after --resume there are fewer jobs
    const Watched w = look(base);
    CHECK(w.what == "resnet8 on s, graphs of 2 nodes");
    CHECK(w.phase.empty());
    CHECK(w.done == 3);
    CHECK(w.planned == 10);
    CHECK(*w.best == 40);
    CHECK(*w.epoch_seconds == doctest::Approx(10));
    CHECK(*w.images_per_second == doctest::Approx(2 * 500 / 10.0));
    CHECK(*w.left_seconds == doctest::Approx((4 + 1 + 1) * 10 / 3.0 * 7 / 2));

    fs::remove_all(base / "trials/0");  // on another machine than it began on: of so long a trial nobody knows the time
    CHECK(*look(base).left_seconds == doctest::Approx((1 + 1) * 10 / 2.0 * 7 / 2));
}

TEST_CASE("watch: before its trials and after them a search trains networks to their ends, and so does a transfer") {
    const TempFolder folder;
    const fs::path base = folder / "s";
    RunFolder search = RunFolder::create(base, search_options);
    search.lock();
    put_run(base / "pretrained/resnet8", 4, true);
    put_run(base / "pretrained/resnet14", 1, false);
    put_run(base / "pretrained/wrn-10-1", 0, false);
    const auto check = [](const Watched& w, const char* phase, int64_t done, int64_t planned, double left) {
        CHECK(w.phase == phase);
        CHECK(w.done == done);
        CHECK(w.planned == planned);
        CHECK(*w.left_seconds == doctest::Approx(left));
    };
    {
        const RunFolder one = locked(base / "pretrained/resnet14");
        const Watched w = look(base);
        check(w, "pretraining", 1, 3, (3 + 4) * 10);
        CHECK(*w.images_per_second == doctest::Approx(50));
        CHECK(watch_lines({w}, 10, 200)[2].find("pretraining of resnet8 on s") != std::string::npos);
    }
    std::string all;
    for (int trial = 0; trial < 10; ++trial) all += started(trial) + text(trial, ",complete,4,", 60 - trial, ",\n");
    put_file(base / "journal.csv", journal(all));
    check(look(base), "", 10, 10, 0);
    put_run(base / "teachers/resnet8", 4, true);
    put_run(base / "retrained/best1/s0", 2, false);
    put_run(base / "retrained/best1/s1", 1, false);
    const RunFolder one = locked(base / "retrained/best1/s0"), two = locked(base / "retrained/best1/s1");
    check(look(base), "retraining", 1, 3, (2 + 3) * 10 / 2.0);
    CHECK(*look(base).images_per_second == doctest::Approx(2 * 60));
    put_file(base / "search.csv", "id,trial,search_error,test_mean,test_std,n,graph\n");
    const Watched finished = look(base);
    CHECK(finished.state == WatchedState::finished);
    CHECK(finished.phase.empty());
    CHECK(finished.done == 10);

    fs::rename(base / "retrained", folder / "retrained");
    RunFolder transfer = RunFolder::create(folder / "t", {{"method", "ktg-transfer"}, {"transfer", "dml"}, {"dataset", "other"}});
    transfer.lock();
    fs::rename(folder / "retrained", folder / "t/retrained");
    const Watched w = look(folder / "t");
    CHECK(w.what == "ktg-transfer: dml on other");
    check(w, "", 0, 2, (2 + 3) * 10 / 2.0);
}

TEST_CASE("watch: the program tells a graph's networks, and a run that was stopped while it trained what comes first") {
    const Workplace folder;
    const std::string quick = " --dataset s --batch 32 --epochs 1 --threads 1 --quiet ";
    succeed(folder, "ktg train --graph dml --models 0=resnet8,1=wrn-10-1 --max-steps 1" + quick + "--run runs/graph");
    succeed(folder, "train --net resnet8 --max-steps 1" + quick + "--run t");
    const std::string ft = "ft --student resnet8 --teacher resnet8 --teacher-weights t/student.safetensors --paraphraser-epochs 7" + quick;
    CHECK(run(folder, ft + "--run runs/ft --time-limit 1s").code == 3);
    const Ended end = run(folder, "watch --once --csv w.csv runs");
    CHECK(says(end.out, {"1 stopped, 1 finished", "ktg: wrn-10-1 -> resnet8, seed 0", "preparation of ft: resnet8 -> resnet8, seed 0"}));
    const CsvTable table = read_csv(folder / "w.csv");
    CHECK(table.cell(0, "phase") == "preparation");
    CHECK(table.cell(0, "done") == "0");
    CHECK(table.cell(0, "planned") == "7");
    CHECK(table.cell(1, "planned") == "1");
}

TEST_CASE("watch: the program tells a search that is going on its time left, and none once it has been stopped") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 8, 50, 20});
    Command search(folder,
                   "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --trials 400 --epochs 2 --batch 10 --alone-batch 10 "
                   "--threads 1 --devices cpu --quiet --run search");
    std::optional<Watched> seen;
    wait_until(search, [&] {
        seen = fs::exists(folder / "search/config.csv") ? look_at(folder / "search", system_clock::now()) : std::nullopt;
        return seen && seen->phase.empty() && seen->left_seconds;
    });
    REQUIRE(seen.has_value());
    CHECK(seen->state == WatchedState::running);
    CHECK(seen->planned == 400);
    CHECK(seen->left_seconds > 0);
    CHECK(seen->epoch_seconds > 0);
    CHECK(seen->images_per_second > 0);
    search.send(SIGINT);
    CHECK(search.wait().code == 3);
    CHECK(look(folder / "search").state == WatchedState::stopped);
    CHECK_FALSE(look(folder / "search").left_seconds);
}

TEST_SUITE_END();
