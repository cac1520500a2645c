// ONNX models: what is in them for a network of every family, by the ONNX project's own reader and checker, and what is refused. (The same
// logits in onnxruntime: `make test-onnx`.)
#include <set>

#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "device.h"
#include "net_onnx.h"
#include "network_checks.h"
#include "op_trace.h"

#ifdef DISTILL_ONNX
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#endif

using namespace distill;
using namespace distill::testing;

namespace {

/// A file of this program's own of the network, with its first weights.
WeightFile weights(const std::string& network, int classes = 7) {
    const auto backend = make_backend("cpu", {1});
    Parameters parameters(*backend, false);
    make_network(network, classes, parameters);
    parameters.allocate(1);
    return {parameters.to_file(),
            {{"network", network},
             {"classes", std::to_string(classes)},
             {"dataset", "some"},
             {"normalization", "125.3,123,113.9,63,62.1,66.7"},
             {"class_names", "[\"a\",\"b\"]"},
             {"accuracy", "12.5"}}};
}

/// Whether models can be made here; else the running case is recorded as skipped.
bool onnx_or_skip() {
    if (!has_onnx()) skip(std::string("built without ONNX: ") + onnx_packages + " are not there");
    return has_onnx();
}

}  // namespace

TEST_CASE("trace: operations note themselves where somebody asks, and nowhere else") {
    const auto backend = make_backend("cpu", {1});
    const Var x(Tensor::zeros(*backend, {2, 4, 4, 3}));
    {
        const Trace trace;
        const Var y = add(relu(x), x), pooled = max_pool(y, {3, 2, 1});
        const auto& all = trace.operations();
        REQUIRE(all.size() == 3);
        CHECK(all[0].name == "relu");
        CHECK(&all[1].maps[0].node() == &all[0].result.node());
        CHECK(&all[1].maps[1].node() == &x.node());
        CHECK(&all[2].result.node() == &pooled.node());
        CHECK(all[2].options == std::map<std::string, double>{{"size", 3}, {"stride", 2}, {"pad", 1}});
    }
    CHECK(Trace::current() == nullptr);
    relu(x);
}

TEST_SUITE_BEGIN("no kernels");

#ifdef DISTILL_ONNX
namespace {

/// The first and the last example of every row of the table, which may be of two kinds (ResNet10 and ResNet50), and the last as -tiny.
std::set<std::string> networks() {
    std::set<std::string> all;
    for (const NetworkRow* row : network_rows()) {
        const std::vector<std::string> examples = examples_of(*row);
        all.insert({examples.front(), examples.back()});
        if (row->tiny) all.insert(examples.back() + "-tiny");
    }
    return all;
}

}  // namespace

TEST_CASE("onnx: a network of every family is a model that the project's checker takes, with all its weights and what it must say") {
    const TempFolder folder;
    for (const std::string& network : networks()) {
        CAPTURE(network);
        const WeightFile file = weights(network);
        write_safetensors(folder / "net.safetensors", file);
        const Ended end = run(folder, "weights export net.safetensors net.onnx");
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
        const bool tiny = network.find("-tiny") != std::string::npos;
        const int64_t side = tiny ? 64 : 32;
        CHECK(says(end.out, {network, tiny ? "(N,3,64,64)" : "(N,3,32,32)", "(N,7)"}));
        onnx::ModelProto model;
        REQUIRE(model.ParseFromString(read_file(folder / "net.onnx")));
        CHECK_NOTHROW(onnx::checker::check_model(model));
        REQUIRE(model.opset_import_size() == 1);
        CHECK(model.opset_import(0).version() == 17);
        const auto shape = [](const onnx::ValueInfoProto& v) {
            std::vector<int64_t> all;
            for (const auto& dim : v.type().tensor_type().shape().dim()) all.push_back(dim.has_dim_param() ? -1 : dim.dim_value());
            return all;
        };
        REQUIRE(model.graph().input_size() == 1);
        REQUIRE(model.graph().output_size() == 1);
        CHECK(model.graph().input(0).name() == "input");
        CHECK(model.graph().output(0).name() == "logits");
        CHECK(shape(model.graph().input(0)) == std::vector<int64_t>{-1, 3, side, side});
        CHECK(shape(model.graph().output(0)) == std::vector<int64_t>{-1, 7});
        // Every weight is there once, to the bit, and nothing but integers beside them.
        std::set<std::string> names;
        for (const onnx::TensorProto& t : model.graph().initializer()) {
            if (t.data_type() == onnx::TensorProto::INT64) continue;
            CHECK(names.insert(t.name()).second);
            const auto& expected = file.tensors.at(t.name());
            CHECK(std::vector<int64_t>(t.dims().begin(), t.dims().end()) == expected.shape);
            CHECK(t.raw_data() == std::string(reinterpret_cast<const char*>(expected.data.data()), expected.data.size() * sizeof(float)));
        }
        CHECK(names.size() == file.tensors.size());
        std::map<std::string, std::string> said;
        for (const auto& entry : model.metadata_props()) said[entry.key()] = entry.value();
        for (const auto& [key, value] : file.metadata) CHECK(said[key] == value);
        CHECK(said["mean"] == "125.3,123,113.9");
        CHECK(said["std"] == "63,62.1,66.7");
    }
}
#endif

