// Others' checkpoints in the program: read by every command as they are, told apart, shown and converted.
#include <cmath>
#include <utility>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "command.h"
#include "complaints.h"
#include "core_backend.h"
#include "device.h"
#include "golden_formula.h"
#include "net_foreign_weights.h"
#include "net_table.h"
#include "torch_bytes.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;
namespace tb = distill::torch_bytes;

TEST_SUITE_BEGIN("no kernels");

namespace {

using Tensors = std::map<std::string, HostTensor>;

Tensors network(const std::string& name, int classes) {
    const auto backend = make_backend("cpu");
    Parameters parameters(*backend, false);
    const auto made = make_network(name, classes, parameters);
    parameters.allocate(0);
    return parameters.to_file();
}

Tensors renamed(Tensors tensors, const std::string& from, const std::string& to) {
    Tensors all;
    for (auto& [name, tensor] : tensors) {
        const size_t at = name.find(from);
        all[at == std::string::npos ? name : std::string(name).replace(at, from.size(), to)] = std::move(tensor);
    }
    return all;
}

/// Saves tensors as PyTorch does.
struct ForeignWorkplace : Workplace {
    void save(const std::string& name, const Tensors& tensors, const std::string& prefix = "", const std::string& key = "model") const {
        put_file(path() / name,
                 tb::in_zip(tb::dict({{"epoch", tb::whole(7)}, {key, tb::state_dict(tensors, prefix)}}), tb::storages_of(tensors)));
    }
};

const std::string on_s = " --dataset s --batch 32 --threads 1 ";
const std::string training = on_s + "--epochs 1 --lr 0 --quiet ";

/// An accuracy line of eval, from behind the network's name.
std::string accuracy(const Ended& eval) {
    CHECK_MESSAGE(eval.code == 0, eval.err);
    return eval.out.substr(std::min(eval.out.find(" on s: "), eval.out.size()));
}

}  // namespace

TEST_CASE("foreign weights: every command reads PyTorch's files as they are") {
    const ForeignWorkplace folder;
    const Tensors tensors = network("resnet8", 4);
    write_safetensors(folder / "w.safetensors", {tensors, {}});
    folder.save("w.pth", tensors, "module.");
    put_file(folder / "old.th", tb::in_row(tb::dict({{"state_dict", tb::state_dict(tensors)}}), tb::storages_of(tensors)));
    const std::string expected = accuracy(run(folder, "eval --net resnet8 --weights w.safetensors" + on_s));
    CHECK(accuracy(run(folder, "eval --net resnet8 --weights w.pth" + on_s)) == expected);
    CHECK(accuracy(run(folder, "eval --net resnet8 --weights old.th" + on_s)) == expected);
    check_rejected(folder, "eval --weights w.pth" + on_s, {"--net", "w.pth does not say which it is"});

    const auto ends_well = [&](const std::string& line) {
        const Ended end = run(folder, line + training);
        CHECK_MESSAGE(end.code == 0, line, ": ", end.err);
    };
    ends_well("train --net resnet8 --init w.pth --run init");
    CHECK(read_safetensors(folder / "init/student.safetensors").tensors.at("conv1.weight").data == tensors.at("conv1.weight").data);
    ends_well("kd --student resnet8 --teacher resnet8 --teacher-weights w.pth --run kd");
    ends_well("kd --method ensemble --student resnet8 --teachers w.pth,old.th --teacher-nets resnet8 --run ensemble");
    ends_well("ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=old.th --run ktg");
}

