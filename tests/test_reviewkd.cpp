// ReviewKD: the pyramid distance by hand, its gradients and those of the fusion, levels, ablations, λ and its ramp.
#include "method_reviewkd.h"

#include <cmath>
#include <tuple>

#include "complaints.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "parameter_inputs.h"
#include "setting.h"

using namespace distill;
using namespace distill::testing;

namespace {

float hcl_of(const Shape& shape, const std::vector<float>& student, const std::vector<float>& teacher) {
    return hcl(Var(Tensor::from_host(cpu(), shape, student)), Var(Tensor::from_host(cpu(), shape, teacher))).value().item();
}
float hcl_of(const Shape& shape, const std::vector<float>& student) {
    return hcl_of(shape, student, std::vector<float>(student.size(), 0.0f));
}

Batch batch_of(int64_t n, int64_t side) {
    const auto input = uniform_input("reviewkd images", {n, side, side, 3});
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < n; ++i) labels.push_back(static_cast<int32_t>(i % 10));
    return {Var(Tensor::from_host(cpu(), input.shape, input.values)), integers(cpu(), labels)};
}

Options pair(const std::string& teacher, const std::string& student) {
    Options o;
    o.teacher = teacher;
    o.student = student;
    return o;
}

/// A method with the teacher that it needs.
struct Case {
    Teacher teacher;
    ReviewKD method;
    explicit Case(const Options& o, const ReviewOptions& own = {})
        : teacher(cpu(), o, 10), method(setting(cpu(), 10, {&teacher}), o, own) {}
    double loss_at(int epoch, const Batch& batch) {
        method.begin_epoch(epoch);
        return method.step(batch).named[1].value().item();
    }
    std::vector<int64_t> shape(const std::string& name) { return method.parameters().to_file().at(name).shape; }
    bool has(const std::string& name) { return method.parameters().to_file().count(name) > 0; }
    int modules() {
        int n = 0;
        for (const auto& [name, t] : method.parameters().to_file("abfs.")) n += name.find("conv2.0.weight") != std::string::npos;
        return n;
    }
};

/// Objective: both of a fusion's results, the level's output and what it hands on, side by side.
OpCase fusion(const std::string& name, bool fuses, bool attends, const Shape& x, const Shape& residual, const Shape& size) {
    OpCase op;
    op.name = name;
    op.inputs.push_back(uniform_input("fusion x", x));
    if (fuses) op.inputs.push_back(uniform_input("fusion residual", residual));
    const size_t first = op.inputs.size();
    auto parameters = std::make_shared<Parameters>(cpu());
    const AttentionFusion abf(*parameters, "abf", x.c, residual.c, size.c, fuses, attends);
    parameters->allocate(0);
    const std::vector<std::string> names = trainable_names(*parameters);
    for (const std::string& parameter : names) {
        const Shape shape = shape_from_file(parameters->to_file().at(parameter).shape);
        const bool gamma = parameter.find(".1.weight") != std::string::npos;
        op.inputs.push_back(uniform_input(parameter, shape, gamma ? 0.5f : -0.8f, gamma ? 1.5f : 0.8f));
    }
    op.run = [=](const Inputs& in) {
        bind_parameters(*parameters, names, in, first);
        const AttentionFusion::Result r = abf(in[0], fuses ? in[1] : Var(), size);
        return concat_channels(r.output, r.residual);
    };
    return op;
}

}  // namespace

