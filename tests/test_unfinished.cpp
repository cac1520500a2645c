// Makers of one name at once: what is there in the end is one's or another's, whole; nobody's own files go.
#include "base_unfinished.h"

#include <signal.h>
#include <sys/file.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "data_fetch.h"
#include "dataset.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A tree for `data import images` whose images have one grey each, around `shade`.
void put_tree(const fs::path& from, int shade, int images) {
    const auto put = [&](const fs::path& path, int grey) { put_file(path, "P5 8 8 255\n" + std::string(64, static_cast<char>(grey))); };
    for (const char* name : {"cat", "dog"}) {
        for (int i = 0; i < images; ++i) put(from / "train" / name / text(i, ".pgm"), shade + i % 16);
        put(from / "test" / name / "0.pgm", shade);
    }
}

/// Which of the trees (their shades are multiples of 64) the set was made from; −1 if its parts are of several.
int source_of(const Dataset& d) {
    std::set<int> sources{static_cast<int>(d.stats.mean[0]) / 64};
    for (const Split* part : {&d.train, &d.test})
        for (const uint8_t value : part->pixels) sources.insert(value / 64);
    return sources.size() == 1 ? *sources.begin() : -1;
}

/// Names in a folder, hidden ones too.
std::set<std::string> names_in(const fs::path& folder) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
    return names;
}

/// Waits until the folder holds so many.
bool holds(const fs::path& folder, size_t entries) {
    for (int i = 0; i < 4000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(5)))
        if (fs::exists(folder) && names_in(folder).size() == entries) return true;
    return false;
}

}  // namespace

TEST_CASE("unfinished: two imports of one name at once leave one whole set of one source, and one of them says so") {
    const TempFolder folder;
    put_tree(folder / "a", 64, 300);
    put_tree(folder / "b", 128, 300);
    const std::string into = " --dataset shapes --size 8 --quiet";
    for (int i = 0; i < 6; ++i) {
        CAPTURE(i);
        Command a(folder, "data import images --from a" + into), b(folder, "data import images --from b" + into);
        const Ended ends[] = {a.wait(), b.wait()};
        CAPTURE(ends[0].err);
        CAPTURE(ends[1].err);
        REQUIRE(ends[0].code + ends[1].code == 2);  // one is done, the other refuses
        const int winner = ends[0].code == 0 ? 0 : 1;
        const std::string& refusal = ends[1 - winner].err;
        CHECK(refusal.find("data/shapes: ") != std::string::npos);
        CHECK((refusal.find("another process") != std::string::npos || refusal.find("exists already") != std::string::npos));
        CHECK(source_of(load_dataset(folder / "data", "shapes")) == winner + 1);
        CHECK(names_in(folder / "data") == std::set<std::string>{"shapes"});
        fs::remove_all(folder / "data");
    }
}

TEST_CASE("unfinished: imports that replace a set at once leave one of them, whole") {
    const TempFolder folder;
    put_tree(folder / "a", 64, 20);
    put_tree(folder / "b", 128, 20);
    const std::string into = " --dataset shapes --size 8 --quiet --force";
    for (int i = 0; i < 4; ++i) {
        CAPTURE(i);
        Command a(folder, "data import images --from a" + into), b(folder, "data import images --from b" + into);
        const Ended ends[] = {a.wait(), b.wait()};
        CAPTURE(ends[0].err);
        CAPTURE(ends[1].err);
        CHECK((ends[0].code == 0 || ends[1].code == 0));
        for (const Ended& end : ends) CHECK((end.code == 0 || end.err.find("another process") != std::string::npos));
        const int source = source_of(load_dataset(folder / "data", "shapes"));
        CHECK((source == 1 || source == 2));
        CHECK(names_in(folder / "data") == std::set<std::string>{"shapes"});
    }
}

TEST_CASE("unfinished: two starts of one new run train it once") {
    const TempFolder folder;
    REQUIRE(run(folder, "data synth --dataset s --classes 3 --size 8 --train 60 --test 6").code == 0);
    const std::string line = "train --net resnet8 --dataset s --batch 20 --epochs 1 --threads 1 --quiet --run deep/er/r";
    for (int i = 0; i < 2; ++i) {
        CAPTURE(i);
        Command a(folder, line), b(folder, line);
        const Ended ends[] = {a.wait(), b.wait()};
        CAPTURE(ends[0].err);
        CAPTURE(ends[1].err);
        REQUIRE(ends[0].code + ends[1].code == 2);
        CHECK(says(ends[ends[0].code == 0 ? 1 : 0].err, {"deep/er/r: "}));
        CHECK(fs::exists(folder / "deep/er/r/result.csv"));
        CHECK(read_csv(folder / "deep/er/r/epochs.csv").rows.size() == 1);
        CHECK(names_in(folder / "deep/er") == std::set<std::string>{"r"});
        fs::remove_all(folder / "deep");
    }
}

