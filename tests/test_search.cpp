// The search's scheduler with workers that only pretend: promotions, failures, dead workers, repeated reports, and going on after a kill.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "base_csv.h"
#include "base_files.h"
#include "complaints.h"
#include "search.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

using Kind = PoolMessage::Kind;

/// Trains nothing: accuracies come from a function. Slots report in a random order, each trial from where its "checkpoint" is.
class FakePool final : public WorkerPool {
  public:
    FakePool(int slots, int epochs, std::function<double(int64_t, int)> accuracy)
        : slots_(static_cast<size_t>(slots)), epochs_(epochs), accuracy_(std::move(accuracy)) {}
    int slots() const override { return static_cast<int>(slots_.size()); }

    void train(int slot, const std::string& folder) override {
        const int64_t trial = std::stoll(folder);
        REQUIRE(slots_[static_cast<size_t>(slot)].trial < 0);
        for (const Slot& other : slots_) REQUIRE(other.trial != trial);
        const int done = checkpoints[trial];
        slots_[static_cast<size_t>(slot)] = {trial, done > 0 ? done - 1 : 0, true};
        ++started[trial];
    }

    PoolMessage wait() override {
        std::vector<size_t> busy;
        for (size_t i = 0; i < slots_.size(); ++i)
            if (slots_[i].trial >= 0) busy.push_back(i);
        REQUIRE_FALSE(busy.empty());
        const size_t i = busy[random_() % busy.size()];
        Slot& slot = slots_[i];
        PoolMessage m;
        m.slot = static_cast<int>(i);
        if (!slot.goes_on || slot.epoch == epochs_) {
            m.kind = Kind::ended;
        } else if (const auto fate = fates.find({slot.trial, slot.epoch + 1}); fate != fates.end()) {
            m.kind = fate->second.kind;
            m.detail = fate->second.detail;
            m.blamed = unblamed.count(fate->first) == 0;
            if (--fate->second.times == 0) fates.erase(fate);
        } else {
            m.kind = Kind::epoch;
            m.epoch = ++slot.epoch;
            m.accuracy = accuracy_(slot.trial, slot.epoch);
            checkpoints[slot.trial] = slot.epoch;
            return m;
        }
        slot.trial = -1;
        return m;
    }

    void answer(int slot, bool goes_on) override { slots_[static_cast<size_t>(slot)].goes_on = goes_on; }

    struct Fate {
        Kind kind;
        std::string detail;
        int times = 1;
    };
    std::map<std::pair<int64_t, int>, Fate> fates;  ///< what comes in place of the report of (trial, epoch)
    std::set<std::pair<int64_t, int>> unblamed;     ///< of these losses
    std::map<int64_t, int> checkpoints, started;

  private:
    struct Slot {
        int64_t trial = -1;
        int epoch = 0;
        bool goes_on = true;
    };
    std::vector<Slot> slots_;
    int epochs_;
    std::function<double(int64_t, int)> accuracy_;
    std::minstd_rand random_{7};
};

const Config study{{"study", "a test"}};

/// Runs of numbers that no trial has; each is one of its own, trained as long as it is told.
constexpr int64_t probes = 1'000'000;
std::string probe_of(int64_t number) { return std::to_string(probes + number); }

/// A plan whose trials 3, 13, 23, … are rejected.
struct Plan : SearchPlan {
    explicit Plan(int64_t count, int last_epoch, int best = 1) {
        trials = count;
        epochs = last_epoch;
        keep = best;
        propose = [](int64_t trial) { return Proposal{text("graph ", trial), trial % 10 == 3 ? "frozen" : "", ""}; };
        prepare = [](int64_t trial) { return std::to_string(trial); };
        probe = probe_of;
        tidy = [this](int64_t trial, bool keep_weights) { (keep_weights ? kept : dropped).insert(trial); };
    }
    Plan(const Plan&) = delete;
    std::set<int64_t> kept, dropped;
};

/// A recorded learning curve, one trial's better than another's: accuracy in %.
double curve(int64_t trial, int epoch) {
    const double quality = std::fmod(static_cast<double>(trial) * 0.618033988749895, 1);
    return std::round(100 * (20 + 60 * quality * (1 - std::exp(-epoch / 4.0)))) / 100;
}

std::vector<std::string> lines_of(const fs::path& journal) {
    std::istringstream in(read_file(journal));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    lines.erase(lines.begin(), lines.begin() + 2);
    return lines;
}

