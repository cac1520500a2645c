// HKD: steps beside PyTorch's, its switches, what an epoch's table says, what a run keeps and goes on with, bad input. (What every method must
// do: test_methods. The operations: test_ops_info_nce, test_ops_contrast.)
#include <cmath>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "data_image.h"
#include "data_png.h"
#include "feed_workplace.h"
#include "golden_formula.h"
#include "golden_teacher.h"
#include "gradcheck.h"
#include "graph_batch_svg.h"
#include "markup.h"
#include "method_hkd.h"
#include "net_table.h"
#include "run_folders.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

constexpr int64_t batch_size = MemoryGolden::batch_size, steps = MemoryGolden::steps;

struct Golden : MemoryGolden {
    explicit Golden(HkdOptions own = {}) : MemoryGolden(like_the_fixture(std::move(own))) {}
    static HkdOptions like_the_fixture(HkdOptions own) {
        own.weights.alpha = 1;
        own.neighbours = 5;
        return own;
    }
    /// Batches 0, 1, 0, and of batch 1 four images; labelled as the memories are.
    Batch batch(int32_t step) const override {
        Batch b = MemoryGolden::batch(step);
        const int64_t at = step % 2 * batch_size, images = step == 3 ? 4 : batch_size;
        const Shape s = b.images.shape();
        b.images = Var(b.images.value().view(0, {images, s.h, s.w, s.c}));
        b.labels = integers(exact_cpu(), {labels.begin() + at, labels.begin() + at + images});
        std::vector<int32_t> own;
        for (int64_t i = at; i < at + images; ++i) own.push_back(static_cast<int32_t>(i));
        b.records = integers(exact_cpu(), own);
        return b;
    }
};

/// The sums that the method has kept since the last call, a mean each.
struct Sums {
    std::vector<double> before;
    std::map<std::string, double> since(const Method& method) {
        const std::vector<float> now = method.state()[0].second.to_host();
        before.resize(now.size());
        std::map<std::string, double> all;
        for (const auto& [name, at] :
             {std::pair<const char*, size_t>{"individual_s", 0}, {"individual_t", 2}, {"graph_s", 4}, {"graph_t", 6}})
            if (const double count = static_cast<double>(now[at + 1]) - before[at + 1]; count > 0)
                all[name] = (static_cast<double>(now[at]) - before[at]) / count;
        for (size_t i = 0; i < now.size(); ++i) before[i] = static_cast<double>(now[i]);
        return all;
    }
};

const std::string hkd_line =
    "hkd --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 40 --epochs 1 --lr 0.01 --threads 1 "
    "--quiet --negatives-count 10 --run ";

}  // namespace

TEST_CASE("hkd: four steps like PyTorch's, the last on a batch too small for a graph: losses, sums, gradients, and all that they leave") {
    const Golden golden_run;
    Method& method = *golden_run.method;
    CHECK(method.loss_names() == std::vector<std::string>{"loss_ce", "loss_kd", "loss_hkd"});
    GoldenTable expected("hkd_resnet14_resnet8.csv");
    const Tensor lr = Tensor::from_host(exact_cpu(), {}, {3e-4f});
    SgdOptions sgd;
    sgd.weight_decay = 0.05f;
    sgd.nesterov = false;
    constexpr double tolerance =
        1e-5;  // PyTorch's floats: 6e-6 of losses, 2e-6 of gradients; the least mistake on file moves a loss by 2e-3
    Tape tape;
    Sums sums;
    for (int32_t step = 0; step < steps; ++step) {
        const std::string at = text("step", step);
        const StepResult r = golden_run.step(tape, step);
        const auto check = [&](const std::string& name, double value) { expected.check(at, name, value, std::fabs(value), tolerance); };
        for (size_t i = 0; i < 3; ++i) check(method.loss_names()[i], static_cast<double>(r.named[i].value().item()));
        check("loss", static_cast<double>(r.loss.value().item()));
        for (const auto& [name, mean] : sums.since(method)) check(name, mean);
        method.backward(tape, r);
        if (step == 0) {
            Golden named;  // gradients in the places of the values, so that they have names
            Parameters& p = named.method->parameters();
            Tensor values = p.values();
            values.copy_from(method.parameters().gradients());
            for (const auto& [name, tensor] : p.to_file())
                if (name.find("running") == std::string::npos && name.find("memory") != 0)
                    expected.check("first", name, tensor.data, tolerance);
        }
        sgd_step(method.parameters(), lr, sgd);
    }
    for (const auto& [name, tensor] : method.parameters().to_file())
        if (name.find("running") == std::string::npos) expected.check("after", name, tensor.data, tolerance);
    expected.finish();
}

