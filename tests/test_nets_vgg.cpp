// vgg8 to vgg19: counts, features and names as the public benchmark has them; beside PyTorch forward and in training.
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "network_checks.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("nets vgg: parameters, work and features of the benchmark") {
    const std::vector<std::pair<int64_t, int64_t>> features = {{32, 64}, {16, 128}, {8, 256}, {4, 512}, {4, 512}, {1, 512}};
    for (const NetworkFacts& facts : {NetworkFacts{"vgg8", 32, 3965028, 96192512, 4016328, 271421440, features},
                                      {"vgg11", 50, 9277284, 209438720, 9328584, 611160064, features},
                                      {"vgg13", 62, 9462180, 284936192, 9513480, 913149952, features},
                                      {"vgg16", 80, 14774436, 398182400, 14825736, 1252888576, features},
                                      {"vgg19", 98, 20086692, 511428608, 20137992, 1592627200, features}})
        check_facts(facts);
}

TEST_CASE("nets vgg: names and starts of the benchmark") {
    check_names("vgg13", {{"block0.0.weight", {64, 3, 3, 3}},
                          {"block0.0.bias", {64}},
                          {"block0.1.running_mean", {64}},
                          {"block0.3.weight", {64, 64, 3, 3}},
                          {"block4.4.bias", {512}},
                          {"classifier.weight", {100, 512}},
                          {"classifier.bias", {100}}});
    Parameters parameters(cpu());
    make_network("vgg8", 100, parameters);
    parameters.allocate(0);
    const auto file = parameters.to_file();
    for (const char* zero : {"block0.0.bias", "block3.0.bias", "classifier.bias"})
        for (const float v : file.at(zero).data) CHECK(v == 0);
    double squares = 0;
    for (const float v : file.at("classifier.weight").data) squares += static_cast<double>(v) * static_cast<double>(v);
    CHECK(std::sqrt(squares / 51200) == doctest::Approx(0.01).epsilon(0.02));  // of 51,200 draws
}

TEST_CASE("nets vgg: at 64 rows, and only there, the fourth block is pooled too") {
    Parameters parameters(cpu());
    const auto network = make_network("vgg8", 10, parameters);
    for (const auto& [side, last] : std::vector<std::pair<int64_t, int64_t>>{{32, 4}, {48, 6}, {64, 4}, {96, 12}})
        CHECK(network->stage_shape(3, {1, side, side, 3}) == Shape{1, last, last, 512});
}

TEST_CASE("nets vgg: images too small for its halvings are refused, with the size that it needs") {
    Parameters parameters(cpu());
    const auto network = make_network("vgg8", 10, parameters);
    const auto refused = [&](int64_t height, int64_t width) { return complaint([&] { network->require_images(height, width); }); };
    CHECK(says(refused(5, 5), {"vgg8: the images are 5x5", "use images of 8x8 or larger"}));
    CHECK(says(refused(7, 30), {"7x30", "8x30 or larger"}));
    CHECK(says(refused(64, 8), {"64x8", "64x16 or larger"}));
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{8, 8}, {8, 9}, {64, 16}}) CHECK(refused(height, width).empty());
}

TEST_CASE("nets vgg: a network too deep for the images is refused before there is a run folder" * doctest::test_suite("no kernels")) {
    const TempFolder folder;
    synthesize(folder / "data", {"tiny", 4, 5, 40, 20});
    for (const char* name : {"vgg8", "resnet8"}) {
        Parameters parameters(cpu());
        make_network(name, 4, parameters);
        parameters.allocate(0);
        write_safetensors(folder / (std::string(name) + ".safetensors"), {parameters.to_file(), {}});
    }
    const std::string end = " --dataset tiny --batch 20 --threads 1 ", training = end + "--epochs 1 --run r ";
    const std::vector<std::string> too_small = {"vgg8: the images are 5x5", "use images of 8x8 or larger"};
    check_rejected(folder, "train --net vgg8" + training, too_small);
    check_rejected(folder, "train --net vgg8 --runs 2" + training, too_small);
    check_rejected(folder, "train --net vgg13" + training, {"vgg13: the images are 5x5"});
    check_rejected(folder, "kd --student resnet8 --teacher vgg8 --teacher-weights vgg8.safetensors" + training, too_small);
    check_rejected(folder, "fitnet --student vgg8 --teacher resnet8 --teacher-weights resnet8.safetensors" + training, too_small);
    check_rejected(folder, "ensemble --student resnet8 --train-teachers 1 --teacher-nets vgg8" + training, too_small);
    check_rejected(folder, "ktg train --preset dml --models 0=resnet8,1=vgg8" + training, too_small);
    check_rejected(folder, "ktg search --nodes 2 --target resnet8 --models resnet8,vgg8 --alone-batch 20" + training, too_small);
    check_rejected(folder, "ktg search --nodes 2 --target vgg8 --models resnet8 --alone-batch 20" + training, too_small);
    put_file(folder / "g.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,through\n1,vgg8,,through,through\n");
    check_rejected(folder, "ktg search --transfer g.csv --alone-batch 20" + training, too_small);
    check_rejected(folder, "eval --net vgg8 --weights vgg8.safetensors" + end, too_small);
}

TEST_CASE("slow: golden: vgg like PyTorch's") { check_golden_forward("nets_vgg", {{"vgg8", 8}, {"vgg13", 8}, {"vgg19", 2}}, 2e-5); }

TEST_CASE("golden: training steps of vgg8 like PyTorch's") { check_golden_training("nets_vgg", 1); }
