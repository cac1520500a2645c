// Files that are written at once by several: whole, and nothing left beside them.
#include "base_files.h"

#include <atomic>
#include <thread>
#include <vector>

#include "complaints.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("files: writers of one file at the same time do not mix, and leave nothing beside it") {
    const TempFolder folder;
    const fs::path file = folder / "plans.csv";
    put_file(folder / ".plans.csv.partial-Ab12Cd", std::string(100000, 'k'));  // of one that was killed
    put_file(folder / "plans.csv.tmp", "the user's own");
    constexpr int writers = 4, times = 25;
    std::vector<std::string> complaints(writers);
    const auto text_of = [](int writer) { return std::string(static_cast<size_t>(1000 * (writer + 1)), static_cast<char>('a' + writer)); };
    write_file_atomically(file, text_of(0));
    std::atomic<int> at_work{writers};
    std::vector<std::thread> threads;
    for (int w = 0; w < writers; ++w)
        threads.emplace_back([&, w] {
            try {
                for (int i = 0; i < times; ++i) write_file_atomically(file, text_of(w));
            } catch (const std::exception& e) {
                complaints[static_cast<size_t>(w)] = e.what();
            }
            --at_work;
        });
    bool whole = true;
    do {
        const std::string read = read_file(file);
        whole = whole && read == text_of(read[0] - 'a');
    } while (at_work > 0);
    for (std::thread& thread : threads) thread.join();
    CHECK(whole);
    for (const std::string& complaint : complaints) CHECK(complaint == "");
    const std::string last = read_file(file);
    CHECK(last == text_of(last[0] - 'a'));
    CHECK(read_file(folder / "plans.csv.tmp") == "the user's own");
    CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 2);
}

TEST_SUITE_END();
