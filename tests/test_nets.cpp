// The networks: names and numbers of parameters, work, shapes, what the features are, folding, weight files, initial weights.
#include "base_safetensors.h"
#include "net_table.h"

#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "complaints.h"
#include "core_work_count.h"
#include "golden_formula.h"
#include "gradcheck.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr Keep everything = Keep::outputs | Keep::pre_activations | Keep::activations;

struct Built {
    Parameters parameters;
    std::unique_ptr<Network> network;
    explicit Built(const std::string& name, int classes = 10, const std::string& prefix = "", uint64_t seed = 0) : parameters(cpu()) {
        network = make_network(name, classes, parameters, prefix);
        parameters.allocate(seed);
    }
};

Var images(int64_t n, int64_t side) {
    const auto input = uniform_input("images", {n, side, side, 3});
    return Var(Tensor::from_host(cpu(), input.shape, input.values));
}

std::vector<double> doubles(const Var& v) {
    const std::vector<float> values = v.value().to_host();
    return {values.begin(), values.end()};
}

std::set<std::string> names_of(const Parameters& p, const std::string& prefix = "") {
    std::set<std::string> names;
    for (const auto& [name, tensor] : p.to_file(prefix)) names.insert(name);
    return names;
}

/// A network by its layout alone, to count by hand.
struct Layers {
    std::string name;
    bool wide = false, option_a = false;
    int64_t blocks = 1;
    std::array<int64_t, 4> width = {16, 16, 32, 64};
};
const std::vector<Layers>& layouts() {
    static const std::vector<Layers> all = {
        {"resnet8", false, false, 1},
        {"resnet20", false, false, 3},
        {"resnet56", false, false, 9},
        {"resnet8x4", false, false, 1, {32, 64, 128, 256}},
        {"resnet32x4", false, false, 5, {32, 64, 128, 256}},
        {"resnet32a", false, true, 5},
        {"wrn-16-1", true, false, 2},
        {"wrn-16-2", true, false, 2, {16, 32, 64, 128}},
        {"wrn-40-2", true, false, 6, {16, 32, 64, 128}},
    };
    return all;
}

struct Count {
    int64_t tensors = 0, parameters = 0, work = 0;  ///< tensors: running statistics too; work: multiply-accumulates of one image
};
Count count_by_hand(const Layers& l, int64_t side, int64_t classes) {
    Count c;
    const auto conv = [&](int64_t in, int64_t out, int64_t size) {
        ++c.tensors;
        c.parameters += in * out * size * size;
        c.work += in * out * size * size * side * side;  // side: of the result
    };
    const auto batchnorm = [&](int64_t channels) { c.tensors += 4, c.parameters += 2 * channels; };
    conv(3, l.width[0], 3);
    if (!l.wide) batchnorm(l.width[0]);
    for (size_t s = 1; s <= 3; ++s) {
        const int64_t out = l.width[s];
        if (s > 1) side = (side + 1) / 2;
        for (int64_t b = 0; b < l.blocks; ++b) {
            const int64_t in = b == 0 ? l.width[s - 1] : out;
            conv(in, out, 3);
            conv(out, out, 3);
            batchnorm(l.wide ? in : out);
            batchnorm(out);
            const bool changes = in != out || (s > 1 && b == 0);
            if (l.wide ? in != out : changes && !l.option_a) conv(in, out, 1);
            if (!l.wide && changes && !l.option_a) batchnorm(out);
        }
    }
    if (l.wide) batchnorm(l.width[3]);
    c.tensors += 2;
    c.parameters += l.width[3] * classes + classes;
    c.work += l.width[3] * classes;
    return c;
}

