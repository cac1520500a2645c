// Files that are written at once by several: whole, and nothing left beside them. Reads that fail, and whose fault that is.
#include "base_files.h"

#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "base_mapped_file.h"
#include "complaints.h"
#include "dataset.h"

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

TEST_CASE("files: a link stays one; what it stands for is made, and replaced") {
    const TempFolder folder;
    fs::create_directories(folder / "disk/far");
    fs::create_symlink("disk/page", folder / "link");
    fs::create_symlink("link", folder / "second");
    for (const char* now : {"first", "then"}) {
        write_file_atomically(folder / "second", now);
        CHECK(fs::is_symlink(folder / "second"));
        CHECK(fs::is_symlink(folder / "link"));
        CHECK_FALSE(fs::is_symlink(folder / "disk/page"));
        CHECK(read_file(folder / "disk/page") == now);
    }
    fs::create_directory_symlink("disk/far", folder / "near");
    fs::create_symlink("../up", folder / "disk/far/up");
    write_file_atomically(folder / "near/up", "up");  // from where the folder is, not from where its name is
    CHECK(read_file(folder / "disk/up") == "up");
    CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 4);
    CHECK(std::distance(fs::directory_iterator(folder / "disk"), {}) == 3);

    fs::create_symlink("round", folder / "round");
    CHECK(says(complaint([&] { write_file_atomically(folder / "round", ""); }),
               {(folder / "round").string(), "cannot be written (Too many levels of symbolic links)"}));
    CHECK(fs::is_symlink(folder / "round"));
}

TEST_CASE("files: a read that fails in the machine is its fault, whatever else cannot be read is the input's") {
    const auto said = [](int reason) { return text("x: cannot be read (", std::strerror(reason), ")"); };
    for (const int reason : {EIO, ESTALE, ENOMEM, EMFILE}) CHECK(complaint<WriteError>([&] { cannot_read("x", reason); }) == said(reason));
    for (const int reason : {ENOENT, EACCES, ENOTDIR}) CHECK(complaint<InputError>([&] { cannot_read("x", reason); }) == said(reason));

    const TempFolder folder;
    const fs::path gone = folder / "gone";
    const auto reads = [](const fs::path& path) {
        return std::vector<std::function<void()>>{[=] { read_file(path); }, [=] { md5_of_file(path); }, [=] { MappedFile mapped(path); }};
    };
    for (const auto& read : reads(gone))
        CHECK(complaint<InputError>(read) == text(gone.string(), ": cannot be read (", std::strerror(ENOENT), ")"));
    const fs::path memory = "/proc/self/mem";  // no page is at its beginning
    if (fs::exists(memory))
        CHECK(complaint<WriteError>([&] { md5_of_file(memory); }) == text("/proc/self/mem: cannot be read (", std::strerror(EIO), ")"));

    const fs::path file = folder / "data/cifar-100-binary/train.bin";
    put_file(file, std::string(3074, '\1'));
    put_file(folder / "data/cifar-100-binary/test.bin", std::string(3074, '\1'));
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 1);
    std::vector<std::function<void()>> all = reads(file);
    all.emplace_back([&] { load_dataset(folder / "data", "cifar100"); });
    for (const auto& read : all) {
        rlimit before;
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        const rlimit none = {0, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
        const std::string message = complaint<WriteError>(read);
        ::setrlimit(RLIMIT_NOFILE, &before);
        CHECK(message == text(file.string(), ": cannot be read (", std::strerror(EMFILE), ")"));
    }
}

TEST_SUITE_END();
