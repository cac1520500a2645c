// Knowledge transfer graphs: gates and losses by hand and beside PyTorch (tests/golden/make_ktg_fixtures.py), known methods as graphs,
// frozen nodes.
#include "base_safetensors.h"
#include "method_ktg.h"

#include <cmath>

#include "complaints.h"
#include "core_backend.h"
#include "core_work_count.h"
#include "golden_formula.h"
#include "golden_teacher.h"
#include "gradcheck.h"
#include "method_kd.h"
#include "method_supervised.h"
#include "net_table.h"
#include "setting.h"
#include "small_training.h"
#include "train_recipes.h"
#include "trainer.h"

using namespace distill;
using namespace distill::testing;

namespace {

Var matrix(int64_t rows, const std::vector<float>& values) {
    return Var(Tensor::from_host(cpu(), {rows, 1, 1, static_cast<int64_t>(values.size()) / rows}, values));
}
Var hits(const std::vector<float>& values) { return matrix(static_cast<int64_t>(values.size()), values); }

Tensor step_of(int32_t value) {
    Tensor step = Tensor::integers(cpu(), {});
    step.upload(&value);
    return step;
}

Tensor totals_of(size_t edges) { return Tensor::zeros(cpu(), {static_cast<int64_t>(edges), 1, 1, EdgeTotals::columns}); }

/// "0 resnet8 through linear; 1 resnet14 cutoff cutoff" without the file.
Graph graph_of(const std::vector<std::string>& models, const std::vector<std::vector<Gate>>& gates) {
    Graph g;
    for (const std::string& model : models) {
        std::vector<int> members;
        if (model.rfind("ensemble:", 0) == 0)
            for (const char c : model.substr(9))
                if (c != '+') members.push_back(c - '0');
        g.nodes.push_back({model, "", members});
    }
    g.gates = gates;
    return g;
}

constexpr Gate T = Gate::through, L = Gate::linear, C = Gate::correct, X = Gate::cutoff;

/// The loss of a node by its logits, with 1 to 3 incoming edges: the label's first (X: it is cut off), then from two sources.
std::vector<OpCase> node_losses() {
    constexpr int64_t n = 5, k = 7;
    std::vector<OpCase> cases;
    for (const float temperature : {1.0f, 3.0f})
        for (const std::vector<Gate>& gates : {std::vector<Gate>{T}, {X, T}, {X, L}, {X, C}, {L, C, T}, {C, L, L}, {X, T, C}}) {
            std::string name = "node loss at T = " + std::to_string(temperature);
            for (const Gate gate : gates) name += std::string(" ") + to_string(gate);
            const auto logits = [](const std::string& whose) { return uniform_input(whose + " logits", {n, 1, 1, k}, -4, 4); };
            const auto run_case = [=](const Inputs& in) {
                Backend& backend = in[0].backend();
                const auto right = [&](const std::vector<float>& hits) { return Var(Tensor::from_host(backend, {n, 1, 1, 1}, hits)); };
                const Var source_right[] = {Var(), right({1, 0, 1, 1, 0}), right({0, 1, 1, 0, 1})};
                std::vector<IncomingEdge> edges;
                for (size_t e = 0; e < gates.size(); ++e)
                    if (gates[e] != X) edges.push_back({gates[e], e == 0 ? Var() : in[e], source_right[e]});
                Tensor step = Tensor::integers(backend, {});
                const int32_t before = 6;
                step.upload(&before);
                const Tensor totals = Tensor::zeros(backend, {static_cast<int64_t>(edges.size()), 1, 1, EdgeTotals::columns});
                return node_loss(in[0], integers(backend, {3, 0, 6, 6, 1}), edges, temperature, {step, 10}, right({1, 1, 0, 0, 1}).value(),
                                 totals)
                    .total;
            };
            cases.push_back({name, {logits("target"), without_gradient(logits("source")), without_gradient(logits("other"))}, run_case});
        }
    return cases;
}

/// One training step as the trainer makes it.
StepResult train_step(Method& method, const Batch& batch, float rate, float decay = 0) {
    static Tape tape;
    const StepResult r = recorded_step(method, tape, batch);
    method.parameters().begin_backward();
    tape.backward(r.loss);
    SgdOptions sgd;
    sgd.weight_decay = decay;
    sgd_step(method.parameters(), Tensor::from_host(cpu(), {}, {rate}), sgd);
    return r;
}

/// Step `step` of the graph fixtures: 16 of 80 images of 16x16 in [0, 1], 4 classes.
Batch ktg_batch(int32_t step) {
    const Shape s{16, 16, 16, 3};
    std::vector<float> images(static_cast<size_t>(s.size()));
    const int64_t part = step % 5;
    for (size_t i = 0; i < images.size(); ++i) {
        const auto pixel = static_cast<double>(golden_hash("ktg.images", static_cast<uint64_t>(part * s.size()) + i) >> 56);
        images[i] = static_cast<float>(pixel / 255);
    }
    std::vector<int32_t> labels;
    for (int64_t n = part * s.n; n < (part + 1) * s.n; ++n)
        labels.push_back(static_cast<int32_t>(golden_hash("ktg.labels", static_cast<uint64_t>(n)) % 4));
    Batch batch{Var(Tensor::from_host(cpu(), s, to_nhwc(images, s))), Tensor::integers(cpu(), {s.n, 1, 1, 1}), step_of(step)};
    batch.labels.upload(labels.data());
    return batch;
}

Options ktg_options() {
    Options o = options_of(find_recipe("ktg"));
    o.epochs = 2;
    o.batch = 16;
    return o;
}

std::unique_ptr<KnowledgeTransferGraph> make(const Graph& graph, const Options& o, KtgOptions own = {}) {
    own.graph = graph;
    return std::make_unique<KnowledgeTransferGraph>(setting(cpu(), 4, {}, 16, 80), o, own);
}

std::vector<float> logits_of(const Network& network, const Batch& batch) {
    const NoGrad no_grad;
    return network.forward(batch.images, Mode::evaluate).logits.value().to_host();
}

}  // namespace

