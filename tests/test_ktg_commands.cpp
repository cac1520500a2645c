// `distill ktg train`: what a run leaves, ensembles, presets, going on.
#include <signal.h>

#include <map>

#include "base_csv.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "data_loader.h"
#include "gradcheck.h"
#include "method_ktg.h"
#include "net_table.h"
#include "train_run_folder.h"
#include "trainer.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

namespace {

struct GraphWorkplace : Workplace {
    CsvTable table(const std::string& file) const { return read_csv(path() / file); }
};

const std::string on_s = " --dataset s --batch 32 --threads 1 --lr 0.05 --log-steps --quiet ";

/// Tensors aside from the metadata, which name the method.
void check_same_weights(const fs::path& a, const fs::path& b) {
    const WeightFile one = read_safetensors(a), other = read_safetensors(b);
    REQUIRE(one.tensors.size() == other.tensors.size());
    for (const auto& [name, tensor] : one.tensors) CHECK(tensor.data == other.tensors.at(name).data);
}

}  // namespace

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("command line: ktg: one node through is plain training, to the bit") {
    const GraphWorkplace folder;
    const std::string same = on_s + "--epochs 2 --drop-last on --crop-pad reflect --lr-steps 1 ";
    REQUIRE(run(folder, "train --net resnet8" + same + "--run plain").code == 0);
    REQUIRE(run(folder, "ktg train --preset plain --models 0=resnet8" + same + "--run graph").code == 0);
    check_same_weights(folder / "plain/student.safetensors", folder / "graph/student.safetensors");
    const CsvTable plain = folder.table("plain/steps.csv"), graph = folder.table("graph/steps.csv");
    CHECK(plain.rows == graph.rows);
    CHECK(graph.columns == std::vector<std::string>{"step", "lr", "loss", "loss_0_0"});
    const CsvTable result = folder.table("graph/result.csv");
    CHECK(result.cell(0, "method") == "ktg");
    CHECK(result.cell(0, "student") == "resnet8");
    CHECK(result.cell(0, "last") == folder.table("plain/result.csv").cell(0, "last"));
}

