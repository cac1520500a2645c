// Draws of negatives, contrast with a memory, and what a memory keeps: values by hand and of the specification, loops in double, gradients,
// how the draws are spread.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base_error.h"
#include "gradcheck.h"
#include "ops.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Ints = std::vector<int32_t>;

// ---- draws -----------------------------------------------------------------------------------------------------------------------

/// A training set of classes of these sizes, whose images lie among each other.
struct ClassSet {
    Ints labels;
    explicit ClassSet(const Ints& sizes) {
        Ints left = sizes;
        while (std::accumulate(left.begin(), left.end(), 0) > 0)
            for (size_t c = 0; c < left.size(); ++c)
                if (left[c] > 0) --left[c], labels.push_back(static_cast<int32_t>(c));
    }
    int32_t of_class(int32_t c) const { return static_cast<int32_t>(std::count(labels.begin(), labels.end(), c)); }
    int32_t size() const { return static_cast<int32_t>(labels.size()); }

    NegativeDraws draws(Backend& backend, int64_t count, uint64_t key = 1) const {
        const int32_t classes = *std::max_element(labels.begin(), labels.end()) + 1;
        Ints by_class, rank(labels.size()), begin;
        for (int32_t c = 0; c < classes; ++c) {
            begin.push_back(static_cast<int32_t>(by_class.size()));
            for (int32_t r = 0; r < size(); ++r)
                if (labels[static_cast<size_t>(r)] == c)
                    rank[static_cast<size_t>(r)] = static_cast<int32_t>(by_class.size()), by_class.push_back(r);
        }
        begin.push_back(size());
        int32_t largest = 0;
        for (int32_t c = 0; c < classes; ++c) largest = std::max(largest, of_class(c));
        return {count, integers(backend, by_class), integers(backend, rank), integers(backend, begin), size() - largest < count, key};
    }
    /// The counts of these images, one row after another.
    Ints drawn(const NegativeDraws& from, const Ints& records, int32_t step) const {
        Backend& backend = from.rank.backend();
        Ints own;
        for (const int32_t r : records) own.push_back(labels[static_cast<size_t>(r)]);
        return draw_negatives(from, integers(backend, records), integers(backend, own), integers(backend, {step})).ints_to_host();
    }
};