TEST_CASE("ktg: gates and losses worked by hand") {
    const float ln3 = std::log(3.0f);
    // Three samples of two classes. Target: p = (¾, ¼), (½, ½), (¼, ¾), labels 0, 1, 1: right, (tie: class 0) wrong, right.
    const Var target = matrix(3, {ln3, 0, 0, 0, 0, ln3});
    const Tensor labels = integers(cpu(), {0, 1, 1});
    const Tensor right = correct_rows(target.value(), labels);
    CHECK(right.to_host() == std::vector<float>{1, 0, 1});
    // Source: (½, ½) each; it calls class 0, which is right for the first sample alone.
    const Var source = matrix(3, {0, 0, 7, 7, 0, 0});
    const Var source_right(correct_rows(source.value(), labels));
    CHECK(source_right.value().to_host() == std::vector<float>{1, 0, 0});

    const double ce[3] = {std::log(4.0 / 3), std::log(2.0), std::log(4.0 / 3)};
    const double kl = 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25);  // KL(p_s ‖ p_t) of the first and third sample
    const Tensor totals = totals_of(4);
    const std::vector<IncomingEdge> edges = {{T, {}, {}}, {T, source, source_right}, {C, source, source_right}, {L, source, source_right}};
    const NodeLoss loss = node_loss(target, labels, edges, 1, {step_of(4), 20}, right, totals);
    const double expected[4] = {(ce[0] + ce[1] + ce[2]) / 3, 2 * kl / 3, kl / 3 /* divided by 3, not by the one kept */, 0.25 * 2 * kl / 3};
    for (int64_t e = 0; e < 4; ++e) CHECK(loss.edges.view(e, {}).item() == doctest::Approx(expected[e]).epsilon(1e-6));
    CHECK(loss.total.value().item() == doctest::Approx(expected[0] + expected[1] + expected[2] + expected[3]).epsilon(1e-6));

    // On a label edge the gate's source is the label, always right: correct is through.
    for (const Gate gate : {T, C}) {
        const NodeLoss label = node_loss(target, labels, {{gate, {}, {}}}, 1, {}, right, totals_of(1));
        CHECK(label.edges.item() == cross_entropy(target, labels).value().item());
        CHECK(label.total.value().item() == label.edges.item());
    }
    // T = 4 with logits four times as large: the same probabilities, times 16; the cross-entropy stays at T = 1.
    const Var hot = matrix(3, {4 * ln3, 0, 0, 0, 0, 4 * ln3});
    const NodeLoss warm = node_loss(hot, labels, {{T, {}, {}}, {T, source, source_right}}, 4, {}, right, totals_of(2));
    CHECK(warm.edges.view(0, {}).item() == doctest::Approx((2 * std::log(1 + 1 / 81.0) + std::log(2.0)) / 3).epsilon(1e-5));
    CHECK(warm.edges.view(1, {}).item() == doctest::Approx(16 * 2 * kl / 3).epsilon(1e-5));

    // images, weights, last weight, losses, then who was right: both, source only, target only, none.
    const std::vector<float> t = totals.to_host();
    const auto column = [&](size_t edge, EdgeTotals::Column c) { return t[edge * EdgeTotals::columns + static_cast<size_t>(c)]; };
    const std::vector<std::vector<float>> counts = {{2, 1, 0, 0}, {1, 0, 1, 1}, {1, 0, 1, 1}, {1, 0, 1, 1}};
    const double weights[4] = {1, 1, 1.0 / 3, 0.25};
    for (size_t e = 0; e < 4; ++e) {
        CHECK(column(e, EdgeTotals::images) == 3);
        CHECK(column(e, EdgeTotals::weight) == doctest::Approx(3 * weights[e]));
        CHECK(column(e, EdgeTotals::last_weight) == doctest::Approx(weights[e]));
        CHECK(column(e, EdgeTotals::loss) == doctest::Approx(3 * expected[e]).epsilon(1e-6));
        for (size_t c = 0; c < 4; ++c) CHECK(t[e * EdgeTotals::columns + EdgeTotals::both_right + c] == counts[e][c]);
    }
    // A second batch is added to it.
    node_loss(target, labels, edges, 1, {step_of(9), 20}, right, totals);
    const std::vector<float> twice = totals.to_host();
    CHECK(twice[EdgeTotals::images] == 6);
    CHECK(twice[EdgeTotals::both_right] == 4);
    CHECK(twice[3 * EdgeTotals::columns + EdgeTotals::weight] == doctest::Approx(3 * 0.25 + 3 * 0.5));
    CHECK(twice[3 * EdgeTotals::columns + EdgeTotals::last_weight] == doctest::Approx(0.5));
}

