#include "train_optim.h"

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

/// The same, keeping the rounded copy that convolutions read in step.
struct SgdRounding {
    Sgd sgd;
    bfloat16* rounded;
    int64_t moved_bytes() const { return sgd.moved_bytes() + static_cast<int64_t>(sizeof *rounded); }
    DISTILL_HD void operator()(int64_t i) const {
        sgd(i);
        rounded[i] = sgd.w[i];
    }
};

struct Count {
    float* count;
    DISTILL_HD void operator()(int64_t) const { *count += 1; }
};

}  // namespace

void sgd_step(const Parameters& p, const Tensor& lr, const SgdOptions& o) {
    for (const auto& [at, count] : o.reached_only ? p.reached() : std::vector<Segment>{{0, p.values().size()}}) {
        const Sgd sgd{
            p.values().data() + at, p.gradients().data() + at, p.momenta().data() + at, lr.data(), o.momentum, o.weight_decay, o.nesterov};
        if (p.rounded().defined())
            for_each_element(p.backend(), count, SgdRounding{sgd, p.rounded().as<bfloat16>() + at});
        else
            for_each_element(p.backend(), count, sgd);
    }
    if (p.updates()) for_each_element(p.backend(), 1, Count{p.updates()->count.data()});
}

double learning_rate(double base, const std::vector<int>& steps, int epoch) {
    for (int s : steps)
        if (epoch >= s) base *= 0.1;
    return base;
}

}  // namespace distill
