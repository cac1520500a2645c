// Weight files that others have made, met by the program: what they say of themselves, other classifiers, values that are no weights.
#include <limits>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "core_backend.h"
#include "device.h"
#include "net_onnx.h"
#include "net_table.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// Makes networks that are not trained and say nothing of themselves.
struct StrangeWorkplace : Workplace {
    static WeightFile network(const std::string& name, int classes) {
        const auto backend = make_backend("cpu");
        Parameters parameters(*backend, false);
        const auto made = make_network(name, classes, parameters);
        parameters.allocate(0);
        return {parameters.to_file(), {}};
    }
    void save(const std::string& name, const WeightFile& file) const { write_safetensors(path() / name, file); }
};

const std::string on_s = " --dataset s --batch 32 --threads 1 ";
const std::string training = on_s + "--epochs 1 --quiet ";

std::map<std::string, std::string> ours(const std::string& network, int classes) {
    return {{"network", network}, {"classes", std::to_string(classes)}, {"dataset", "s"}, {"normalization", "none"}};
}

}  // namespace

TEST_CASE("strangers: their words of network and classes are not believed, our own are, by one rule for all readers") {
    const StrangeWorkplace folder;
    WeightFile file = StrangeWorkplace::network("resnet8", 4);
    file.metadata = {{"network", "ResNet-8 (mine)"}, {"classes", "four"}};
    folder.save("theirs.safetensors", file);
    CHECK(run(folder, "eval --net resnet8 --weights theirs.safetensors" + on_s).code == 0);
    check_rejected(folder, "eval --weights theirs.safetensors" + on_s, {"--net", "theirs.safetensors does not say which it is"});
    CHECK(run(folder, "train --net resnet8 --init theirs.safetensors --run t" + training).code == 0);
    CHECK(run(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights theirs.safetensors --run kd" + training).code == 0);
    file.metadata = {{"format", "pt"}, {"generation", "7"}};  // of what, by whom?
    folder.save("seventh.safetensors", file);
    CHECK(run(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights seventh.safetensors --run of7" + training).code == 0);
    CHECK(value_of(read_config(folder / "of7/config.csv"), "info.generation") == "1");

    // Two networks whose parameters have the same names and shapes, so that nothing but the file tells them apart.
    WeightFile wide = StrangeWorkplace::network("wrn-10-4", 4);
    wide.metadata = ours("wrn-10-4", 4);
    folder.save("w.safetensors", wide);
    const Ended eval = run(folder, "eval --weights w.safetensors" + on_s);
    CHECK(eval.code == 0);
    CHECK(eval.out.find("wrn-10-4 on s: test accuracy") != std::string::npos);
    const std::vector<std::string> says_so = {"w.safetensors: the network: the file says wrn-10-4, expected wrn-10-4-tiny"};
    check_rejected(folder, "eval --net wrn-10-4-tiny --weights w.safetensors" + on_s, says_so);
    check_rejected(folder, "train --net wrn-10-4-tiny --init w.safetensors" + training, says_so);
    check_rejected(folder, "kd --student resnet8 --teacher wrn-10-4-tiny --teacher-weights w.safetensors" + training, says_so);
    check_rejected(folder, "feed parallel --student resnet8 --teachers w.safetensors --teacher-nets wrn-10-4-tiny" + training, says_so);
    check_rejected(folder, "ktg train --preset kd --models 0=resnet8,1=wrn-10-4-tiny --weights 1=w.safetensors" + training, says_so);
}

TEST_CASE("strangers: their words of data set and normalisation are not believed, those of a file that was converted here are") {
    const StrangeWorkplace folder;
    WeightFile file = StrangeWorkplace::network("resnet8", 4);
    file.metadata = {{"dataset", "CIFAR-100"}, {"normalization", "imagenet"}};
    folder.save("theirs.safetensors", file);
    const std::string kd = "kd --student resnet8 --teacher resnet8 --teacher-weights ";
    for (const std::string& line :
         {"eval --net resnet8 --weights theirs.safetensors" + on_s, "train --net resnet8 --init theirs.safetensors --run t" + training,
          kd + "theirs.safetensors --run kd" + training,
          "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=theirs.safetensors --run g" + training})
        CHECK_MESSAGE(output_of(folder, line).find("was trained ") == std::string::npos, line);

    const std::string convert = "weights convert theirs.safetensors ";
    succeed(folder, convert + "set.safetensors --net resnet8 --dataset other");
    succeed(folder, "eval --net resnet8 --weights set.safetensors" + on_s,
            {"set.safetensors was trained with dataset other, here it meets s"});
    check_rejected(folder, kd + "set.safetensors" + training, {"set.safetensors: was trained on data set other, here is s"});
    succeed(folder, convert + "six.safetensors --net resnet8 --normalize 125,123,114,63,62,67");
    const Ended eval = run(folder, "eval --net resnet8 --weights six.safetensors --normalize none" + on_s);
    CHECK(says(eval.out, {"six.safetensors was trained with normalization 125,123,114,63,62,67, here it meets "}));
    CHECK(eval.out.find("with dataset") == std::string::npos);

    if (!has_onnx()) return skip(std::string("built without ONNX: ") + onnx_packages + " are not there");
    for (const char* name : {"theirs", "six"}) succeed(folder, text("weights export ", name, ".safetensors ", name, ".onnx --net resnet8"));
    const std::string mean = "\x0a\x04mean\x12";  // a key of four letters, then a value
    CHECK(read_file(folder / "six.onnx").find(mean + "\x0b" + "125,123,114") != std::string::npos);
    CHECK(read_file(folder / "theirs.onnx").find(mean) == std::string::npos);
}

TEST_CASE("strangers: --init with another number of classes takes all but the classifier, and says so; others refuse it") {
    const StrangeWorkplace folder;
    WeightFile file = StrangeWorkplace::network("resnet8", 10);
    folder.save("plain.safetensors", file);
    file.metadata = ours("resnet8", 10);
    folder.save("ten.safetensors", file);
    REQUIRE(run(folder, "train --net resnet8 --lr 0 --run alone" + training).code == 0);
    const auto alone = read_safetensors(folder / "alone/student.safetensors").tensors;
    std::vector<float> drawn;
    for (const char* name : {"ten", "plain"}) {
        CAPTURE(name);
        const Ended end = run(folder, text("train --net resnet8 --lr 0 --run ", name, " --init ", name, ".safetensors", training));
        CAPTURE(end.err);
        CHECK(end.code == 0);
        const std::string note = text("note: ", name, ".safetensors: its classifier is one of 10 classes, here there are 4");
        CHECK(says(end.out, {note, "all but the classifier"}));
        CHECK(end.out.find(note) == end.out.rfind(note));
        const auto made = read_safetensors(folder / name / "student.safetensors").tensors;
        CHECK(made.at("conv1.weight").data == file.tensors.at("conv1.weight").data);
        CHECK(made.at("fc.weight").shape == alone.at("fc.weight").shape);
        CHECK(made.at("fc.weight").data != alone.at("fc.weight").data);  // drawn for one that starts from another
        if (drawn.empty()) drawn = made.at("fc.weight").data;
        CHECK(made.at("fc.weight").data == drawn);
    }
    check_rejected(folder, "eval --net resnet8 --weights ten.safetensors" + on_s, {"ten.safetensors", "classes", "says 10, expected 4"});
    check_rejected(folder, "eval --net resnet8 --weights plain.safetensors" + on_s,
                   {"plain.safetensors", "fc.weight", "[10,64]", "[4,64]"});
    check_rejected(folder, "train --net resnet14 --init plain.safetensors" + training, {"plain.safetensors", "missing: "});
    // Other families call it otherwise.
    for (const auto& [network, classifier] : {std::pair{"MobileNetV2", "(classifier.0)"}, {"ShuffleV1", "(linear)"}}) {
        folder.save("other.safetensors", StrangeWorkplace::network(network, 10));
        const Ended end = run(folder, text("train --net ", network, " --lr 0 --run ", network, " --init other.safetensors", training));
        CHECK_MESSAGE(end.code == 0, end.err);
        CHECK(says(end.out, {"its classifier is one of 10 classes, here there are 4", classifier}));
    }
}

TEST_CASE("strangers: values that are no weights are refused by every reader") {
    const StrangeWorkplace folder;
    WeightFile file = StrangeWorkplace::network("resnet8", 4);
    file.tensors.at("conv1.weight").data[5] = std::numeric_limits<float>::quiet_NaN();
    folder.save("nan.safetensors", file);
    const std::vector<std::string> place = {"nan.safetensors: tensor \"conv1.weight\": element 5 (counted from 0) is nan"};
    check_rejected(folder, "eval --net resnet8 --weights nan.safetensors" + on_s, place);
    check_rejected(folder, "train --net resnet8 --init nan.safetensors" + training, place);
    check_rejected(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights nan.safetensors" + training, place);
    check_rejected(folder, "feed parallel --student resnet8 --teachers nan.safetensors --teacher-nets resnet8" + training, place);
    check_rejected(folder, "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=nan.safetensors" + training, place);
    file = StrangeWorkplace::network("resnet8", 4);
    file.tensors.at("bn1.running_var").data[3] = -1;
    folder.save("minus.safetensors", file);
    check_rejected(folder, "eval --net resnet8 --weights minus.safetensors" + on_s,
                   {"minus.safetensors: tensor \"bn1.running_var\": element 3 (counted from 0) is -1, expected a variance"});
}

TEST_CASE("strangers: finite weights whose answers are not finite teach nobody, and are no network to evaluate") {
    const StrangeWorkplace folder;
    for (const char* large : {"conv1.weight", "fc.weight"}) {
        CAPTURE(large);
        WeightFile file = StrangeWorkplace::network("resnet8", 4);
        for (float& weight : file.tensors.at(large).data) weight = 3e38f;
        folder.save("large.safetensors", file);
        const std::vector<std::string> overflow = {"large.safetensors: with these weights the test loss of resnet8 is ",
                                                   "expected a finite number", "name another file"};
        check_rejected(folder, "kd --student resnet8 --teacher resnet8 --teacher-weights large.safetensors" + training, overflow);
        check_rejected(folder, "feed parallel --student resnet8 --teachers large.safetensors --teacher-nets resnet8" + training, overflow);
        check_rejected(folder, "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=large.safetensors" + training, overflow);
        const std::string eval = "eval --net resnet8 --weights large.safetensors --logits l.safetensors" + on_s;
        check_rejected(folder, eval, overflow);
        CHECK(says(run(folder, eval).out, {"resnet8 on s: test accuracy"}));
    }
}

TEST_CASE("strangers: a file that says it is a far larger network than it holds is refused before one is made") {
    const StrangeWorkplace folder;
    WeightFile file = StrangeWorkplace::network("resnet8", 4);
    folder.save("small.safetensors", file);
    file.tensors = {{"conv1.weight", {{2}, {1, 2}}}};
    file.metadata = ours("wrn-100-60", 4);  // 22 GB
    folder.save("large.safetensors", file);
    const std::vector<std::string> too_few = {"large.safetensors: holds 2 numbers, a wrn-100-60 has 5",
                                              "; the file says that it is one: download or convert it again"};
    check_rejected(folder, "eval --weights large.safetensors" + on_s, too_few);
    check_rejected(folder, "feed parallel --student resnet8 --teachers large.safetensors" + training, too_few);
    check_rejected(
        folder, "feed reconstruct --students large.safetensors --teachers small.safetensors --teacher-nets resnet8 --lr-steps 1" + training,
        too_few);
    file.metadata = ours("wrn-100-60", 3);  // what else is wrong with it comes first
    folder.save("large.safetensors", file);
    check_rejected(folder, "eval --weights large.safetensors" + on_s, {"large.safetensors: the classes: the file says 3, expected 4"});
}

TEST_CASE("strangers: with --val, a trained teacher is measured on the test part, not on images that it may have seen") {
    const StrangeWorkplace folder;
    folder.save("t.safetensors", StrangeWorkplace::network("resnet8", 4));
    const auto loss = [&](const Ended& end) {
        CAPTURE(end.err);
        CHECK(end.code == 0);
        CHECK(says(end.out, {"teacher resnet8: test accuracy", "(40 images)"}));
        const size_t at = end.out.find("loss ", end.out.find("teacher resnet8: test accuracy"));
        return end.out.substr(at, end.out.find('\n', at) - at);
    };
    const std::string kd = "kd --student resnet8 --teacher resnet8 --teacher-weights t.safetensors --normalize none" + training;
    CHECK(loss(run(folder, kd + "--val 20 --run val")) == loss(run(folder, kd + "--run test")));
    const Ended graph =
        run(folder, "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=t.safetensors --val 20 --run g" + training);
    const Ended whole = run(folder, "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=t.safetensors --run w" + training);
    const auto line = [](const std::string& out) {
        const size_t at = out.find("node1 resnet8: test accuracy");
        return at == std::string::npos ? "" : out.substr(at, out.find('\n', at) - at);
    };
    CHECK_FALSE(line(graph.out).empty());
    CHECK(line(graph.out) == line(whole.out));
}

TEST_SUITE_END();