TEST_CASE("ktg: the linear gate rises from 1/K to 1 with the configured epochs") {
    const Var target = matrix(1, {0, 0}), source = matrix(1, {1, 0});
    const auto weight = [&](int32_t step, int64_t iterations) {
        const Tensor totals = totals_of(1);
        node_loss(target, integers(cpu(), {0}), {{L, source, hits({1})}}, 1, {step_of(step), iterations}, hits({1}).value(), totals);
        return totals.view(EdgeTotals::last_weight, {}).item();
    };
    CHECK(weight(0, 1000) == 0.001f);  // k = 1
    CHECK(weight(499, 1000) == 0.5f);
    CHECK(weight(999, 1000) == 1.0f);

    // K = epochs·(⌊N/B⌋ + 1): 2·(80/16 + 1) = 12, of which the 2·5 steps that are made reach 10.
    const auto method = make(graph_of({"resnet8a", "resnet8a"}, {{L, X}, {X, T}}), ktg_options());
    const Supervised plain(setting(cpu(), 4), [] {
        Options o;
        o.student = "resnet8a";
        return o;
    }());
    for (const int32_t step : {0, 4, 9}) {
        const StepResult r = method->step(ktg_batch(step));
        const Var logits = method->student().forward(ktg_batch(step).images, Mode::train).logits;
        const float full = cross_entropy(logits, ktg_batch(step).labels).value().item();
        CHECK(r.named[0].value().item() == doctest::Approx(static_cast<float>(step + 1) / 12 * full).epsilon(1e-6));
    }
}

TEST_CASE("ktg: gradients of every gate") { check_gradients(node_losses()); }
TEST_CASE("ktg: a node's loss, CUDA like the CPU") { compare_backends(node_losses()); }

TEST_CASE("ktg: one way back of the sum gives each node the gradient of its own loss") {
    const Graph both = graph_of({"resnet8a", "wrn-10-1"}, {{T, T}, {C, L}});
    const auto method = make(both, ktg_options());
    const Batch batch = ktg_batch(3);
    const auto gradients = [&](int node) {  // of L_node alone, or of the sum
        Tape tape;
        StepResult r;
        {
            const Recording on(&tape);
            r = method->step(batch);
            if (node >= 0) {
                // The same node with its partner frozen on the spot: the other's logits come in as numbers.
                const std::vector<Var> logits = {method->student().forward(batch.images, Mode::train).logits,
                                                 method->others()[0].network->forward(batch.images, Mode::train).logits};
                const auto own = static_cast<size_t>(node), from = 1 - own;
                const IncomingEdge label{both.gate(node, node), {}, {}};
                const auto right = [&](size_t i) { return correct_rows(logits[i].value(), batch.labels); };
                const IncomingEdge transfer{both.gate(node, 1 - node), logits[from].detached(), Var(right(from))};
                r.loss = node_loss(logits[own], batch.labels, {label, transfer}, 1, {batch.step, 12}, right(own), totals_of(2)).total;
            }
        }
        method->parameters().begin_backward();
        tape.backward(r.loss);
        return method->parameters().gradients().to_host();
    };
    const std::vector<float> sum = gradients(-1), first = gradients(0), second = gradients(1);
    std::vector<double> parts;
    for (size_t i = 0; i < sum.size(); ++i) {
        CHECK_FALSE((first[i] != 0 && second[i] != 0));  // a loss reaches its own node alone
        parts.push_back(static_cast<double>(first[i]) + static_cast<double>(second[i]));
    }
    check_values("gradients", sum, parts, 1e-6);
}