struct Moments {
    double mean = 0, std = 0, largest = 0, count = 0;
};
Moments moments_of(const std::vector<float>& values) {
    Moments m;
    m.count = static_cast<double>(values.size());
    for (float v : values) m.mean += v / m.count, m.largest = std::max(m.largest, std::fabs(static_cast<double>(v)));
    for (float v : values) m.std += (v - m.mean) * (v - m.mean) / m.count;
    m.std = std::sqrt(m.std);
    return m;
}
/// Mean 0 and the given deviation, within five standard errors.
void check_moments(const std::string& name, const Moments& m, double std) {
    CHECK_MESSAGE(std::fabs(m.mean) < 5 * std / std::sqrt(m.count), name, ": mean ", m.mean, " of ", m.count);
    CHECK_MESSAGE(std::fabs(m.std / std - 1) < 5 / std::sqrt(2 * m.count), name, ": deviation ", m.std, ", expected ", std);
}
void check_normal(const std::string& name, const distill::HostTensor& t, double std) {
    const Moments m = moments_of(t.data);
    check_moments(name, m, std);
    CHECK_MESSAGE(m.largest > 2.5 * std, name, ": no tails");
    CHECK_MESSAGE(m.largest < 6 * std, name, ": largest ", m.largest);
}
void check_uniform(const std::string& name, const distill::HostTensor& t, double bound) {
    const Moments m = moments_of(t.data);
    check_moments(name, m, bound / std::sqrt(3.0));
    CHECK_MESSAGE(m.largest <= bound * (1 + 1e-6), name, ": largest ", m.largest, ", bound ", bound);
    CHECK_MESSAGE(m.largest > bound * (1 - 10 / m.count), name, ": largest ", m.largest, ", bound ", bound);
}
void check_constant(const std::string& name, const distill::HostTensor& t, float value) {
    CHECK_MESSAGE(std::count(t.data.begin(), t.data.end(), value) == static_cast<int64_t>(t.data.size()), name);
}
std::vector<int64_t> shape(const std::map<std::string, distill::HostTensor>& file, const std::string& name) { return file.at(name).shape; }

}  // namespace

TEST_CASE("nets: parameters have the public benchmark's names and layouts") {
    const auto resnet = Built("resnet20", 100).parameters.to_file();
    CHECK(shape(resnet, "conv1.weight") == std::vector<int64_t>{16, 3, 3, 3});
    for (const char* kind : {"weight", "bias", "running_mean", "running_var"}) {
        CHECK(shape(resnet, std::string("bn1.") + kind) == std::vector<int64_t>{16});
        CHECK(shape(resnet, std::string("layer2.0.downsample.1.") + kind) == std::vector<int64_t>{32});
        CHECK(shape(resnet, std::string("layer3.2.bn2.") + kind) == std::vector<int64_t>{64});
    }
    CHECK(shape(resnet, "layer1.0.conv1.weight") == std::vector<int64_t>{16, 16, 3, 3});
    CHECK(shape(resnet, "layer2.0.conv1.weight") == std::vector<int64_t>{32, 16, 3, 3});
    CHECK(shape(resnet, "layer2.0.downsample.0.weight") == std::vector<int64_t>{32, 16, 1, 1});
    CHECK(shape(resnet, "layer3.2.conv2.weight") == std::vector<int64_t>{64, 64, 3, 3});
    CHECK(shape(resnet, "fc.weight") == std::vector<int64_t>{100, 64});
    CHECK(shape(resnet, "fc.bias") == std::vector<int64_t>{100});
    CHECK(resnet.count("layer1.0.downsample.0.weight") == 0);  // neither width nor size changes there
    CHECK(resnet.count("layer1.3.conv1.weight") == 0);

    const auto four = Built("resnet8x4", 100).parameters.to_file();
    CHECK(shape(four, "conv1.weight") == std::vector<int64_t>{32, 3, 3, 3});
    CHECK(shape(four, "layer1.0.downsample.0.weight") == std::vector<int64_t>{64, 32, 1, 1});  // the stem is narrower than the stage
    CHECK(shape(four, "fc.weight") == std::vector<int64_t>{100, 256});

    for (const std::string& name : names_of(Built("resnet32a").parameters)) CHECK(name.find("downsample") == std::string::npos);

    const auto wide = Built("wrn-16-2", 100).parameters.to_file();
    CHECK(shape(wide, "conv1.weight") == std::vector<int64_t>{16, 3, 3, 3});
    CHECK(shape(wide, "block1.layer.0.bn1.weight") == std::vector<int64_t>{16});
    CHECK(shape(wide, "block1.layer.0.bn2.running_var") == std::vector<int64_t>{32});
    CHECK(shape(wide, "block2.layer.0.convShortcut.weight") == std::vector<int64_t>{64, 32, 1, 1});
    CHECK(shape(wide, "block3.layer.1.conv2.weight") == std::vector<int64_t>{128, 128, 3, 3});
    CHECK(shape(wide, "bn1.running_mean") == std::vector<int64_t>{128});
    CHECK(shape(wide, "fc.weight") == std::vector<int64_t>{100, 128});
    CHECK(wide.count("block1.layer.1.convShortcut.weight") == 0);
    CHECK(wide.count("bn2.weight") == 0);

    CHECK(names_of(Built("resnet8", 10, "student.").parameters, "student.") == names_of(Built("resnet8").parameters));
}

