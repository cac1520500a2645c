// A search's journal: what is written is read again; torn, foreign and broken files.
#include <algorithm>

#include "base_files.h"
#include "complaints.h"
#include "search_journal.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const Config study{{"format", "1"}, {"seed", "7"}, {"models", "resnet8,resnet14"}, {"note", ""}};

/// A journal with a trial of each end.
void write_example(const fs::path& path) {
    Journal journal(path, study);
    journal.append({0, TrialEvent::started, 0, {}, "resnet8 resnet14: through linear, cutoff correct"});
    journal.append({0, TrialEvent::running, 1, 81.25, ""});
    journal.append({1, TrialEvent::rejected, 0, {}, "the target is frozen"});
    journal.append({0, TrialEvent::stopped, 2, 81.5, ""});
    journal.append({2, TrialEvent::started, 0, {}, "two\nlines"});
    journal.append({2, TrialEvent::lost, 0, {}, "worker 1 ended by signal 9"});
    journal.append({2, TrialEvent::failed, 3, {}, "the loss is \"nan\", step 7"});
    journal.append({3, TrialEvent::complete, 4, 12.3456789, ""});
}

}  // namespace

TEST_CASE("journal: rows are read as they were written, one line each") {
    const TempFolder folder;
    write_example(folder / "journal.csv");
    const JournalFile read = read_journal(folder / "journal.csv");
    CHECK(read.study == study);
    CHECK(read.torn_bytes == 0);
    REQUIRE(read.rows.size() == 8);
    CHECK(read.rows[0].detail == "resnet8 resnet14: through linear, cutoff correct");
    CHECK(read.rows[1].event == TrialEvent::running);
    CHECK(read.rows[1].epoch == 1);
    CHECK(read.rows[1].error.value() == 81.25);
    CHECK(read.rows[2].event == TrialEvent::rejected);
    CHECK_FALSE(read.rows[2].error.has_value());
    CHECK(read.rows[3].event == TrialEvent::stopped);
    CHECK(read.rows[4].detail == "two lines");
    CHECK(read.rows[5].event == TrialEvent::lost);
    CHECK(read.rows[6].detail == "the loss is \"nan\", step 7");
    CHECK(read.rows[7].trial == 3);
    CHECK(read.rows[7].error.value() == 12.3456789);
    const std::string bytes = read_file(folder / "journal.csv");
    CHECK(bytes.compare(0, 30, "trial,event,epoch,error,detail") == 0);
    CHECK(std::count(bytes.begin(), bytes.end(), '\n') == 10);
}

TEST_CASE("journal: cut at any byte, it loses the torn line alone and goes on behind the last whole one") {
    const TempFolder folder;
    write_example(folder / "whole.csv");
    const std::string bytes = read_file(folder / "whole.csv");
    const size_t header = bytes.find('\n', bytes.find('\n') + 1) + 1;
    for (size_t size = header; size < bytes.size(); ++size) {
        put_file(folder / "cut.csv", bytes.substr(0, size));
        const JournalFile read = read_journal(folder / "cut.csv");
        const size_t whole = bytes.rfind('\n', size - 1) + 1;
        CHECK(read.torn_bytes == size - whole);
        CHECK(static_cast<long>(read.rows.size()) == std::count(bytes.begin(), bytes.begin() + static_cast<long>(size), '\n') - 2);
        Journal(folder / "cut.csv", study, read, false).append({9, TrialEvent::running, 5, 1.5, ""});
        CHECK(read_file(folder / "cut.csv") == bytes.substr(0, whole) + "9,running,5,1.5,\n");
    }
}

TEST_CASE("journal: a study of more trials goes on in it, which it then says; not one of fewer, or of other options as well") {
    const TempFolder folder;
    const fs::path path = folder / "journal.csv";
    const auto of = [](const char* trials, const char* seed) { return Config{{"format", "1"}, {"trials", trials}, {"seed", seed}}; };
    Journal(path, of("4", "7")).append({0, TrialEvent::started, 0, {}, "two\nlines"});
    Journal(path, of("4", "7"), read_journal(path)).append({0, TrialEvent::complete, 1, 12.3456789, ""});
    std::string bytes = read_file(path);
    put_file(path, bytes + "1,sta");  // torn
    const auto refused = [&](const Config& other, const std::vector<std::string>& parts) {
        CHECK(says(complaint([&] { Journal(path, other, read_journal(path)); }), parts));
        CHECK(read_file(path) == bytes + "1,sta");
    };
    refused(of("3", "7"), {"found trials = 4, expected 3"});
    refused(of("9", "8"), {"found seed = 7, expected 8"});
    Journal(path, of("9", "7"), read_journal(path)).append({1, TrialEvent::rejected, 0, {}, "x"});
    bytes.replace(bytes.find("trials=4"), 8, "trials=9");
    CHECK(read_file(path) == bytes + "1,rejected,0,,x\n");
}

TEST_CASE("journal: another search's is refused, as is a file that is none, and one that would be overwritten") {
    const TempFolder folder;
    const fs::path path = folder / "journal.csv";
    write_example(path);
    const std::string before = read_file(path);
    const auto refused = [&](const Config& other, const std::vector<std::string>& parts) {
        CHECK(says(complaint([&] { Journal(path, other, read_journal(path)); }), parts));
    };
    refused({{"format", "1"}, {"seed", "8"}, {"models", "resnet8,resnet14"}, {"note", ""}},
            {path.string(), "another search", "found seed = 7, expected 8"});
    refused({{"format", "1"}, {"seed", "7"}, {"models", "resnet8,resnet14"}}, {"found note = , expected nothing"});
    refused({{"format", "1"}, {"seed", "7"}, {"models", "resnet8,resnet14"}, {"note", ""}, {"lr", "0.1"}},
            {"found lr = nothing, expected 0.1"});
    CHECK(says(complaint([&] { Journal(path, study); }), {path.string(), "exists", "--resume"}));
    CHECK(read_file(path) == before);

    const auto broken = [&](const std::string& bytes, const std::vector<std::string>& parts) {
        put_file(folder / "broken.csv", bytes);
        CHECK(says(complaint([&] { read_journal(folder / "broken.csv"); }), parts));
    };
    const std::string start = before.substr(0, before.find('\n', before.find('\n') + 1) + 1);
    broken("epoch,lr\n1,2\n", {"broken.csv", "no search's journal", "epoch, lr"});
    broken("trial,event,epoch,error,detail\n", {"first row must be the study's"});
    broken("", {"is empty"});
    broken(start + "0,begun,0,,x\n", {"row 2", "'begun'"});
    broken(start + "-1,started,0,,x\n", {"row 2", "'trial'", "'-1'", "whole number"});
    broken(start + "0,running,1,,\n", {"row 2", "no error"});
    broken(start + "0,started,1,50,\n", {"row 2", "an error", "'started'"});
    broken(start + "0,running,1,much,\n", {"row 2", "'much'"});
    broken(start + "0,running\n", {"found 2 cells, expected 5"});
}

TEST_SUITE_END();