TEST_CASE("command line: ktg: what a run of three nodes leaves, and that its nodes are weights for other graphs") {
    const GraphWorkplace folder;
    REQUIRE(run(folder, "train --net resnet14" + on_s + "--epochs 1 --run teacher").code == 0);
    put_file(folder / "g.csv",
             "node,model,weights,gate_0,gate_1,gate_2\n"
             "0,resnet8,,through,linear,correct\n"
             "1,wrn-10-1,,through,correct,cutoff\n"
             "2,resnet14,teacher/student.safetensors,cutoff,cutoff,cutoff\n");
    const Ended end = run(folder, "ktg train --graph g.csv --epochs 2" + on_s + "--run r");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {"distill ktg", "2     resnet14  frozen", "node2 resnet14: test accuracy"}));

    const CsvTable epochs = folder.table("r/epochs.csv"), edges = folder.table("r/edges.csv"), steps = folder.table("r/steps.csv");
    CHECK(steps.columns == std::vector<std::string>{"step", "lr", "loss", "loss_0_0", "loss_0_1", "loss_0_2", "loss_1_0", "loss_1_1"});
    CHECK(steps.rows.size() == 6);  // 100 images in batches of 32, the last 4 left out
    CHECK(epochs.has("test_acc_1"));
    CHECK_FALSE(epochs.has("test_acc_2"));  // measured once: it does not change
    REQUIRE(edges.rows.size() == 2 * 5);
    const double k[2] = {(1 + 2 + 3) / 3.0 / 8, (4 + 5 + 6) / 3.0 / 8};  // K = 2·(100/32 + 1) = 8
    for (size_t row = 0; row < edges.rows.size(); ++row) {
        const size_t epoch = row / 5;
        CHECK(edges.cell(row, "epoch") == std::to_string(epoch));
        const std::string name = "loss_" + edges.cell(row, "target") + "_" + edges.cell(row, "source"), gate = edges.cell(row, "gate");
        CHECK(edges.cell_number(row, "loss") == doctest::Approx(epochs.cell_number(epoch, name)).epsilon(1e-6));
        const double both = edges.cell_number(row, "both_right"), source = edges.cell_number(row, "source_only"),
                     target = edges.cell_number(row, "target_only"), none = edges.cell_number(row, "none_right");
        CHECK(both + source + target + none == 96);
        const bool label = edges.cell(row, "source") == edges.cell(row, "target");
        if (label) CHECK(target + none == 0);
        if (edges.cell(row, "target") == "0") CHECK(100 * (both + target) / 96 == doctest::Approx(epochs.cell_number(epoch, "train_acc")));
        const double weight = edges.cell_number(row, "weight");
        if (gate == "linear") {
            CHECK(weight == doctest::Approx(k[epoch]).epsilon(1e-6));
            CHECK(edges.cell_number(row, "last_weight") == doctest::Approx(epoch == 0 ? 3 / 8.0 : 6 / 8.0).epsilon(1e-6));
        } else if (gate == "correct" && !label) {
            CHECK(weight == doctest::Approx((both + source) / 96).epsilon(1e-6));
        } else {
            CHECK(weight == 1);
        }
    }

    CHECK_FALSE(fs::exists(folder / "r/helpers.safetensors"));
    CHECK_FALSE(fs::exists(folder / "r/node2.safetensors"));
    const WeightFile node1 = read_safetensors(folder / "r/node1.safetensors");
    CHECK(node1.metadata.at("network") == "wrn-10-1");
    CHECK(node1.metadata.at("accuracy") == epochs.cell(1, "test_acc_1"));
    const Ended eval = run(folder, "eval --net wrn-10-1 --dataset s --batch 32 --threads 1 --init r/node1.safetensors");
    CHECK(says(eval.out, {text("test accuracy ", epochs.cell(1, "test_acc_1"))}));

    // The kept graph trains again from its own folder; a run's node teaches in the next.
    CHECK(run(folder, "ktg train --graph r/graph.csv --epochs 1 --max-steps 1" + on_s + "--run again").code == 0);
    const std::string kd = "ktg train --preset kd --models 0=resnet8,1=wrn-10-1 --weights 1=r/node1.safetensors --epochs 1 --max-steps 1";
    CHECK(run(folder, kd + on_s + "--run next").code == 0);
    CHECK(read_config(folder / "next/config.csv").size() > 10);
    const Ended show = run(folder, "ktg show --run r --svg r.svg");
    CHECK(says(show.out, {"label -> 0", "2 -> 0", "accuracy", "frozen"}));
}

TEST_CASE("command line: ktg: an ensemble as the target: its accuracy is the run's, its members are what is kept") {
    const GraphWorkplace folder;
    const Ended end = run(folder, "ktg train --preset ensemble --models 1=resnet8,2=wrn-10-1 --epochs 2" + on_s + "--run r");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK_FALSE(fs::exists(folder / "r/student.safetensors"));
    const CsvTable epochs = folder.table("r/epochs.csv");
    CHECK(epochs.has("test_acc_1"));
    CHECK(epochs.has("test_acc_2"));
    CHECK(folder.table("r/result.csv").cell(0, "student") == "ensemble:1+2");

    // The sum of the two files' logits classifies as well as epochs.csv says.
    const Dataset data = load_dataset(folder / "data", "s");
    LoaderOptions l;
    l.batch = 40;
    l.normalization = data.stats;
    const Loader loader(cpu(), data, l);
    Parameters p(cpu(), false);
    const auto one = make_network("resnet8", 4, p, "1."), two = make_network("wrn-10-1", 4, p, "2.");
    p.allocate(0);
    p.from_file(read_safetensors(folder / "r/node1.safetensors"), "node1", "1.");
    p.from_file(read_safetensors(folder / "r/node2.safetensors"), "node2", "2.");
    const EnsembleNetwork sum("ensemble:1+2", 4, {one.get(), two.get()});
    CHECK(evaluate(cpu(), loader, sum).accuracy == doctest::Approx(epochs.cell_number(1, "test_acc")));
}