/// Starts a search anew, or goes on where the journal is.
struct Run {
    Run(const fs::path& path, Plan& plan, WorkerPool& pool) {
        if (fs::exists(path)) {
            const JournalFile so_far = read_journal(path);
            journal = std::make_unique<Journal>(path, study, so_far, false);
            search = std::make_unique<Search>(plan, *journal, pool, true);
            search->replay(so_far.rows);
        } else {
            journal = std::make_unique<Journal>(path, study, false);
            search = std::make_unique<Search>(plan, *journal, pool, true);
        }
        search->run();
    }
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Search> search;
};

}  // namespace

TEST_CASE("search: a training that an earlier trial is, is not trained again, also where the search goes on") {
    const TempFolder folder;
    Plan plan(8, 2);
    plan.stops = false;
    // 0, 2 and 6 train alike, so do 1 and 5; 3 is rejected, whatever it would be; 4 and 7 say nothing and stand for themselves.
    const char* const trainings[] = {"a", "b", "a", "a", "", "b", "a", ""};
    plan.propose = [&](int64_t trial) { return Proposal{text("graph ", trial), trial == 3 ? "frozen" : "", trainings[trial]}; };
    FakePool pool(1, 2, [](int64_t trial, int epoch) { return static_cast<double>(10 * trial + epoch); });
    const Run run(folder / "journal.csv", plan, pool);
    const std::vector<std::string> expected{
        "0,started,0,,graph 0",  "0,running,1,99,",      "0,complete,2,98,",      "1,started,0,,graph 1",
        "1,running,1,89,",       "1,complete,2,88,",     "2,repeated,0,,graph 2", "3,rejected,0,,graph 3",
        "4,started,0,,graph 4",  "4,running,1,59,",      "4,complete,2,58,",      "5,repeated,0,,graph 5",
        "6,repeated,0,,graph 6", "7,started,0,,graph 7", "7,running,1,29,",       "7,complete,2,28,"};
    CHECK(lines_of(folder / "journal.csv") == expected);
    CHECK(run.search->tally().repeated == 3);
    CHECK(run.search->tally().ended() == 8);
    CHECK(run.search->tally().words() == "4 complete, 0 stopped, 1 rejected, 3 repeated, 0 failed");

    // After trial 4, from the journal alone.
    std::string begun;
    std::istringstream whole(read_file(folder / "journal.csv"));
    for (int i = 0; i < 2 + 11; ++i) {
        std::string line;
        std::getline(whole, line);
        begun += line + "\n";
    }
    fs::create_directories(folder / "later");
    put_file(folder / "later/journal.csv", begun);
    FakePool second(1, 2, [](int64_t trial, int epoch) { return static_cast<double>(10 * trial + epoch); });
    const Run later(folder / "later/journal.csv", plan, second);
    CHECK(lines_of(folder / "later/journal.csv") == expected);

    // Where the first fails, the next that trains alike is tried, and is the one that others repeat.
    FakePool failing(1, 2, [](int64_t trial, int epoch) { return static_cast<double>(10 * trial + epoch); });
    failing.fates[{0, 1}] = {PoolMessage::Kind::failed, "the loss is nan", 1};
    const Run after(folder / "failed.csv", plan, failing);
    CHECK(after.search->tally().words() == "4 complete, 0 stopped, 1 rejected, 2 repeated, 1 failed");
    CHECK(failing.started[2] == 1);
    CHECK(failing.started[6] == 0);
}

