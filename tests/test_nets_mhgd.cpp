// MHGD's networks: counts, shapes, starts, sizes of images; beside PyTorch forward and in training; dropout.
#include "base_safetensors.h"
#include "net_mhgd.h"

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "core_work_count.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "net_table.h"
#include "queued_backend.h"
#include "setting.h"
#include "small_training.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

namespace {

const std::vector<std::string> three_stages = {"vggm-mhgd", "mobilenet-mhgd", "resnet-mhgd", "wrn-22-4", "wrn-10-4"};
const std::vector<std::string> vggs = {"vgg16-mhgd", "vgg7-mhgd"};

bool is_tiny(const std::string& name) { return network_name(name).tiny; }
bool is_vgg(const std::string& name) { return std::count(vggs.begin(), vggs.end(), network_name(name).base) > 0; }
int64_t side_of(const std::string& name) { return is_tiny(name) ? 64 : 32; }

std::vector<std::string> all_names() {
    std::vector<std::string> names = three_stages;
    names.insert(names.end(), vggs.begin(), vggs.end());
    for (size_t i = 0, n = names.size(); i < n; ++i) names.push_back(names[i] + "-tiny");
    return names;
}

constexpr Keep everything = Keep::outputs | Keep::pre_activations | Keep::activations;

struct Built {
    Parameters parameters;
    std::unique_ptr<Network> network;
    explicit Built(const std::string& name, int classes = 10, uint64_t seed = 0) : parameters(cpu()) {
        network = make_network(name, classes, parameters);
        parameters.allocate(seed);
    }
    int64_t work() const {
        const int64_t before = multiply_accumulates(), side = side_of(network->name());
        network->forward(Var(Tensor::zeros(cpu(), {1, side, side, 3})), Mode::evaluate);
        return multiply_accumulates() - before;
    }
};

int64_t count_of(const std::string& name) {
    Parameters p(cpu());
    make_network(name, 10, p);
    return p.count();
}

Var images(int64_t n, int64_t side) {
    const auto input = uniform_input("images", {n, side, side, 3});
    return Var(Tensor::from_host(cpu(), input.shape, input.values));
}

std::vector<double> doubles(const Var& v) {
    const std::vector<float> values = v.value().to_host();
    return {values.begin(), values.end()};
}

bool is_large(const std::string& name) { return is_tiny(name) || name == "vgg16-mhgd" || name == "wrn-22-4"; }

/// VGG16 has no BatchNorm to hold its logits: PyTorch's own double run, from weights off by 1e-6, ends 1.4e-3 beside itself.
double tolerance_of(const std::string& name) { return name.rfind("vgg16", 0) == 0 ? 5e-3 : 1e-5; }

void compare_training(const std::function<bool(const std::string&)>& wanted, int expected) {
    const CsvTable csv = read_csv(golden("mhgd_nets_train.csv"));
    const Tensor lr = Tensor::from_host(exact_cpu(), {}, {1e-4f});
    SgdOptions sgd;
    sgd.weight_decay = 0.5f;
    int compared = 0;
    for (size_t row = 0; row < csv.rows.size(); row += 3) {
        Options options;
        options.student = csv.cell(row, "network");
        if (!wanted(options.student)) continue;
        Supervised method(setting(exact_cpu(), 100), options);
        method.parameters().allocate(0);  // the fixtures' dropout is drawn from key 0
        method.parameters().from_file(golden_weights(method.parameters(), "student.", ""), "the formula", "student.");
        Tape tape;
        double worst = 0;
        for (size_t step = 0; step < 3; ++step) {
            const StepResult r =
                recorded_step(method, tape, golden_batch(exact_cpu(), static_cast<int64_t>(step), side_of(options.student)));
            method.parameters().begin_backward();
            tape.backward(r.loss);
            sgd_step(method.parameters(), lr, sgd);
            const double truth = csv.cell_number(row + step, "loss_ce_f64"), found = r.loss.value().item();
            worst = worse(worst, std::fabs(found - truth) / truth);
        }
        CHECK_MESSAGE(worst <= tolerance_of(options.student), options.student, ": worst relative difference ", worst);
        MESSAGE(options.student, ": worst relative difference ", worst);
        ++compared;
    }
    CHECK(compared == expected);
}

std::unique_ptr<Method> plain(const Setting& s, const Options& o) { return std::make_unique<Supervised>(s, o); }

}  // namespace

