// network_checks.h: what the public CRD benchmark says of a network (docs/papers.md §8.6), and PyTorch's answers for it, as checks.
// defines: examples_of, NetworkFacts, check_facts, check_names, check_golden_forward, check_golden_training
#pragma once
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base_texts.h"
#include "core_work_count.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "net_table.h"
#include "train_optim.h"

namespace distill::testing {

/// The names that a row of the table gives as examples.
inline std::vector<std::string> examples_of(const NetworkRow& row) {
    std::vector<std::string> names = split(row.examples, ',');
    for (std::string& name : names) name.erase(0, name.find_first_not_of(' '));
    return names;
}

struct NetworkFacts {
    const char* name;
    int64_t tensors;                                           ///< weights, biases, BatchNorm's two and running statistics
    int64_t parameters_100, work_32, parameters_200, work_64;  ///< by classes; multiply-accumulates by rows of the image
    /// Side and channels of the stem's output and the stages' at 32×32, and of the pooled vector.
    std::vector<std::pair<int64_t, int64_t>> features;
};

inline void check_facts(const NetworkFacts& facts) {
    CAPTURE(facts.name);
    for (const int64_t side : {32, 64}) {
        CAPTURE(side);
        const int classes = side == 32 ? 100 : 200;
        Parameters parameters(cpu(), false);
        const auto network = make_network(facts.name, classes, parameters);
        parameters.allocate(0);
        CHECK(static_cast<int64_t>(parameters.to_file().size()) == facts.tensors);
        CHECK(parameters.count("") == (side == 32 ? facts.parameters_100 : facts.parameters_200));
        const int64_t before = multiply_accumulates();
        const Output out = network->forward(Var(Tensor::zeros(cpu(), {1, side, side, 3})), Mode::evaluate, Keep::outputs);
        CHECK(multiply_accumulates() - before == (side == 32 ? facts.work_32 : facts.work_64));
        if (side == 64) continue;
        std::vector<std::pair<int64_t, int64_t>> found;
        for (const Var& v : features_of(out)) found.emplace_back(v.shape().h, v.shape().c);
        CHECK(found == facts.features);
    }
}

/// These are some of a weight file's names, with these shapes.
inline void check_names(const char* name, const std::vector<std::pair<const char*, std::vector<int64_t>>>& some) {
    Parameters parameters(cpu());
    make_network(name, 100, parameters);
    parameters.allocate(0);
    const auto file = parameters.to_file();
    for (const auto& [parameter, shape] : some) {
        CAPTURE(parameter);
        REQUIRE(file.count(parameter) == 1);
        CHECK(file.at(parameter).shape == shape);
    }
}

/// tests/golden/FILE.csv against these networks, in training and as teachers, on `images` images.
inline void check_golden_forward(const std::string& file, const std::vector<std::pair<const char*, int64_t>>& networks, double tolerance) {
    GoldenTable table(file + ".csv");
    for (const auto& [name, images] : networks)
        for (const Mode mode : {Mode::train, Mode::evaluate}) {
            const bool teacher = mode == Mode::evaluate;
            Parameters parameters(exact_cpu());
            const auto network = make_network(name, 100, parameters);
            parameters.allocate(0);
            parameters.from_file(golden_weights(parameters, "", teacher ? "teacher." : "", teacher), "the formula");
            const Tensor batch = golden_batch(exact_cpu(), 0).images.value();
            const std::vector<float> all = batch.to_host();
            const Shape some{images, batch.shape().h, batch.shape().w, batch.shape().c};
            const Var x(Tensor::from_host(exact_cpu(), some, {all.begin(), all.begin() + some.size()}));
            const Output out = network->forward(x, mode, Keep::outputs | Keep::pre_activations);
            const std::string row = std::string(name) + (teacher ? " evaluate" : " train");
            table.check(row, "f0", to_nchw(out.stem.output.value()), tolerance);
            for (size_t i = 0; i < out.stages.size(); ++i) {
                table.check(row, "s" + std::to_string(i), to_nchw(out.stages[i].output.value()), tolerance);
                table.check(row, "p" + std::to_string(i), to_nchw(out.stages[i].pre_activation.value()), tolerance);
            }
            table.check(row, "pooled", to_nchw(out.pooled.value()), tolerance);
            table.check(row, "logits", to_nchw(out.logits.value()), tolerance);
            table.check(row, "parameters", static_cast<double>(parameters.count("")), 0, 0);
        }
    table.finish();
}

/// tests/golden/FILE_train.csv: three steps of SGD for each network that it has, the losses against PyTorch's in double. Where statistics
/// are over few values each update makes up to a hundred times more of a rounding, so later steps say less of it; a gradient that is off by
/// 1 % shows.
inline void check_golden_training(const std::string& file, size_t networks) {
    const CsvTable csv = read_csv(golden(file + "_train.csv"));
    const Tensor lr = Tensor::from_host(exact_cpu(), {}, {1e-4f});
    SgdOptions sgd;
    sgd.weight_decay = 0.5f;
    CHECK(csv.rows.size() == 3 * networks);
    for (size_t row = 0; row + 2 < csv.rows.size(); row += 3) {
        const std::string name = csv.cell(row, "network");
        Parameters parameters(exact_cpu());
        const auto network = make_network(name, 100, parameters);
        parameters.allocate(0);
        parameters.from_file(golden_weights(parameters, "", ""), "the formula");
        Tape tape;
        for (size_t step = 0; step < 3; ++step) {
            Var loss;
            {
                const Recording on(&tape);
                const Batch batch = golden_batch(exact_cpu(), static_cast<int64_t>(step));
                loss = cross_entropy(network->forward(batch.images, Mode::train).logits, batch.labels);
            }
            parameters.begin_backward();
            tape.backward(loss);
            sgd_step(parameters, lr, sgd);
            constexpr double allowed[] = {1e-5, 1e-3, 1e-2};
            const double truth = csv.cell_number(row + step, "loss_ce_f64");
            const double off = std::fabs(static_cast<double>(loss.value().item()) - truth) / truth;
            CHECK_MESSAGE(off <= allowed[step], name, ", step ", step, ": off by ", off);
        }
    }
}

}  // namespace distill::testing