TEST_CASE("hcl: worked by hand") {
    // 2×2, one channel: full size 30/4; 1×1: mean 2.5, squared 6.25, weight ½; 2 and 4 are skipped and halve nothing.
    CHECK(hcl_of({1, 2, 2, 1}, {1, 2, 3, 4}) == doctest::Approx((7.5 + 0.5 * 6.25) / 1.5).epsilon(1e-6));
    // 4×4: 2×2 means 3.5, 5.5, 11.5, 13.5 with ½, 1×1 mean 8.5 with ¼; the size 4 itself is skipped.
    std::vector<float> counted;
    for (int i = 1; i <= 16; ++i) counted.push_back(static_cast<float>(i));
    const double full = 1496.0 / 16, two = (3.5 * 3.5 + 5.5 * 5.5 + 11.5 * 11.5 + 13.5 * 13.5) / 4, one = 8.5 * 8.5;
    CHECK(hcl_of({1, 4, 4, 1}, counted) == doctest::Approx((full + two / 2 + one / 4) / 1.75).epsilon(1e-6));
    // 1×1: nothing to pool.
    CHECK(hcl_of({2, 1, 1, 2}, {1, 2, 3, 4}) == doctest::Approx(7.5).epsilon(1e-6));
    // Larger than 4×4: all of ½, ¼, ⅛. A constant map has the same distance at every size.
    CHECK(hcl_of({2, 8, 8, 3}, std::vector<float>(384, 3)) == doctest::Approx(9).epsilon(1e-6));
    // ±1 in a fine chessboard vanishes in every mean: only the full size remains, 1 of the weights' sum 1 + ½ + ¼ + ⅛.
    std::vector<float> board;
    for (int i = 0; i < 64; ++i) board.push_back((i / 8 + i) % 2 ? 1.0f : -1.0f);
    CHECK(hcl_of({1, 8, 8, 1}, board) == doctest::Approx(1 / 1.875).epsilon(1e-6));
    // It is the difference that counts, and no batch or channel outweighs another.
    CHECK(hcl_of({1, 2, 2, 1}, {11, 12, 13, 14}, {10, 10, 10, 10}) == doctest::Approx(10.625 / 1.5).epsilon(1e-6));
    CHECK(hcl_of({2, 2, 2, 1}, {1, 2, 3, 4, 0, 0, 0, 0}) == doctest::Approx(10.625 / 1.5 / 2).epsilon(1e-6));
    CHECK(hcl_of({1, 2, 2, 2}, {1, 0, 2, 0, 3, 0, 4, 0}) == doctest::Approx(10.625 / 1.5 / 2).epsilon(1e-6));
}

TEST_CASE("hcl: gradients") {
    for (const Shape& s : {Shape{2, 1, 1, 5}, Shape{2, 2, 2, 3}, Shape{2, 4, 4, 3}, Shape{1, 7, 5, 2}, Shape{2, 8, 8, 4}})
        check_gradients({"hcl " + to_string(s),
                         {uniform_input("hcl s", s), without_gradient(uniform_input("hcl t", s))},
                         [](const Inputs& in) { return hcl(in[0], in[1]); }});
}

TEST_CASE("fusion: gradients of the inputs and of every parameter") {
    const Shape x{3, 4, 4, 5}, residual{3, 2, 2, 6};
    check_gradients(fusion("deepest level", false, false, x, residual, {3, 4, 4, 7}));
    check_gradients(fusion("deepest level, resized", false, false, x, residual, {3, 3, 6, 7}));
    check_gradients(fusion("with attention", true, true, x, residual, {3, 4, 4, 7}));
    check_gradients(fusion("with attention, resized", true, true, x, residual, {3, 6, 5, 7}));
    check_gradients(fusion("without attention", true, false, x, residual, {3, 4, 4, 7}));
}

