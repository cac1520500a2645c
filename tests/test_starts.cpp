// Where a training begins: no two of which one learns from the other begin alike because their seeds are equal. Shown through the program,
// by trainings that change no weight.
#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "train_options.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string still = " --dataset s --epochs 1 --batch 32 --lr 0 --weight-decay 0 --threads 1 --quiet --seed 0 ";

/// How many drawn tensors (of convolutions and classifiers) of one name and shape are equal in two weight files.
int equal_starts(const fs::path& a, const fs::path& b) {
    const WeightFile one = read_safetensors(a), other = read_safetensors(b);
    int compared = 0, equal = 0;
    for (const auto& [name, tensor] : one.tensors) {
        const auto found = other.tensors.find(name);
        if (tensor.shape.size() < 2 || found == other.tensors.end() || found->second.shape != tensor.shape) continue;
        ++compared;
        equal += found->second.data == tensor.data;
    }
    CHECK(compared > 0);
    return equal;
}

std::string student(const fs::path& run) { return (run / "student.safetensors").string(); }

}  // namespace

TEST_CASE("starts: a student shares no start weight with its teacher, whatever both are and whatever trained them") {
    const Workplace folder(64, 20);
    for (const char* net : {"resnet8", "resnet14"}) succeed(folder, text("train", still, "--net ", net, " --run ", net));
    const auto from = [](const char* net) { return text(" --teacher ", net, " --teacher-weights ", net, "/student.safetensors "); };
    succeed(folder, "kd" + still + "--student resnet8 --run of-larger" + from("resnet14"));
    succeed(folder, "kd" + still + "--student resnet8 --run of-equal" + from("resnet8"));
    succeed(folder, "reviewkd" + still + "--student resnet8 --run review" + from("resnet14"));
    succeed(folder, "feed sequential" + still + "--teachers resnet8/student.safetensors --stages 2 --run chain");
    succeed(folder, "feed parallel" + still + "--student resnet8 --train-teachers 2 --teacher-nets resnet8 --run feed");
    const auto equal = [&](const std::string& a, const std::string& b) {
        INFO(a << " and " << b);
        return equal_starts(student(folder / a), student(folder / b));
    };
    CHECK(equal("resnet8", "resnet14") == 0);  // two networks alone
    CHECK(equal("of-larger", "resnet14") == 0);
    CHECK(equal("of-equal", "resnet8") == 0);
    CHECK(equal("chain/stage1", "resnet8") == 0);
    CHECK(equal("chain/stage2", "resnet8") == 0);
    CHECK(equal("chain/stage2", "chain/stage1") == 0);
    CHECK(equal("feed", "runs/teachers-s-resnet8/s0") == 0);
    CHECK(equal("runs/teachers-s-resnet8/s0", "runs/teachers-s-resnet8/s1") == 0);
    CHECK(equal("runs/teachers-s-resnet8/s0", "resnet8") == 0);
    // Two methods that teach the same network with the same seed do, so that they may be compared seed by seed.
    const WeightFile one = read_safetensors(student(folder / "review"));
    CHECK(equal("review", "of-larger") > 0);
    CHECK(equal("review", "of-larger") == equal("of-larger", "of-larger"));
    CHECK(one.metadata.at("role") == "student");
    CHECK(one.metadata.at("generation") == "1");
    // Who starts from a network's weights, or decodes its maps, learns from it, too.
    succeed(folder, "train" + still + "--net resnet8 --init resnet8/student.safetensors --run on");
    CHECK(read_safetensors(student(folder / "on")).metadata.at("generation") == "1");
    succeed(folder, "feed reconstruct" + still + "--students of-equal --teachers resnet14/student.safetensors --run decoder");
    CHECK(value_of(read_config(folder / "decoder/config.csv"), "info.role") == "decoder");
    CHECK(value_of(read_config(folder / "decoder/config.csv"), "info.generation") == "2");
}

TEST_CASE("starts: a graph is not gone on with from a file of another generation, by which its batches would be others") {
    const Workplace folder(64, 20);
    succeed(folder, "train" + still + "--net resnet8a --run alone");
    succeed(folder, "ktg train" + still + "--graph dml --models 0=resnet8a,1=resnet8a --weights 1=alone/student.safetensors --run graph");
    CHECK(value_of(read_config(folder / "graph/config.csv"), "info.generation") == "1");
    fs::remove(folder / "graph/result.csv");
    check_rejected(folder, "ktg train --resume --run graph --weights 1=graph/node1.safetensors",
                   {"graph: the node1's file is not the one this run was started with"});
    // A run that does not know its files by content knows their generation.
    const fs::path kept = folder / "graph/config.csv";
    const std::string config = read_file(kept), sum = "info.node1_sha256,";
    const size_t at = config.find(sum);
    REQUIRE(at != std::string::npos);
    write_file_atomically(kept, config.substr(0, at) + config.substr(config.find('\n', at) + 1));
    check_rejected(folder, "ktg train --resume --run graph --weights 1=graph/node1.safetensors",
                   {"graph: was started with generation 1", "follows 2"});
    write_file_atomically(kept, config);
    succeed(folder, "ktg train --resume --run graph");
}

TEST_CASE("starts: a graph's target shares no start weight with a frozen node, in a search neither; trials share the target's") {
    const Workplace folder(64, 20);
    const std::string graph = " --dataset s --epochs 2 --batch 32 --lr 0 --weight-decay 0 --threads 1 --quiet --seed 0 ";
    succeed(folder, "ktg search" + graph + "--alone-batch 32 --nodes 2 --target resnet8a --models resnet8a --trials 4 --val 16 --best 1 " +
                        "--retrain-seeds 1 --devices cpu --run search");
    const fs::path search = folder / "search", kd = search / "retrained/kd-resnet8a/s0", teacher = search / "teachers/resnet8a";
    const fs::path mutual = search / "retrained/dml-resnet8a+resnet8a/s0";
    CHECK(equal_starts(student(kd), student(teacher)) == 0);
    CHECK(equal_starts(student(mutual), student(teacher)) == 0);
    CHECK(equal_starts(student(mutual), (mutual / "node1.safetensors").string()) == 0);
    CHECK(equal_starts(student(mutual), student(kd)) == equal_starts(student(kd), student(kd)));
    CHECK(value_of(read_config(teacher / "config.csv"), "info.role") == "teacher");
    CHECK(value_of(read_config(kd / "config.csv"), "info.role") == "graph");
    CHECK(value_of(read_config(search / "config.csv"), "info.start_key") == "2");
    CHECK(read_file(search / "journal.csv").find("start_key=2") != std::string::npos);
}

TEST_CASE("starts: batches of two roles, or of two generations, come in another order") {
    Options a, b, c;
    a.role = b.role = "student";
    a.generation = 1;
    b.generation = 2;
    c.role = "alone";
    CHECK(a.start() != b.start());
    CHECK(a.start() != c.start());
    CHECK(start_key(0, "student", 1) == a.start());
    CHECK(start_key(1, "student", 1) != a.start());
}

TEST_CASE("starts: a run that began by another version of the key is not gone on with") {
    const Workplace folder(64, 20);
    succeed(folder, "train" + still + "--net resnet8 --run older");
    const fs::path config = folder / "older/config.csv";
    std::string rows = read_file(config);
    const std::string row = "info.start_key,2\n";
    REQUIRE(rows.find(row) != std::string::npos);
    rows.erase(rows.find(row), row.size());
    write_file_atomically(config, rows);
    check_rejected(folder, "train --resume --run older",
                   {"older: its start weights and batches were drawn by version 1 of the key", "version 2"});
}

TEST_SUITE_END();
