// What a newcomer types first: make, and reproduce.sh without arguments.
#include <sys/wait.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "testing.h"

namespace fs = std::filesystem;
using namespace distill;
using namespace distill::testing;

namespace {

fs::path project() { return fs::path(__FILE__).parent_path() / ".."; }

int status_of(const std::string& line) { return WEXITSTATUS(std::system(line.c_str())); }

void put_program(const fs::path& file, const std::string& text) {
    write_file_atomically(file, text);
    fs::permissions(file, fs::perms::owner_all);
}

/// reproduce.sh beside a program that only says what it was asked for, and makes the folders of its runs.
struct Rehearsal : TempFolder {
    Rehearsal() {
        fs::copy(project() / "reproduce.sh", path());
        put_program(path() / "make", "#!/bin/sh\n");
        put_program(path() / "distill",
                    "#!/bin/sh\necho \"$*\" >> asked\n"
                    "while [ $# -gt 0 ]; do if [ \"$1\" = --run ]; then mkdir -p \"$2\"; fi; shift; done\n");
    }
    /// What the program was asked for, a line a command.
    std::vector<std::string> asked() const {
        fs::remove(path() / "asked");
        CHECK(status_of("PATH='" + path().string() + "':\"$PATH\" '" + (path() / "reproduce.sh").string() + "' > '" +
                        (path() / "said").string() + "'") == 0);
        return split(read_file(path() / "asked"), '\n');
    }
};

}  // namespace

TEST_CASE("make: distill is built from its sources, whatever link is there") {
    const TempFolder folder;
    const std::string make = "env -u MAKEFLAGS -u MAKELEVEL make -n -C '" + project().string() + "' CUDA=0 BUILD='" +
                             folder.path().string() + "' distill > '" + (folder / "said").string() + "'";
    REQUIRE(status_of(make) == 0);
    const std::string said = read_file(folder / "said");
    CHECK(said.find("-c src/main.cpp -o") != std::string::npos);
    CHECK(said.find("ln -sfn " + (folder / "distill").string() + " distill") != std::string::npos);
}

TEST_CASE("reproduce.sh: the quick run has all four papers, and goes on where it was") {
    const Rehearsal rehearsal;
    std::set<std::string> words;
    for (const std::string& line : rehearsal.asked()) {
        words.insert(line.substr(0, line.find(" --")));
    }
    for (const char* step : {"train", "kd", "reviewkd", "feed sweep", "ktg search", "mhgd"}) CHECK_MESSAGE(words.count(step) == 1, step);
    for (const std::string& line : rehearsal.asked())  // what is finished is left, what was cut off goes on
        CHECK_MESSAGE((line.find("--run ") == std::string::npos || line.find("--auto-resume") != std::string::npos), line);
}