TEST_CASE("foreign weights: a network under student. is taken from among its helpers") {
    const ForeignWorkplace folder;
    Tensors wrapped;
    for (const auto& [name, tensor] : network("resnet8", 4)) wrapped["student." + name] = tensor, wrapped["teacher." + name] = tensor;
    folder.save("w.pth", wrapped, "module.");
    const Ended eval = run(folder, "eval --net resnet8 --weights w.pth" + on_s);
    CHECK_MESSAGE(eval.code == 0, eval.err);
    CHECK(says(eval.out, {"note: w.pth: the network under student. is taken", "teacher.bn1.bias, …) are left"}));
    CHECK(run(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights w.pth --run kd" + training).code == 0);
    CHECK(run(folder, "train --net resnet8 --init w.pth --run t" + training).code == 0);
    CHECK(read_safetensors(folder / "t/student.safetensors").tensors.at("fc.weight").data == wrapped.at("student.fc.weight").data);
    // Beside helpers that the method has not, it is no start of a method that has helpers.
    check_rejected(folder, "fitnet --student resnet8 --teacher resnet8 --teacher-weights w.pth --init w.pth" + training,
                   {"w.pth", "teacher."});
}

TEST_CASE("foreign weights: of the leader of FFSD's authors the network is taken without Tr") {
    const ForeignWorkplace folder;
    const Tensors plain = network("resnet8", 4);
    folder.save("plain.pth", plain);
    Tensors leader = plain;
    leader["trans_fusion_module.conv1.weight"] = plain.at("conv1.weight");
    leader["trans_fusion_module.bn1.bias"] = plain.at("bn1.bias");
    folder.save("leader.pth", leader, "module.", "weight");  // as its authors' trainer does
    const Ended eval = run(folder, "eval --net resnet8 --weights leader.pth" + on_s);
    CHECK(accuracy(eval) == accuracy(run(folder, "eval --net resnet8 --weights plain.pth" + on_s)));
    CHECK(says(eval.out, {"note: leader.pth: the network of FFSD's leader is taken, 2 other tensors (trans_fusion_module.bn1.bias, …)"}));
    CHECK(run(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights leader.pth --run kd" + training).code == 0);
    CHECK(run(folder, "train --net resnet8 --init leader.pth --run t" + training).code == 0);
    CHECK(read_safetensors(folder / "t/student.safetensors").tensors.at("fc.weight").data == plain.at("fc.weight").data);
    leader["trans_fusion.bias"] = plain.at("bn1.bias");  // of nothing that is known
    folder.save("other.pth", leader);
    check_rejected(folder, "eval --net resnet8 --weights other.pth" + on_s, {"not of this network: trans_fusion.bias"});
}

TEST_CASE("foreign weights: classifiers and projections under others' names") {
    const ForeignWorkplace folder;
    const Tensors plain = network("resnet8", 4);
    folder.save("plain.pth", plain);
    const std::string expected = accuracy(run(folder, "eval --net resnet8 --weights plain.pth" + on_s));
    for (const char* name : {"linear.", "classifier.", "classifier.0."}) {
        folder.save("w.pth", renamed(renamed(plain, "fc.", name), ".downsample.", ".shortcut."));
        const Ended eval = run(folder, "eval --net resnet8 --weights w.pth" + on_s);
        CHECK(accuracy(eval) == expected);
        CHECK(eval.out.find("note: ") == std::string::npos);
        CHECK(run(folder, "train --net resnet8 --init w.pth --run t" + training).code == 0);
        CHECK(read_safetensors(folder / "t/student.safetensors").tensors.at("fc.bias").data == plain.at("fc.bias").data);
        fs::remove_all(folder / "t");
    }
    const Tensors shuffle = network("ShuffleV2", 4), mobile = network("MobileNetV2", 4);
    folder.save("s.pth", renamed(shuffle, "linear.", "fc."));
    CHECK(run(folder, "weights convert s.pth s.safetensors --net ShuffleV2").code == 0);
    CHECK(read_safetensors(folder / "s.safetensors").tensors.at("linear.weight").data == shuffle.at("linear.weight").data);
    folder.save("m.pth", renamed(mobile, "classifier.0.", "classifier."));
    CHECK(run(folder, "weights convert m.pth m.safetensors --net MobileNetV2").code == 0);
    CHECK(read_safetensors(folder / "m.safetensors").tensors.at("classifier.0.bias").data == mobile.at("classifier.0.bias").data);
}

TEST_CASE("foreign weights: option-A networks answer as in PyTorch, wherever their zeros are") {
    const CsvTable csv = read_csv(golden("torch_option_a.csv"));
    REQUIRE(csv.rows.size() == 3);
    const auto backend = make_backend("cpu");
    const TempFolder folder;
    for (size_t row = 0; row < csv.rows.size(); ++row) {
        const std::string classifier = csv.cell(row, "classifier");
        const bool both = csv.cell(row, "zeros") == "both_sides";
        CAPTURE(row);
        Parameters parameters(*backend, false);
        const auto net = make_network("resnet14a", 100, parameters);
        parameters.allocate(0);
        Parameters named(*backend, false);  // the formula goes by names
        named.add("linear.weight", {100, 1, 1, 64}, Layout::matrix, Init::constant(0));
        named.add("linear.bias", {1, 1, 1, 100}, Layout::vector, Init::constant(0));
        named.allocate(0);
        WeightFile file = golden_weights(parameters, "", "", true);
        if (classifier == "linear") {
            file.tensors.erase("fc.weight"), file.tensors.erase("fc.bias");
            file.tensors.merge(golden_weights(named, "", "", true).tensors);
        }
        // `linear` is taken for zeros on both sides unless it is said otherwise.
        take_network(parameters, "", file, "w", *net, classifier == "fc" || both ? ShortcutZeros::by_names : ShortcutZeros::at_end);
        const Tensor batch = golden_batch(*backend, 0).images.value();
        const std::vector<float> all = batch.to_host();
        const Shape one{1, batch.shape().h, batch.shape().w, batch.shape().c};
        const Output out = net->forward(Var(Tensor::from_host(*backend, one, {all.begin(), all.begin() + one.size()})), Mode::evaluate);
        const std::vector<float> logits = out.logits.value().to_host();
        const std::vector<std::string> expected = split(csv.cell(row, "logits"), ' ');
        REQUIRE(expected.size() == logits.size());
        for (size_t i = 0; i < logits.size(); ++i) CHECK(std::fabs(static_cast<double>(logits[i]) - std::stod(expected[i])) < 2e-5);
        if (!both) continue;
        // By the program: the guess is said, and --from decides.
        put_file(folder / "w.pth", tb::in_zip(tb::state_dict(file.tensors), tb::storages_of(file.tensors)));
        const Ended guessed = run(folder, "weights convert w.pth guessed.safetensors --net resnet14a");
        CHECK(says(guessed.out, {"note: w.pth: its classifier is called linear", "zero channels on both sides", "permuted"}));
        const Ended said = run(folder, "weights convert w.pth said.safetensors --net resnet14a --from ktg");
        CHECK_MESSAGE(said.code == 0, said.err);
        CHECK(said.out.find("note") == std::string::npos);
        const Tensors ours = parameters.to_file(), as_is = read_safetensors(folder / "said.safetensors").tensors;
        CHECK(read_safetensors(folder / "guessed.safetensors").tensors.at("fc.weight").data == ours.at("fc.weight").data);
        CHECK(as_is.at("fc.weight").data == file.tensors.at("linear.weight").data);
        CHECK(as_is.at("fc.weight").data != ours.at("fc.weight").data);
        // What was converted is ours, whoever it is said to be of.
        take_network(parameters, "", read_safetensors(folder / "guessed.safetensors"), "w", *net, ShortcutZeros::both_sides);
        CHECK(parameters.to_file().at("layer3.1.conv2.weight").data == ours.at("layer3.1.conv2.weight").data);
    }
}

namespace {

/// Two blocks of the names that option-A networks' have, of which the second widens without a shortcut.
class Plain final : public Network {
  public:
    explicit Plain(const NetworkSetting& s) : Network(s, {{4, 1}, {8, 2}}, 8) {
        int64_t in = 4;
        for (size_t i = 0; i < stages().size(); ++i) {
            const std::string name = text("layer", i + 1, ".0.");
            const int64_t out = stages()[i].channels;
            Conv2d(s.parameters, name + "conv1", in, out, 3, stages()[i].stride);
            Conv2d(s.parameters, name + "conv2", out, out, 3);
            in = out;
        }
        add_classifier(s, "fc", in);
    }
    Output forward(const Var&, Mode, Keep) const override { return {}; }
};

}  // namespace

TEST_CASE("foreign weights: a network without option A's zeros keeps its order of channels, whatever its blocks are called") {
    const auto backend = make_backend("cpu");
    Parameters parameters(*backend, false);
    const Plain network({"plain", 4, parameters, "", uniform_start});
    parameters.allocate(0);
    const Tensors own = parameters.to_file();
    for (const ShortcutZeros zeros : {ShortcutZeros::by_names, ShortcutZeros::both_sides}) {
        WeightFile file{renamed(own, "fc.", "linear."), {}};
        CHECK(to_own_conventions(file, "", network, parameters.file_shapes(), zeros) == "");
        REQUIRE(file.tensors.size() == own.size());
        for (const auto& [name, tensor] : own) CHECK_MESSAGE(file.tensors.at(name).data == tensor.data, name);
    }
}

TEST_CASE("foreign weights: another network's file is refused by its first mismatch, a ResNet of the other kind by name") {
    const ForeignWorkplace folder;
    folder.save("r14.pth", network("resnet14", 4));
    check_rejected(folder, "eval --net resnet8 --weights r14.pth" + on_s, {"r14.pth", "not of this network: layer1.1.bn1.bias"});
    const auto zeros = [](std::vector<int64_t> shape) {
        size_t elements = 1;
        for (const int64_t size : shape) elements *= static_cast<size_t>(size);
        return HostTensor{std::move(shape), std::vector<float>(elements)};
    };
    Tensors stages{{"conv1.weight", zeros({64, 3, 3, 3})}};  // of a ResNet of four, what tells it
    for (const char* stage : {"layer1", "layer2", "layer3", "layer4"})
        for (const char* name : {".0.conv1.weight", ".0.conv2.weight", ".0.conv3.weight"})
            stages[std::string(stage) + name] = zeros({8, 8, 1, 1});
    folder.save("four.pth", stages);
    const std::vector<std::string> four = {"four.pth", "conv1.weight: found [64,3,3,3], expected [16,3,3,3]", "is a ResNet of four stages",
                                           "resnet50 here is one of three stages, depth 6n+2", "ResNet10, 18, 34 and 50"};
    check_rejected(folder, "eval --net resnet50 --weights four.pth" + on_s, four);
    check_rejected(folder, "train --net resnet50 --init four.pth" + training, four);
    check_rejected(folder, "kd --student resnet8 --teacher resnet50 --teacher-weights four.pth" + training, four);
    stages["conv1.weight"] = zeros({64, 3, 7, 7});
    folder.save("imagenet.pth", stages);
    check_rejected(folder, "eval --net ResNet10 --weights imagenet.pth" + on_s,
                   {"conv1.weight: found [64,3,7,7], expected [64,3,3,3]", "with ImageNet's 7x7 stem, ResNet10 has a 3x3 stem"});
    folder.save("a.pth", renamed(network("resnet20a", 4), "fc.", "linear."));
    check_rejected(folder, "eval --net resnet20 --weights a.pth" + on_s,
                   {"missing: layer2.0.downsample.0.weight", "a ResNet without projections: resnet<6n+2>a is one"});
    // Nothing but the classes differs.
    folder.save("ten.pth", network("resnet8", 10));
    const std::vector<std::string> ten = {"ten.pth", "fc.weight: found [10,64], expected [4,64]",
                                          "tells 10 classes apart, here there are 4"};
    check_rejected(folder, "eval --net resnet8 --weights ten.pth" + on_s, ten);
    check_rejected(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights ten.pth" + training, ten);
    CHECK(run(folder, "train --net resnet8 --init ten.pth --run t" + training).code == 0);
    // A reader's refusal reaches the user as one line.
    put_file(folder / "cut.pth", read_file(folder / "ten.pth").substr(0, 5000));
    check_rejected(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights cut.pth" + training,
                   {"cut.pth: is a zip archive without its end"});
    put_file(folder / "module.pth", tb::in_zip(tb::global("__main__", "Net") + ")\x81", {}));
    check_rejected(folder, "eval --net resnet8 --weights module.pth" + on_s,
                   {"module.pth: w/data.pkl, byte 2: the class or function \"__main__.Net\""});
}

TEST_CASE("foreign weights: weights show prints names, shapes, statistics and what the file says") {
    const TempFolder folder;
    WeightFile file;
    file.tensors["fc.weight"] = {{2, 2}, {1, 2, 3, 6}};
    file.tensors["none"] = {{0, 3}, {}};
    file.tensors["scale"] = {{}, {-0.5f}};
    file.metadata = {{"network", "resnet8"}, {"note", "two\nlines"}};
    write_safetensors(folder / "w.safetensors", file);
    const Ended shown = run(folder, "weights show w.safetensors");
    CHECK(shown.code == 0);
    CHECK(shown.out ==
          "w.safetensors: safetensors, 3 tensors, 5 numbers\n"
          "  network: resnet8\n"
          "  note: two\\x0Alines\n"
          "name       shape    min   max  mean  deviation\n"
          "fc.weight  2x2        1     6     3    1.87083\n"
          "none       0x3\n"
          "scale      scalar  -0.5  -0.5  -0.5          0\n");
    const Ended csv = run(folder, "weights show w.safetensors --csv");
    CHECK(csv.out == "name,shape,min,max,mean,deviation\nfc.weight,2x2,1,6,3,1.87083\nnone,0x3,,,,\nscale,scalar,-0.5,-0.5,-0.5,0\n");
    put_file(folder / "w.pth", tb::in_zip(tb::state_dict(file.tensors, "module."), tb::storages_of(file.tensors)));
    CHECK(says(run(folder, "weights show w.pth").out, {"w.pth: PyTorch's (torch.save), 3 tensors, 5 numbers", "\nfc.weight  2x2 "}));
    // One long name or shape would make every row as long.
    file.tensors[std::string(5000, 'n')] = {std::vector<int64_t>(1000, 0), {}};
    write_safetensors(folder / "long.safetensors", file);
    const Ended lengthy = run(folder, "weights show long.safetensors");
    CHECK(says(lengthy.out, {"\n" + std::string(200, 'n') + "...  0x0x", "x0x...\n", "\nnone" + std::string(201, ' ') + "0x3\n"}));
    CHECK(lengthy.out.size() < 3000);
    CHECK(says(run(folder, "weights show long.safetensors --csv").out, {"\n" + std::string(5000, 'n') + ",0x0x"}));
    put_file(folder / "bad", "no weights");
    check_rejected(folder, "weights show bad", {"bad: ", "neither a safetensors file nor one of PyTorch's"});
    check_rejected(folder, "weights show", {"file", "weights show --help"});
}

TEST_CASE("foreign weights: weights convert writes a file that says what it is, or nothing") {
    const ForeignWorkplace folder;
    folder.save("w.pth", network("resnet8", 4));
    const std::string convert = "weights convert w.pth out.safetensors --net resnet8 ";
    const Ended made = run(folder, convert + "--dataset s --normalize 125.3,123,113.9,63,62.1,66.7");
    CHECK_MESSAGE(made.code == 0, made.err);
    CHECK(says(made.out, {"out.safetensors: resnet8 of 4 classes, from w.pth"}));
    const WeightFile out = read_safetensors(folder / "out.safetensors");
    CHECK(out.tensors.at("fc.weight").data == network("resnet8", 4).at("fc.weight").data);
    CHECK(own_word(out.metadata, "network") == "resnet8");
    CHECK(own_word(out.metadata, "classes") == "4");
    CHECK(out.metadata.at("converted_from") == "w.pth");
    CHECK(out.metadata.at("converted_sha256") == sha256_of_file(folder / "w.pth"));
    const Ended eval = run(folder, "eval --weights out.safetensors" + on_s + "--normalize 125.3,123,113.9,63,62.1,66.7");
    CHECK_MESSAGE(eval.code == 0, eval.err);
    CHECK(eval.out.find("warning") == std::string::npos);  // data set and normalization are those it says
    CHECK(says(run(folder, "eval --weights out.safetensors" + on_s).out, {"was trained with normalization 125.3"}));

    Tensors hundred = network("resnet8", 100);
    folder.save("hundred.pth", hundred);
    CHECK(run(folder, "weights convert hundred.pth crd.safetensors --net resnet8 --from crd").code == 0);
    const auto said = read_safetensors(folder / "crd.safetensors").metadata;
    CHECK(own_word(said, "dataset") == "cifar100");
    CHECK(own_word(said, "normalization") ==
          "129.310501,124.108498,112.403999,68.2125015,65.4075012,70.4055023");  // as --recipe crd has it
    // What a file of ours says of itself is kept.
    WeightFile ours = read_safetensors(folder / "out.safetensors");
    ours.metadata["generation"] = "2";
    ours.metadata["class_names"] = "[\"a\",\"b\",\"c\",\"d\"]";
    write_safetensors(folder / "ours.safetensors", ours);
    CHECK(run(folder, "weights convert ours.safetensors again.safetensors --net resnet8").code == 0);
    for (const char* word : {"generation", "class_names", "dataset", "normalization", "network"})
        CHECK(own_word(read_safetensors(folder / "again.safetensors").metadata, word) == ours.metadata.at(word));
    CHECK(run(folder, "weights convert w.pth out.safetensors --net resnet8").code == 0);        // over one of its kind
    CHECK(own_word(read_safetensors(folder / "out.safetensors").metadata, "network").empty());  // data set unknown

    check_rejected(folder, convert + "--from crd", {"w.pth: --from crd: its classifier has 4 classes, expected 100"});
    check_rejected(folder, convert + "--from nobody", {"--from: unknown source 'nobody'; there are: crd (", "akamaster ("});
    check_rejected(folder, convert + "--normalize auto", {"--normalize auto"});
    check_rejected(folder, "weights convert w.pth out.safetensors --net resnet14", {"w.pth", "missing: layer1.1."});
    const auto refused_beside = [&](Tensors tensors, const std::string& own, const std::string& other) {
        tensors[other] = tensors[own] = network("resnet8", 4).at(own);
        folder.save("both.pth", tensors);
        check_rejected(folder, "weights convert both.pth out.safetensors --net resnet8", {"both.pth", "not of this network: " + other});
    };
    refused_beside(network("resnet8", 4), "layer2.0.downsample.0.weight", "layer2.0.shortcut.0.weight");
    refused_beside(renamed(network("resnet8", 4), "fc.", "linear."), "fc.bias", "linear.bias");
    check_rejected(folder, "weights convert w.pth out.safetensors --net nothing", {"unknown network 'nothing'"});
    check_rejected(folder, "weights convert w.pth w.pth --net resnet8",
                   {"w.pth: is there and is no safetensors file, so it is not replaced"});
    check_rejected(folder, "weights convert ours.safetensors ./ours.safetensors --net resnet8",
                   {"ours.safetensors: is the file", "which is read and must stay as it is"});
    // Of networks that differ in strides alone the file's word decides.
    check_rejected(folder, "weights convert ours.safetensors o --net resnet14", {"the file says resnet8, expected resnet14"});
    check_rejected(folder, "weights convert w.pth no/such/out --net resnet8", {"no/such/out", "cannot be written"});
    hundred.erase("fc.weight");
    folder.save("headless.pth", hundred);
    check_rejected(folder, "weights convert headless.pth o --net resnet8", {"headless.pth: no classifier, expected one called fc, linear"});
}

TEST_SUITE_END();