Ints all_records(const ClassSet& set) {
    Ints all(set.labels.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// Of the images of class 0, how often each other image, and each pair of others, is drawn in `steps` steps: χ² over its degrees of freedom.
/// No pairs where draws repeat.
struct Spread {
    double images, pairs;
};
Spread spread(const Ints& sizes, int64_t count, int32_t steps) {
    const ClassSet set(sizes);
    const NegativeDraws from = set.draws(cpu(), count);
    Ints anchors, others;
    for (int32_t r = 0; r < set.size(); ++r) (set.labels[static_cast<size_t>(r)] == 0 ? anchors : others).push_back(r);
    const size_t m = others.size(), n = set.labels.size();
    std::vector<double> seen(m), both(m * m);
    for (int32_t step = 0; step < steps; ++step) {
        const Ints rows = set.drawn(from, anchors, step);
        for (size_t a = 0; a < anchors.size(); ++a) {
            const int32_t* row = rows.data() + a * n;
            for (size_t i = 0; i < m; ++i) {
                seen[i] += row[others[i]];
                for (size_t j = 0; j < i; ++j) both[i * m + j] += row[others[i]] * row[others[j]];
            }
        }
    }
    const double trials = static_cast<double>(steps) * static_cast<double>(anchors.size()), k = static_cast<double>(count),
                 M = static_cast<double>(m);
    const bool repeats = count > static_cast<int64_t>(m);
    const double p = k / M, variance = repeats ? trials * p * (1 - 1 / M) : trials * p * (1 - p);
    const double p2 = k * (k - 1) / (M * (M - 1));
    Spread s{0, 0};
    for (const double v : seen) s.images += (v - trials * p) * (v - trials * p) / variance / (M - 1) * (1 - 1 / M);
    for (size_t i = 0; i < m && !repeats; ++i)
        for (size_t j = 0; j < i; ++j) {
            const double off = both[i * m + j] - trials * p2;
            s.pairs += off * off / (trials * p2) / (M * (M - 1) / 2);
        }
    return s;
}

// ---- contrast --------------------------------------------------------------------------------------------------------------------

/// Anchors (N,D) against memory (R,D), written as the paper has it.
struct NaiveContrast {
    double loss = 0, z;
    NaiveContrast(const std::vector<float>& anchors, const std::vector<float>& memory, const Ints& records, const Ints& drawn,
                  int64_t count, double temperature, double z_before)
        : z(z_before) {
        const size_t n = records.size(), d = anchors.size() / n, rows = memory.size() / d;
        const auto score = [&](size_t i, size_t r) {
            double dot = 0;
            for (size_t k = 0; k < d; ++k) dot += static_cast<double>(anchors[i * d + k]) * static_cast<double>(memory[r * d + k]);
            return std::exp(dot / temperature);
        };
        if (!(z > 0)) {
            double sum = 0;
            for (size_t i = 0; i < n; ++i)
                for (size_t r = 0; r < rows; ++r)
                    sum += (drawn[i * rows + r] + (r == static_cast<size_t>(records[i]) ? 1 : 0)) * score(i, r);
            z = sum / static_cast<double>(n) / static_cast<double>(count + 1) * static_cast<double>(rows);
        }
        const double c = static_cast<double>(count) / static_cast<double>(rows);
        for (size_t i = 0; i < n; ++i)
            for (size_t r = 0; r < rows; ++r) {
                const double p = score(i, r) / z;
                if (r == static_cast<size_t>(records[i])) loss -= std::log(p / (p + c + 1e-7)) / static_cast<double>(n);
                loss -= drawn[i * rows + r] * std::log(c / (p + c + 1e-7)) / static_cast<double>(n);
            }
    }
};

struct ContrastCase {
    int64_t n, d, rows, count;
    std::vector<float> memory() const { return uniform_input("memory", {rows, 1, 1, d}).values; }
    Ints records() const {
        Ints r;
        for (int64_t i = 0; i < n; ++i) r.push_back(static_cast<int32_t>((i * 7 + rows / 2) % rows));
        return r;
    }
    /// Some records several times, the image's own among them, most not at all.
    Ints drawn() const {
        Ints counts(static_cast<size_t>(n * rows));
        for (int64_t i = 0; i < n; ++i)
            for (int64_t k = 0; k < count; ++k)
                ++counts[static_cast<size_t>(i * rows + (k == 0 ? records()[static_cast<size_t>(i)] : (k * k * 31 + i * 17) % rows))];
        return counts;
    }
    OpCase op(float z) const {
        const ContrastCase c = *this;
        return {text("contrast_loss ", rows, " rows, z ", z),
                {as_map(uniform_input("anchors", {n, 1, 1, d}, -0.5f, 0.5f))},
                [c, z](const Inputs& in) {
                    Backend& backend = in[0].backend();
                    return contrast_loss(in[0], Tensor::from_host(backend, {c.rows, 1, 1, c.d}, c.memory()), integers(backend, c.records()),
                                         integers(backend, {c.n, 1, 1, c.rows}, c.drawn()), c.count, 0.3f,
                                         Tensor::from_host(backend, {}, {z}));
                }};
    }
};

std::vector<OpCase> contrast_cases() {
    std::vector<OpCase> all;
    for (const ContrastCase& c : {ContrastCase{3, 5, 11, 4}, ContrastCase{2, 16, 40, 60}, ContrastCase{2, 3, 5000, 100}})
        all.push_back(c.op(30));
    return all;
}

}  // namespace

TEST_CASE("negatives: as many as asked for, of other classes alone, without repetition, whatever the sizes of the classes") {
    for (const Ints& sizes : {Ints{10, 20, 30}, Ints{1, 1}, Ints{64, 64}, Ints{3, 0, 50, 7}, Ints{300, 700, 33}}) {
        const ClassSet set(sizes);
        int32_t fewest = set.size();
        for (const int32_t size : sizes) fewest = std::min(fewest, set.size() - size);
        for (const int32_t count : {1, (fewest + 1) / 2, fewest}) {
            const Ints rows = set.drawn(set.draws(cpu(), count), all_records(set), 5);
            for (int32_t i = 0; i < set.size(); ++i) {
                int32_t sum = 0;
                bool right = true;
                for (int32_t r = 0; r < set.size(); ++r) {
                    const int32_t times = rows[static_cast<size_t>(i * set.size() + r)];
                    right &= times == 0 || (times == 1 && set.labels[static_cast<size_t>(r)] != set.labels[static_cast<size_t>(i)]);
                    sum += times;
                }
                CHECK(right);
                CHECK(sum == count);
            }
        }
    }
}

TEST_CASE("negatives: with repetition where a class has fewer others, the other classes without") {
    const ClassSet set({30, 6, 2});
    const Ints rows = set.drawn(set.draws(cpu(), 20), all_records(set), 0);
    for (int32_t i = 0; i < set.size(); ++i) {
        const int32_t label = set.labels[static_cast<size_t>(i)], *row = rows.data() + i * set.size();
        CHECK(std::accumulate(row, row + set.size(), 0) == 20);
        for (int32_t r = 0; r < set.size(); ++r)
            if (set.labels[static_cast<size_t>(r)] == label) CHECK(row[r] == 0);
        const int32_t most = *std::max_element(row, row + set.size());
        CHECK((label == 0 ? most > 1 : most == 1));  // 8 others for 20 draws, or 32 and more
    }
}

TEST_CASE("negatives: each once where a class has fewer others and draws do not repeat, the other classes as many as asked for") {
    const ClassSet set({6, 2, 1});
    NegativeDraws from = set.draws(cpu(), 5);
    from.repeats = false;
    const Ints rows = set.drawn(from, all_records(set), 3);
    for (size_t r = 0; r < set.labels.size(); ++r) {
        const bool few = set.of_class(set.labels[r]) == 6;
        int32_t sum = 0;
        for (size_t other = 0; other < set.labels.size(); ++other) {
            const int32_t count = rows[r * set.labels.size() + other];
            const bool same_class = set.labels[r] == set.labels[other];
            CHECK(count >= 0);
            CHECK(count <= (same_class ? 0 : 1));
            sum += count;
        }
        CHECK(sum == (few ? 3 : 5));
    }
}

TEST_CASE("negatives: each other image, and each pair of them, is drawn as often as any") {
    // χ² over its degrees of freedom, which are 30 and more: 1 in the mean, its deviation at most √(2/30).
    for (const auto& [sizes, count] : {std::pair<Ints, int64_t>{{10, 20, 30}, 7}, {{10, 31, 33}, 32}, {{8, 64}, 20}, {{10, 11, 20}, 200}}) {
        const Spread s = spread(sizes, count, 200);
        CAPTURE(count);
        CHECK(std::fabs(s.images - 1) < 1);
        if (count < 200) CHECK(std::fabs(s.pairs - 0.9) < 0.3);  // 1 less how likely a pair is
    }
}

TEST_CASE("negatives: they hang on key, step and record alone, not on the batch around an image") {
    const ClassSet set({20, 20, 20});
    for (const int64_t count : {15, 50}) {
        const NegativeDraws from = set.draws(cpu(), count);
        const auto n = static_cast<size_t>(set.size());
        const auto row = [&](const Ints& all, size_t i) {
            return Ints(all.begin() + static_cast<int64_t>(i * n), all.begin() + static_cast<int64_t>((i + 1) * n));
        };
        const Ints first = set.drawn(from, {3, 14, 9}, 7);
        CHECK(first == set.drawn(from, {3, 14, 9}, 7));
        CHECK(row(first, 2) == row(set.drawn(from, {9}, 7), 0));
        CHECK(row(first, 0) != row(first, 2));  // one class, two records
        CHECK(first != set.drawn(from, {3, 14, 9}, 8));
        CHECK(first != set.drawn(set.draws(cpu(), count, 2), {3, 14, 9}, 7));
    }
}

TEST_CASE("negatives: those that are given stand for the first steps' draws, as they are") {
    const ClassSet set({3, 3});  // 0 1 0 1 0 1
    NegativeDraws from = set.draws(cpu(), 3);
    const Ints own = set.drawn(from, {0, 1}, 2);
    from.given = integers(cpu(), {2, 1, 3, 3}, {1, 2, 2, 3, 4, 5, 0, 0, 0, 5, 4, 3, 1, 1, 1, 2, 2, 2});
    CHECK(set.drawn(from, {0, 1, 2}, 0) == Ints{0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 0, 0, 0, 0, 0});
    CHECK(set.drawn(from, {0, 1}, 1) == Ints{0, 0, 0, 1, 1, 1, 0, 3, 0, 0, 0, 0});  // a last batch, smaller than the others
    CHECK(set.drawn(from, {0, 1}, 2) == own);
    CHECK_THROWS_WITH_AS(set.drawn(from, {0, 1, 2, 3}, 0), doctest::Contains("(steps,1,batch,count)"), std::runtime_error);
}

TEST_CASE("contrast: the specification's values") {
    const auto wave = [](float size, double (*f)(double), double from) {
        std::vector<float> v;
        for (int i = 0; i < 12; ++i) v.push_back(size * static_cast<float>(f(from + i)));
        return v;
    };
    const auto sine = [](double x) { return std::sin(x); };
    const auto cosine = [](double x) { return std::cos(x); };
    const Shape table{6, 1, 1, 2};
    const Tensor m_s = Tensor::from_host(cpu(), table, wave(0.3f, sine, 2)), m_t = Tensor::from_host(cpu(), table, wave(0.3f, cosine, 1));
    const auto anchors = [](std::vector<float> v) { return l2_normalize(Var(Tensor::from_host(cpu(), {2, 1, 1, 2}, v))); };
    const Var z_s = anchors({std::sin(1.0f), std::sin(2.0f), std::sin(3.0f), std::sin(4.0f)});
    const Var z_t = anchors({std::cos(0.5f), std::cos(1.2f), std::cos(1.9f), std::cos(2.6f)});
    const Tensor records = integers(cpu(), {0, 3}), drawn = integers(cpu(), {2, 1, 1, 6}, {0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1});
    const Tensor z_a = Tensor::from_host(cpu(), {}, {-1}), z_b = Tensor::from_host(cpu(), {}, {-1});
    const float a = contrast_loss(z_s, m_t, records, drawn, 3, 0.07f, z_a).value().item();
    const float b = contrast_loss(z_t, m_s, records, drawn, 3, 0.07f, z_b).value().item();
    const auto near = [](float found, double expected) { CHECK(std::fabs(found - expected) <= 1e-6 * std::fabs(expected)); };
    near(z_a.item(), 50.6422931316);
    near(z_b.item(), 146.0550852015);
    near(a, 3.3831459324);
    near(b, 4.7563834520);
    CHECK(contrast_loss(z_s, m_t, records, drawn, 3, 0.07f, z_a).value().item() == a);  // by the z that it found
    remember_rows(m_s, records, z_s.value(), 0.5f);
    remember_rows(m_t, records, z_t.value(), 0.5f);
    near(m_s.to_host()[0], 0.7750002850);
    near(m_s.to_host()[1], 0.6319608835);
    near(m_t.to_host()[6], -0.1284361974);
    near(m_t.to_host()[7], -0.9917177740);
}

TEST_CASE("contrast: a loop in double, with and without z, and gradients by differences") {
    for (const ContrastCase& c : {ContrastCase{3, 5, 11, 4}, ContrastCase{2, 16, 40, 60}, ContrastCase{2, 3, 5000, 100}})
        for (const float z : {-1.0f, 0.0f, 30.0f}) {
            const HostTensor anchors = uniform_input("anchors", {c.n, 1, 1, c.d}, -0.5f, 0.5f);
            const NaiveContrast expected(anchors.values, c.memory(), c.records(), c.drawn(), c.count, 0.3, z);
            const Tensor z_on = Tensor::from_host(cpu(), {}, {z});
            const Var y = contrast_loss(Var(Tensor::from_host(cpu(), anchors.shape, anchors.values)),
                                        Tensor::from_host(cpu(), {c.rows, 1, 1, c.d}, c.memory()), integers(cpu(), c.records()),
                                        integers(cpu(), {c.n, 1, 1, c.rows}, c.drawn()), c.count, 0.3f, z_on);
            CHECK(y.value().item() == doctest::Approx(expected.loss).epsilon(1e-6));
            CHECK(z_on.item() == doctest::Approx(expected.z).epsilon(1e-6));
        }
    check_gradients(contrast_cases());
    check_rounding(contrast_cases());
    CHECK_THROWS_WITH_AS(contrast_loss(Var(Tensor::zeros(cpu(), {2, 1, 1, 4})), Tensor::zeros(cpu(), {6, 1, 1, 3}), integers(cpu(), {0, 1}),
                                       integers(cpu(), Ints(12)), 2, 0.07f, Tensor::zeros(cpu(), {})),
                         doctest::Contains("(6,1,1,3)"), std::runtime_error);
}

TEST_CASE("contrast: on CUDA as on the CPU, drawn there") {
    std::vector<OpCase> all = contrast_cases();
    for (const int64_t count : {15, 50}) {  // without and with repetition
        OpCase op{text("contrast_loss of ", count, " drawn"), {uniform_input("anchors", {3, 1, 1, 8}, -0.5f, 0.5f)}, {}};
        op.run = [count](const Inputs& in) {
            Backend& backend = in[0].backend();
            const ClassSet set({20, 21, 22});
            const Tensor records = integers(backend, {0, 31, 62}), step = integers(backend, {3});
            const Tensor labels = integers(backend, {set.labels[0], set.labels[31], set.labels[62]});
            const Tensor memory = Tensor::from_host(backend, {63, 1, 1, 8}, uniform_input("memory", {63, 1, 1, 8}).values);
            const Tensor drawn = draw_negatives(set.draws(backend, count), records, labels, step);
            return contrast_loss(in[0], memory, records, drawn, count, 0.3f, Tensor::from_host(backend, {}, {-1}));
        };
        all.push_back(op);
    }
    const HostTensor rows = without_gradient(uniform_input("rows", {3, 1, 1, 8}));
    all.push_back({"remember_rows", {rows}, [](const Inputs& in) {
                       Backend& backend = in[0].backend();
                       const Tensor memory = Tensor::from_host(backend, {5, 1, 1, 8}, uniform_input("memory", {5, 1, 1, 8}).values);
                       remember_rows(memory, integers(backend, {4, 0, 2}), in[0].value(), 0.75f);
                       return Var(memory);
                   }});
    compare_backends(all);
}

TEST_CASE("memory: rows of the batch's records alone change, to length 1, and a row of nothing stays nothing") {
    const Tensor memory = Tensor::from_host(cpu(), {4, 1, 1, 2}, {0, 0, 3, 4, 5, 6, 7, 8});
    remember_rows(memory, integers(cpu(), {1, 0}), Tensor::from_host(cpu(), {2, 1, 1, 2}, {-1, 0, 0, 0}), 0.25f);
    const std::vector<float> found = memory.to_host();  // 0.25·(3, 4) + 0.75·(−1, 0) = (0, 1)
    CHECK(found == std::vector<float>{0, 0, 0, 1, 5, 6, 7, 8});
    CHECK_THROWS_WITH_AS(remember_rows(memory, integers(cpu(), {1, 0}), Tensor::zeros(cpu(), {2, 1, 1, 3}), 0.5f),
                         doctest::Contains("(2,1,1,3)"), std::runtime_error);
}