TEST_CASE("golden: steps of knowledge transfer graphs like PyTorch's") {
    struct Case {
        std::string name;
        Graph graph;
        double temperature;
    };
    const Graph three = graph_of({"resnet8a", "wrn-10-1", "resnet14"}, {{T, L, C}, {C, L, T}, {X, X, X}});
    const std::vector<Case> cases = {
        {"ktg_three_nodes", three, 1},
        {"ktg_three_nodes_frozen-bn-batch", three, 2},
        {"ktg_kd", graph_of({"resnet8a", "resnet14"}, {{T, T}, {X, X}}), 4},
        {"ktg_ensemble", graph_of({"ensemble:1+2", "resnet8a", "wrn-10-1"}, {{X, X, X}, {T, C, X}, {X, L, T}}), 1},
    };
    for (Case c : cases) {
        CAPTURE(c.name);
        const TempFolder folder;
        Options o = ktg_options();
        KtgOptions own;
        own.temperature = c.temperature;
        if (c.name.find("bn-batch") != std::string::npos) own.frozen_bn = "batch";
        for (int i = 0; i < c.graph.size(); ++i)
            if (c.graph.is_frozen(i))
                c.graph.nodes[static_cast<size_t>(i)].weights = golden_teacher_file(folder, cpu(), c.graph.node(i).model, 4);
        const auto method = make(c.graph, o, own);
        method->parameters().from_file(golden_weights(method->parameters(), "", ""), "the formula");
        const std::vector<std::string> names = method->loss_names();

        const CsvTable expected = read_csv(golden(c.name + ".csv"));
        REQUIRE(expected.rows.size() == 6);
        double worst = 0;
        std::map<std::string, double> both;  // by edge, over all steps
        for (size_t step = 0; step < expected.rows.size(); ++step) {
            const Batch batch = ktg_batch(static_cast<int32_t>(step));
            const StepResult r = train_step(*method, batch, 1e-4f, 0.5f);
            REQUIRE(r.named.size() == names.size());
            double sum = 0;
            for (size_t i = 0; i < names.size(); ++i) {
                const double truth = expected.cell_number(step, names[i] + "_f64"), found = r.named[i].value().item();
                const double difference = std::fabs(found - truth) / std::fabs(truth);
                CHECK_MESSAGE(difference <= 1e-5, c.name, ", step ", step, ", ", names[i], ": found ", found, ", expected ", truth);
                worst = std::max(worst, difference);
                sum += truth;
            }
            CHECK(r.loss.value().item() == doctest::Approx(sum).epsilon(1e-5));
            const Tensor correct = Tensor::zeros(cpu(), {});
            count_correct(r.logits.value(), batch.labels, correct);
            CHECK(correct.item() == static_cast<float>(expected.cell_number(step, "right_0")));
            for (const std::string& name : names)
                if (expected.has("both" + name.substr(4))) both[name] += expected.cell_number(step, "both" + name.substr(4));
        }
        size_t columns = 0;
        for (const std::string& column : expected.columns) columns += column.find("_f64") != std::string::npos;
        CHECK(columns == names.size());  // no edge of the fixture was left out
        const std::vector<float> totals = method->state().front().second.to_host();
        for (size_t e = 0; e < names.size(); ++e)
            if (both.count(names[e])) CHECK(totals[e * EdgeTotals::columns + EdgeTotals::both_right] == static_cast<float>(both[names[e]]));
        MESSAGE(c.name, ": worst relative difference ", worst, ", allowed 1e-5");
    }
}

