#include <stdlib.h>

#include <string>
#include <vector>

#include "base_files.h"
#include "base_subprocess.h"
#include "command.h"
#include "complaints.h"
#include "data_fetch.h"
#include "dataset.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A small archive in the official layout: `records` images of class 7 in train.bin, one in test.bin.
fs::path put_cifar100_archive(const TempFolder& folder, int records) {
    const std::string record = std::string("\3\7", 2) + std::string(3072, 'p');
    std::string train;
    for (int i = 0; i < records; ++i) train += record;
    put_file(folder / "made/cifar-100-binary/train.bin", train);
    put_file(folder / "made/cifar-100-binary/test.bin", record);
    const fs::path archive = folder / "server.tar.gz";
    REQUIRE(run_program({"tar", "-czf", archive.string(), "-C", (folder / "made").string(), "cifar-100-binary"}, "tar", true).code == 0);
    return archive;
}

FetchOptions from_file(const TempFolder& folder, const fs::path& archive) {
    FetchOptions options;
    options.name = "cifar100";
    options.data = folder / "data";
    options.url = "file://" + archive.string();
    options.md5 = fs::exists(archive) ? md5_of_file(archive) : "0";
    options.quiet = true;
    return options;
}

}  // namespace

TEST_CASE("data fetch: downloads, verifies, unpacks; a second call has nothing to do") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 5);
    FetchOptions options = from_file(folder, archive);
    fetch_dataset(options);
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 5);
    CHECK(fs::exists(folder / "data/cifar-100-binary.tar.gz"));
    CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 2);  // neither .part nor .partial

    options.url = "file:///nowhere";
    fetch_dataset(options);
    fs::remove_all(folder / "data/cifar-100-binary");
    fetch_dataset(options);  // from the archive that lies there, without the network
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 5);
    fs::remove(folder / "data/cifar-100-binary/test.bin");
    options.force = true;
    fetch_dataset(options);
    CHECK(load_dataset(folder / "data", "cifar100").test.records == 1);
}

TEST_CASE("data fetch: the command's address, MD5 and --force") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 5);
    const std::string line = "data fetch cifar100 --url file://" + archive.string();
    check_rejected(folder, line, {"found MD5 " + md5_of_file(archive), "expected 03b5dce01913d631647c71ecec9e9cb8"});
    CHECK(output_of(folder, line + " --md5 none --quiet").empty());
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 5);
    fs::remove(folder / "data/cifar-100-binary/test.bin");
    succeed(folder, line + " --md5 none --force", {"cifar-100-binary"});
    CHECK(load_dataset(folder / "data", "cifar100").test.records == 1);
}

TEST_CASE("data fetch: --force replaces what the archive has, and no folder that holds more") {
    const TempFolder folder;
    const std::string line = "data fetch cifar100 --md5 none --url file://" + put_cifar100_archive(folder, 5).string();
    succeed(folder, line);
    put_file(folder / "data/cifar-100-binary/train.bin", "damaged");
    put_file(folder / "data/cifar-100-binary/keep/x.pgm", "mine");
    check_rejected(folder, line + " --force --quiet",
                   {"data/cifar-100-binary/keep: is not in the archive, and --force would remove it; move it away"});
    fs::remove_all(folder / "data/cifar-100-binary/keep");
    succeed(folder, line + " --force");
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 5);
}

TEST_CASE("data fetch: a link to another disk stays one, and the archive is unpacked there") {
    const TempFolder folder;
    FetchOptions options = from_file(folder, put_cifar100_archive(folder, 5));
    fs::create_directories(folder / "disk");
    fs::create_directories(folder / "data");
    fs::create_directory_symlink("../disk/far", folder / "data/cifar-100-binary");
    for (const bool force : {false, true}) {
        options.force = force;
        fetch_dataset(options);
        CHECK(fs::is_symlink(folder / "data/cifar-100-binary"));
        CHECK(fs::is_directory(fs::symlink_status(folder / "disk/far")));
        CHECK(load_dataset(folder / "data", "cifar100").train.records == 5);
        CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 2);
        CHECK(std::distance(fs::directory_iterator(folder / "disk"), {}) == 1);
    }
}

TEST_CASE("data fetch: resumes a part, takes a whole one, and starts anew over a wrong one") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 40), part = folder / "data/cifar-100-binary.tar.gz.part";
    const std::string bytes = read_file(archive);
    const FetchOptions options = from_file(folder, archive);
    for (const std::string& left : {bytes.substr(0, bytes.size() / 2), bytes, std::string(bytes.size() / 3, 'w')}) {
        CAPTURE(left.size());
        fs::remove_all(folder / "data");
        put_file(part, left);
        fetch_dataset(options);
        CHECK(read_file(folder / "data/cifar-100-binary.tar.gz") == bytes);
        CHECK_FALSE(fs::exists(part));
    }
}

