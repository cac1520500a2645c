// Graphs as data: reading, rules, every kind of bad input, and how they are shown.
#include "graph.h"

#include <sys/wait.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "core_backend.h"
#include "device.h"
#include "graph_show.h"
#include "markup.h"
#include "net_table.h"
#include "report_collect.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Rows in another order than the nodes; node 2 is frozen, node 3 an ensemble.
const std::string four_nodes =
    "node,model,weights,gate_0,gate_1,gate_2,gate_3\n"
    "1,wrn-16-1,start.safetensors,linear,cutoff,through,correct\n"
    "0,resnet8,,through,linear,correct,cutoff\n"
    "3,ensemble:0+1,,cutoff,cutoff,cutoff,cutoff\n"
    "2,resnet14,sub/teacher.safetensors,cutoff,cutoff,cutoff,cutoff\n";

struct Place : TempFolder {
    Graph read(const std::string& csv) const {
        put_file(path() / "g.csv", csv);
        return read_graph(path() / "g.csv");
    }
    std::string refused(const std::string& csv) const {
        return complaint([&] { read(csv); });
    }
    /// What the rules of a whole graph say to it.
    std::string unsound(const std::string& csv) const {
        const Graph graph = read(csv);
        return complaint([&] { require_sound(graph, "g"); });
    }
};

}  // namespace

TEST_CASE("graph: rows in any order, gates by target and source, weights beside the file") {
    const Place place;
    const Graph g = place.read(four_nodes);
    REQUIRE(g.size() == 4);
    CHECK(g.node(0).model == "resnet8");
    CHECK(g.node(0).weights.empty());
    CHECK(g.node(1).weights == place / "start.safetensors");
    CHECK(g.node(2).weights == place / "sub/teacher.safetensors");
    CHECK(g.node(3).members == std::vector<int>{0, 1});
    CHECK(g.gate(0, 0) == Gate::through);
    CHECK(g.gate(0, 2) == Gate::correct);
    CHECK(g.gate(1, 0) == Gate::linear);
    CHECK(g.gate(1, 1) == Gate::cutoff);  // no label, but not frozen: it learns from others
    CHECK(g.is_trained(0));
    CHECK(g.is_trained(1));
    CHECK(g.is_frozen(2));
    CHECK_FALSE(g.is_frozen(3));
    CHECK_FALSE(g.is_trained(3));
    std::vector<std::string> edges;
    for (const GraphEdge& e : g.edges()) edges.push_back(text(e.target, e.source, to_string(e.gate), e.from_label() ? "*" : ""));
    CHECK(edges == std::vector<std::string>{"00through*", "01linear", "02correct", "10linear", "12through", "13correct"});
    CHECK(complaint([&] { require_sound(g, "g"); }).empty());

    // Kept elsewhere, it is the same graph: paths are relative to the new place.
    fs::create_directories(place / "elsewhere");
    put_file(place / "elsewhere/g.csv", graph_csv(g, place / "elsewhere"));
    const Graph again = read_graph(place / "elsewhere/g.csv");
    CHECK(again.gates == g.gates);
    for (int i = 0; i < 4; ++i) {
        CHECK(again.node(i).model == g.node(i).model);
        CHECK(again.node(i).members == g.node(i).members);
        CHECK(again.node(i).weights == g.node(i).weights);
    }
    CHECK(read_file(place / "elsewhere/g.csv").find("../sub/teacher.safetensors") != std::string::npos);
}

TEST_CASE("graph: weights above a folder that is reached by a link") {
    const Place place;
    put_file(place / "disk/deep/teacher.safetensors", "");
    put_file(place / "disk/deep/runs/g.csv",
             "node,model,weights,gate_0,gate_1\n0,resnet8,,through,through\n"
             "1,resnet8,../teacher.safetensors,cutoff,cutoff\n");
    fs::create_directory_symlink(place / "disk/deep/runs", place / "runs");
    const Graph g = read_graph(place / "runs/g.csv");
    CHECK_NOTHROW(require_weights(g, "g.csv"));
    CHECK(graph_csv(g, place / "runs") == read_file(place / "runs/g.csv"));
}

