#include "train_optim.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "launch.h"

namespace distill {
namespace {

struct Sgd {
    float* w;
    const float* g;
    float* v;
    const float* lr;
    float momentum, weight_decay;
    bool nesterov;
    int64_t moved_bytes() const { return 2 * (sizeof *w + sizeof *v) + sizeof *g; }
    DISTILL_HD void operator()(int64_t i) const {
        const float gradient = g[i] + weight_decay * w[i];
        const float velocity = momentum * v[i] + gradient;
        v[i] = velocity;
        w[i] -= *lr * (nesterov ? gradient + momentum * velocity : velocity);
    }
};

struct Adam {
    float* w;
    const float* g;
    float *m, *s;
    const float *lr, *corrections;  ///< 1/(1 − β₁ᵗ), 1/√(1 − β₂ᵗ)
    float beta1, new1, beta2, new2, epsilon, weight_decay;
    int64_t moved_bytes() const { return 2 * (sizeof *w + sizeof *m + sizeof *s) + sizeof *g; }
    DISTILL_HD void operator()(int64_t i) const {
        const float gradient = g[i] + weight_decay * w[i];
        m[i] = beta1 * m[i] + new1 * gradient;
        s[i] = beta2 * s[i] + new2 * gradient * gradient;
        w[i] -= *lr * corrections[0] * m[i] / (sqrtf(s[i]) * corrections[1] + epsilon);
    }
};

/// Another rule, keeping the rounded copy that convolutions read in step.
template <class Rule>
struct Rounding {
    Rule rule;
    bfloat16* rounded;
    int64_t moved_bytes() const { return rule.moved_bytes() + static_cast<int64_t>(sizeof *rounded); }
    DISTILL_HD void operator()(int64_t i) const {
        rule(i);
        rounded[i] = rule.w[i];
    }
};

struct Count {
    float* count;
    DISTILL_HD void operator()(int64_t) const { *count += 1; }
};

struct Correct {
    const float* updates;
    double beta1, beta2;
    float* corrections;
    DISTILL_HD void operator()(int64_t) const {
        corrections[0] = static_cast<float>(1 / (1 - pow(beta1, static_cast<double>(*updates))));
        corrections[1] = static_cast<float>(1 / sqrt(1 - pow(beta2, static_cast<double>(*updates))));
    }
};

template <class Rule>
void run(const Parameters& p, const Segment& at, const Rule& rule) {
    if (p.rounded().defined())
        for_each_element(p.backend(), at.size, Rounding<Rule>{rule, p.rounded().as<bfloat16>() + at.offset});
    else
        for_each_element(p.backend(), at.size, rule);
}

void run(const Parameters& p, const Segment& at, const float* lr, const SgdOptions& o) {
    for (const Segment& reached : o.reached_only ? p.reached() : std::vector<Segment>{at}) {
        const int64_t begin = std::max(at.offset, reached.offset), end = std::min(at.offset + at.size, reached.offset + reached.size);
        if (begin < end)
            run(p, {begin, end - begin},
                Sgd{p.values().data() + begin, p.gradients().data() + begin, p.momenta().data() + begin, lr, o.momentum, o.weight_decay,
                    o.nesterov});
    }
}

void run(const Parameters& p, const Segment& at, const float* lr, const AdamOptions& o, const Tensor& squares, const float* corrections) {
    run(p, at,
        Adam{p.values().data() + at.offset, p.gradients().data() + at.offset, p.momenta().data() + at.offset, squares.data(), lr,
             corrections, static_cast<float>(o.beta1), static_cast<float>(1 - o.beta1), static_cast<float>(o.beta2),
             static_cast<float>(1 - o.beta2), static_cast<float>(o.epsilon), static_cast<float>(o.weight_decay)});
}

void count_update(const Parameters& p) {
    if (p.updates()) for_each_element(p.backend(), 1, Count{p.updates()->count.data()});
}

}  // namespace

void sgd_step(const Parameters& p, const Tensor& lr, const SgdOptions& o) {
    run(p, {0, p.values().size()}, lr.data(), o);
    count_update(p);
}

Optimizer::Optimizer(const Parameters& parameters, const SgdOptions& others, const std::vector<ParameterGroup>& groups)
    : parameters_(parameters), rules_{others}, own_rates_(groups.size() + 1) {
    const std::vector<Segment> all = parameters.segments();
    std::vector<size_t> rule_of(all.size(), 0);
    for (size_t g = groups.size(); g-- > 0;) {  // the first has the last word
        const std::vector<Segment> own = parameters.segments(groups[g].prefix);
        if (own.empty()) failure("Optimizer: no parameter's name begins with '", groups[g].prefix, "' ---> name a module that is trained");
        for (size_t next = 0, i = 0; i < all.size() && next < own.size(); ++i)
            if (all[i].offset == own[next].offset) rule_of[i] = g + 1, ++next;
    }
    for (size_t g = 0; g < groups.size(); ++g) rules_.push_back(groups[g].rule), own_rates_[g + 1] = groups[g].rate;
    rates_ = Tensor::zeros(parameters.backend(), {1, 1, 1, static_cast<int64_t>(rules_.size())});
    for (size_t i = 0; i < all.size(); ++i) {
        if (parts_.empty() || parts_.back().rule != rule_of[i]) parts_.push_back({{all[i].offset, 0}, rule_of[i], {}});
        const int64_t end = i + 1 < all.size() ? all[i + 1].offset : parameters.values().size();
        parts_.back().segment.size = end - parts_.back().segment.offset;  // with what lies between them, which stays zero
    }
    for (Part& part : parts_) {
        if (!std::holds_alternative<AdamOptions>(rules_[part.rule])) continue;
        part.squares = Tensor::zeros(parameters.backend(), {1, 1, 1, part.segment.size});
        state_.emplace_back("adam.squares" + std::to_string(state_.size()), part.squares);
    }
    if (state_.empty()) return;
    updates_ = Tensor::zeros(parameters.backend(), {});
    corrections_ = Tensor::zeros(parameters.backend(), {static_cast<int64_t>(rules_.size()), 1, 1, 2});
    state_.emplace_back("adam.updates", updates_);
}

void Optimizer::set_rates(double of_run, int epoch) {
    std::vector<float> rates;
    for (const auto& own : own_rates_) rates.push_back(static_cast<float>(own ? own(epoch) : of_run));
    rates_.upload(rates.data());
}

void Optimizer::step() const {
    Backend& backend = parameters_.backend();
    if (updates_.defined()) for_each_element(backend, 1, Count{updates_.data()});
    for (size_t rule = 0; rule < rules_.size(); ++rule)
        if (const auto* adam = std::get_if<AdamOptions>(&rules_[rule]))
            for_each_element(backend, 1, Correct{updates_.data(), adam->beta1, adam->beta2, corrections_.data() + 2 * rule});
    for (const Part& part : parts_) {
        const float* rate = rates_.data() + part.rule;
        if (const auto* sgd = std::get_if<SgdOptions>(&rules_[part.rule]))
            run(parameters_, part.segment, rate, *sgd);
        else
            run(parameters_, part.segment, rate, std::get<AdamOptions>(rules_[part.rule]), part.squares,
                corrections_.data() + 2 * part.rule);
    }
    count_update(parameters_);
}

double learning_rate(double base, const std::vector<int>& steps, int epoch) {
    for (int s : steps)
        if (epoch >= s) base *= 0.1;
    return base;
}

}  // namespace distill