TEST_CASE("nets: tensors, parameters and multiply-accumulates as counted by hand") {
    CHECK(count_by_hand(layouts()[1], 32, 10).tensors == 107);  // 5 stem, 9 blocks of 10, 2 shortcuts of 5, 2 classifier
    for (const Layers& l : layouts())
        for (const int64_t side : {32, 64, 17}) {
            const Built built(l.name, 100);
            const Count expected = count_by_hand(l, side, 100);
            CHECK_MESSAGE(static_cast<int64_t>(names_of(built.parameters).size()) == expected.tensors, l.name);
            CHECK_MESSAGE(built.parameters.count("") == expected.parameters, l.name);
            const Var x = images(1, side);
            for (const bool recorded : {false, true}) {  // folded and layer by layer: the same work
                Tape tape;
                const Recording on(recorded ? &tape : nullptr);
                const int64_t before = multiply_accumulates();
                built.network->forward(x, Mode::evaluate);
                CHECK_MESSAGE(multiply_accumulates() - before == expected.work, l.name, " at ", side);
            }
        }
}

TEST_CASE("nets: parameters and multiply-accumulates are those of the benchmark's own files") {
    struct Counted {
        const char* name;
        int64_t parameters, work;
    };
    for (const Counted& c : {Counted{"resnet20", 278324, 40818944},
                             {"resnet32", 472756, 69130496},
                             {"resnet56", 861620, 125753600},
                             {"resnet110", 1736564, 253155584},
                             {"resnet8x4", 1233540, 177071104},
                             {"resnet32x4", 7433860, 1083040768},
                             {"wrn-16-2", 703284, 101118464},
                             {"wrn-40-1", 569780, 83286272},
                             {"wrn-40-2", 2255156, 327610880}}) {
        const Built built(c.name, 100);
        CHECK_MESSAGE(built.parameters.count("") == c.parameters, c.name);
        const int64_t before = multiply_accumulates();
        built.network->forward(images(1, 32), Mode::evaluate);
        CHECK_MESSAGE(multiply_accumulates() - before == c.work, c.name);
    }
}

TEST_CASE("nets: shapes of the features and logits") {
    for (const Layers& l : layouts())
        for (const int64_t side : {32, 64}) {
            const Built built(l.name, 7);
            const Output out = built.network->forward(images(2, side), Mode::train, everything);
            const std::vector<Var> features = features_of(out);
            REQUIRE(features.size() == 5);
            const std::array<int64_t, 4>& w = l.width;
            const std::vector<Shape> expected = {{2, side, side, w[0]},
                                                 {2, side, side, w[1]},
                                                 {2, side / 2, side / 2, w[2]},
                                                 {2, side / 4, side / 4, w[3]},
                                                 {2, 1, 1, w[3]}};
            for (size_t i = 0; i < 5; ++i)
                CHECK_MESSAGE(features[i].shape() == expected[i], l.name, " f", i, ": ", to_string(features[i].shape()));
            for (size_t i = 0; i < 3; ++i) {
                CHECK_MESSAGE(out.stages[i].pre_activation.shape() == expected[i + 1], l.name, " stage ", i + 1);
                CHECK(out.stages[i].activated.shape() == expected[i + 1]);
            }
            CHECK(out.logits.shape() == Shape{2, 1, 1, 7});
            CHECK(built.network->name() == l.name);
            CHECK(built.network->classes() == 7);
        }
}