TEST_CASE("graph: a node is needed where a trained one, or an ensemble in use, looks at it") {
    const Place place;
    const std::string head = "node,model,weights,gate_0,gate_1,gate_2,gate_3\n0,resnet8,,through,cutoff,";
    const std::string frozen = ",cutoff,cutoff,cutoff,cutoff\n";
    const auto needed = [&](const std::string& rows) {
        const Graph g = place.read(head + rows);
        std::string all;
        for (int i = 0; i < 4; ++i) all += g.is_needed(i) ? '1' : '0';
        return all;
    };
    const std::string ensemble = "3,ensemble:1+2,", teachers = "1,resnet8,a" + frozen + "2,resnet8,b" + frozen;
    CHECK(needed("cutoff,cutoff\n" + teachers + ensemble + frozen) == "1000");
    CHECK(needed("correct,cutoff\n" + teachers + ensemble + frozen) == "1010");
    CHECK(needed("cutoff,linear\n" + teachers + ensemble + frozen) == "1111");
}

TEST_CASE("graph: every mistake in a file is named with its place and what is expected") {
    const Place place;
    const std::string two = "node,model,weights,gate_0,gate_1\n", row0 = "0,resnet8,,through,through\n";
    const auto refused = [&](const std::string& csv, std::vector<std::string> parts) {
        parts.push_back("g.csv");
        CHECK(says(place.refused(csv), parts));
    };
    refused(two + row0 + "1,resnet8,,through,\n", {"row 2, column 'gate_1'", "found no gate", "through, cutoff, linear, correct"});
    refused(two + row0 + "1,resnet8,,Through,through\n", {"row 2, column 'gate_0'", "found 'Through'", "through, cutoff, linear, correct"});
    refused(two + row0 + "1,,,through,through\n", {"row 2, column 'model'", "found no network", "resnet8, resnet14"});
    refused(two + row0 + "1,resnet9,,through,through\n", {"row 2, column 'model'", "unknown network 'resnet9'", "wrn-16-2"});
    refused(two + row0 + "0,resnet8,,through,through\n", {"row 2, column 'node'", "node 0 is there already"});
    refused(two + row0 + "2,resnet8,,through,through\n", {"row 2, column 'node'", "found '2'", "expected 0 to 1"});
    refused(two + row0 + "one,resnet8,,through,through\n", {"row 2, column 'node'", "found 'one'"});
    refused("node,model,weights,gate_0\n0,resnet8,,through\n1,resnet8,,through\n", {"missing gate_1", "a graph of 2 nodes"});
    refused("node,model,gate_0\n0,resnet8,through\n", {"missing weights", "node, model, weights, gate_0"});
    refused("node,net,weights,gate_0\n0,resnet8,,through\n", {"missing model", "unknown net"});
    refused("node,weights,model,gate_0\n0,,resnet8,through\n", {"in this order"});
    refused(two + row0 + "1,resnet8,,through\n", {"g.csv"});  // a row cut short
    refused("node,model,weights\n", {"found 0 nodes", "expected 1 to 7"});
    std::string eight = "node,model,weights,gate_0,gate_1,gate_2,gate_3,gate_4,gate_5,gate_6,gate_7\n";
    for (int i = 0; i < 8; ++i) eight += text(i, ",resnet8,,through,through,through,through,through,through,through,through\n");
    refused(eight, {"found 8 nodes", "expected 1 to 7"});
    for (const char* model : {"ensemble:", "ensemble:0", "ensemble:0+0", "ensemble:0+2", "ensemble:a+b"})
        refused(two + row0 + "1," + model + ",,cutoff,cutoff\n", {"row 2, column 'model'", model, "ensemble:1+2"});
    CHECK(says(complaint([&] { read_graph(place / "gone.csv"); }), {"gone.csv", "cannot be read"}));
}

