// KD-SVD as the CRD benchmark has it, beside a computation of its own in double: which maps, the loss, its gradient, what chooses the form;
// --beta of either form; bad input. (MHGD's form beside PyTorch: test_mhgd. What every method must do: test_methods.)
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base_csv.h"
#include "base_files.h"
#include "benchmark_losses.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "method_kd_svd.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Vector = std::vector<double>;

/// The first right singular vectors of x (rows, n), of length 1: eigenvectors of xᵀx by Jacobi's rotations.
std::vector<Vector> leading(const float* x, size_t rows, size_t n, size_t count) {
    std::vector<Vector> a(n, Vector(n)), v(n, Vector(n));  // v: as rows
    for (size_t i = 0; i < n; ++i) {
        v[i][i] = 1;
        for (size_t j = 0; j < n; ++j)
            for (size_t r = 0; r < rows; ++r) a[i][j] += static_cast<double>(x[r * n + i]) * x[r * n + j];
    }
    for (int sweep = 0; sweep < 15; ++sweep)
        for (size_t p = 0; p < n; ++p)
            for (size_t q = p + 1; q < n; ++q) {
                if (a[p][q] == 0) continue;
                const double cotangent = (a[q][q] - a[p][p]) / (2 * a[p][q]);  // of twice the angle
                const double t = (cotangent < 0 ? -1 : 1) / (std::fabs(cotangent) + std::hypot(1, cotangent));
                const double c = 1 / std::hypot(1, t), s = c * t;
                const auto turn = [&](double& to_p, double& to_q) {
                    const double before = to_p;
                    to_p = c * before - s * to_q;
                    to_q = s * before + c * to_q;
                };
                for (size_t k = 0; k < n; ++k) turn(a[k][p], a[k][q]);
                for (size_t k = 0; k < n; ++k) turn(a[p][k], a[q][k]), turn(v[p][k], v[q][k]);
            }
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return a[i][i] > a[j][j]; });
    std::vector<Vector> first;
    for (size_t k = 0; k < count; ++k) first.push_back(v[order[k]]);
    return first;
}

double dot(const Vector& a, const Vector& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }
Vector times(double factor, Vector v) {
    for (double& x : v) x *= factor;
    return v;
}

/// The loss of docs/papers.md §6.8, from the maps.
double expected_loss(const std::vector<Var>& student, const std::vector<Var>& teacher) {
    const auto samples = static_cast<size_t>(student.front().shape().n);
    const auto of_sample = [](const Var& map, const std::vector<float>& all, size_t n, size_t count) {
        const Shape& s = map.shape();
        return leading(all.data() + n * static_cast<size_t>(s.per_sample()), static_cast<size_t>(s.h * s.w), static_cast<size_t>(s.c),
                       count);
    };
    std::vector<std::array<std::vector<Vector>, 2>> levels;  // of each sample the student's vector, and the teacher's
    for (size_t level = 0; level < student.size(); ++level) {
        const std::vector<float> s = student[level].value().to_host(), t = teacher[level].value().to_host();
        auto& [own, shown] = levels.emplace_back();
        for (size_t n = 0; n < samples; ++n) {
            Vector v = of_sample(teacher[level], t, n, 1).front();
            shown.push_back(times(std::accumulate(v.begin(), v.end(), 0.0) < 0 ? -1 : 1, v));
            double cosine = 0;
            Vector chosen;
            for (const Vector& candidate : of_sample(student[level], s, n, 4))
                if (std::fabs(dot(candidate, shown.back())) > std::fabs(cosine)) cosine = dot(candidate, shown.back()), chosen = candidate;
            own.push_back(times(cosine < 0 ? -1 : 1, chosen));
        }
    }
    const auto relation = [&](size_t back, size_t side, size_t n, size_t i, size_t j) {
        const double apart = levels[back][side][n][i] - levels[back - 1][side][n][j];
        return std::exp(-apart * apart / 8);
    };
    double sum = 0;
    for (size_t back = 1; back < levels.size(); ++back)
        for (size_t n = 0; n < samples; ++n)
            for (size_t i = 0; i < levels[back][0][n].size(); ++i)
                for (size_t j = 0; j < levels[back - 1][0][n].size(); ++j) {
                    const double apart = relation(back, 0, n, i, j) - relation(back, 1, n, i, j);
                    sum += apart * apart;
                }
    return sum / static_cast<double>(samples);
}