TEST_CASE("nets: what a teacher shows before the activation") {
    for (const char* name : {"resnet14", "resnet8x4", "resnet32a", "wrn-16-2"})
        for (const Mode mode : {Mode::evaluate, Mode::train}) {
            Built built(name);
            const WeightFile weights = golden_weights(built.parameters, "", "teacher.", true);
            built.parameters.from_file(weights, "the formula");
            const Var x = images(2, 16);
            const Output plain = built.network->forward(x, mode), shown = built.network->forward(x, mode, everything);
            check_values(std::string(name) + ": looking changes nothing", shown.logits.value().to_host(), doubles(plain.logits));
            for (const Stage& s : plain.stages) CHECK(!s.pre_activation.defined());
            const bool wide = std::string(name) == "wrn-16-2";
            for (size_t i = 1; i <= 3; ++i) {
                const Stage& stage = shown.stages[i - 1];
                const std::vector<float> value = stage.output.value().to_host(), before = stage.pre_activation.value().to_host();
                CHECK(std::any_of(before.begin(), before.end(), [](float v) { return v < 0; }));
                if (wide && mode == Mode::train) continue;  // batch statistics: features.csv compares those
                std::vector<double> expected;
                if (!wide) {
                    for (float v : before) expected.push_back(std::max(v, 0.0f));
                    check_values(std::string(name) + ": relu(pre) is the feature", value, expected, 0);
                    continue;
                }
                const std::string bn = i == 3 ? "bn1." : "block" + std::to_string(i + 1) + ".layer.0.bn1.";
                const auto of = [&](const char* kind, size_t c) { return static_cast<double>(weights.tensors.at(bn + kind).data[c]); };
                const auto channels = static_cast<size_t>(stage.output.shape().c);
                for (size_t k = 0; k < value.size(); ++k) {
                    const size_t c = k % channels;
                    const double normal = (value[k] - of("running_mean", c)) / std::sqrt(of("running_var", c) + 1e-5);
                    expected.push_back(normal * of("weight", c) + of("bias", c));
                }
                check_values(std::string(name) + ": the next BatchNorm of the feature", before, expected);
            }
        }
}

TEST_CASE("nets: unknown names list the valid ones") {
    Parameters p(cpu());
    for (const char* name : {"", "resnet", "resnet21", "resnet2", "resnet20b", "resnet20x2", "xresnet20", "wrn-16", "wrn-15-2", "wrn-4-2",
                             "wrn-16-0", "WRN-16-2", "resnet99999"}) {
        const std::string message = complaint([&] { make_network(name, 10, p); });
        CHECK(says(message, {"unknown network '" + std::string(name) + "'", "resnet20", "resnet8x4", "resnet32a", "wrn-16-2", "6n+2"}));
        CHECK(complaint([&] { network_row(name); }) == message);
    }
    CHECK(p.to_file().empty());
}

TEST_CASE("nets: folded evaluation equals the unfolded one") {
    for (const char* name : {"resnet20", "resnet8x4", "resnet32a", "wrn-16-2"}) {
        Built built(name);
        built.parameters.from_file(golden_weights(built.parameters, "", "teacher.", true), "the formula");
        const Var x = images(2, 32);
        const Output folded = built.network->forward(x, Mode::evaluate, everything);
        Tape tape;
        const Recording on(&tape);
        const Output unfolded = built.network->forward(x, Mode::evaluate, everything);
        CHECK(tape.steps() > 0);
        const auto compare = [&](const std::string& what, const Var& a, const Var& b) {
            check_values(std::string(name) + " " + what, a.value().to_host(), doubles(b));
        };
        const std::vector<Var> a = features_of(folded), b = features_of(unfolded);
        REQUIRE(a.size() == 5);
        for (size_t i = 0; i < 5; ++i) compare("f" + std::to_string(i), a[i], b[i]);
        for (size_t i = 0; i < 3; ++i) {
            compare("pre-activation " + std::to_string(i), folded.stages[i].pre_activation, unfolded.stages[i].pre_activation);
            compare("activated " + std::to_string(i), folded.stages[i].activated, unfolded.stages[i].activated);
        }
        compare("logits", folded.logits, unfolded.logits);
    }
}