TEST_CASE("graph: the rules of a whole graph") {
    const Place place;
    const std::string two = "node,model,weights,gate_0,gate_1\n", three = "node,model,weights,gate_0,gate_1,gate_2\n";
    const auto refused = [&](const std::string& csv, const std::vector<std::string>& parts) { CHECK(says(place.unsound(csv), parts)); };
    refused(two + "0,resnet8,w,cutoff,cutoff\n1,resnet8,,through,through\n", {"g: node 0 is the target and may not be frozen"});
    refused(three + "0,ensemble:1+2,,through,cutoff,cutoff\n1,resnet8,,through,through,through\n2,resnet8,,through,through,through\n",
            {"node 0 is an ensemble", "all its gates must be cutoff"});
    refused(three + "0,resnet8,,through,through,through\n1,resnet8,,through,through,through\n2,ensemble:0+1,w,cutoff,cutoff,cutoff\n",
            {"node 2 is an ensemble", "no weights of its own"});
    refused(three + "0,resnet8,,through,through,through\n1,resnet8,,through,through,through\n2,ensemble:0+2,,cutoff,cutoff,cutoff\n",
            {"node 2 is an ensemble of itself"});
    refused(three + "0,resnet8,,through,through,through\n1,ensemble:0+2,,cutoff,cutoff,cutoff\n2,ensemble:0+1,,cutoff,cutoff,cutoff\n",
            {"node 1 is an ensemble of node 2, an ensemble too"});
    refused(three + "0,ensemble:1+2,,cutoff,cutoff,cutoff\n1,resnet8,w,cutoff,cutoff,cutoff\n2,resnet8,w,cutoff,cutoff,cutoff\n",
            {"node 0 is an ensemble of frozen nodes"});

    Graph kd = place.read(two + "0,resnet8,,through,through\n1,resnet14,,cutoff,cutoff\n");
    CHECK(says(complaint([&] { require_weights(kd, "g"); }), {"g: node 1 (resnet14) is frozen", "has no weights", "--weights 1=FILE"}));
    set_weights(kd, "1=gone.safetensors", "--weights");
    CHECK(says(complaint([&] { require_weights(kd, "g"); }), {"node 1", "no weight file gone.safetensors", "train --net resnet14"}));
    put_file(place / "there.safetensors", "");
    set_weights(kd, "1=" + (place / "there.safetensors").string(), "--weights");
    CHECK(complaint([&] { require_weights(kd, "g"); }).empty());

    set_models(kd, "1=wrn-10-1,0=resnet14", "--models");
    CHECK(kd.node(0).model == "resnet14");
    CHECK(kd.node(1).model == "wrn-10-1");
    for (const char* wrong : {"2=resnet8", "resnet8", "0=", "=resnet8", "0=resnet8,0=resnet14", "0=resnet9"})
        CHECK(says(complaint([&] { set_models(kd, wrong, "--models"); }), {"--models"}));
}

TEST_CASE("graph: what ships is sound, and an unknown name lists it") {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(graph_folder())) {
        CAPTURE(entry.path());
        const Graph g = read_graph(entry.path());
        require_sound(g, entry.path().string());
        CHECK(find_graph(entry.path().stem().string()) == entry.path());
        names.insert(entry.path().stem().string());
    }
    CHECK(names == std::set<std::string>{"dml", "dml3", "dml4", "ensemble", "kd", "plain", "ta"});
    CHECK(find_graph("my/own") == "my/own");
    CHECK(find_graph("own.csv") == "own.csv");
    CHECK(says(complaint([] { find_graph("dml9"); }), {"unknown graph 'dml9'", "dml, dml3, dml4, ensemble, kd, plain, ta", ".csv"}));

    const Graph kd = read_graph(find_graph("kd")), ta = read_graph(find_graph("ta"));
    CHECK(kd.is_frozen(1));
    CHECK(kd.gate(0, 1) == Gate::through);
    CHECK(ta.is_frozen(2));  // teacher → assistant → student
    CHECK(ta.edges().size() == 4);
    CHECK(ta.gate(1, 2) == Gate::through);
    CHECK(ta.gate(0, 1) == Gate::through);
    for (const GraphEdge& e : read_graph(find_graph("dml3")).edges()) CHECK(e.gate == Gate::through);
    CHECK(read_graph(find_graph("dml3")).edges().size() == 9);
}