TEST_CASE("mhgd nets: parameters and multiply-accumulates by the count of docs/papers.md §8.4, and by hand") {
    struct Expected {
        const char* name;
        double millions_of_macs, millions_of_parameters;  ///< to the digits given there; 0: none given
    };
    for (const Expected& e : {Expected{"vgg16-mhgd", 401, 18.0}, {"vgg7-mhgd", 98, 0}, {"wrn-22-4", 619, 4.32}, {"wrn-10-4", 166, 1.22}}) {
        const Built built(e.name, 100);
        CHECK_MESSAGE(std::round(static_cast<double>(built.work()) / 1e6) == e.millions_of_macs, e.name);
        const double digits = e.millions_of_parameters > 10 ? 10 : 100, millions = static_cast<double>(built.parameters.count()) / 1e6;
        if (e.millions_of_parameters > 0) CHECK_MESSAGE(std::round(millions * digits) / digits == e.millions_of_parameters, e.name);
        CHECK(slide_count(e.name).operations > 0);
    }
    CHECK(slide_count("resnet20").operations == 0);
    // The stem, then (in, out, side) of each layer; separable ones have 9·in and in·out weights, each BatchNorm two a channel.
    const std::vector<std::array<int64_t, 3>> dense = {{16, 64, 32},   {64, 64, 32},  {64, 128, 16},
                                                       {128, 128, 16}, {128, 256, 8}, {256, 256, 8}};
    for (const bool separable : {false, true}) {
        int64_t parameters = 27 * 16 + 32 + 256 * 100 + 100, work = 27 * 16 * 1024 + 256 * 100;
        for (const auto& [in, out, side] : dense) {
            if (separable && in == 64 && out == 64) continue;  // its first stage is one layer
            const int64_t weights = separable ? 9 * in + in * out : 9 * in * out;
            parameters += weights + 2 * out + (separable ? 2 * in : 0);
            work += weights * side * side;
        }
        const Built built(separable ? "mobilenet-mhgd" : "vggm-mhgd", 100);
        CHECK(built.parameters.count() == parameters);
        CHECK(built.work() == work);
    }
    // The tiny variants do the same work behind the stem, on images of four times the size.
    for (const std::string& name : three_stages) {
        CHECK(count_of(name + "-tiny") == count_of(name));
        CHECK(Built(name + "-tiny").work() == Built(name).work());
    }
    for (const std::string& name : vggs) CHECK(count_of(name + "-tiny") == count_of(name));
}

TEST_CASE("mhgd nets: stages after and before activation, features, logits") {
    for (const std::string& name : all_names()) {
        if (name.rfind("vgg16", 0) == 0) continue;  // as vgg7; beside PyTorch below
        CAPTURE(name);
        const Built built(name, 7);
        const int64_t side = side_of(name);
        std::vector<Shape> expected = {{2, 32, 32, 64}, {2, 16, 16, 128}, {2, 8, 8, 256}};
        if (is_vgg(name) && !is_tiny(name)) expected = {{2, 16, 16, 64}, {2, 8, 8, 128}, {2, 4, 4, 256}, {2, 4, 4, 512}, {2, 2, 2, 512}};
        if (is_vgg(name) && is_tiny(name)) expected = {{2, 32, 32, 64}, {2, 16, 16, 128}, {2, 8, 8, 256}, {2, 4, 4, 512}, {2, 2, 2, 512}};
        const Var x = images(2, side);
        for (const bool recorded : {false, true}) {
            Tape tape;
            const Recording on(recorded ? &tape : nullptr);
            const Output bare = built.network->forward(x, Mode::evaluate), out = built.network->forward(x, Mode::evaluate, everything);
            REQUIRE(out.stages.size() == expected.size());
            for (size_t i = 0; i < expected.size(); ++i) {
                const Stage& stage = out.stages[i];
                CHECK(stage.activated.shape() == expected[i]);
                std::vector<double> rectified = doubles(stage.pre_activation);
                CHECK(*std::min_element(rectified.begin(), rectified.end()) < 0);
                for (double& v : rectified) v = std::max(v, 0.0);
                check_values(name + ": after is before, rectified", stage.activated.value().to_host(), rectified, 0);
                if (name.rfind("wrn", 0) != 0) CHECK(doubles(stage.output) == rectified);
            }
            CHECK(out.map().shape() == expected.back());
            check_values(name + ": asking changes nothing", out.map().value().to_host(), doubles(bare.map()));
            CHECK(out.logits.shape() == Shape{2, 1, 1, 7});
            CHECK(features_of(out).size() == 5);
            CHECK(out.pooled.defined() != is_vgg(name));
        }
    }
}

TEST_CASE("mhgd nets: names that are none") {
    Parameters p(cpu());
    for (const char* name :
         {"-tiny", "resnet20-tiny", "resnet32x4-tiny", "vgg17", "vgg16-mhgd-tiny-tiny", "vgg7-tiny", "wrn-10-4-", "mhgd"})
        CHECK(says(complaint([&] { make_network(name, 10, p); }), {"unknown network", "vgg16-mhgd", "NAME-tiny", "6n+4"}));
    CHECK(p.to_file().empty());
}