TEST_CASE("fusion: shapes, and what is handed on") {
    Parameters p(cpu());
    const AttentionFusion plain(p, "plain", 5, 6, 7, false, true), fused(p, "fused", 5, 6, 7, true, true);
    const AttentionFusion added(p, "added", 5, 6, 7, true, false);
    p.allocate(0);
    const auto named = p.to_file();
    CHECK(named.count("plain.att_conv.0.weight") == 0);
    CHECK(named.count("added.att_conv.0.weight") == 0);
    CHECK(named.at("fused.att_conv.0.weight").shape == std::vector<int64_t>{2, 12, 1, 1});
    CHECK(named.at("fused.att_conv.0.bias").shape == std::vector<int64_t>{2});
    CHECK(named.at("fused.conv1.0.weight").shape == std::vector<int64_t>{6, 5, 1, 1});
    CHECK(named.at("fused.conv2.0.weight").shape == std::vector<int64_t>{7, 6, 3, 3});
    CHECK(named.count("fused.conv1.0.bias") + named.count("fused.conv2.0.bias") == 0);

    const auto in = upload(cpu(), {uniform_input("x", {2, 4, 4, 5}), uniform_input("y", {2, 2, 2, 6})});
    for (const AttentionFusion* abf : {&plain, &fused, &added}) {
        const AttentionFusion::Result r = (*abf)(in[0], abf == &plain ? Var() : in[1], {2, 8, 6, 7});
        CHECK(r.output.shape() == Shape{2, 8, 6, 7});
        CHECK(r.residual.shape() == Shape{2, 8, 6, 6});
    }

    // With the attention's weights at 0 and its biases at ±∞, one of the two is handed on alone; without attention, their sum.
    const auto handed_on = [&](const AttentionFusion& abf, const Var& y) { return abf(in[0], y, {2, 4, 4, 7}).residual.value().to_host(); };
    const auto attend_to = [&](float own, float deeper) {
        WeightFile file;
        file.tensors = p.to_file();
        for (const std::string part : {"conv1.0.weight", "conv1.1.weight", "conv1.1.bias"})
            file.tensors["fused." + part] = file.tensors["added." + part] = file.tensors["plain." + part];
        std::fill_n(file.tensors["fused.att_conv.0.weight"].data.begin(), 24, 0.0f);
        file.tensors["fused.att_conv.0.bias"].data = {own, deeper};
        p.from_file(file, "the test");
    };
    attend_to(100, -100);
    const std::vector<float> own = handed_on(plain, {}), deeper = resize_nearest(in[1], 4, 4).value().to_host();
    check_values("own", handed_on(fused, in[1]), {own.begin(), own.end()});
    attend_to(-100, 100);
    check_values("deeper", handed_on(fused, in[1]), {deeper.begin(), deeper.end()});
    std::vector<double> sum;
    for (size_t i = 0; i < own.size(); ++i) sum.push_back(static_cast<double>(own[i]) + deeper[i]);
    check_values("sum", handed_on(added, in[1]), sum);
}

TEST_CASE("fusion: initial weights follow their rules") {
    Parameters p(cpu());
    const AttentionFusion abf(p, "abf", 64, 48, 32, true, true);
    p.allocate(0);
    const auto file = p.to_file();
    const auto check_uniform = [&](const std::string& name, double bound) {  // mean 0, deviation bound/√3, and up to the bound
        const std::vector<float>& values = file.at("abf." + name).data;
        const auto n = static_cast<double>(values.size());
        double mean = 0, square = 0, largest = 0;
        for (float v : values) mean += v / n, square += v * v / n, largest = std::max(largest, std::fabs(static_cast<double>(v)));
        CHECK_MESSAGE(std::fabs(mean) < 5 * bound / std::sqrt(3 * n), name);
        if (n > 10) CHECK_MESSAGE(square == doctest::Approx(bound * bound / 3).epsilon(5 / std::sqrt(n)), name);
        CHECK_MESSAGE(largest <= bound * (1 + 1e-6), name);
        if (n > 10) CHECK_MESSAGE(largest > bound * (1 - 10 / n), name);
    };
    check_uniform("conv1.0.weight", std::sqrt(3.0 / 64));
    check_uniform("conv2.0.weight", std::sqrt(3.0 / (48 * 9)));
    check_uniform("att_conv.0.weight", 1 / std::sqrt(96.0));
    check_uniform("att_conv.0.bias", 1 / std::sqrt(96.0));
}

TEST_CASE("reviewkd: levels go from the pooled vector to stage 1") {
    Case c(pair("wrn-40-2", "wrn-16-1"));
    const int64_t in[] = {64, 64, 32, 16}, out[] = {128, 128, 64, 32};
    for (int k = 0; k < 4; ++k) {
        const std::string abf = "abfs." + std::to_string(k) + ".";
        CHECK(c.shape(abf + "conv1.0.weight") == std::vector<int64_t>{64, in[k], 1, 1});
        CHECK(c.shape(abf + "conv2.0.weight") == std::vector<int64_t>{out[k], 64, 3, 3});
        CHECK(c.shape(abf + "conv2.1.running_var") == std::vector<int64_t>{out[k]});
        CHECK(c.has(abf + "att_conv.0.weight") == (k > 0));
    }
    CHECK(c.modules() == 4);
    CHECK(c.shape("student.block1.layer.0.conv1.weight") == std::vector<int64_t>{16, 16, 3, 3});
    CHECK(c.method.student().name() == "wrn-16-1");
}