TEST_CASE("graph: as text, with and without what a run made of it") {
    const Place place;
    const Graph kd = place.read("node,model,weights,gate_0,gate_1\n0,resnet8,,correct,linear\n1,resnet14,,cutoff,cutoff\n");
    CHECK(graph_text(kd) ==
          "node  network   role    label    from 0  from 1\n"
          "0     resnet8   target  correct          linear\n"
          "1     resnet14  frozen  -        -\n");
    put_file(place / "run/config.csv", "option,value\nmethod,ktg\ninfo.node1_accuracy,81.5\n");
    put_file(place / "run/epochs.csv", "epoch,test_acc\n0,50\n1,71.25\n");
    put_file(place / "run/edges.csv",
             "epoch,target,source,gate,weight,last_weight,loss,both_right,source_only,target_only,none_right\n"
             "0,0,0,correct,1,1,2,50,50,0,0\n0,0,1,linear,0.2,0.3,1,10,20,30,40\n"
             "1,0,0,correct,1,1,0.5,75,25,0,0\n1,0,1,linear,0.7,0.9,0.25,60,20,10,10\n");
    const GraphOutcome outcome = read_graph_outcome(kd, place / "run");
    CHECK(*outcome.of_node(0) == 71.25);
    CHECK(*outcome.of_node(1) == 81.5);
    REQUIRE(outcome.of_edge(0, 1));
    CHECK(outcome.of_edge(0, 1)->weight == 0.7);
    CHECK(outcome.of_edge(0, 1)->source_only == 0.2);
    CHECK_FALSE(outcome.of_edge(1, 0));
    CHECK(graph_text(kd, outcome) ==
          "node  network   role    accuracy  label    from 0  from 1\n"
          "0     resnet8   target  71.25 %   correct          linear\n"
          "1     resnet14  frozen  81.50 %   -        -\n"
          "\nlast epoch, training images:\n"
          "edge        gate     weight  loss    both right  source only  target only  none\n"
          "label -> 0  correct  1.000   0.5000  75.0 %      25.0 %       0.0 %        0.0 %\n"
          "1 -> 0      linear   0.700   0.2500  60.0 %      20.0 %       10.0 %       10.0 %\n");
    // Beside the run that trained it, the frozen node needs no more; on other data that run tells nothing.
    put_file(place / "run/config.csv", "option,value\nmethod,ktg\ndataset,s\n");
    Graph taught = kd;
    taught.nodes[1].weights = place / "teacher/student.safetensors";
    CHECK_FALSE(read_graph_outcome(taught, place / "run").of_node(1));
    put_file(place / "teacher/result.csv", "dataset,last\ns,77.5\n");
    CHECK(*read_graph_outcome(taught, place / "run").of_node(1) == 77.5);
    put_file(place / "teacher/result.csv", "dataset,last\nother,77.5\n");
    CHECK_FALSE(read_graph_outcome(taught, place / "run").of_node(1));
    const auto faults = read_graph_outcome(kd, place / "gone").faults;
    REQUIRE(faults.size() == 3);
    for (const char* file : {"config.csv", "edges.csv", "epochs.csv"})
        CHECK(says(faults.at(place / "gone" / file), {text("gone/", file, ": cannot be read")}));
}