TEST_CASE("search: trials one at a time, promoted by rung, worked by hand") {
    const TempFolder folder;
    // Errors at epochs 1, 2, 3, 4. Rung 1: 60 70 50 55 | rung 2: 58 45 | trial 3 is rejected.
    const std::map<int64_t, std::vector<double>> errors{
        {0, {60, 58, 57, 56}}, {1, {70, 1, 1, 1}}, {2, {50, 45, 44, 40}}, {4, {55, 45, 30, 39.5}}};
    FakePool pool(1, 4, [&](int64_t trial, int epoch) { return 100 - errors.at(trial)[static_cast<size_t>(epoch - 1)]; });
    Plan plan(5, 4);
    const Run run(folder / "journal.csv", plan, pool);
    const std::vector<std::string> expected{"0,started,0,,graph 0", "0,running,1,60,",      "0,running,2,58,",       "0,running,3,57,",
                                            "0,complete,4,56,",     "1,started,0,,graph 1", "1,stopped,1,70,",  // best 1 of 2 at rung 1: 60
                                            "2,started,0,,graph 2", "2,running,1,50,",                          // best 1 of 3: 50
                                            "2,running,2,45,",                                                  // best 1 of 2 at rung 2: 45
                                            "2,running,3,44,",      "2,complete,4,40,",     "3,rejected,0,,graph 3", "4,started,0,,graph 4",
                                            "4,running,1,55,",  // best 2 of 4: 50 55
                                            "4,running,2,45,",  // best 1 of 3, a tie with it
                                            "4,running,3,30,",      "4,complete,4,39.5,"};
    CHECK(lines_of(folder / "journal.csv") == expected);
    CHECK(run.search->tally().complete == 3);
    CHECK(run.search->tally().stopped == 1);
    CHECK(run.search->tally().rejected == 1);
    CHECK(run.search->tally().failed == 0);
    REQUIRE(run.search->best().size() == 1);
    CHECK(run.search->best()[0].trial == 4);
    CHECK(run.search->best()[0].error == 39.5);
    // Weights stay of the best alone.
    CHECK(plan.kept == std::set<int64_t>{0, 2, 4});
    CHECK(plan.dropped == std::set<int64_t>{0, 1, 2});
}

TEST_CASE("search: without stopping every trial runs to its end, but one whose error is no number") {
    const TempFolder folder;
    Plan plan(6, 5);
    plan.stops = false;
    FakePool pool(1, 5, [](int64_t trial, int epoch) { return trial == 4 && epoch == 3 ? std::nan("") : curve(trial, epoch); });
    Journal journal(folder / "journal.csv", study);
    Search search(plan, journal, pool, true);
    search.run();
    CHECK(search.tally().complete == 4);
    CHECK(search.tally().stopped == 1);  // the fifth
    CHECK(search.tally().rejected == 1);
    CHECK(search.best().front().trial == 1);
}

TEST_CASE("search: a failed trial is recorded with its reason; a dead worker's runs again, and is given up the second time") {
    const TempFolder folder;
    FakePool pool(1, 4, curve);
    pool.fates[{0, 2}] = {Kind::failed, "the loss is nan", 1};
    pool.fates[{1, 1}] = {Kind::lost, "worker 0 ended by signal 9", 1};
    pool.fates[{2, 1}] = {Kind::lost, "worker 0 ended by signal 11", 5};
    Plan plan(6, 4);
    const Run run(folder / "journal.csv", plan, pool);
    const std::vector<std::string> lines = lines_of(folder / "journal.csv");
    const auto count = [&](const std::string& line) { return std::count(lines.begin(), lines.end(), line); };
    CHECK(count("0,failed,1,,the loss is nan") == 1);
    CHECK(count("1,lost,0,,worker 0 ended by signal 9") == 1);
    CHECK(pool.started[1] == 2);
    CHECK(count("2,lost,0,,worker 0 ended by signal 11") == 2);
    CHECK(count("2,failed,0,,its worker died 2 times; last: worker 0 ended by signal 11") == 1);
    CHECK(pool.started[2] == 2);
    CHECK(run.search->tally().failed == 2);
    CHECK(run.search->tally().ended() == 6);
    CHECK(count("4,started,0,,graph 4") == 1);  // the search went on
    CHECK(plan.dropped.count(0) == 1);
    CHECK(plan.dropped.count(2) == 1);
    CHECK(pool.started[probes + 2] == 1);  // which showed that the machine trains
    CHECK(pool.started.count(probes + 1) == 0);
}