TEST_CASE("mhgd nets: images of another size are refused before a run folder is made" * doctest::test_suite("no kernels")) {
    for (const std::string& name : vggs)
        for (const bool tiny : {false, true}) {
            Parameters p(cpu());
            const auto network = make_network(name + (tiny ? "-tiny" : ""), 10, p);
            for (const int64_t side : {16, 33, tiny ? 32 : 64}) {
                const std::string said = complaint([&] { network->require_images(side, side); });
                CHECK(complaint([&] { network->forward(images(1, side), Mode::evaluate); }) == said);
                const std::string size = std::to_string(side) + "x" + std::to_string(side);
                CHECK(says(said, {network->name() + ": the images are " + size, name + " for 32x32", name + "-tiny for 64x64"}));
            }
        }
    const Workplace folder(40, 20);
    const std::string end = " --dataset s --batch 20 --epochs 1 --threads 1";
    check_rejected(folder, "train --net vgg7-mhgd" + end, {"vgg7-mhgd: the images are 16x16", "vgg7-mhgd-tiny for 64x64"});
    check_rejected(folder, "train --net vgg7-mhgd-tiny --runs 2 --run r" + end, {"vgg7-mhgd-tiny: the images are 16x16"});
    check_rejected(folder, "info --net vgg7-mhgd --size 64", {"vgg7-mhgd: the images are 64x64"});
    CHECK(says(run(folder, "info --net wrn-10-4").out, {"1221940", "166142976", "93.2"}));
}

TEST_CASE("mhgd nets: initial weights follow their rules") {
    const auto deviation = [](const distill::HostTensor& t) {
        double squares = 0;
        for (const float v : t.data) squares += static_cast<double>(v) * static_cast<double>(v);
        return std::sqrt(squares / static_cast<double>(t.data.size()));
    };
    for (const std::string& name : all_names()) {
        if (name.rfind("vgg16", 0) == 0) continue;  // as vgg7, and large
        for (const auto& [weight, t] : Built(name, 100).parameters.to_file()) {
            CAPTURE(name);
            CAPTURE(weight);
            const bool vector = t.shape.size() == 1, is_weight = weight.find("weight") != std::string::npos;
            const float rest = is_weight || weight.find("running_var") != std::string::npos ? 1.0f : 0.0f;
            if (vector) CHECK(std::count(t.data.begin(), t.data.end(), rest) == static_cast<int64_t>(t.data.size()));
            if (vector) continue;
            const int64_t taps = t.shape.size() == 4 ? t.shape[2] * t.shape[3] : 1;
            const bool depthwise = weight.find("depthwise.") != std::string::npos;
            const int64_t fan = is_vgg(name) ? t.shape[1] * taps : depthwise ? taps : t.shape[0] * taps;
            const double expected = std::sqrt(2.0 / static_cast<double>(fan));
            CHECK(std::fabs(deviation(t) / expected - 1) < 5 / std::sqrt(2.0 * static_cast<double>(t.data.size())));
        }
    }
}

TEST_CASE("mhgd nets: weights survive a file, and folding changes nothing") {
    const TempFolder folder;
    for (const char* name : {"vgg7-mhgd", "mobilenet-mhgd", "vggm-mhgd", "resnet-mhgd-tiny", "wrn-10-4-tiny"}) {
        Built saved(name, 10, 1), loaded(name, 10, 2);
        const int64_t side = side_of(name);
        saved.network->forward(images(4, side), Mode::train);  // running statistics of its own
        const fs::path path = folder / "net.safetensors";
        write_safetensors(path, {saved.parameters.to_file(), {}});
        loaded.parameters.from_file(read_safetensors(path), path.string());
        CHECK(loaded.parameters.values().to_host() == saved.parameters.values().to_host());
        const Var x = images(2, side), folded = loaded.network->forward(x, Mode::evaluate).logits;
        CHECK(folded.value().to_host() == saved.network->forward(x, Mode::evaluate).logits.value().to_host());
        Tape tape;
        const Recording on(&tape);
        check_values(name, folded.value().to_host(), doubles(saved.network->forward(x, Mode::evaluate).logits));
    }
}