TEST_CASE("graph: as a picture that stands for itself") {
    const Place place;
    const Graph g = place.read(four_nodes);
    GraphOutcome outcome;
    outcome.accuracy = {71.234, 75.5, std::nullopt, 77.0};
    outcome.edges = {{0, 1, 0.5, 0.125, 1, 0, 0, 0}};
    const std::string svg = graph_svg(g, outcome);
    CHECK(svg.rfind("<svg ", 0) == 0);
    CHECK(balanced(svg));
    CHECK(svg.find("nan") == std::string::npos);
    for (const char* outside : {"http://", "https://", "url(", "<image", "<script", "href"})
        CHECK(count(svg, outside) == (std::string(outside) == "http://" ? 1 : 0));  // the namespace
    CHECK(says(svg, {">resnet8<", ">wrn-16-1<", ">resnet14<", ">ensemble:0+1<", ">71.23 %<", ">75.50 %<", ">77.00 %<", "target", "frozen",
                     "label · through", "node 1 (wrn-16-1) to node 0 (resnet8): linear, last epoch: weight 0.500, loss 0.1250"}));
    CHECK(count(svg, "class=\"edge sum\"") == 2);  // into the ensemble
    // Each open edge is drawn in its gate's way; the legend has one of each.
    CHECK(count(svg, "class=\"edge through\"") == 2 + 1);
    CHECK(count(svg, "class=\"edge linear\"") == 2 + 1);
    CHECK(count(svg, "class=\"edge correct\"") == 2 + 1);
    CHECK(graph_svg(g, outcome) == svg);

    Graph hostile = g;
    hostile.nodes[0].model = "<b>&\"";
    CHECK(says(graph_svg(hostile), {"&lt;b&gt;&amp;&quot;"}));
    for (int n = 1; n <= max_nodes; ++n) {  // with every edge open
        Graph all;
        all.nodes.assign(static_cast<size_t>(n), {"resnet8", "", {}});
        all.gates.assign(static_cast<size_t>(n), std::vector<Gate>(static_cast<size_t>(n), Gate::linear));
        const std::string picture = graph_svg(all);
        CHECK(balanced(picture));
        CHECK(picture.find("nan") == std::string::npos);
        CHECK(count(picture, "class=\"edge linear\"") == static_cast<size_t>(n * n + 1));
    }
}

TEST_CASE("command line: ktg show prints and draws, alone and beside a run") {
    const Place place;
    put_file(place / "g.csv", "node,model,weights,gate_0\n0,resnet8,,through\n");
    const Ended all = run(place, "ktg show");
    CHECK(all.code == 0);
    CHECK(says(all.out, {"dml4\n", "kd\n", "frozen"}));
    const Ended own = run(place, "ktg show g.csv --svg g.svg");
    CHECK(own.code == 0);
    CHECK(own.out == graph_text(read_graph(place / "g.csv")));
    CHECK(read_file(place / "g.svg") == graph_svg(read_graph(place / "g.csv")));
    CHECK(run(place, "ktg show kd").code == 0);  // without the weights that training it needs
    check_rejected(place, "ktg show dml9", {"unknown graph 'dml9'", "plain"});
    check_rejected(place, "ktg show gone.csv", {"gone.csv", "cannot be read"});
    check_rejected(place, "ktg show --svg x.svg", {"--svg x.svg", "of which graph"});
    check_rejected(place, "ktg show g.csv --run gone", {"gone/graph.csv"});
    put_file(place / "run/graph.csv", "node,model,weights,gate_0\n0,resnet14,,through\n");
    check_rejected(place, "ktg show g.csv --run run", {"g.csv: is not the graph of --run run"});
    put_file(place / "mine.svg", "mine");
    check_rejected(place, "ktg show g.csv --svg mine.svg", {"mine.svg: is there and is no picture"});
    CHECK(run(place, "ktg show g.csv --svg g.svg").code == 0);  // its own is replaced
    check_rejected(place, "ktg show g.csv --svg gone/x.svg", {"gone/x.svg"});
}

TEST_CASE("command line: a shipped graph that a program outside of its project cannot find is called a graph") {
    const Place place;
    fs::copy_file(program_beside(), place / "distill");
    for (const auto& [line, wanted] : {std::pair<std::string, std::string>{"ktg train --graph kd", "graph 'kd'"},
                                       {"ktg show kd", "graph 'kd'"},
                                       {"ktg show", "the shipped graphs"}}) {
        const std::string asks = text("cd '", place.path().string(), "' && ./distill ", line, " > out 2> said");
        CAPTURE(asks);
        CHECK(WEXITSTATUS(std::system(asks.c_str())) == 2);
        CHECK(says(read_file(place / "said"), {wanted + ": found data/graphs neither in the current folder nor", "file, ending in .csv"}));
    }
}