/// Three stages' maps of each, the student's as high and as wide as the teacher's or not. `low`: -1 of raw maps, 0 of activated ones.
OpCase relations(const std::string& name, float low, int64_t teacher_side) {
    OpCase op{name, {}, {}};
    for (const char* side : {"s", "t"})
        for (int level = 0; level < 3; ++level) {
            const int64_t size = (side[0] == 't' ? teacher_side : 8) >> level;
            const auto map = uniform_input(text(name, side, level), {3, size, size, 4 + 3 * level}, low, 1);
            op.inputs.push_back(side[0] == 't' ? without_gradient(map) : map);
        }
    op.run = [](const Inputs& in) { return benchmark_relation_loss({in[0], in[1], in[2]}, {in[3], in[4], in[5]}); };
    return op;
}
const std::vector<OpCase>& cases() {
    static const std::vector<OpCase> all = {relations("activated maps", 0, 8), relations("maps of other sizes", 0, 16)};
    return all;
}
/// Here singular values are close: a step of numeric gradients may change which vector answers the teacher's.
const OpCase& raw() {
    static const OpCase one = relations("raw maps", -1, 8);
    return one;
}

KdSvdOptions of_benchmark(double beta = 1) {
    KdSvdOptions own;
    own.benchmark = true;
    own.beta = beta;
    return own;
}

std::vector<Var> outputs(const Output& o) { return o.maps(&Stage::output); }

double norm(const std::vector<float>& values) { return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0)); }

}  // namespace

TEST_CASE("kd-svd: the benchmark's loss as in double") {
    for (const OpCase& op : {cases()[0], cases()[1], raw()}) {
        const Inputs in = upload(cpu(), op.inputs);
        const double expected = expected_loss({in[0], in[1], in[2]}, {in[3], in[4], in[5]});
        check_values(op.name, {op.run(in).value().item()}, {expected});
    }
}

TEST_CASE("kd-svd: the benchmark's gradients into the student alone, and on CUDA as on the CPU") {
    check_gradients(cases());
    compare_backends(cases());
}

TEST_CASE("kd-svd: the benchmark's form takes the stages' outputs, raw where a network has them so, and weighs them by beta") {
    for (const char* student : {"wrn-10-1", "wrn-10-1-tiny"}) {  // as large as the teacher's maps, and half so
        CAPTURE(student);
        const OneStep s = stepped(of_benchmark(3), "wrn-16-1", student);
        CHECK(s.method->loss_names() == std::vector<std::string>{"loss_ce", "loss_kdsvd"});
        const double expected = 3 * expected_loss(outputs(s.student_output), outputs(s.teacher_output));
        check_values("loss_kdsvd", {s.result.named[1].value().item()}, {expected});
        check_values("loss", {s.result.loss.value().item()}, {s.loss(0) + s.loss()}, 1e-6);
    }
}

