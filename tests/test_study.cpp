// tools/study.sh: in which order it calls the program, what it leaves as it is, and what it does where a teacher is another one than
// before. A script stands in for the program; it writes what the tool looks at.
#include <cstdlib>

#include "base_files.h"
#include "base_texts.h"
#include "complaints.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// As the program: makes the run's folder, tells which teachers it had, keeps a network. Weights are what $WEIGHTS says; a run named
/// like $BREAKS fails.
constexpr const char* program = R"script(#!/bin/bash
dir=$(dirname "$0")
if [ "$1" = report ]; then echo "$@" >> "$dir/calls"; exit; fi
words=("$@")
for ((i = 0; i < $#; ++i)); do
    case ${words[i]} in
        --run) run=${words[i + 1]} ;;
        --teacher-weights | --teachers) teachers=${words[i + 1]} ;;
    esac
done
echo "$1 ${run#*runs/}" >> "$dir/calls"
[[ -n $BREAKS && $run == *$BREAKS* ]] && exit 1
mkdir -p "$run"
n=0
for file in ${teachers//,/ }; do echo "info.teacher$((n++))_sha256,$(sha256sum < "$file" | cut -c-64)"; done > "$run/config.csv"
echo "$WEIGHTS" > "$run/student.safetensors"
touch "$run/result.csv"
)script";

class Study {
  public:
    Study() {
        fs::create_directories(folder / "tools");
        fs::copy_file(fs::path(__FILE__).parent_path() / "../tools/study.sh", folder / "tools/study.sh");
        put_file(folder / "tools/runs_csv.py", "print('a table')\n");
        put_file(folder / "distill", program);
        fs::permissions(folder / "distill", fs::perms::owner_all);
    }
    /// Returns the exit status; `set` stands before the command.
    int call(const std::string& parts, const std::string& set = "WEIGHTS=first") {
        fs::remove(folder / "calls");
        return WEXITSTATUS(
            std::system(text("cd '", folder.path().string(), "' && ", set, " tools/study.sh --runs runs ", parts, " > said 2>&1").c_str()));
    }
    /// What was trained, in this order: METHOD RUN, a line each.
    std::string calls() const { return fs::exists(folder / "calls") ? read_file(folder / "calls") : ""; }
    std::string said() const { return read_file(folder / "said"); }
    /// As tools/runs_csv.py unpacks a table: rows without weights.
    void forget_weights(const char* run) { fs::remove(folder / "runs" / run / "student.safetensors"); }

    TempFolder folder;
};

/// Records that the running case was skipped, where it cannot run.
bool lacks_shells() {
    const bool lacks = std::system("bash -c : && python3 -c 1") != 0;
    if (lacks) skip("no bash or no python3");
    return lacks;
}

const std::string reported = "report runs --html runs.html\n";

}  // namespace

TEST_CASE("study: a teacher first, once, then the seeds; what is finished is left, a failure ends it and is tried again") {
    if (lacks_shells()) return;
    Study study;
    CHECK(study.call("kd", "WEIGHTS=first BREAKS=kd/s3") != 0);
    CHECK(study.calls() == "train teacher0\nkd kd/s0\nkd kd/s1\nkd kd/s2\nkd kd/s3\n");
    CHECK_FALSE(fs::exists(study.folder / "runs.csv"));
    CHECK(study.call("kd") == 0);
    CHECK(study.calls() == "kd kd/s3\nkd kd/s4\n" + reported);
    CHECK(read_file(study.folder / "runs.csv") == "a table\n");
    CHECK(study.call("kd") == 0);
    CHECK(study.calls() == reported);
    CHECK(study.call("online") == 0);  // without a teacher
    CHECK(study.calls().find("ffsd ffsd/s0\nktg dml/s0\nffsd ffsd/s1\n") == 0);
}

TEST_CASE("study: three teachers are made before the first group that needs them") {
    if (lacks_shells()) return;
    Study study;
    CHECK(study.call("feed") == 0);
    CHECK(study.calls().find(
              "train teacher0\nfeed feed1/s0\ntrain teacher1\ntrain teacher2\nfeed feed3/s0\nfeed feed1/s1\nfeed feed3/s1\n") == 0);
    CHECK(study.calls().find("ensemble ensemble3/s2\nfeed feed1-1500/s2\n" + reported) != std::string::npos);
}

TEST_CASE("study: from a table, a teacher is made again only for what is missing, and a group has one teacher's file") {
    if (lacks_shells()) return;
    Study study;
    REQUIRE(study.call("kd") == 0);
    study.forget_weights("teacher0");
    CHECK(study.call("kd") == 0);
    CHECK(study.calls() == reported);  // whole

    fs::remove_all(study.folder / "runs/kd/s4");
    CHECK(study.call("kd") == 0);  // the teacher made again is the same one, byte for byte
    CHECK(study.calls() == "train teacher0-again\nkd kd/s4\n" + reported);

    fs::remove_all(study.folder / "runs/kd/s4");
    fs::remove_all(study.folder / "runs/teacher0-again");
    CHECK(study.call("kd", "WEIGHTS=other") == 0);
    CHECK(study.calls() ==
          "train teacher0-again\nkd kd-again/s0\nkd kd-again/s1\nkd kd-again/s2\nkd kd-again/s3\nkd kd-again/s4\n" + reported);
    CHECK(says(study.said(), {"kd has seeds of another teacher: all of them again in kd-again"}));
    CHECK(fs::exists(study.folder / "runs/kd/s0/result.csv"));
    CHECK(study.call("kd", "WEIGHTS=other") == 0);
    CHECK(study.calls() == reported);
}

TEST_CASE("study: what KD is set beside has KD's teacher, or KD is trained again with theirs") {
    if (lacks_shells()) return;
    Study study;
    REQUIRE(study.call("within") == 0);
    CHECK(study.calls().find("kd kd/s0") != std::string::npos);
    CHECK(study.calls().find("kd-again") == std::string::npos);
    study.forget_weights("teacher0");
    CHECK(study.call("within", "WEIGHTS=other") == 0);
    CHECK(study.calls() == reported);  // nothing is missing, nothing is made again

    fs::remove_all(study.folder / "runs/at/s0");
    CHECK(study.call("within", "WEIGHTS=other") == 0);
    const std::string calls = study.calls();
    CHECK(calls.find("train teacher0-again\nat at-again/s0\n") == 0);
    for (const char* once : {"kd kd-again/s4\n", "crd crd-again/s0\n", "reviewkd reviewkd-again/s2\n", "ft ft-again/s3\n"})
        CHECK(calls.find(once) != std::string::npos);
}

TEST_CASE("study: an unknown part or option is refused before anything is trained") {
    if (lacks_shells()) return;
    Study study;
    CHECK(study.call("alone kdd") == 2);
    CHECK(says(study.said(), {"unknown part 'kdd'", "alone kd reviewkd"}));
    CHECK(study.call("'alone kd'") == 2);
    CHECK(says(study.said(), {"unknown part 'alone kd'"}));
    CHECK(study.call("alone --threads 2") == 2);
    CHECK(says(study.said(), {"options stand before them"}));
    CHECK(study.call("--thread 2 alone") == 2);
    CHECK(says(study.said(), {"unknown option --thread", "--data, --runs, --threads"}));
    CHECK(study.calls().empty());
    CHECK_FALSE(fs::exists(study.folder / "runs"));
}

TEST_SUITE_END();