TEST_CASE("onnx: what is no student, fits no network or no place is said in a line, and nothing is written") {
    if (!onnx_or_skip()) return;
    const TempFolder folder;
    write_safetensors(folder / "net.safetensors", weights("resnet8"));
    WeightFile stranger = weights("resnet8");
    stranger.metadata.clear();
    write_safetensors(folder / "stranger.safetensors", stranger);
    WeightFile large = weights("resnet8");
    large.metadata["network"] = "resnet9998x4";  // far more than the file holds
    write_safetensors(folder / "large.safetensors", large);
    WeightFile unknown = weights("resnet8");
    unknown.metadata["network"] = "resnet9";
    write_safetensors(folder / "unknown.safetensors", unknown);
    WeightFile odd = weights("resnet8");
    odd.metadata["normalization"] = "some";
    write_safetensors(folder / "odd.safetensors", odd);
    odd.metadata["normalization"] = "auto";  // which says nothing
    write_safetensors(folder / "auto.safetensors", odd);
    write_safetensors(folder / "helpers.safetensors", {{{"embed_s.linear.weight", {{2, 2}, {1, 2, 3, 4}}}}, {}});
    write_safetensors(folder / "vgg.safetensors", weights("vgg7-mhgd"));
    put_file(folder / "text.safetensors", "no weights");
    put_file(folder / "mine.onnx", "somebody else's");
    fs::create_directories(folder / "a.onnx");
    const std::string export_of = "weights export ";
    check_rejected(folder, export_of + "absent.safetensors net.onnx", {"absent.safetensors"});
    check_rejected(folder, export_of + "text.safetensors net.onnx", {"text.safetensors"});
    check_rejected(folder, export_of + "helpers.safetensors net.onnx", {"helpers.safetensors", "does not say which network", "--net"});
    check_rejected(folder, export_of + "helpers.safetensors net.onnx --net resnet8", {"helpers.safetensors", "no classifier"});
    check_rejected(folder, export_of + "stranger.safetensors net.onnx", {"does not say which network", "--net"});
    check_rejected(folder, export_of + "stranger.safetensors net.onnx --net resnet9", {"unknown network 'resnet9'"});
    check_rejected(folder, export_of + "net.safetensors net.onnx --net wrn-10-1", {"net.safetensors"});
    check_rejected(folder, export_of + "unknown.safetensors net.onnx", {"unknown network 'resnet9'"});
    check_rejected(folder, export_of + "large.safetensors net.onnx", {"large.safetensors", "numbers, a resnet9998x4 has", "--net"});
    check_rejected(folder, export_of + "odd.safetensors net.onnx", {"odd.safetensors: says normalization 'some'", "six numbers"});
    check_rejected(folder, export_of + "net.safetensors net.pb", {"net.pb", ".onnx"});
    check_rejected(folder, export_of + "net.safetensors mine.onnx", {"mine.onnx", "ONNX model of this program"});
    check_rejected(folder, export_of + "net.safetensors a.onnx", {"a.onnx", "is a folder"});
    check_rejected(folder, export_of + "net.safetensors nowhere/net.onnx", {"nowhere", "is not there"});
    check_rejected(folder, export_of + "vgg.safetensors net.onnx --size 64", {"vgg7-mhgd", "64x64"});
    check_rejected(folder, export_of + "net.safetensors net.onnx --size 7", {"--size"});
    const Ended end = run(folder, export_of + "stranger.safetensors net.onnx --net resnet8 --size 40");
    CAPTURE(end.err);
    CHECK(end.code == 0);
    CHECK(run(folder, export_of + "net.safetensors net.onnx").code == 0);  // its own it replaces
    CHECK(run(folder, export_of + "auto.safetensors net.onnx").code == 0);
}

TEST_CASE("eval: --logits keeps what the network answers, image by image") {
    const TempFolder folder;
    REQUIRE(run(folder, "data synth --dataset s --size 8 --classes 4 --train 16 --test 10").code == 0);
    REQUIRE(run(folder, "train --net resnet8 --dataset s --batch 16 --epochs 1 --threads 1 --quiet --run r").code == 0);
    const std::string eval = "eval --weights r/student.safetensors --dataset s --threads 1 --logits ";
    const Ended end = run(folder, eval + "l.safetensors --batch 4");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const auto logits = read_safetensors(folder / "l.safetensors").tensors.at("logits");
    CHECK(logits.shape == std::vector<int64_t>{10, 4});
    CHECK(run(folder, eval + "l.safetensors --batch 10").code == 0);
    CHECK(read_safetensors(folder / "l.safetensors").tensors.at("logits").data == logits.data);
    put_file(folder / "mine.txt", "mine");
    check_rejected(folder, eval + "mine.txt", {"mine.txt", "no file of logits"});
    check_rejected(folder, eval + "r/student.safetensors", {"r/student.safetensors", "no file of logits"});
    check_rejected(folder, eval + "nowhere/l.safetensors", {"--logits nowhere/l.safetensors", "the folder ", "nowhere is not there"});
}

TEST_SUITE_END();