TEST_CASE("unfinished: a folder or a file of the user's with a name like ours stays") {
    const TempFolder folder;
    REQUIRE(run(folder, "data synth --dataset s --classes 3 --size 8 --train 60 --test 6").code == 0);
    for (const char* mine : {"z/keep.partial/notes.txt", "z/.keep.partial/notes.txt", "z/.keep.partial-notes/notes.txt", "z/keep.tmp",
                             "model.safetensors.tmp", "data/.s.partial/notes.txt", "data/.s.old/notes.txt"})
        put_file(folder / mine, "mine");
    REQUIRE(run(folder, "train --net resnet8 --dataset s --batch 20 --epochs 1 --threads 1 --quiet --run z/keep --save model.safetensors")
                .code == 0);
    REQUIRE(run(folder, "data synth --dataset s --classes 3 --size 8 --train 30 --test 6 --force").code == 0);
    CHECK(load_dataset(folder / "data", "s").train.records == 30);
    for (const char* mine : {"z/keep.partial/notes.txt", "z/.keep.partial/notes.txt", "z/.keep.partial-notes/notes.txt", "z/keep.tmp",
                             "model.safetensors.tmp", "data/.s.partial/notes.txt", "data/.s.old/notes.txt"})
        CHECK(read_file(folder / mine) == "mine");
}

TEST_CASE("unfinished: what a killed maker leaves goes with the next; while it lives it keeps others out") {
    const TempFolder folder;
    Command killed(folder, "data synth --dataset s --size 32 --train 200000");
    REQUIRE(holds(folder / "data", 2));  // the folder and its lock
    killed.send(SIGSTOP);
    const Ended refused = run(folder, "data synth --dataset s --train 30 --test 6");
    CHECK(refused.code == 2);
    CHECK(says(refused.err, {"data/s: another process is making it", "wait for it"}));
    killed.send(SIGKILL);
    CHECK(killed.wait().code == 128 + SIGKILL);
    for (const std::string& name : names_in(folder / "data")) CHECK(name.compare(0, 11, ".s.partial-") == 0);
    CHECK(names_in(folder / "data").size() == 2);
    CHECK(run(folder, "data synth --dataset s --train 30 --test 6").code == 0);
    CHECK(names_in(folder / "data") == std::set<std::string>{"s"});
}

TEST_CASE("unfinished: a folder that came meanwhile is not replaced, unless asked for; parents go if nothing came of it") {
    const TempFolder folder;
    const fs::path target = folder / "far/away/target";
    {
        UnfinishedFolder first(target);
        put_file(first.path() / "mine", "first");
        CHECK(says(complaint([&] { UnfinishedFolder second(target); }), {target.string(), "another process is making it"}));
    }
    CHECK(names_in(folder.path()).empty());
    {
        UnfinishedFolder first(target);
        put_file(first.path() / "mine", "first");
        put_file(target / "theirs", "theirs");
        CHECK_FALSE(first.place());
        CHECK(names_in(target) == std::set<std::string>{"theirs"});
        first.replace();
        CHECK(read_file(target / "mine") == "first");
    }
    CHECK(names_in(target) == std::set<std::string>{"mine"});
    CHECK(names_in(target.parent_path()) == std::set<std::string>{"target"});

    put_file(folder / "file", "a file");
    UnfinishedFolder other(folder / "file");
    CHECK_FALSE(other.place());
    CHECK(read_file(folder / "file") == "a file");
}

TEST_CASE("unfinished: a link to a data set's folder stays one, and the set is made where it points") {
    const TempFolder folder;
    fs::create_directories(folder / "disk");
    fs::create_directories(folder / "data");
    fs::create_directory_symlink("../disk/far", folder / "data/s");  // nothing is there yet
    const std::string synth = "data synth --dataset s --classes 3 --size 8 --test 6 --train ";
    for (const std::string more : {"60", "30 --force"}) {
        succeed(folder, synth + more);
        CHECK(load_dataset(folder / "data", "s").train.records == std::stoi(more));
        CHECK(fs::is_symlink(folder / "data/s"));
        CHECK_FALSE(fs::is_symlink(folder / "disk/far"));
        CHECK(names_in(folder / "data") == std::set<std::string>{"s"});
        CHECK(names_in(folder / "disk") == std::set<std::string>{"far"});
    }
    check_rejected(folder, synth + "60", {"data/s: exists already", "--force"});
}

TEST_CASE("unfinished: an archive is downloaded and unpacked by one process at a time") {
    const TempFolder folder;
    FetchOptions options;
    options.name = "cifar100";
    options.data = folder / "data";
    options.url = "file://" + (folder / "none.tar.gz").string();
    options.quiet = true;
    const fs::path part = folder / "data/cifar-100-binary.tar.gz.part";
    put_file(part, "half");
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> other(std::fopen(part.c_str(), "r+"), &std::fclose);
    REQUIRE(::flock(::fileno(other.get()), LOCK_EX) == 0);
    CHECK(says(complaint([&] { fetch_dataset(options); }), {part.string(), "another process is downloading", "wait"}));
    CHECK(read_file(part) == "half");
}

TEST_SUITE_END();