TEST_CASE("hkd: the teacher's modules learn from its own sums alone, the student from the other two, the classifier from neither") {
    const Golden golden_run;
    Method& method = *golden_run.method;
    Tape tape;
    const StepResult r = golden_run.step(tape, 0);
    check_all_but_classifier_learn(method, tape, r.named[2]);
}

TEST_CASE("hkd: each switch leaves out or exchanges what it says") {
    const auto first = [](const std::function<void(HkdOptions&)>& change, int32_t step = 0) {
        HkdOptions own;
        change(own);
        const Golden g(own);
        Tape tape;
        const StepResult r = g.step(tape, step);
        tape.clear();
        auto all = Sums().since(*g.method);
        double sum = 0;
        for (const auto& [name, mean] : all) sum += mean;
        CHECK(static_cast<double>(r.named[2].value().item()) == doctest::Approx(3 * sum).epsilon(1e-5));
        return all;
    };
    const auto plain = first([](HkdOptions&) {});
    REQUIRE(plain.size() == 4);
    const auto no_graph = first([](HkdOptions& o) { o.no_graph = true; });
    const auto no_individual = first([](HkdOptions& o) { o.no_individual = true; });
    for (const auto& [some, kind] :
         {std::pair{no_graph, "individual_"}, {no_individual, "graph_"}}) {  // rounded otherwise, of fewer anchors
        CHECK(some.size() == 2);
        for (const char* of : {"s", "t"}) CHECK(some.at(text(kind, of)) == doctest::Approx(plain.at(text(kind, of))).epsilon(1e-6));
    }
    CHECK(first([](HkdOptions& o) { o.no_graph = true; }, 3).size() == 2);   // without a graph no batch is too small
    CHECK(first([](HkdOptions& o) { o.no_individual = true; }, 3).empty());  // nor is there a loss
    const auto shared = first([](HkdOptions& o) { o.shared_graph = true; });
    CHECK(shared.at("individual_s") == plain.at("individual_s"));
    CHECK(shared.at("graph_s") != plain.at("graph_s"));
    const auto by_feature = first([](HkdOptions& o) { o.graph_from = "feature"; });
    const auto two_hops = first([](HkdOptions& o) { o.hops = 2; });
    for (const auto& other : {by_feature, two_hops}) {
        CHECK(other.at("individual_t") == plain.at("individual_t"));
        CHECK(other.at("graph_t") != plain.at("graph_t"));
    }
    const auto others = first([](HkdOptions& o) { o.negatives = "other"; });
    for (const auto& [name, mean] : plain) CHECK(others.at(name) != mean);
    const auto rough = first([](HkdOptions& o) { o.smoothing = 1; });
    CHECK(rough.at("individual_s") == plain.at("individual_s"));
    CHECK(rough.at("graph_s") != plain.at("graph_s"));
    const auto cool = first([](HkdOptions& o) { o.tau = 0.5; });
    CHECK(cool.at("individual_s") < plain.at("individual_s"));
}

