// The table of networks: every name that it gives as an example is built, and is what it says before a forward pass.
#include "net_table.h"

#include <algorithm>

#include "complaints.h"
#include "network_checks.h"
#include "op_trace.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr Keep everything = Keep::outputs | Keep::pre_activations | Keep::activations;

struct Named {
    std::string name;
    const NetworkRow* row;
};
/// Every row's examples, and those as -tiny where it has such.
std::vector<Named> all_networks() {
    std::vector<Named> all;
    for (const NetworkRow* row : network_rows())
        for (const std::string& name : examples_of(*row)) {
            all.push_back({name, row});
            if (row->tiny) all.push_back({name + "-tiny", row});
        }
    return all;
}

struct Built {
    Parameters parameters;
    std::unique_ptr<Network> network;
    explicit Built(const std::string& name, int classes = 10) : parameters(cpu(), false) {
        network = make_network(name, classes, parameters);
        parameters.allocate(0);
    }
};

Var images(int64_t height, int64_t width) {
    const auto input = uniform_input("images", {1, height, width, 3});
    return Var(Tensor::from_host(cpu(), input.shape, input.values));
}

bool takes(const Network& network, int64_t height, int64_t width) {
    return complaint([&] { network.require_images(height, width); }).empty();
}

}  // namespace

TEST_CASE("net table: names, rules and -tiny of messages and help") {
    const std::string names = network_names();
    CHECK(says(names, {"resnet8, resnet14, resnet20, resnet32, resnet44, resnet56, resnet110 (any depth 6n+2), resnet8x4, resnet32x4, "
                       "resnet32a, resnet110a (option-A shortcuts), wrn-16-1, wrn-16-2, wrn-28-2, wrn-40-1, wrn-40-2 "
                       "(wrn-<6n+4>-<width>), wrn-22-4, wrn-10-4, resnet-mhgd, vgg16-mhgd, vgg7-mhgd, vggm-mhgd, mobilenet-mhgd",
                       "; for images of 64x64 NAME-tiny (of wrn-… and …-mhgd)"}));
    for (const auto& [name, row] : all_networks()) CHECK((network_name(name).tiny || says(names, {name})));
    CHECK(all_networks().size() >= 30);  // as many were there when the table was made
}

TEST_CASE("net table: a name belongs to the row that lists it, an exception before its rule") {
    for (const auto& [name, row] : all_networks()) CHECK_MESSAGE(&network_row(name) == row, name);
    CHECK(&network_row("wrn-16-4") == &network_row("wrn-40-2"));
    CHECK(&network_row("wrn-16-2-tiny") == &network_row("wrn-22-4"));  // starts as MHGD's
    CHECK(&network_row("wrn-22-2") == &network_row("wrn-40-2"));
    CHECK(std::string(network_row("wrn-22-4").family) == network_row("wrn-40-2").family);
    CHECK(&network_row("resnet26x4") == &network_row("resnet8x4"));
    for (const char* name : {"resnet20-tiny", "resnet32a-tiny", "vgg17", "wrn-16-2-tiny-tiny", "resnet20 ", "resnet020", "wrn-016-2", ""})
        CHECK(complaint([&] { network_row(name); }) == "unknown network '" + std::string(name) + "'; there are: " + network_names());
}

TEST_CASE("net table: stages, map, pooled vector, classifier and zeros of every network are what a forward pass gives") {
    int with_zeros = 0;
    for (const auto& [name, row] : all_networks()) {
        CAPTURE(name);
        const Built built(name, 7);
        const Network& network = *built.network;
        bool seen = false;
        for (const auto& [height, width] : {std::pair<int64_t, int64_t>{32, 32}, {64, 64}, {17, 22}}) {
            if (!takes(network, height, width) || (name.find("-tiny") == std::string::npos && height == 64)) continue;
            seen = true;
            const Trace trace;
            const Output out = network.forward(images(height, width), Mode::evaluate, everything);
            const auto& made_of = trace.operations();
            const bool adds_zeros =
                std::any_of(made_of.begin(), made_of.end(), [](const auto& operation) { return operation.name == "pad_channels"; });
            CHECK(network.adds_zeros() == adds_zeros);
            with_zeros += adds_zeros;
            REQUIRE(out.stages.size() == network.stages().size());
            CHECK(network.stage_channels().size() == out.stages.size());
            for (size_t i = 0; i < out.stages.size(); ++i) {
                const Shape expected = network.stage_shape(i, {1, height, width, 3});
                CHECK(expected.c == network.stages()[i].channels);
                if (height % network.stages()[i].stride == 0) CHECK(expected.h == height / network.stages()[i].stride);
                for (const Var& map : {out.stages[i].output, out.stages[i].pre_activation, out.stages[i].activated})
                    CHECK_MESSAGE(map.shape() == expected, "stage ", i, " of ", height, "x", width, ": ", to_string(map.shape()));
            }
            CHECK(out.map().shape().c == network.map_channels());
            CHECK((out.pooled.defined() ? out.pooled.shape().c : 0) == network.pooled_channels());
            CHECK(out.logits.shape() == Shape{1, 1, 1, 7});
            CHECK(network.classifier().weight.shape().n == 7);
            if (out.pooled.defined()) CHECK(network.classifier()(out.pooled).value().to_host() == out.logits.value().to_host());
        }
        CHECK(seen);
    }
    CHECK(with_zeros > 0);
}

TEST_CASE("net table: the smallest images that a network takes go through it") {
    for (const auto& [name, row] : all_networks()) {
        CAPTURE(name);
        const Built built(name, 7);
        int64_t side = 4;  // of the smallest synthetic sets
        while (side < 64 && !takes(*built.network, side, side)) ++side;
        CAPTURE(side);
        CHECK(built.network->forward(images(side, side), Mode::evaluate, everything).logits.shape() == Shape{1, 1, 1, 7});
    }
}

TEST_CASE("net table: a forward pass keeps what it was asked for, and the last map") {
    for (const char* name : {"resnet8", "wrn-10-1", "vgg7-mhgd", "mobilenet-mhgd"}) {
        CAPTURE(name);
        const Built built(name);
        const Var x = images(32, 32);
        const Output whole = built.network->forward(x, Mode::evaluate, everything);
        for (const Keep keep : {Keep::last, Keep::outputs, Keep::pre_activations, Keep::activations}) {
            const Output out = built.network->forward(x, Mode::evaluate, keep);
            CHECK(out.stem.output.defined() == (keep == Keep::outputs && whole.stem.output.defined()));
            for (size_t i = 0; i < out.stages.size(); ++i) {
                CHECK(out.stages[i].output.defined() == (keep == Keep::outputs));
                CHECK(out.stages[i].pre_activation.defined() == (keep == Keep::pre_activations));
                CHECK(out.stages[i].activated.defined() == (keep == Keep::activations || i + 1 == out.stages.size()));
            }
            CHECK(out.map().value().to_host() == whole.map().value().to_host());
            CHECK(out.logits.value().to_host() == whole.logits.value().to_host());
        }
    }
}