TEST_CASE("search: where a probe loses its worker, too, the machine is to blame: no trial has failed, and the search goes on later") {
    const TempFolder folder;
    Plan plan(6, 4);
    plan.stops = false;
    for (const int slots : {1, 2}) {
        CAPTURE(slots);
        const fs::path journal = folder / text("journal", slots, ".csv");
        FakePool pool(slots, 4, curve);
        for (const int64_t run : {int64_t{2}, probes + 2})
            pool.fates[{run, 1}] = {Kind::lost, "worker 0 ended by exit code 1: out of memory", 9};
        CHECK(says(complaint<std::runtime_error>([&] { Run(journal, plan, pool); }),
                   {"trial 2 lost its worker 2 times", "a single step", "out of memory", "--resume"}));
        for (const JournalRow& r : read_journal(journal).rows) CHECK(r.event != TrialEvent::failed);
        if (slots == 1) CHECK(pool.started[5] == 0);

        FakePool again(slots, 4, curve);  // that trial does kill it; what nobody is blamed for does not count
        again.fates[{2, 1}] = {Kind::lost, "worker 0 ended by signal 9", 1};
        again.fates[{2, 2}] = {Kind::lost, "worker 0 ended by signal 11", 9};
        again.unblamed = {{2, 1}};
        const Run later(journal, plan, again);
        CHECK(later.search->tally().ended() == 6);
        CHECK(later.search->tally().failed == 1);
        CHECK(again.started[2] == 2);
        CHECK(again.started[probes + 2] == 1);
    }
}

TEST_CASE("search: cut off after any row of its journal, it goes on to the same rows and winner") {
    const TempFolder folder;
    constexpr int64_t trials = 24;
    FakePool whole(1, 8, curve);
    Plan plan(trials, 8, 2);
    const Run run(folder / "whole.csv", plan, whole);
    const std::string bytes = read_file(folder / "whole.csv");
    const std::vector<TrialScore>& best = run.search->best();
    REQUIRE(best.size() == 2);

    size_t at = bytes.find('\n', bytes.find('\n') + 1) + 1;
    for (size_t row = 0; at <= bytes.size(); ++row) {
        put_file(folder / "cut.csv", bytes.substr(0, at));
        // The run under way has a checkpoint of the last epoch in the journal, of the one after it, or none at all yet.
        const JournalFile so_far = read_journal(folder / "cut.csv");
        for (const int ahead : {0, 1}) {
            put_file(folder / "cut.csv", bytes.substr(0, at));
            FakePool pool(1, 8, curve);
            if (!so_far.rows.empty()) {
                const JournalRow& last = so_far.rows.back();
                const bool under_way = last.event == TrialEvent::running || last.event == TrialEvent::started;
                if (under_way) pool.checkpoints[last.trial] = last.epoch + ahead;
            }
            Plan again(trials, 8, 2);
            const Run resumed(folder / "cut.csv", again, pool);
            CHECK_MESSAGE(read_file(folder / "cut.csv") == bytes, "cut after row " << row);
            CHECK(resumed.search->best()[0].trial == best[0].trial);
            CHECK(resumed.search->best()[1].trial == best[1].trial);
            CHECK(resumed.search->tally().ended() == trials);
        }
        if (at == bytes.size()) break;
        at = bytes.find('\n', at) + 1;
    }
}

TEST_CASE("search: side by side, every trial ends once, and reports that come twice count once") {
    const TempFolder folder;
    FakePool pool(4, 8, curve);
    // Workers die after a checkpoint whose report was taken: the epoch is reported again.
    for (const int64_t trial : {1, 5, 8, 20, 21}) pool.fates[{trial, 2}] = {Kind::lost, "worker ended", 1};
    Plan plan(60, 8);
    const Run run(folder / "journal.csv", plan, pool);
    std::map<int64_t, std::vector<JournalRow>> rows;
    std::map<int, std::vector<double>> rungs;
    for (const JournalRow& r : read_journal(folder / "journal.csv").rows) {
        rows[r.trial].push_back(r);
        if (r.event != TrialEvent::running && r.event != TrialEvent::stopped) continue;
        if (!Halving::is_rung(r.epoch)) continue;
        // The rule by its words: among the best max(1, n/2) of those that have reached the rung so far.
        std::vector<double>& reached = rungs[r.epoch];
        reached.push_back(*r.error);
        const auto better = std::count_if(reached.begin(), reached.end(), [&](double e) { return e < *r.error; });
        CHECK((better < std::max<long>(1, static_cast<long>(reached.size()) / 2)) == (r.event == TrialEvent::running));
    }
    CHECK(rows.size() == 60);
    for (const auto& [trial, events] : rows) {
        int epoch = 0, ends = 0;
        for (const JournalRow& r : events) {
            if (r.event == TrialEvent::running) CHECK(r.epoch == ++epoch);
            ends += r.event == TrialEvent::stopped || r.event == TrialEvent::complete || r.event == TrialEvent::rejected;
        }
        CHECK(ends == 1);
    }
    CHECK(run.search->tally().ended() == 60);
    CHECK(run.search->tally().failed == 0);
    Plan none(60, 8);
    FakePool idle(4, 8, curve);
    const Run finished(folder / "journal.csv", none, idle);  // a finished search has nothing left to do
    CHECK(idle.started.empty());
    CHECK(finished.search->best()[0].trial == run.search->best()[0].trial);
}