TEST_CASE("hkd: rows are remembered by the momentum, of a batch with a graph or where none is asked for") {
    const auto moved = [](const std::function<void(HkdOptions&)>& change, int32_t step) {
        HkdOptions own;
        change(own);
        const Golden g(own);
        const std::vector<float> before = g.method->parameters().to_file().at("memory.t").data;
        Tape tape;
        g.step(tape, step);
        tape.clear();
        const std::vector<float> after = g.method->parameters().to_file().at("memory.t").data;
        size_t first_row = static_cast<size_t>(step % 2) * batch_size * 128, changed = 0;
        for (size_t i = 0; i < before.size(); ++i) {
            changed += before[i] != after[i];
            if (before[i] != after[i]) CHECK(i / 128 - first_row / 128 < batch_size);
        }
        return changed;
    };
    CHECK(moved([](HkdOptions&) {}, 1) > 1000);  // 8 rows of 128
    CHECK(moved([](HkdOptions&) {}, 3) == 0);
    CHECK(moved([](HkdOptions& o) { o.no_graph = true; }, 3) > 500);  // 4 of them
    HkdOptions keep;
    keep.memory_momentum = 1;
    const Golden g(keep);
    const std::vector<float> before = g.method->parameters().to_file().at("memory.s").data;
    Tape tape;
    g.step(tape, 0);
    tape.clear();
    const std::vector<float> after = g.method->parameters().to_file().at("memory.s").data;
    double square = 0, along = 0, norm = 0;  // of the first row: the same direction, at length 1
    for (size_t i = 0; i < 128; ++i) {
        const double a = static_cast<double>(before[i]), b = static_cast<double>(after[i]);
        square += b * b, along += a * b, norm += a * a;
    }
    CHECK(square == doctest::Approx(1));
    CHECK(along == doctest::Approx(std::sqrt(norm)));
}

TEST_CASE("hkd: start of the modules: Xavier's for a ReLU, the embeddings by default, memories of rows about as long as 1") {
    SmallTraining small;
    const auto method = HkdOptions().make(small.setting(), small.options);
    const auto file = method->parameters().to_file();
    const auto deviation = [&](const char* name) {
        double square = 0;
        for (const float v : file.at(name).data) square += static_cast<double>(v) * static_cast<double>(v);
        return std::sqrt(square / static_cast<double>(file.at(name).data.size()));
    };
    const auto largest = [&](const char* name) {
        float most = 0;
        for (const float v : file.at(name).data) most = std::max(most, std::fabs(v));
        return static_cast<double>(most);
    };
    for (const char* name : {"gnn_s.conv1.lin", "gnn_t.conv1.lin"}) {
        CHECK(file.at(std::string(name) + ".weight").shape == std::vector<int64_t>{128, 256});
        CHECK(deviation((std::string(name) + ".weight").c_str()) == doctest::Approx(std::sqrt(4.0 / 384)).epsilon(0.02));
        CHECK(largest((std::string(name) + ".bias").c_str()) <= 1.0 / 16);
        CHECK(largest((std::string(name) + ".bias").c_str()) > 0.9 / 16);
    }
    CHECK(file.at("gnn_s.conv1.lin.weight").data != file.at("gnn_t.conv1.lin.weight").data);
    CHECK(file.at("embed_s.linear.weight").shape == std::vector<int64_t>{128, 64});
    CHECK(largest("embed_s.linear.weight") <= 0.125);
    CHECK(largest("memory.s") <= std::sqrt(3.0 / 128) * 1.0001);
    CHECK(deviation("memory.s") == doctest::Approx(1 / std::sqrt(128.0)).epsilon(0.02));
}

