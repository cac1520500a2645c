// Numeric gradients of FEED's and Factor Transfer's pieces, kinks and all (leaky ReLUs, absolute values), and the two backends side by
// side. Biases hold every convolution's output away from 0, above it in even channels and below in odd ones; the maps that are compared
// lie on the other side of it. `Kinks` counts on every evaluation of the numeric gradient whether one was crossed after all.
// All three convolutions are checked by the map that they make; a distance, one float for a whole batch, would say too little of the
// first of them, so it is checked behind one convolution. (Both together: feed.csv, beside PyTorch in double.)
#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "method_ft.h"
#include "parameter_inputs.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Input = testing::HostTensor;

constexpr float slope = 0.1f;

/// Looks at what goes into functions with a kink at 0: on which side of it, and whether that ever changes.
class Kinks {
  public:
    void see(const std::vector<Var>& values) {
        std::vector<bool> above;
        for (const Var& v : values)
            for (const float x : v.value().to_host()) {
                above.push_back(x > 0);
                if (seen_ == 0) closest_ = std::min(closest_, std::fabs(x));
                if (x == 0 || std::isnan(x)) ++crossed_;
            }
        if (first_.empty()) first_ = above;
        if (above != first_) ++crossed_;
        ++seen_;
    }
    /// How near to a kink the first evaluation came.
    float closest() const { return closest_; }
    /// Both sides were visited, over and over, and none was left.
    void check(const std::string& name) const {
        CHECK_MESSAGE(crossed_ == 0, name, ": a kink was crossed ", crossed_, " times");
        CHECK_MESSAGE(seen_ > 100, name);
        const auto above = std::count(first_.begin(), first_.end(), true);
        CHECK_MESSAGE(above * 4 > static_cast<int64_t>(first_.size()), name, ": too few lie above");
        CHECK_MESSAGE(above * 4 < static_cast<int64_t>(first_.size()) * 3, name, ": too few lie below");
    }

  private:
    std::vector<bool> first_;
    float closest_ = 1;
    int64_t crossed_ = 0, seen_ = 0;
};

/// 0.2 <= |v| <= 1, with sign `even` in even channels and the other one in odd channels.
Input sided_input(const std::string& name, const Shape& shape, float even) {
    Input t = uniform_input(name, shape, 0.2f, 1);
    for (size_t i = 0; i < t.values.size(); ++i) t.values[i] *= static_cast<int64_t>(i) % shape.c % 2 == 0 ? even : -even;
    return t;
}

/// Weights up to `size` as inputs, and biases that decide on which side an output lies.
void add_weights(std::vector<Input>& inputs, const Parameters& p, const std::vector<std::string>& names, float size, float even = 1) {
    for (const std::string& name : names) {
        const Shape shape = shape_from_file(p.to_file().at(name).shape);
        const bool bias = name.find(".bias") != std::string::npos;
        Input t = uniform_input(name, shape, -size, size);
        if (bias)
            for (size_t i = 0; i < t.values.size(); ++i) t.values[i] = (i % 2 == 0 ? even : -even) * (2 + 0.1f * t.values[i]);
        inputs.push_back(t);
    }
}

const Conv2dOptions padded{1, 1, 1, 1, 1};

/// What goes into the leaky ReLUs of NAME.<layer><k>, and what comes out of the last; from the inputs, by operations alone.
Var follow(const Var& x, const std::string& layer, const std::vector<std::string>& names, const Inputs& in, size_t first,
           std::vector<Var>& before) {
    const auto at = [&](const std::string& name) {
        const auto found = std::find(names.begin(), names.end(), name);
        REQUIRE(found != names.end());
        return in[first + static_cast<size_t>(found - names.begin())];
    };
    const bool transposed = layer.find("deconv") != std::string::npos;
    Var y = x;
    const int depth =
        static_cast<int>(std::count_if(names.begin(), names.end(), [&](const auto& n) { return n.rfind(layer, 0) == 0; })) / 2;
    for (int k = 0; k < depth; ++k) {
        const std::string name = layer + std::to_string(k);
        const Var w = at(name + ".weight"), b = at(name + ".bias");
        before.push_back(transposed ? conv_transpose2d(y, w, padded, b) : conv2d(y, w, padded, b));
        y = leaky_relu(before.back(), slope);
    }
    return y;
}