TEST_CASE("interruption: ktg: a run that was cut and goes on ends like the uninterrupted one; another graph or teacher is refused") {
    const GraphWorkplace folder;
    REQUIRE(run(folder, "train --net resnet8" + on_s + "--epochs 1 --run teacher").code == 0);
    put_file(folder / "g.csv",
             "node,model,weights,gate_0,gate_1,gate_2\n"
             "0,resnet8,,through,linear,correct\n"
             "1,resnet8a,,correct,through,linear\n"
             "2,resnet8,teacher/student.safetensors,cutoff,cutoff,cutoff\n");
    const std::string line = "ktg train --graph g.csv --frozen-bn batch --epochs 8 --lr-steps 4" + on_s;
    REQUIRE(run(folder, line + "--run whole").code == 0);
    Command command(folder, line + "--run cut");
    wait_until(command, [&] { return lines_in(folder / "cut/epochs.csv") >= 1 + 2; });
    command.send(SIGTERM);
    REQUIRE(command.wait().code == 3);

    const std::string kept = read_file(folder / "g.csv"), teacher = read_file(folder / "teacher/student.safetensors");
    std::string changed = kept;
    changed.replace(changed.find("linear"), 6, "cutoff");
    put_file(folder / "g.csv", changed);
    check_rejected(folder, "ktg train --resume --quiet --run cut", {"cut/graph.csv", "another", "anew"});
    // So is it where the run is to become longer, before anything is changed for that.
    const std::string config = read_file(folder / "whole/config.csv"), result = read_file(folder / "whole/result.csv");
    check_rejected(folder, "ktg train --resume --quiet --run whole --epochs 9", {"whole/graph.csv", "another", "anew"});
    CHECK(read_file(folder / "whole/config.csv") == config);
    CHECK(read_file(folder / "whole/result.csv") == result);
    put_file(folder / "g.csv", kept);
    WeightFile other = read_safetensors(folder / "teacher/student.safetensors");
    other.tensors.at("fc.bias").data[0] += 1;
    write_safetensors(folder / "teacher/student.safetensors", other);
    check_rejected(folder, "ktg train --resume --quiet --run cut", {"cut", "node2's file is not the one"});
    put_file(folder / "teacher/student.safetensors", teacher);

    const Ended end = run(folder, "ktg train --resume --quiet --run cut");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    check_same_training(folder / "cut", folder / "whole");
    for (const char* file : {"node1.safetensors", "edges.csv", "graph.csv"})
        CHECK(read_file(folder / "cut" / file) == read_file(folder / "whole" / file));
}

TEST_CASE("resuming: ktg: a frozen node's file that the graph's CSV names may be named anew; no node gets a start that it had not") {
    const GraphWorkplace folder;
    REQUIRE(run(folder, "train --net resnet8" + on_s + "--epochs 1 --run teacher").code == 0);
    put_file(folder / "g.csv",
             "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet8,teacher/student.safetensors,cutoff,cutoff\n");
    REQUIRE(run(folder, "ktg train --graph g.csv --epochs 2" + on_s + "--run r").code == 0);
    const std::string result = without_seconds(folder / "r/result.csv");
    const auto unfinish = [&] { fs::remove(folder / "r/result.csv"); };  // resuming computes nothing, but reads all that it needs
    unfinish();
    fs::create_directory(folder / "sub");
    fs::rename(folder / "teacher/student.safetensors", folder / "sub/t.safetensors");
    check_rejected(folder, "ktg train --resume --run r", {"found no weight file", "--weights 1=FILE"});
    WeightFile other = read_safetensors(folder / "sub/t.safetensors");
    other.tensors.at("fc.bias").data[0] += 1;
    write_safetensors(folder / "sub/other.safetensors", other);
    check_rejected(folder, "ktg train --resume --run r --weights 1=sub/other.safetensors",
                   {"node1's file is not the one this run was started with"});
    check_rejected(folder, "ktg train --resume --run r --weights 0=sub/t.safetensors,1=sub/t.safetensors",
                   {"r/graph.csv: node 0 was started without weights", "sub/t.safetensors"});
    fs::rename(folder / "g.csv", folder / "sub/g.csv");  // from where its own path leads nowhere, too
    for (const char* named : {"--graph sub/g.csv --weights 1=sub/t.safetensors", "--weights 1=sub/t.safetensors"}) {
        const Ended end = run(folder, std::string("ktg train --resume --run r ") + named);
        CAPTURE(end.err);
        CHECK(end.code == 0);
        CHECK(without_seconds(folder / "r/result.csv") == result);
        unfinish();
        if (fs::exists(folder / "sub/g.csv")) fs::rename(folder / "sub/g.csv", folder / "g.csv");
    }

    // Nodes that the option named and that are not named anew keep what it named.
    const std::string both = "--weights 0=sub/t.safetensors,1=sub/t.safetensors ";
    REQUIRE(run(folder, "ktg train --graph dml --models 0=resnet8,1=resnet8 --epochs 1 " + both + on_s + "--run d").code == 0);
    fs::remove(folder / "d/result.csv");
    fs::copy_file(folder / "sub/t.safetensors", folder / "moved.safetensors");
    CHECK(run(folder, "ktg train --resume --run d --weights 1=moved.safetensors").code == 0);
}