TEST_CASE("hkd: the options' defaults are the authors'; columns of the losses, with and without KD" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    const std::string help = run(folder, "hkd --help").out;
    CHECK(says(help, {"--gamma NUMBER=1", "--alpha NUMBER=0", "--beta NUMBER=3", "--neighbours INT=8", "--negatives-count TEXT=16384",
                      "--negatives own|other=own", "--graph-from logits|feature=logits", "--hops INT=1", "--tau NUMBER=0.07",
                      "--memory-momentum NUMBER=0.9", "--smoothing NUMBER=0.75", "--batch INT=64", "--lr NUMBER=0.05"}));
    succeed(folder, hkd_line + "plain --log-steps");
    succeed(folder, hkd_line + "with-kd --log-steps --alpha 1");
    const CsvTable plain = read_csv(folder / "plain/steps.csv"), with_kd = read_csv(folder / "with-kd/steps.csv");
    CHECK(plain.columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_hkd"});
    CHECK(with_kd.columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce", "loss_kd", "loss_hkd"});
    CHECK(plain.cell(0, "loss_hkd") == with_kd.cell(0, "loss_hkd"));
    CHECK(plain.rows.size() == 3);
}

TEST_CASE("hkd: graphs.csv has the sums of each epoch, whose classes the neighbours are, and what both graphs share" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "r --log-steps --epochs 2 --lr-steps 1");
    const CsvTable graphs = read_csv(folder / "r/graphs.csv"), epochs = read_csv(folder / "r/epochs.csv");
    CHECK(graphs.columns ==
          std::vector<std::string>{"epoch", "individual_s", "individual_t", "graph_s", "graph_t", "right_s", "right_t", "overlap"});
    REQUIRE(graphs.rows.size() == 2);
    for (size_t epoch = 0; epoch < 2; ++epoch) {
        double sum = 0;
        for (const char* part : {"individual_s", "individual_t", "graph_s", "graph_t"}) sum += graphs.cell_number(epoch, part);
        CHECK(epochs.cell_number(epoch, "loss_hkd") == doctest::Approx(3 * sum).epsilon(1e-4));  // each batch has a graph
        for (const char* share : {"right_s", "right_t", "overlap"}) {
            CHECK(graphs.cell_number(epoch, share) > 0);
            CHECK(graphs.cell_number(epoch, share) <= 100);
        }
    }
    // Student and teacher as one: their graphs are one where both answer in one mode, so not in training; without a graph nothing is said.
    succeed(folder, hkd_line + "alone --no-graph");
    const CsvTable alone = read_csv(folder / "alone/graphs.csv");
    CHECK(alone.cell_number(0, "individual_s") > 0);
    for (const char* none : {"graph_s", "graph_t", "right_s", "right_t", "overlap"}) CHECK(alone.cell(0, none).empty());
    succeed(folder, hkd_line + "itself --neighbours 1");  // no neighbour but itself
    CHECK(read_csv(folder / "itself/graphs.csv").cell(0, "overlap").empty());
    succeed(folder, hkd_line + "all --neighbours 20 --negatives-count all");  // of the last batch of 20 each has all
    CHECK(read_csv(folder / "all/graphs.csv").cell_number(0, "overlap") > 50);
}

TEST_CASE("hkd: a run keeps its modules and memories beside its student, and another may begin with them" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "first");
    const auto helpers = read_safetensors(folder / "first/helpers.safetensors").tensors;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : helpers) names.push_back(name);
    CHECK(names == std::vector<std::string>{"embed_s.linear.bias", "embed_s.linear.weight", "embed_t.linear.bias", "embed_t.linear.weight",
                                            "gnn_s.conv1.lin.bias", "gnn_s.conv1.lin.weight", "gnn_t.conv1.lin.bias",
                                            "gnn_t.conv1.lin.weight", "memory.s", "memory.t"});
    CHECK(helpers.at("memory.t").shape == std::vector<int64_t>{100, 128});
    const std::string frozen = " --lr 1e-30 --max-steps 1 --memory-momentum 1 --init ";
    succeed(folder, hkd_line + "second --seed 5" + frozen + "first/helpers.safetensors");
    CHECK(read_safetensors(folder / "second/helpers.safetensors").tensors.at("gnn_t.conv1.lin.weight").data ==
          helpers.at("gnn_t.conv1.lin.weight").data);
    succeed(folder, hkd_line + "of-student --init first/student.safetensors");  // memories of its own
    // Negatives of a file stand for the first steps' draws; K is that file's.
    WeightFile start = weights_of_run(folder / "first");
    auto& given = start.tensors["negatives"] = {{2, 40, 3}, {}};
    for (int i = 0; i < 240; ++i) given.data.push_back(static_cast<float>(i % 90));
    write_safetensors(folder / "given.init", start);
    const auto losses = [&](const std::string& run, const std::string& more) {
        succeed(folder, hkd_line + run + " --log-steps --shuffle off --augment none --negatives-count all --init " + more);
        const CsvTable t = read_csv(folder / run / "steps.csv");
        return std::vector<std::string>{t.cell(0, "loss_hkd"), t.cell(1, "loss_hkd"), t.cell(2, "loss_hkd")};
    };
    const auto by_file = losses("by-file", "given.init"), again = losses("again", "given.init --seed 7");
    CHECK(by_file[0] == again[0]);
    CHECK(by_file[1] == again[1]);
    CHECK(by_file[2] != again[2]);  // drawn by the seed
}