TEST_CASE("bad input: ktg train refuses a graph that cannot be trained, and writes nothing") {
    const Workplace folder;
    put_file(folder / "g.csv", "");
    const std::string train = "ktg train --dataset s --batch 32 --epochs 1 --threads 1 --quiet --graph g.csv ";
    const std::string two = "node,model,weights,gate_0,gate_1\n0,resnet8,,through,through\n";
    const auto refused = [&](const std::string& csv, const std::vector<std::string>& parts, const std::string& more = "") {
        put_file(folder / "g.csv", csv);
        check_rejected(folder, train + more, parts);
    };
    refused(two + "1,resnet8,,through,\n", {"g.csv", "gate_1", "found no gate"});
    refused(two + "1,resnet8,,through,all\n", {"g.csv", "found 'all'"});
    refused(two + "1,,,through,through\n", {"g.csv", "found no network"});
    refused(two + "1,resnet,,through,through\n", {"g.csv", "unknown network 'resnet'"});
    refused("node,model,gate_0\n0,resnet8,through\n", {"g.csv", "missing weights"});
    refused(two + "0,resnet8,,through,through\n", {"g.csv", "node 0 is there already"});
    refused(two + "1,resnet8,,cutoff,cutoff\n", {"g.csv", "node 1 (resnet8) is frozen", "no weights"});
    refused(two + "1,resnet8,gone.safetensors,cutoff,cutoff\n", {"g.csv", "no weight file gone.safetensors"});
    refused("node,model,weights,gate_0\n0,resnet8,,cutoff\n", {"g.csv", "node 0 is the target and may not be frozen"});
    put_file(folder / "broken.safetensors", "no weights");
    refused(two + "1,resnet8,broken.safetensors,cutoff,cutoff\n", {"broken.safetensors"});
    const auto backend = make_backend("cpu");
    Parameters other(*backend, false);
    const auto network = make_network("resnet14", 4, other);
    other.allocate(0);
    write_safetensors(folder / "other.safetensors", {other.to_file(), {}});
    refused(two + "1,resnet8,other.safetensors,cutoff,cutoff\n", {"other.safetensors", "not the weights of this network"});
    refused(two + "1,resnet8,other.safetensors,through,through\n", {"other.safetensors", "not the weights of this network"});
    refused("node,model,weights,gate_0\n0,resnet8,,through\n", {"--weights", "found '1=x'"}, "--weights 1=x");
    refused("node,model,weights,gate_0\n0,resnet8,,through\n", {"--models", "unknown network 'r'"}, "--models 0=r");
    refused(
        "node,model,weights,gate_0,gate_1,gate_2\n0,ensemble:1+2,,cutoff,cutoff,cutoff\n1,resnet8,,through,through,through\n"
        "2,resnet8,,through,through,through\n",
        {"--save f.safetensors", "ensemble"}, "--save f.safetensors");
    check_rejected(folder, "ktg train --dataset s", {"--graph: no graph named"});
    check_rejected(folder, "ktg train --dataset s --preset dml9", {"unknown graph 'dml9'"});
    check_rejected(folder, "ktg train --preset ktg-c100-resnet32a-search", {"ktg-search is on file for the report only"});
    check_rejected(folder, "ktg train --preset ktg-c100-resnet32a-student", {"row of method student", "distill train"});
    check_rejected(folder, "ktg train --preset ktg-nothing", {"unknown experiment id", "ktg-"});
    check_rejected(folder, "train --preset ktg-c100-paper-search", {"distill paper rows ktg-c100-paper-search --commands"});
    check_rejected(folder, "train --preset ktg-c100-wrn-28-2-resnet32a-kd", {"distill ktg train"});
    put_file(folder / "ktg-own.csv", "node,model,weights,gate_0\n0,resnet8,,sometimes\n");  // a file, whatever its name begins with
    check_rejected(folder, "ktg train --dataset s --preset ktg-own.csv", {"ktg-own.csv", "'sometimes'"});
    check_rejected(folder, "ktg train --dataset s --temperature 0", {"--temperature", "above 0"});
    check_rejected(folder, "ktg train --dataset s --frozen-bn none", {"--frozen-bn", "running, batch"});
}

TEST_SUITE_END();