TEST_CASE("nets: only training mode moves the running statistics") {
    for (const char* name : {"resnet8", "wrn-10-1"}) {
        Built built(name);
        const std::vector<float> start = built.parameters.buffers().to_host();
        built.network->forward(images(4, 16), Mode::evaluate);
        CHECK(built.parameters.buffers().to_host() == start);
        built.network->forward(images(4, 16), Mode::train);
        const auto file = built.parameters.to_file();
        for (const auto& [tensor_name, tensor] : file)
            if (tensor_name.find("running_mean") != std::string::npos)
                CHECK_MESSAGE(moments_of(tensor.data).largest > 0, tensor_name, " did not move");
    }
}

TEST_CASE("nets: weights survive a file") {
    const TempFolder folder;
    for (const char* name : {"resnet8x4", "wrn-16-2"}) {
        Built saved(name, 10, "student.", 1), loaded(name, 10, "", 2);
        saved.network->forward(images(4, 16), Mode::train);  // running statistics of its own
        const fs::path path = folder / "net.safetensors";
        WeightFile file;
        file.tensors = saved.parameters.to_file("student.");
        write_safetensors(path, file);
        loaded.parameters.from_file(read_safetensors(path), path.string());
        CHECK(loaded.parameters.values().to_host() == saved.parameters.values().to_host());
        CHECK(loaded.parameters.buffers().to_host() == saved.parameters.buffers().to_host());
        const Var x = images(2, 16);
        CHECK(loaded.network->forward(x, Mode::evaluate).logits.value().to_host() ==
              saved.network->forward(x, Mode::evaluate).logits.value().to_host());
    }
}

TEST_CASE("nets: a convolution lies in a file as out, in, row, column") {
    Parameters p(cpu());
    const Conv2d conv(p, "c", 2, 3, 3);
    p.allocate(0);
    WeightFile file;
    file.tensors["c.weight"] = {{3, 2, 3, 3}, std::vector<float>(54)};
    std::iota(file.tensors["c.weight"].data.begin(), file.tensors["c.weight"].data.end(), 0.0f);
    p.from_file(file, "counted");
    const std::vector<float> ours = conv.weight.value().to_host();
    for (size_t k = 0; k < 3; ++k)
        for (size_t c = 0; c < 2; ++c)
            for (size_t r = 0; r < 3; ++r)
                for (size_t s = 0; s < 3; ++s) {
                    const size_t in_file = ((k * 2 + c) * 3 + r) * 3 + s;
                    CHECK(ours[((k * 3 + r) * 3 + s) * 2 + c] == static_cast<float>(in_file));
                }
    CHECK(p.to_file().at("c.weight").data == file.tensors["c.weight"].data);
}

TEST_CASE("nets: a file that does not fit is refused by name, and changes nothing") {
    Built net("resnet8", 10, "student.");
    const std::vector<float> start = net.parameters.values().to_host();
    const auto refused = [&](const std::function<void(WeightFile&)>& spoil) {
        WeightFile file;
        file.tensors = Built("resnet8", 10, "", 5).parameters.to_file();
        spoil(file);
        const std::string message = complaint([&] { net.parameters.from_file(file, "some.safetensors", "student."); });
        CHECK(net.parameters.values().to_host() == start);
        CHECK(says(message, {"some.safetensors"}));
        return message;
    };
    CHECK(says(refused([](WeightFile& f) { f.tensors.erase("fc.bias"); }), {"missing: fc.bias"}));
    CHECK(says(refused([](WeightFile& f) { f.tensors["fc.extra"] = {{1}, {0}}; }), {"fc.extra"}));
    CHECK(says(refused([](WeightFile& f) {
                   f.tensors["fc.weight"] = {{100, 64}, std::vector<float>(6400)};
               }),
               {"fc.weight", "[100,64]", "[10,64]"}));
    CHECK(says(refused([](WeightFile& f) {  // as many elements, another order
                   f.tensors["layer2.0.conv1.weight"].shape = {16, 32, 3, 3};
               }),
               {"layer2.0.conv1.weight", "[16,32,3,3]", "[32,16,3,3]"}));
    const std::string all = refused([](WeightFile& f) {
        f.tensors.erase("conv1.weight");
        f.tensors["conv9.weight"] = {{1}, {0}};
        f.tensors["bn1.bias"] = {{8}, std::vector<float>(8)};
    });
    CHECK(says(all, {"missing: conv1.weight", "conv9.weight", "bn1.bias: found [8], expected [16]"}));
    CHECK(says(refused([](WeightFile& f) { f.tensors = Built("resnet20").parameters.to_file(); }), {"layer1.1.bn1.bias", "more"}));
}