TEST_CASE("slow: golden: MHGD's networks like PyTorch's") {
    GoldenTable table("mhgd_nets.csv");
    for (const std::string& name : all_names()) {
        if (name == "wrn-22-4-tiny") continue;  // what it is made of is compared in the others
        for (const Mode mode : {Mode::train, Mode::evaluate}) {
            const bool teacher = mode == Mode::evaluate;
            Built built(name, 100);
            built.parameters.from_file(golden_weights(built.parameters, "", teacher ? "teacher." : "", teacher), "the formula");
            const Output out = built.network->forward(golden_batch(cpu(), 0, side_of(name)).images, mode, everything);
            const std::string row = name + (teacher ? " evaluate" : " train");
            constexpr double tolerance = 1e-5;
            for (size_t i = 0; i < out.stages.size(); ++i) {
                const std::string point = std::to_string(i);
                table.check(row, "s" + point, to_nchw(out.stages[i].activated.value()), tolerance);
                table.check(row, "p" + point, to_nchw(out.stages[i].pre_activation.value()), tolerance);
            }
            table.check(row, "logits", to_nchw(out.logits.value()), tolerance);
            table.check(row, "parameters", static_cast<double>(built.parameters.count()), 0, 0);
        }
    }
    table.finish();
}

TEST_CASE("golden: training steps of MHGD's small networks like PyTorch's, dropout included") {
    compare_training([](const std::string& name) { return !is_large(name); }, 5);
}

TEST_CASE("slow: golden: training steps of MHGD's large networks like PyTorch's") { compare_training(is_large, 8); }
TEST_CASE("dropout: drawn anew after each update, by name and seed, and not at all in evaluation") {
    const std::vector<float> ones(10000, 1);
    const Var x(Tensor::from_host(cpu(), {1, 1, 1, 10000}, ones));
    struct Layers {
        Parameters p;
        Dropout one, two;
        explicit Layers(uint64_t seed) : p(cpu()), one(p, "one", 0.5f), two(p, "two", 0.25f) {
            p.add("w", {}, Layout::vector, Init::constant(1));
            p.allocate(seed);
        }
    };
    const Layers layers(1), other(2);
    const auto draw = [&](const Dropout& layer) { return layer(x, Mode::train).value().to_host(); };
    const auto kept = [](const std::vector<float>& y, float value) {
        const auto n = std::count(y.begin(), y.end(), value);
        CHECK(n + std::count(y.begin(), y.end(), 0.0f) == 10000);
        return static_cast<double>(n) / 10000;
    };
    const std::vector<float> first = draw(layers.one);
    CHECK(std::fabs(kept(first, 2) - 0.5) < 5 * 0.005);
    CHECK(std::fabs(kept(draw(layers.two), 1 / 0.75f) - 0.75) < 5 * 0.0044);
    CHECK(draw(layers.one) == first);
    CHECK(draw(other.one) != first);
    CHECK(layers.one(x, Mode::evaluate).value().to_host() == ones);
    sgd_step(layers.p, Tensor::from_host(cpu(), {}, {0.1f}), {});
    CHECK(draw(layers.one) != first);
    CHECK(layers.p.to_file().size() == 1);  // the count of updates is none of a file's weights
}

TEST_CASE("dropout: a stopped training goes on to the bit, and a recorded step draws as one that runs as it is" *
          doctest::test_suite("no kernels")) {
    const auto training = [](std::unique_ptr<Backend> backend) {
        auto t = std::make_unique<SmallTraining>(std::move(backend), 32);
        t->options.student = "vgg7-mhgd";
        t->options.epochs = 1;
        t->options.lr = 0.001;
        return t;
    };
    const auto whole = training(nullptr);
    const Outcome expected = whole->outcome("whole", plain);
    CHECK_THROWS_AS(whole->disturbed("cut", plain, 1, [](StepResult&) { std::raise(SIGTERM); }), Interrupted);
    CHECK(whole->outcome("cut", plain, true) == expected);
    const auto queued = training(std::make_unique<QueuedBackend>(Order::shuffled));
    CHECK(queued->outcome("run", plain) == expected);
    CHECK(read_file(queued->path("run") / "steps.csv") == read_file(whole->path("whole") / "steps.csv"));
}

TEST_CASE("dropout: none in a frozen network, in either mode: nothing would ever change its mask") {
    for (const bool trained : {false, true}) {
        CAPTURE(trained);
        Parameters p(cpu(), trained);
        const auto network = make_network("vgg7-mhgd", 10, p);
        p.allocate(1);
        const Var x(Tensor::from_host(cpu(), {2, 32, 32, 3}, std::vector<float>(2 * 32 * 32 * 3, 0.5f)));
        const NoGrad no_grad;
        const auto logits = [&](Mode mode) { return network->forward(x, mode).logits.value().to_host(); };
        CHECK((logits(Mode::train) == logits(Mode::evaluate)) == !trained);
        CHECK((p.updates() == nullptr) == !trained);
    }
}