TEST_CASE("ktg: KD is a graph, and an edge that is cut off costs nothing") {
    const TempFolder folder;
    Options o = ktg_options();
    KtgOptions own;
    own.temperature = 4;
    o.student = "resnet8";
    o.teacher = "resnet14";
    o.teacher_weights = golden_teacher_file(folder, cpu(), "resnet14", 4).string();
    Graph kd = graph_of({"resnet8", "resnet14"}, {{T, T}, {X, X}});
    kd.nodes[1].weights = o.teacher_weights;
    const auto teacher = Teacher::load(cpu(), o, 4);
    KnowledgeDistillation reference(setting(cpu(), 4, {teacher.get()}), o, {1, 1, 4});
    const auto method = make(kd, o, own);
    for (int32_t step = 0; step < 3; ++step) {
        const StepResult a = train_step(*method, ktg_batch(step), 0.01f), b = train_step(reference, ktg_batch(step), 0.01f);
        CHECK(a.named[0].value().item() == doctest::Approx(b.named[0].value().item()).epsilon(1e-5));
        CHECK(a.named[1].value().item() == doctest::Approx(b.named[1].value().item()).epsilon(1e-4));
    }

    const auto work = [&](const Graph& graph) {
        const auto m = make(graph, o);
        const int64_t before = multiply_accumulates();
        m->step(ktg_batch(0));
        return multiply_accumulates() - before;
    };
    Graph alone = graph_of({"resnet8"}, {{T}}), unused = kd;
    unused.gates[0][1] = X;
    CHECK(work(unused) == work(alone));  // nobody looks at the frozen node: it is not run
    CHECK(work(kd) > work(alone));
    CHECK(make(unused, o)->loss_names() == std::vector<std::string>{"loss_0_0"});
    Graph many = kd;
    many.gates = {{T, C}, {X, X}};
    CHECK(work(many) == work(kd));  // gates are free
}

TEST_CASE("ktg: a test makes one pass of each network, also for the ensemble that it is a member of, with the same numbers" *
          doctest::test_suite("no kernels")) {
    SmallTraining t(make_backend("cpu", {1}), 8, 40);
    t.options.epochs = 1;
    std::unique_ptr<Method> method;
    const auto work = [&](const std::string& run, const Graph& graph) {
        KtgOptions own;
        own.graph = graph;
        method = own.make(t.setting(), t.options);
        const int64_t before = multiply_accumulates();
        t.train(run, *method);
        return multiply_accumulates() - before;
    };
    const int64_t pair = work("pair", graph_of({"resnet8", "resnet8"}, {{T, T}, {T, T}}));
    const int64_t summed = work("summed", graph_of({"ensemble:1+2", "resnet8", "resnet8"}, {{X, X, X}, {X, T, T}, {X, T, T}}));
    CHECK(summed == pair);
    const CsvTable epochs = read_csv(t.path("summed") / "epochs.csv");
    REQUIRE(epochs.rows.size() == 1);
    const Loader loader = t.loader();
    const Evaluation sum = evaluate(t.backend(), loader, method->student());
    CHECK(epochs.cell(0, "test_loss") == number(sum.loss));
    CHECK(epochs.cell(0, "test_acc") == number(sum.accuracy));
    REQUIRE(method->others().size() == 2);
    for (const OtherNetwork& other : method->others())
        CHECK(epochs.cell(0, "test_acc_" + other.name) == number(evaluate(t.backend(), loader, *other.network).accuracy));
}

TEST_CASE("ktg: a frozen node stays as it is; with its authors' BatchNorm its running statistics drift, and are kept") {
    const TempFolder folder;
    Graph kd = graph_of({"resnet8", "resnet14"}, {{T, T}, {X, X}});
    kd.nodes[1].weights = golden_teacher_file(folder, cpu(), "resnet14", 4);
    const Batch seen = ktg_batch(0);
    for (const std::string bn : {"running", "batch"}) {
        KtgOptions own;
        own.frozen_bn = bn;
        const auto method = make(kd, ktg_options(), own);
        CHECK(method->parameters().count("node1.") == 0);
        const std::vector<PretrainedNetwork> frozen = method->pretrained();
        REQUIRE(frozen.size() == 1);
        CHECK(frozen[0].name == "node1");
        CHECK(frozen[0].file == kd.node(1).weights);
        const std::vector<float> before = logits_of(frozen[0].network, seen), student_before = logits_of(method->student(), seen);
        for (int32_t step = 0; step < 3; ++step) train_step(*method, ktg_batch(step), 0.05f);
        CHECK(logits_of(method->student(), seen) != student_before);
        CHECK((logits_of(frozen[0].network, seen) == before) == (bn == "running"));
        CHECK(method->others().size() == (bn == "running" ? 0 : 1));  // what changes is tested each epoch
        CHECK(method->state().size() == (bn == "running" ? 1 : 2));
    }
}