/// What the absolute values of feature_loss are taken of.
Var difference(const Var& a, const Var& b) {
    const int64_t h = std::min(a.shape().h, b.shape().h), w = std::min(a.shape().w, b.shape().w);
    return add(l2_normalize(adaptive_avg_pool(a, h, w)), scale(l2_normalize(adaptive_avg_pool(b, h, w)), -1));
}

struct Watched {
    OpCase op;
    std::shared_ptr<Kinks> kinks = std::make_shared<Kinks>();
};

void check_watched(const std::vector<Watched>& cases) {
    for (const Watched& c : cases) {
        check_gradients(c.op);
        c.kinks->check(c.op.name);
    }
}
void compare_watched(const std::vector<Watched>& cases) {
    std::vector<OpCase> ops;
    for (const Watched& c : cases) ops.push_back(c.op);
    compare_backends(ops);
}

template <class Module>
struct Built {
    std::shared_ptr<Parameters> parameters;
    Module module;
};

Built<ConvChain> chain_on(Backend& backend, int64_t in, int64_t out, int depth) {
    auto p = std::make_shared<Parameters>(backend);
    ConvChain chain(*p, "layer", in, out, out, depth, slope);
    p->allocate(1);
    return {p, chain};
}
Built<Paraphraser> paraphraser_on(Backend& backend) {
    auto p = std::make_shared<Parameters>(backend);
    Paraphraser paraphraser(*p, "paraphraser", 4, 0.5, slope);
    p->allocate(1);
    return {p, paraphraser};
}

/// FEED's distance from an NTL's map (of one convolution, channels 3 → 4) to a teacher's.
Watched feed_loss(const Shape& s, const Shape& t, const FeatureLoss& loss, int seed) {
    Watched c;
    const auto named = chain_on(cpu(), 3, 4, 1);
    const std::vector<std::string> names = trainable_names(*named.parameters);
    c.op.name = text("feed, maps ", to_string(s), " and ", to_string(t), loss.squared ? ", l2" : ", l1",
                     loss.over_batch ? ", over samples" : ", over elements");
    c.op.inputs = {uniform_input("s" + std::to_string(seed), s), sided_input("t", t, -1)};
    add_weights(c.op.inputs, *named.parameters, names, 1.0f);
    c.op.run = [names, loss, kinks = c.kinks](const Inputs& in) {
        const auto [p, chain] = chain_on(in[0].backend(), 3, 4, 1);
        bind_parameters(p, names, in, 2);
        {
            const NoGrad no_grad;
            std::vector<Var> before;
            const Var y = follow(in[0], "layer.conv", names, in, 2, before);
            if (!loss.squared) before.push_back(difference(y, in[1]));
            kinks->see(before);
        }
        return feature_loss(chain(in[0]), in[1], loss);
    };
    return c;
}

/// Maps of equal and of different sizes, and the first student's map that lies far enough from every kink.
std::vector<Watched> feed_losses() {
    std::vector<Watched> cases;
    const Shape sizes[][2] = {{{2, 2, 2, 3}, {2, 2, 2, 4}}, {{2, 4, 2, 3}, {2, 2, 1, 4}}, {{2, 2, 2, 3}, {2, 3, 4, 4}}};
    for (const auto& [s, t] : sizes)
        for (const FeatureLoss loss : {FeatureLoss{false, false}, {false, true}, {true, false}, {true, true}})
            for (int seed = 0;; ++seed) {
                REQUIRE(seed < 100);
                const Watched c = feed_loss(s, t, loss, seed);
                c.op.run(upload(cpu(), c.op.inputs));
                if (c.kinks->closest() < 0.05f) continue;
                cases.push_back(c);
                break;
            }
    return cases;
}