TEST_CASE("data fetch: without the network it says what to put where, and a later call verifies that") {
    const TempFolder folder;
    FetchOptions options = from_file(folder, folder / "unreachable.tar.gz");
    const auto fetch = [&] { fetch_dataset(options); };
    CHECK(says(complaint<std::runtime_error>(fetch),
               {options.url, "cannot be downloaded", "curl", (folder / "data/cifar-100-binary.tar.gz").string()}));
    CHECK_FALSE(fs::exists(folder / "data"));

    const fs::path archive = put_cifar100_archive(folder, 2);
    options.md5 = md5_of_file(archive);
    put_file(folder / "data/cifar-100-binary.tar.gz", "something else");
    const std::string found = md5_of_file(folder / "data/cifar-100-binary.tar.gz");
    CHECK(says(complaint(fetch), {"cifar-100-binary.tar.gz", "found MD5 " + found, "expected " + options.md5}));
    fs::copy_file(archive, folder / "data/cifar-100-binary.tar.gz", fs::copy_options::overwrite_existing);
    fetch_dataset(options);
    CHECK(load_dataset(folder / "data", "cifar100").train.records == 2);
}

TEST_CASE("data fetch: another MD5 than expected, or a content that is not the set, is refused") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 2);
    FetchOptions options = from_file(folder, archive);
    const auto fetch = [&] { fetch_dataset(options); };
    options.md5 = "";  // the published one
    CHECK(says(complaint(fetch), {"found MD5 " + md5_of_file(archive), "expected 03b5dce01913d631647c71ecec9e9cb8"}));
    CHECK_FALSE(fs::exists(folder / "data"));

    options.md5 = "none";
    options.name = "cifar10";
    CHECK(says(complaint(fetch), {"holds no folder cifar-10-batches-bin"}));
    CHECK_FALSE(fs::exists(folder / "data/cifar-10-batches-bin"));
    CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 1);  // the archive

    put_file(folder / "made/cifar-100-binary/train.bin", "short");
    REQUIRE(run_program({"tar", "-czf", archive.string(), "-C", (folder / "made").string(), "cifar-100-binary"}, "tar", true).code == 0);
    options.name = "cifar100";
    CHECK(says(complaint(fetch), {"train.bin", "found 5 bytes"}));
    CHECK_FALSE(fs::exists(folder / "data/cifar-100-binary"));

    fs::remove_all(folder / "data");
    put_file(archive, "no archive at all");
    CHECK(says(complaint(fetch), {"cannot be unpacked", "tar"}));
    options.name = "imagenet";
    CHECK(says(complaint(fetch), {"'imagenet'", "cifar10, cifar100, tiny-imagenet"}));
}

TEST_CASE("data fetch: a program that is missing is named with its package") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 2);
    const FetchOptions options = from_file(folder, archive);
    const std::string path = ::getenv("PATH") ? ::getenv("PATH") : "";
    ::setenv("PATH", folder.path().c_str(), 1);
    const std::string message = complaint([&] { fetch_dataset(options); });
    ::setenv("PATH", path.c_str(), 1);
    CHECK(says(message, {"curl: cannot be started", "apt-get install curl"}));
    CHECK_FALSE(fs::exists(folder / "data"));
}

TEST_CASE("data fetch: a disk that is full while the archive is unpacked is said to be, whatever the unpacking program says last") {
    const TempFolder folder;
    const fs::path archive = put_cifar100_archive(folder, 2);
    const FetchOptions options = from_file(folder, archive);
    put_file(folder / "bin/tar",
             "#!/bin/sh\necho 'tar: train.bin: Cannot write: No space left on device' >&2\necho 'tar: Exiting' >&2\nexit 2\n");
    fs::permissions(folder / "bin/tar", fs::perms::owner_all);
    const std::string path = ::getenv("PATH") ? ::getenv("PATH") : "";
    ::setenv("PATH", ((folder / "bin").string() + ":" + path).c_str(), 1);
    const std::string message = complaint<WriteError>([&] { fetch_dataset(options); });
    ::setenv("PATH", path.c_str(), 1);
    CHECK(says(message, {"cifar-100-binary: cannot be written (No space left on device)"}));
    CHECK_FALSE(fs::exists(folder / "data/cifar-100-binary"));
}

TEST_CASE("subprocess: exit status, signal and last line of the errors come back") {
    CHECK(run_program({"true"}, "coreutils", false).code == 0);
    CHECK(run_program({"false"}, "coreutils", true).code == 1);
    const ProgramEnd end = run_program({"sh", "-c", "echo first >&2; echo last >&2; exit 7"}, "dash", true);
    CHECK(end.code == 7);
    CHECK(end.errors == "first\nlast");
    CHECK(end.last_error() == "last");
    CHECK(run_program({"cat"}, "coreutils", false).code == 0);  // it has nothing to read
    CHECK(run_program({"sh", "-c", "echo $LC_ALL >&2"}, "dash", true).last_error() == "C");
    CHECK(run_program({"sh", "-c", "kill -9 $$"}, "dash", false).code == 137);
}

TEST_SUITE_END();