TEST_CASE("kd-svd: the benchmark's form sends one sum back, neither mixed nor clipped, in any epoch") {
    Options o;
    o.teacher = "wrn-16-1";
    o.student = "wrn-10-1";
    const Teacher teacher(cpu(), o, 10);
    const auto method = of_benchmark(1e4).make(setting(cpu(), 10, {&teacher}), o);
    const auto images = uniform_input("images", {6, 16, 16, 3}, -2, 2);
    const Batch batch{Var(Tensor::from_host(cpu(), images.shape, images.values)), integers(cpu(), {0, 7, 4, 1, 8, 5})};
    method->begin_epoch(7);
    Tape tape;
    const StepResult r = recorded_step(*method, tape, batch);
    Parameters& p = method->parameters();
    const auto gradient = [&](const Var& loss) {
        p.begin_backward();
        tape.backward(loss, true);
        return p.gradients().to_host();
    };
    const std::vector<float> of_ce = gradient(r.named[0]), of_relations = gradient(r.named[1]);
    CHECK(norm(of_relations) > norm(of_ce));
    CHECK(norm(of_ce) > 0);
    std::vector<double> expected;
    for (size_t i = 0; i < of_ce.size(); ++i) expected.push_back(static_cast<double>(of_ce[i]) + of_relations[i]);
    method->backward(tape, r);
    check_values("gradient", p.gradients().to_host(), expected, 1e-5);
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("kd-svd: the recipe chooses the form, and what is given by hand wins") {
    const FeedWorkplace folder;
    const auto train = [&](const std::string& line, const std::string& name) {
        const Ended end = run(folder, line +
                                          " --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 "
                                          "--max-steps 1 --log-steps --threads 1 --quiet --run " +
                                          name);
        CAPTURE(line);
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
        return value_of(read_config(folder / name / "config.csv"), "benchmark-form");
    };
    const auto columns = [&](const std::string& name) { return read_csv(folder / name / "steps.csv").columns; };
    const auto mixes = [&](const std::string& name) { return fs::exists(folder / name / "gradients.csv"); };
    const std::vector<std::string> benchmark{"step", "lr", "loss", "loss_ce", "loss_kdsvd"},
        mhgd{"step", "lr", "loss", "loss_ce", "loss_transfer"};

    CHECK(train("kd-svd", "own") == "off");
    CHECK(columns("own") == mhgd);
    CHECK(mixes("own"));
    CHECK(train("kd-svd --recipe crd", "crd") == "on");
    CHECK(value_of(read_config(folder / "crd/config.csv"), "beta") == "1");
    CHECK(columns("crd") == benchmark);
    CHECK(!mixes("crd"));
    CHECK(train("kd-svd --recipe crd --benchmark-form off", "off") == "off");
    CHECK(columns("off") == mhgd);
    CHECK(train("kd --method kd-svd --recipe crd", "kin") == "on");
    for (const char* file : {"student.safetensors", "steps.csv"})
        CHECK(read_file(folder / "kin" / file) == read_file(folder / "crd" / file));
    CHECK(train("kd-svdf --recipe crd", "f").empty());
    CHECK(columns("f") == mhgd);

    // A run from before there was the option goes on as it began, though its line's recipe sets it today.
    std::string config = read_file(folder / "off/config.csv");
    config.erase(config.find("benchmark-form,off"), std::string("benchmark-form,off\n").size());
    write_file_atomically(folder / "off/config.csv", config);
    fs::remove(folder / "off/result.csv");
    const Ended older = run(folder, "kd-svd --recipe crd --resume --run off");
    CAPTURE(older.err);
    CHECK(older.code == 0);
    CHECK(says(older.out, {"benchmark-form   off"}));
    CHECK(columns("off") == mhgd);

    // --beta: of what is logged before anything was learnt; of MHGD's form of what is mixed, too.
    CHECK(train("kd-svd --recipe crd --beta 4", "crd4") == "on");
    const auto first = [&](const std::string& name, const std::string& column) {
        return read_csv(folder / name / "steps.csv").cell_number(0, column);
    };
    CHECK(first("crd4", "loss_kdsvd") == doctest::Approx(4 * first("crd", "loss_kdsvd")).epsilon(1e-6));
    for (const std::string method : {"kd-svd", "kd-svdf"}) {
        CAPTURE(method);
        for (const char* beta : {"1", "4", "0"}) train(method + " --beta " + beta, method + beta);
        CHECK(first(method + "1", "loss_transfer") > 0);
        CHECK(first(method + "4", "loss_transfer") == doctest::Approx(4 * first(method + "1", "loss_transfer")).epsilon(1e-6));
        CHECK(first(method + "0", "loss_transfer") == 0);
        const auto transferred = [&](const char* beta) {
            return read_csv(folder / (method + beta) / "gradients.csv").cell_number(0, "norm_transfer");
        };
        CHECK(transferred("1") > 0);
        CHECK(transferred("4") == doctest::Approx(4 * transferred("1")).epsilon(1e-5));
        CHECK(transferred("0") == 0);
    }
}

TEST_CASE("kd-svd: bad input") {
    const FeedWorkplace folder;
    const std::string of_a = " --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --run no";
    check_rejected(folder, "kd-svd --recipe crd --mixing scale" + of_a, {"--mixing scale", "--benchmark-form"});
    // What kin of a method have and itself has not.
    check_rejected(folder, "kd --mixing scale" + of_a, {"--mixing: is an option of --method kd-svd", "--method kd does not have"});
    check_rejected(folder, "kd --method kd-svd --gamma 0.5" + of_a, {"--gamma: found '0.5', expected 1: the cross-entropy is not weighed"});
    check_rejected(folder, "kd --beta 3" + of_a, {"--beta: found '3', expected 0: there is no other loss"});
    for (const char* method : {"ab", "fsp"})
        check_rejected(folder, text("kd --method ", method, " --alpha 0.9", of_a), {"--alpha 0.9", "leave it at 0"});
    check_rejected(folder, "kd-svd --beta -1" + of_a, {"--beta", "-1", "a number from 0"});
    check_rejected(folder, "kd-svd --benchmark-form yes" + of_a, {"--benchmark-form", "yes", "on or off"});
    check_rejected(folder, "kd-svdf --benchmark-form on" + of_a, {"--benchmark-form"});
    check_rejected(folder,
                   "kd-svd --recipe crd --student resnet8 --teacher wrn-10-2 --teacher-weights wide.safetensors --dataset s --run no",
                   {"kd-svd: teacher wrn-10-2 and student resnet8 do not pair", "at stage 1", "32 and 16 channels"});
    CHECK(says(complaint([] { stepped(of_benchmark(), "vgg8", "resnet8", 32); }), {"kd-svd:", "4 and 3 stages"}));
}

TEST_SUITE_END();