TEST_CASE("nets: parameters without memory, or registered after it was given, say which call is missing") {
    Parameters p(cpu());
    const Conv2d conv(p, "c", 3, 4, 3);
    const Var x(Tensor::zeros(cpu(), {1, 8, 8, 3}));
    const std::function<void()> uses[] = {[&] { p.values(); }, [&] { p.to_file(); }, [&] { p.from_file({}, "a file"); }};
    for (const auto& use : uses)
        CHECK(says(complaint<std::runtime_error>(use), {"'c.weight' has no memory ---> call allocate(options.start())"}));
    CHECK(says(complaint<std::runtime_error>([&] { conv(x); }), {"conv2d: w has no memory ---> Parameters::allocate()"}));
    p.allocate(0);
    CHECK(conv(x).shape() == Shape{1, 8, 8, 4});
    const BatchNorm late(p, "late", 4);
    for (const auto& use : uses) CHECK(says(complaint<std::runtime_error>(use), {"'late.running_var' has no memory"}));
}

TEST_CASE("nets: initial weights follow their rules") {
    const auto check_batchnorms = [](const std::map<std::string, distill::HostTensor>& file) {
        for (const auto& [name, t] : file) {
            const std::string kind = name.substr(name.rfind('.') + 1);
            if (t.shape.size() != 1 || name.rfind("fc.", 0) == 0) continue;
            check_constant(name, t, kind == "weight" || kind == "running_var" ? 1.0f : 0.0f);
        }
    };
    const auto check_convs = [](const std::map<std::string, distill::HostTensor>& file) {  // N(0, 2/(k·k·out)), all families
        for (const auto& [name, t] : file)
            if (t.shape.size() == 4) check_normal(name, t, std::sqrt(2.0 / static_cast<double>(t.shape[0] * t.shape[2] * t.shape[3])));
    };
    const auto resnet = Built("resnet20", 100).parameters.to_file();
    check_batchnorms(resnet), check_convs(resnet);
    check_uniform("fc.weight", resnet.at("fc.weight"), 1 / std::sqrt(64.0));
    check_uniform("fc.bias", resnet.at("fc.bias"), 1 / std::sqrt(64.0));

    const auto option_a = Built("resnet32a", 100).parameters.to_file();
    check_batchnorms(option_a), check_convs(option_a);
    check_normal("fc.weight", option_a.at("fc.weight"), std::sqrt(2 / 64.0));
    check_constant("fc.bias", option_a.at("fc.bias"), 0);

    const auto wide = Built("wrn-16-2", 100).parameters.to_file();
    check_batchnorms(wide), check_convs(wide);
    check_uniform("fc.weight", wide.at("fc.weight"), 1 / std::sqrt(128.0));
    check_constant("fc.bias", wide.at("fc.bias"), 0);
}

TEST_CASE("nets: initial weights depend on the seed, on the network and on each parameter's full name alone") {
    const auto file = [](const char* net, const std::string& prefix, uint64_t seed) {
        return Built(net, 10, prefix, seed).parameters.to_file(prefix);
    };
    const auto one = file("resnet8", "student.", 1), again = file("resnet8", "student.", 1), other = file("resnet8", "student.", 2);
    const auto deeper = file("resnet14", "student.", 1), elsewhere = file("resnet8", "", 1);
    for (const auto& [name, t] : one) {
        CHECK(again.at(name).data == t.data);
        if (t.shape.size() == 1 && name != "fc.bias") continue;  // BatchNorm starts at constants
        CHECK_MESSAGE(other.at(name).data != t.data, name);
        CHECK_MESSAGE(elsewhere.at(name).data != t.data, name);
        CHECK_MESSAGE(deeper.at(name).data != t.data, name);
    }
    CHECK(one.at("layer1.0.conv1.weight").data != one.at("layer1.0.conv2.weight").data);
}