TEST_CASE("reviewkd: the middle width is at most 512") {
    Case c(pair("wrn-10-1", "wrn-10-9"));  // 576 wide at the deepest
    CHECK(c.shape("abfs.0.conv1.0.weight") == std::vector<int64_t>{512, 576, 1, 1});
    CHECK(c.shape("abfs.3.conv2.0.weight") == std::vector<int64_t>{16, 512, 3, 3});
}

TEST_CASE("reviewkd: ablations have the modules they need, and the student starts alike") {
    Options o = pair("resnet14", "resnet8x4");
    const auto without = [](bool ReviewOptions::*part) {
        ReviewOptions own;
        own.*part = true;
        return own;
    };
    Case full(o), no_review(o, without(&ReviewOptions::no_review)), no_residual(o, without(&ReviewOptions::no_residual)),
        no_abf(o, without(&ReviewOptions::no_abf));
    CHECK(full.modules() == 4);
    CHECK(no_review.modules() == 4);
    CHECK(no_abf.modules() == 4);
    CHECK(no_residual.modules() == 10);
    for (Case* c : {&no_review, &no_residual, &no_abf})
        for (const auto& [name, t] : c->method.parameters().to_file()) CHECK(name.find("att_conv") == std::string::npos);
    CHECK(no_residual.shape("abfs.3.0.conv1.0.weight") == std::vector<int64_t>{256, 256, 1, 1});  // stage 1 of the teacher, pooled student
    CHECK(no_residual.shape("abfs.3.0.conv2.0.weight") == std::vector<int64_t>{16, 256, 3, 3});
    CHECK(no_residual.shape("abfs.3.3.conv1.0.weight") == std::vector<int64_t>{256, 64, 1, 1});
    CHECK(!no_residual.has("abfs.0.1.conv1.0.weight"));
    const auto start = full.method.parameters().to_file("student.");
    for (Case* c : {&no_review, &no_residual, &no_abf})
        for (const auto& [name, t] : c->method.parameters().to_file("student.")) CHECK(t.data == start.at(name).data);
}

TEST_CASE("reviewkd: compared in pairs, the distance is the sum of those of every pair trained alone, whichever they are") {
    const Options o = pair("resnet14", "resnet8x4");
    ReviewOptions by_pairs, one_pair;
    by_pairs.no_residual = by_pairs.no_hcl = one_pair.no_hcl = true;
    by_pairs.no_residual_by = "pairs";
    const Batch batch = batch_of(3, 16);
    Case all(o, by_pairs);
    CHECK(all.modules() == 10);  // n(n + 1)/2 of four levels
    const auto trained = all.method.parameters().to_file();
    double sum = 0;
    for (int from = 1; from <= 4; ++from)
        for (int to = from; to <= 4; ++to) {
            one_pair.review_from = from, one_pair.review_to = to;
            Case one(o, one_pair);
            CHECK(one.modules() == 1);
            WeightFile file;
            file.tensors = one.method.parameters().to_file();
            for (auto& [name, tensor] : file.tensors)
                if (name.rfind("abfs.0.", 0) == 0) tensor = trained.at(text("abfs.", 4 - from, '.', 4 - to, name.substr(6)));
            one.method.parameters().from_file(file, "the test");
            sum += one.loss_at(20, batch);
        }
    CHECK(all.loss_at(20, batch) == doctest::Approx(sum).epsilon(1e-5));

    one_pair.review_from = 3, one_pair.review_to = 1;  // a deeper level of the teacher, which no review compares
    Case upward(o, one_pair);
    CHECK(upward.shape("abfs.0.conv1.0.weight") == std::vector<int64_t>{256, 64, 1, 1});
    CHECK(upward.shape("abfs.0.conv2.0.weight") == std::vector<int64_t>{64, 256, 3, 3});
    CHECK(upward.loss_at(20, batch) > 0);
}