TEST_CASE("hkd: what does not fit is said in a line" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "first");
    synthesize(folder / "data", {"more", 4, 16, 120, 40});
    synthesize(folder / "data", {"one", 1, 16, 100, 40});
    synthesize(folder / "data", {"other", 3, 16, 100, 40});
    folder.save("three", "resnet8", 5, 3);
    folder.save("single", "resnet8", 6, 1);
    check_rejected(folder, hkd_line + "r --batch 7", {"--batch 7", "--neighbours 8", "counts the image itself"});
    check_rejected(folder, hkd_line + "r --neighbours 41", {"--batch 40", "--neighbours 41"});
    check_rejected(folder, hkd_line + "r --neighbours 0", {"--neighbours", "0", "1 to 4096"});
    check_rejected(folder, hkd_line + "r --hops 0", {"--hops", "0"});
    check_rejected(folder, hkd_line + "r --tau 0", {"--tau"});
    check_rejected(folder, hkd_line + "r --smoothing 1.5", {"--smoothing", "1.5"});
    check_rejected(folder, hkd_line + "r --negatives neither", {"--negatives", "neither", "own", "other"});
    for (const std::string count : {"0", "-1", "many", "20000000"}) {
        std::string line = hkd_line;
        line.replace(line.find("count 10"), 8, "count " + count);
        check_rejected(folder, line + "r", {"--negatives-count", count, "16777216, or all"});
    }
    check_rejected(folder, hkd_line + "r --no-graph --no-individual", {"--no-graph and --no-individual"});
    check_rejected(folder, hkd_line + "r --no-graph --shared-graph", {"--shared-graph and --no-graph"});
    check_rejected(folder, hkd_line + "r --other-classes --teacher-weights single.safetensors --dataset one", {"one", "of one class"});
    const std::string init = " --other-classes --init first/helpers.safetensors";
    check_rejected(folder, hkd_line + "r --dataset more" + init, {"memory.s", "100 training images", "120", "name a file"});
    check_rejected(folder, hkd_line + "r --teacher-weights three.safetensors --dataset other" + init,
                   {"memory.s", "other training images", "SHA-256"});
    WeightFile start = weights_of_run(folder / "first");
    for (const char* name : {"gnn_t.conv1.lin.weight", "gnn_t.conv1.lin.bias", "memory.t"}) start.tensors.erase(name);
    write_safetensors(folder / "half.safetensors", start);
    check_rejected(folder, hkd_line + "r --init half.safetensors",
                   {"half.safetensors", "missing: gnn_t.conv1.lin.weight, gnn_t.conv1.lin.bias, memory.t"});
    check_rejected(folder, hkd_line + "r --hops 2 --init first/helpers.safetensors", {"gnn_s.conv1.lin.weight", "256", "384"});
}

TEST_CASE("hkd: a run does not go on with other images than it remembers, or in another order of classes" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "r");
    for (const int images : {100, 130}) {  // as many others, and more of them
        synthesize(folder / "data", {"s", 4, 16, images, 40, 9, true});
        check_rejected(folder, "hkd --resume --run r --epochs 2", {"r: the data set is not the one"});
    }
}

// ---- hkd show ------------------------------------------------------------------------------------------------------------------------

TEST_CASE("hkd show: a finished run's two graphs of a batch, as text and as a picture of its images" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "r");
    const Ended shown = run(folder, "hkd show r --images 12");
    CAPTURE(shown.err);
    REQUIRE(shown.code == 0);
    CHECK(says(shown.out, {"graphs of 12 training images of s, each takes from the 8 most alike by predictions", "student ", "teacher ",
                           "edges that both graphs have", "r/graphs.svg"}));
    const std::string svg = read_file(folder / "r/graphs.svg");
    CHECK(balanced(svg));
    CHECK(count(svg, "<image ") == 24);
    CHECK(count(svg, "data:image/png;base64,") == 24);
    CHECK(count(svg, "class=\"edge ") == 2 * 12 * 7 + 3);  // and the legend's
    CHECK(run(folder, "hkd show r --images 12 --svg other.svg").code == 0);
    CHECK(read_file(folder / "other.svg") == svg);
    CHECK(run(folder, "hkd show r --images 100 --svg all.svg").code == 0);
    CHECK(says(run(folder, "hkd --help").out, {"show", "both graphs of one batch"}));
    fs::rename(folder / "a.safetensors", folder / "moved.safetensors");
    check_rejected(folder, "hkd show r", {"a.safetensors: the run's teacher is not there", "--teacher-weights"});
    check_rejected(folder, "hkd show r --teacher-weights b.safetensors", {"the teacher's file is not the one this run was started with"});
    CHECK(run(folder, "hkd show r --images 12 --teacher-weights moved.safetensors --svg of-moved.svg").code == 0);
    CHECK(read_file(folder / "of-moved.svg") == svg);
}