TEST_CASE("command line: ktg: presets set the paper's training, what is given by hand wins") {
    const GraphWorkplace folder;
    const auto config = [&](const std::string& run_name) {
        std::map<std::string, std::string> all;
        for (const auto& [name, value] : read_config(folder / run_name / "config.csv")) all[name] = value;
        return all;
    };
    const std::string quick = " --dataset s --threads 1 --max-steps 1 --quiet --run ";
    REQUIRE(run(folder, "ktg train --preset plain --models 0=resnet8 --batch 100" + quick + "by-hand").code == 0);
    CHECK(config("by-hand").at("batch") == "100");
    REQUIRE(run(folder, "ktg train --preset dml --models 0=resnet8,1=resnet8" + quick + "dml").code == 0);
    const auto dml = config("dml");
    CHECK(dml.at("graph") == "dml");
    for (const auto& [option, value] : std::map<std::string, std::string>{{"batch", "64"},
                                                                          {"epochs", "200"},
                                                                          {"lr", "0.1"},
                                                                          {"lr-steps", "59,119,179"},
                                                                          {"momentum", "0.9"},
                                                                          {"nesterov", "on"},
                                                                          {"weight-decay", "0.0005"},
                                                                          {"drop-last", "on"},
                                                                          {"crop-pad", "reflect"},
                                                                          {"temperature", "1"},
                                                                          {"frozen-bn", "running"}})
        CHECK(dml.at(option) == value);
    check_rejected(folder, "ktg train --preset plain --models 0=resnet8" + quick + "alone", {"--batch 128", "100 records"});

    // A row of data/paper: graph, networks and temperature; trained alone it is `distill train` with the paper's training.
    REQUIRE(run(folder, "train --net resnet8 --batch 32 --epochs 1" + quick + "t").code == 0);
    REQUIRE(run(folder, "ktg train --preset ktg-c100-wrn-28-2-resnet32a-kd --models 0=resnet8,1=resnet8 --weights 1=t/student.safetensors" +
                            quick + "row")
                .code == 0);
    const auto row = config("row");
    CHECK(row.at("id") == "ktg-c100-wrn-28-2-resnet32a-kd");
    CHECK(row.at("graph") == "kd");
    CHECK(row.at("temperature") == "2");
    REQUIRE(run(folder, "train --preset ktg-c100-resnet32a-student --net resnet8 --batch 32" + quick + "single").code == 0);
    const auto single = config("single");
    CHECK(single.at("crop-pad") == "reflect");
    CHECK(single.at("drop-last") == "on");
    CHECK(single.at("lr-steps") == "59,119,179");
    CHECK(single.at("normalize") == "0,0,0,255,255,255");
    check_rejected(folder, "train --preset ktg-c100-resnet32a-student --net resnet8" + quick + "single2", {"--batch 128"});
}

TEST_SUITE_END();