TEST_CASE("search: a journal whose rows cannot have happened is refused") {
    const TempFolder folder;
    const auto refused = [&](const std::vector<JournalRow>& rows, const std::string& row) {
        const TempFolder own;
        Journal journal(own / "journal.csv", study, false);
        FakePool pool(1, 4, curve);
        Plan plan(5, 4);
        Search search(plan, journal, pool, true);
        CHECK(says(complaint([&] { search.replay(rows); }), {"journal's row " + row, "cannot follow"}));
    };
    const JournalRow start{0, TrialEvent::started, 0, {}, ""};
    refused({{1, TrialEvent::started, 0, {}, ""}}, "2");
    refused({start, start}, "3");
    refused({start, {0, TrialEvent::running, 2, 50.0, ""}}, "3");
    refused({start, {1, TrialEvent::running, 1, 50.0, ""}}, "3");
    refused({start, {0, TrialEvent::stopped, 1, 50.0, ""}, {0, TrialEvent::running, 2, 50.0, ""}}, "4");
    refused({{0, TrialEvent::rejected, 0, {}, ""}, {0, TrialEvent::lost, 0, {}, ""}}, "3");
    refused({{5, TrialEvent::started, 0, {}, ""}}, "2");
}

TEST_CASE("search: all runs of a list are trained, the lost ones again") {
    FakePool pool(3, 2, curve);
    pool.fates[{4, 1}] = {Kind::lost, "worker ended", 1};
    pool.fates[{6, 2}] = {Kind::lost, "worker 2 ended by signal 9", 2};
    pool.fates[{2, 1}] = {Kind::failed, "the loss is inf", 1};
    std::vector<std::string> folders;
    for (int i = 0; i < 9; ++i) folders.push_back(std::to_string(i));
    const std::vector<FailedRun> failed = train_all(pool, folders, probe_of, true);
    REQUIRE(failed.size() == 2);
    std::map<std::string, std::string> reasons;
    for (const FailedRun& run : failed) reasons[run.folder] = run.reason;
    CHECK(reasons["2"] == "the loss is inf");
    CHECK(says(reasons["6"], {"died 2 times", "signal 9"}));
    for (int i = 0; i < 9; ++i) CHECK(pool.started[i] == (i == 4 || i == 6 ? 2 : 1));
    CHECK(pool.started[probes + 6] == 1);

    FakePool broken(1, 2, curve);
    for (const int64_t run : {int64_t{1}, probes}) broken.fates[{run, 1}] = {Kind::lost, "worker 0 ended by signal 9", 9};
    CHECK(says(complaint<std::runtime_error>([&] {
                   train_all(broken, {"1", "2"}, probe_of, true);
               }),
               {"1 lost its worker 2 times", "a single step", "signal 9"}));
    CHECK(broken.started[2] == 0);
}

TEST_CASE("search: 10,000 trials are scheduled as the rule says") {
    const TempFolder folder;
    for (const int64_t trials : {1000, 10000}) {
        FakePool pool(8, 200, curve);
        Plan plan(trials, 200, 3);
        const auto started = std::chrono::steady_clock::now();
        const Run run(folder / (std::to_string(trials) + ".csv"), plan, pool);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        MESSAGE(trials, " trials: ", seconds, " s, at most ", usage.ru_maxrss / 1024, " MiB in this process so far");
        CHECK(run.search->tally().ended() == trials);
        CHECK(run.search->tally().rejected == trials / 10);
        const SearchTally& t = run.search->tally();
        CHECK(t.complete > 0);
        CHECK(t.complete < trials / 20);  // eight rungs, each of which stops about half
        // A better curve is better at every epoch, so the best of all is never stopped.
        const std::vector<TrialScore>& best = run.search->best();
        REQUIRE(best.size() == 3);
        CHECK(best[0].error <= best[1].error);
        double least = 100;
        for (int64_t trial = 0; trial < trials; ++trial)
            if (trial % 10 != 3) least = std::min(least, 100 - curve(trial, 200));
        CHECK(best[0].error == doctest::Approx(least));
    }
}

TEST_SUITE_END();