TEST_CASE("hkd show: what cannot be shown is said in a line" * doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    succeed(folder, hkd_line + "r");
    succeed(folder, "train --net resnet8 --dataset s --batch 40 --max-steps 1 --threads 1 --quiet --run alone");
    check_rejected(folder, "hkd show", {"RUN"});
    check_rejected(folder, "hkd show nowhere", {"nowhere: is no run's folder"});
    check_rejected(folder, "hkd show alone", {"alone: was started with: distill train"});
    check_rejected(folder, "hkd show r --images 7", {"--images 7", "--neighbours 8", "100 training images"});
    check_rejected(folder, "hkd show r --images 101", {"--images 101", "100 training images"});
    fs::create_directory(folder / "far");
    synthesize(folder / "far", {"s", 4, 16, 100, 40, 99});
    check_rejected(folder, "hkd show r --data far", {"the data set is not the one this run was started with"});
    fs::rename(folder / "r/student.safetensors", folder / "elsewhere");
    check_rejected(folder, "hkd show r", {"r: has no student.safetensors yet"});
}

TEST_CASE("pictures: an image of a data set as PNG, byte for byte, and as the text that a picture holds" *
          doctest::test_suite("no kernels")) {
    std::vector<uint8_t> planes(3 * 5 * 7);
    for (size_t i = 0; i < planes.size(); ++i) planes[i] = static_cast<uint8_t>(i * 41);
    const Image image = decode_image(encode_png(planes.data(), 5, 7), "encoded");
    CHECK(image.height == 5);
    CHECK(image.width == 7);
    bool same = true;
    for (size_t i = 0; i < 35; ++i)
        for (size_t c = 0; c < 3; ++c) same &= image.pixels[3 * i + c] == planes[35 * c + i];
    CHECK(same);
    CHECK(png_uri("") == "data:image/png;base64,");
    CHECK(png_uri("light wor") == "data:image/png;base64,bGlnaHQgd29y");
    CHECK(png_uri("light wo") == "data:image/png;base64,bGlnaHQgd28=");
}

TEST_CASE("pictures: of two graphs, shares by hand, and names that could break the markup" * doctest::test_suite("no kernels")) {
    const std::vector<uint8_t> planes(3, 9);
    const std::string png = encode_png(planes.data(), 1, 1);
    BatchGraphs graphs;
    for (int i = 0; i < 3; ++i)
        graphs.images.push_back({i, i / 2, i < 2 ? "a<b> & \"cd\" and much more than there is room for" : "z", png});
    graphs.left = {"one & only", {{true, true, false}, {true, true, false}, {true, false, true}}};
    graphs.right = {"other", {{true, false, true}, {true, true, false}, {false, true, true}}};
    const GraphShares shares = graph_shares(graphs);
    CHECK(shares.right_left == doctest::Approx(200.0 / 3));   // 0←1, 1←0 of those and 2←0
    CHECK(shares.right_right == doctest::Approx(100.0 / 3));  // 1←0 of 0←2, 1←0, 2←1
    CHECK(shares.overlap == doctest::Approx(100.0 / 3));      // 1←0
    const std::string svg = batch_graphs_svg(graphs);
    CHECK(balanced(svg));
    CHECK(says(svg, {"one &amp; only", "a&lt;b&gt; &amp; "}));
    graphs.left.takes_from = graphs.right.takes_from = {{true, false, false}, {false, true, false}, {false, false, true}};
    CHECK(graph_shares(graphs).overlap == 0);
}