/// The map that comes out, which says more of a layer than one number.
std::vector<Watched> maps() {
    Watched ntl, factor, decoded;
    {
        const auto named = chain_on(cpu(), 3, 4, 3);
        const std::vector<std::string> names = trainable_names(*named.parameters);
        CHECK(names == std::vector<std::string>{"layer.conv0.bias", "layer.conv0.weight", "layer.conv1.bias", "layer.conv1.weight",
                                                "layer.conv2.bias", "layer.conv2.weight"});
        ntl.op.name = "ntl";
        ntl.op.inputs = {uniform_input("x", {2, 3, 4, 3})};
        add_weights(ntl.op.inputs, *named.parameters, names, 0.2f);
        ntl.op.run = [names, kinks = ntl.kinks](const Inputs& in) {
            const auto [p, chain] = chain_on(in[0].backend(), 3, 4, 3);
            bind_parameters(p, names, in, 1);
            {
                const NoGrad no_grad;
                std::vector<Var> before;
                follow(in[0], "layer.conv", names, in, 1, before);
                kinks->see(before);
            }
            return chain(in[0]);
        };
    }
    const auto named = paraphraser_on(cpu());
    CHECK(named.module.factor_channels() == 2);
    const std::vector<std::string> all = trainable_names(*named.parameters);
    CHECK(all.size() == 12);
    // Its halves: through six layers a weight's effect on what comes out is as small as a float's rounding.
    const auto half = [&](const std::string& layer) {
        std::vector<std::string> names;
        for (const std::string& name : all)
            if (name.find(layer) == 0) names.push_back(name);
        return names;
    };
    const std::string encoder = "paraphraser.encoder.conv", decoder = "paraphraser.decoder.deconv";
    const auto halved = [&](const std::string& name, const std::string& layer, Input x, auto run) {
        Watched c;
        c.op.name = name;
        const std::vector<std::string> names = half(layer);
        c.op.inputs = {std::move(x)};
        add_weights(c.op.inputs, *named.parameters, names, 0.2f);
        c.op.run = [names, layer, run, kinks = c.kinks](const Inputs& in) {
            const auto [p, paraphraser] = paraphraser_on(in[0].backend());
            bind_parameters(p, names, in, 1);
            {
                const NoGrad no_grad;
                std::vector<Var> before;
                follow(in[0], layer, names, in, 1, before);
                kinks->see(before);
            }
            return run(paraphraser, in[0]);
        };
        return c;
    };
    factor = halved("paraphraser's factor", encoder, sided_input("map", {2, 3, 3, 4}, -1),
                    [](const Paraphraser& p, const Var& x) { return p.factor(x); });
    decoded = halved("paraphraser's reconstruction", decoder, sided_input("factor", {2, 3, 3, 2}, -1),
                     [](const Paraphraser& p, const Var& x) { return p.reconstruct(x); });
    return {ntl, factor, decoded};
}

/// Factor Transfer's loss: translator (channels 3 → 2) beside the factor of a paraphraser that stays as it is.
std::vector<Watched> factor_losses() {
    const auto named = paraphraser_on(cpu());
    std::vector<Input> still;
    const std::vector<std::string> still_names = trainable_names(*named.parameters);
    add_weights(still, *named.parameters, still_names, 0.2f, -1);
    Watched c;
    const auto translator = chain_on(cpu(), 3, 2, 1);
    const std::vector<std::string> names = trainable_names(*translator.parameters);
    c.op.name = "factor transfer";
    c.op.inputs = {uniform_input("s", {2, 2, 2, 3}), without_gradient(uniform_input("map", {2, 2, 2, 4}))};
    add_weights(c.op.inputs, *translator.parameters, names, 1.0f);
    c.op.run = [=, kinks = c.kinks](const Inputs& in) {
        Backend& backend = in[0].backend();
        const auto [p, chain] = chain_on(backend, 3, 2, 1);
        const auto [own, paraphraser] = paraphraser_on(backend);
        bind_parameters(p, names, in, 2);
        Var factor;
        {
            const NoGrad no_grad;
            bind_parameters(own, still_names, upload(backend, still), 0);
            factor = paraphraser.factor(in[1]);
            std::vector<Var> before;
            const Var y = follow(in[0], "layer.conv", names, in, 2, before);
            before.push_back(difference(y, factor));
            kinks->see(before);
        }
        return feature_loss(chain(in[0]), factor, {});
    };
    return {c};
}

}  // namespace

TEST_CASE("feed: numeric gradients of layer and distance, both norms and reductions, equal and different sizes") {
    check_watched(feed_losses());
}
TEST_CASE("feed, factor transfer: numeric gradients of NTL and paraphraser") { check_watched(maps()); }
TEST_CASE("factor transfer: numeric gradients of translator and loss") { check_watched(factor_losses()); }
TEST_CASE("feed, factor transfer: CUDA like the CPU") {
    compare_watched(feed_losses());
    compare_watched(maps());
    compare_watched(factor_losses());
}