TEST_CASE("reviewkd: a pair of levels that is none, and ablations that say nothing of it") {
    const auto refused = [](const ReviewOptions& asked, const std::string& says) {
        ReviewOptions own = asked;
        Options o = pair("resnet14", "resnet8");
        const std::string told = complaint([&] {
            own.settle(o);
            Case c(o, own);
        });
        CHECK_MESSAGE(told.find(says) != std::string::npos, told);
    };
    ReviewOptions own;
    own.review_from = 2;
    refused(own, "--review-from 2 --review-to 0: a pair has a level of the teacher and one of the student; give both");
    own.review_to = 5;
    refused(own, "--review-to 5: these networks have 4 levels");
    own.review_to = 1, own.review_from = 9;
    refused(own, "--review-from 9: these networks have 4 levels");
    own.review_from = 1, own.no_abf = true;
    refused(own, "--review-from 1: one pair has no review");
    own = {};
    own.no_residual_by = "pairs";
    refused(own, "--no-residual-by pairs: says how --no-residual compares");
}

TEST_CASE("reviewkd: any image size, and teachers of other widths") {
    for (const auto& [teacher, student, side] :
         {std::tuple{"resnet14", "resnet8", 64}, {"resnet8x4", "resnet14", 20}, {"wrn-10-2", "wrn-10-1", 24}}) {
        Case c(pair(teacher, student));
        c.method.begin_epoch(100);
        const Batch batch = batch_of(4, side);
        Tape tape;
        const StepResult r = recorded_step(c.method, tape, batch);
        CHECK(r.logits.shape() == Shape{4, 1, 1, 10});
        CHECK(std::isfinite(r.loss.value().item()));
        CHECK(r.loss.value().item() == doctest::Approx(r.named[0].value().item() + r.named[1].value().item()).epsilon(1e-6));
        c.method.parameters().begin_backward();
        tape.backward(r.loss);
        for (const auto& [name, g] : gradients_of(c.method.parameters())) {
            if (name.find("running_") != std::string::npos) continue;
            CHECK(std::all_of(g.data.begin(), g.data.end(), [](float v) { return std::isfinite(v); }));
            CHECK_MESSAGE(std::any_of(g.data.begin(), g.data.end(), [](float v) { return v != 0; }), name, " gets no gradient");
        }
    }
}

TEST_CASE("reviewkd: weights of the pairs") {
    CHECK(review_weight("resnet56", "resnet20") == 0.6);
    CHECK(review_weight("resnet110", "resnet32") == 1);
    CHECK(review_weight("resnet32x4", "resnet8x4") == 5);
    CHECK(review_weight("wrn-40-2", "wrn-16-2") == 5);
    CHECK(review_weight("wrn-40-2", "wrn-40-1") == 5);
    CHECK(review_weight("resnet56", "resnet32") == 1);
    CHECK(review_weight("resnet20", "resnet56") == 1);
    CHECK(review_weight("wrn-22-4-tiny", "wrn-10-4-tiny") == 5);
    CHECK(review_weight("wrn-40-2", "resnet20") == 1);
    CHECK(review_weight("wrn-40-2", "ShuffleV1") == 5);
    CHECK(review_weight("resnet32x4", "ShuffleV1") == 5);
    CHECK(review_weight("resnet32x4", "ShuffleV2") == 8);
    CHECK(review_weight("vgg13", "vgg8") == 5);
    CHECK(review_weight("ResNet50", "MobileNetV2") == 30);
    CHECK(review_weight("vgg13", "MobileNetV2") == 1);
}

TEST_CASE("reviewkd: the fusions of the benchmark's eleven pairs, of four levels and five, have the published widths' parameters") {
    struct Expected {
        const char *teacher, *student;
        int levels;
        int64_t parameters;
    };
    for (const Expected& e : {Expected{"resnet56", "resnet20", 4, 114278},
                              {"resnet110", "resnet32", 4, 114278},
                              {"resnet32x4", "resnet8x4", 4, 1808774},
                              {"wrn-40-2", "wrn-16-2", 4, 453830},
                              {"wrn-40-2", "wrn-40-1", 4, 216006},
                              {"wrn-40-2", "ShuffleV1", 4, 2984646},
                              {"resnet32x4", "ShuffleV1", 4, 4607366},
                              {"resnet32x4", "ShuffleV2", 4, 4195718},
                              {"vgg13", "vgg8", 5, 9847560},
                              {"ResNet50", "MobileNetV2", 5, 27933192},
                              {"vgg13", "MobileNetV2", 5, 9640712}}) {
        Case c(pair(e.teacher, e.student));
        CHECK_MESSAGE(c.modules() == e.levels, e.teacher, " to ", e.student);
        CHECK_MESSAGE(c.method.parameters().count("abfs.") == e.parameters, e.teacher, " to ", e.student);
    }
}

TEST_CASE("reviewkd: networks that end in a pooled vector pair, others do not") {
    const Batch batch = batch_of(2, 16);
    for (const auto& [teacher, student] : {std::pair{"wrn-16-1", "resnet8"}, {"resnet14a", "wrn-10-1"}, {"mobilenet-mhgd", "resnet8x4"}}) {
        Case c(pair(teacher, student));
        const double loss = c.loss_at(20, batch);
        CHECK_MESSAGE((std::isfinite(loss) && loss > 0), teacher, " to ", student, ": ", loss);
        CHECK(c.modules() == 4);
    }
    const std::string refused = complaint([] { require_review_pair("vgg7-mhgd", "vgg7-mhgd"); });
    CHECK(says(refused, {"reviewkd: teacher vgg7-mhgd", "no pooled vector"}));
    CHECK(complaint([] { Case c(pair("vgg7-mhgd", "vgg7-mhgd")); }) == refused);
    const std::string students = complaint([] { require_review_pair("resnet8", "vgg7-mhgd"); });
    CHECK(says(students, {"teacher resnet8 and student vgg7-mhgd", "no pooled vector"}));
    CHECK(complaint([] { Case c(pair("resnet8", "vgg7-mhgd")); }) == students);
}

TEST_CASE("reviewkd: of networks of unlike depth the first stages and the pooled vectors are the levels") {
    const Batch batch = batch_of(2, 32);
    for (const auto& [teacher, student, deepest, last_stage] :
         {std::tuple{"resnet8", "MobileNetV2", 1280, 48}, {"vgg8", "resnet8", 64, 64}}) {
        Case c(pair(teacher, student));
        const double loss = c.loss_at(20, batch);
        CHECK_MESSAGE((std::isfinite(loss) && loss > 0), teacher, " to ", student, ": ", loss);
        CHECK(c.modules() == 4);
        CHECK(c.shape("abfs.0.conv1.0.weight").at(1) == deepest);
        CHECK(c.shape("abfs.1.conv1.0.weight").at(1) == last_stage);
    }
    ReviewOptions pooled;
    pooled.review_from = pooled.review_to = 4;
    Case last(pair("resnet8", "MobileNetV2"), pooled);
    CHECK(last.shape("abfs.0.conv1.0.weight").at(1) == 1280);
}

TEST_CASE("reviewkd: the weight rises from 0 over the warm-up and stays") {
    const Batch batch = batch_of(4, 16);
    const Options o = pair("resnet14", "resnet8");
    ReviewOptions own;
    own.kd_weight = 2;
    own.kd_warmup = 20;
    Case ramp(o, own);
    const double full = ramp.loss_at(20, batch);
    CHECK(full > 0);
    CHECK(ramp.loss_at(0, batch) == 0);
    CHECK(ramp.loss_at(1, batch) == doctest::Approx(full / 20).epsilon(1e-5));
    CHECK(ramp.loss_at(10, batch) == doctest::Approx(full / 2).epsilon(1e-5));
    CHECK(ramp.loss_at(19, batch) == doctest::Approx(full * 0.95).epsilon(1e-5));
    CHECK(ramp.loss_at(21, batch) == doctest::Approx(full).epsilon(1e-5));
    CHECK(ramp.loss_at(239, batch) == doctest::Approx(full).epsilon(1e-5));

    own.kd_warmup = 0;
    CHECK(Case(o, own).loss_at(0, batch) == doctest::Approx(full).epsilon(1e-5));
    own.kd_weight.reset();  // the pair's own: 1
    CHECK(Case(o, own).loss_at(0, batch) == doctest::Approx(full / 2).epsilon(1e-5));
}
