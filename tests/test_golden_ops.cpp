// Each operation and loss beside PyTorch in double precision: results, gradients of every input (tests/golden/ops.csv, losses.csv,
// feed.csv, mhgd_baselines.csv, svd.csv, benchmark_losses.csv).
#include "base_error.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method_ab.h"
#include "method_at.h"
#include "method_fsp.h"
#include "method_ft.h"
#include "method_nst.h"
#include "method_pkt.h"
#include "method_reviewkd.h"
#include "method_sp.h"
#include "method_vid.h"
#include "parameter_inputs.h"

using namespace distill;
using namespace distill::testing;

namespace {

using Results = std::vector<std::pair<std::string, Var>>;  ///< the objective ("y" or "loss") first

struct GoldenCase {
    std::string name;
    std::vector<std::string> inputs;
    std::function<Results(const Inputs&)> run;
    std::vector<std::string> constants = {};
};

void compare(GoldenTable& table, const GoldenCase& c) {
    constexpr double tolerance = 3e-6;  // found: 1.3e-6, in a running mean near 0 of values near 1
    Inputs inputs;
    for (const std::string& input : c.inputs) {
        const Shape shape = table.shape_of(c.name, input);
        const bool constant = std::count(c.constants.begin(), c.constants.end(), input) > 0;
        inputs.emplace_back(Tensor::from_host(cpu(), shape, to_nhwc(golden_values(c.name + "." + input, shape.size()), shape)), !constant);
    }
    Results results = c.run(inputs);
    const auto& [objective, unrecorded] = results[0];
    const Shape shape = unrecorded.shape();
    const bool is_loss = objective == "loss";
    const std::vector<float> dy = is_loss ? std::vector<float>{1} : to_nhwc(golden_values(c.name + ".y.probe", shape.size()), shape);
    run_backward([&](const Inputs& in) { return (results = c.run(in))[0].second; }, inputs, dy);

    for (const auto& [name, result] : results) {
        if (name != "loss")
            table.check(c.name, name, to_nchw(result.value()), tolerance);
        else
            table.check(c.name, name, result.value().item(), std::fabs(result.value().item()), tolerance);
    }
    for (size_t k = 0; k < inputs.size(); ++k) {
        if (!inputs[k].needs_gradient()) continue;
        REQUIRE_MESSAGE(inputs[k].node().has_gradient, c.name, ": ", c.inputs[k], " got no gradient");
        table.check(c.name, "grad." + c.inputs[k], to_nchw(inputs[k].node().gradient), tolerance);
    }
}

GoldenCase unary(const std::string& name, std::function<Var(const Var&)> f) {
    return {name, {"x"}, [f](const Inputs& in) { return Results{{"y", f(in[0])}}; }};
}
GoldenCase binary(const std::string& name, const std::string& second, std::function<Var(const Var&, const Var&)> f) {
    return {name, {"x", second}, [f](const Inputs& in) { return Results{{"y", f(in[0], in[1])}}; }};
}
GoldenCase conv(const std::string& name, const Conv2dOptions& o) {
    return binary(name, "w", [o](const Var& x, const Var& w) { return conv2d(x, w, o); });
}

Tensor vector_of(std::vector<float> values) {
    const auto n = static_cast<int64_t>(values.size());
    return Tensor::from_host(cpu(), {1, 1, 1, n}, values);
}

GoldenCase batchnorm_train() {
    return {"batchnorm_train", {"x", "w", "b"}, [](const Inputs& in) {
                const RunningStatistics running{vector_of({0, 0, 0}), vector_of({1, 1, 1})};
                const Var y = batchnorm(in[0], in[1], in[2], running);
                return Results{{"y", y}, {"running_mean", Var(running.mean)}, {"running_var", Var(running.variance)}};
            }};
}
GoldenCase batchnorm_eval() {
    return {"batchnorm_eval",
            {"x", "w", "b", "mean", "var"},
            [](const Inputs& in) {
                std::vector<float> variance = in[4].value().to_host();
                for (float& v : variance) v += 1.5f;
                return Results{{"y", batchnorm_running(in[0], in[1], in[2], {in[3].value(), vector_of(variance)})}};
            },
            {"mean", "var"}};
}
GoldenCase batchnorm_relu(const std::string& name, bool residual) {
    std::vector<std::string> inputs{"x", "w", "b"};
    if (residual) inputs.push_back("z");
    return {name, inputs, [](const Inputs& in) {
                BatchNormOptions o;
                o.relu = true;
                return Results{{"y", batchnorm(in[0], in[1], in[2], {}, o, in.size() > 3 ? in[3] : Var())}};
            }};
}

/// AttentionFusion of 5 → 6 → 7 channels; its weights come as inputs.
GoldenCase fusion(const std::string& name, bool fuses, int64_t size) {
    std::vector<std::string> inputs{"x"}, weights{"conv1", "bn1_w", "bn1_b", "conv2", "bn2_w", "bn2_b"};
    std::vector<std::string> names{"abf.conv1.0.weight", "abf.conv1.1.weight", "abf.conv1.1.bias",
                                   "abf.conv2.0.weight", "abf.conv2.1.weight", "abf.conv2.1.bias"};
    if (fuses) {
        inputs.push_back("residual");
        weights.insert(weights.end(), {"att_w", "att_b"});
        names.insert(names.end(), {"abf.att_conv.0.weight", "abf.att_conv.0.bias"});
    }
    const size_t first = inputs.size();
    inputs.insert(inputs.end(), weights.begin(), weights.end());
    auto parameters = std::make_shared<Parameters>(cpu());
    const AttentionFusion abf(*parameters, "abf", 5, 6, 7, fuses, true);
    parameters->allocate(0);
    return {name, inputs, [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, first);
                const AttentionFusion::Result r = abf(in[0], fuses ? in[1] : Var(), {3, size, size, 7});
                return Results{{"y", r.output}, {"handed_on", r.residual}};
            }};
}

std::vector<GoldenCase> operations() {
    std::vector<GoldenCase> all = {
        conv("conv3x3", {1, 1, 1, 1, 1}),
        {"conv3x3_bias",
         {"x", "w", "b"},
         [](const Inputs& in) {
             return Results{{"y", conv2d(in[0], in[1], {1, 1, 1, 1, 1}, in[2])}};
         }},
        conv("conv3x3_stride2", {2, 2, 1, 1, 1}),
        conv("conv1x1_stride2", {2, 2, 0, 0, 1}),
        conv("conv5x3_rectangular", {2, 1, 2, 0, 1}),
        conv("conv3x3_groups", {1, 1, 1, 1, 2}),
        conv("conv3x3_depthwise", {2, 2, 1, 1, 6}),
        conv("conv3x3_16", {1, 1, 1, 1, 1}),
        conv("conv3x3_16_32_stride2", {2, 2, 1, 1, 1}),
        batchnorm_train(),
        batchnorm_eval(),
        batchnorm_relu("batchnorm_relu", false),
        batchnorm_relu("batchnorm_add_relu", true),
        unary("relu", relu),
        unary("leaky_relu", [](const Var& x) { return leaky_relu(x, 0.1f); }),
        unary("sigmoid", sigmoid),
        unary("tanh", [](const Var& x) { return distill::tanh(x); }),
        binary("add", "z", add),
        binary("mul", "z", mul),
        unary("scale", [](const Var& x) { return scale(x, 0.3f); }),
        {"attention_fusion",
         {"x", "z", "w", "b"},
         [](const Inputs& in) {
             return Results{{"y", attention_fusion(in[0], in[1], in[2], in[3])}};
         }},
        binary("concat_channels", "z", concat_channels),
        unary("slice_channels", [](const Var& x) { return slice_channels(x, 2, 3); }),
        unary("max_pool2",
              [](const Var& x) {
                  return max_pool(x, {2, 2, 0});
              }),
        unary("max_pool3_stride2",
              [](const Var& x) {
                  return max_pool(x, {3, 2, 1});
              }),
        unary("avg_pool2",
              [](const Var& x) {
                  return avg_pool(x, {2, 2, 0});
              }),
        unary("avg_pool3_stride2",
              [](const Var& x) {
                  return avg_pool(x, {3, 2, 1});
              }),
        unary("global_avg_pool", global_avg_pool),
        unary("resize_up", [](const Var& x) { return resize_nearest(x, 8, 8); }),
        unary("resize_up_uneven", [](const Var& x) { return resize_nearest(x, 7, 5); }),
        unary("resize_down", [](const Var& x) { return resize_nearest(x, 3, 2); }),
        {"linear",
         {"x", "w", "b"},
         [](const Inputs& in) {
             return Results{{"y", linear(in[0], in[1], in[2])}};
         }},
        binary("matmul", "z", [](const Var& x, const Var& z) { return matmul(x, z); }),
        unary("softmax", [](const Var& x) { return softmax(scale(x, 4)); }),
        unary("l2_normalise", [](const Var& x) { return l2_normalize(x); }),
        unary("pad_channels", [](const Var& x) { return pad_channels(x, 1, 4); }),
        unary("shortcut_a", [](const Var& x) { return pad_channels(subsample(x, 2), 0, 3); }),
        fusion("abf_deepest", false, 4),
        fusion("abf_fused", true, 4),
        fusion("abf_fused_resized", true, 8),
    };
    for (const int size : {4, 2, 1})
        all.push_back(unary("adaptive_avg_pool" + std::to_string(size), [size](const Var& x) { return adaptive_avg_pool(x, size, size); }));
    return all;
}

Tensor labels(const std::string& name) {
    std::vector<int32_t> values;
    for (uint64_t i = 0; i < 6; ++i) values.push_back(static_cast<int32_t>(golden_hash(name, i) % 10));
    return integers(cpu(), values);
}

GoldenCase distance(const std::string& name, std::function<Var(const Var&, const Var&)> f, bool teacher_too = false) {
    return {name,
            {"s", "t"},
            [f](const Inputs& in) {
                return Results{{"loss", f(in[0], in[1])}};
            },
            teacher_too ? std::vector<std::string>{} : std::vector<std::string>{"t"}};
}
Var five(const Var& x) { return scale(x, 5); }

std::vector<GoldenCase> losses() {
    std::vector<GoldenCase> all = {
        {"ce",
         {"x"},
         [](const Inputs& in) {
             return Results{{"loss", cross_entropy(five(in[0]), labels("ce.labels"))}};
         }},
        distance("kl_t1", [](const Var& s, const Var& t) { return kl_divergence(five(s), five(t).value(), 1); }),
        distance("kl_t4", [](const Var& s, const Var& t) { return kd_loss(five(s), five(t).value(), 4); }),
        distance("kd",
                 [](const Var& s, const Var& t) {
                     return add(scale(cross_entropy(five(s), labels("kd.labels")), 0.1f),
                                scale(kd_loss(five(s), five(t).value(), 4), 0.9f));
                 }),
        distance("mse", mse, true),
        distance("l1", l1, true),
        distance("l1_normalised", [](const Var& s, const Var& t) { return l1(l2_normalize(s), l2_normalize(t)); }),
    };
    for (const char* name : {"hcl", "hcl_16x16", "hcl_4x4", "hcl_3x5", "hcl_1x1"}) all.push_back(distance(name, hcl));
    return all;
}

/// w<k>, b<k> from `first` on, and the parameters that they are.
void add_layers(std::vector<std::string>& inputs, std::vector<std::string>& names, const std::string& layer, int first) {
    for (int k = 0; k < 3; ++k)
        for (const auto& [letter, end] : {std::pair{"w", ".weight"}, {"b", ".bias"}}) {
            inputs.push_back(letter + std::to_string(first + k));
            names.push_back(layer + std::to_string(k) + end);
        }
}

/// The layer from 5 to 7 channels; with a teacher's map, FEED's weighted distance.
GoldenCase transformation(const std::string& name, bool teaches) {
    std::vector<std::string> inputs{teaches ? "s" : "x"}, names;
    if (teaches) inputs.emplace_back("t");
    const size_t first = inputs.size();
    add_layers(inputs, names, "ntl.conv", 0);
    auto parameters = std::make_shared<Parameters>(cpu());
    const ConvChain ntl(*parameters, "ntl", 5, 7, 7, 3, 0.1f);
    parameters->allocate(0);
    return {name,
            inputs,
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, first);
                const Var y = ntl(in[0]);
                return teaches ? Results{{"loss", scale(feature_loss(y, in[1], {}), 500)}} : Results{{"y", y}};
            },
            {"t"}};
}

GoldenCase paraphrased(const std::string& name, bool loss) {
    std::vector<std::string> inputs{"x"}, names;
    add_layers(inputs, names, "p.encoder.conv", 0);
    add_layers(inputs, names, "p.decoder.deconv", 3);
    auto parameters = std::make_shared<Parameters>(cpu());
    const Paraphraser paraphraser(*parameters, "p", 6, 0.5, 0.1f);
    parameters->allocate(0);
    return {name, inputs,
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, 1);
                const Var factor = paraphraser.factor(in[0]), y = paraphraser.reconstruct(factor);
                return loss ? Results{{"loss", l1(y, in[0])}} : Results{{"y", y}, {"factor", factor}};
            },
            loss ? std::vector<std::string>{"x"} : std::vector<std::string>{}};
}

std::vector<GoldenCase> feed() {
    return {
        binary("conv_transpose3x3", "w",
               [](const Var& x, const Var& w) {
                   return conv_transpose2d(x, w, {1, 1, 1, 1, 1});
               }),
        {"conv_transpose3x3_stride2",
         {"x", "w", "b"},
         [](const Inputs& in) {
             return Results{{"y", conv_transpose2d(in[0], in[1], {2, 2, 1, 1, 1}, in[2])}};
         }},
        transformation("ntl", false),
        transformation("feed_loss", true),
        paraphrased("paraphraser", false),
        paraphrased("paraphraser_loss", true),
        distance("feed_distance_l2",
                 [](const Var& s, const Var& t) {
                     return feature_loss(s, t, {true, true});
                 }),
        distance("feed_distance_sizes", [](const Var& s, const Var& t) { return feature_loss(s, t, {}); }),
    };
}

std::vector<GoldenCase> mhgd() {
    return {
        binary("head_products", "z", [](const Var& x, const Var& z) { return head_products(x, z, 3); }),
        unary("concat_heads", [](const Var& x) { return concat_heads(x, 3); }),
        distance(
            "graph_divergence",
            [](const Var& s, const Var& t) { return graph_divergence(distill::tanh(scale(s, 3)), distill::tanh(scale(t, 3)).value()); }),
        distance("cosine_loss", [](const Var& s, const Var& t) { return cosine_loss(s, t.value()); }),
        {"kernel_distance",
         {"s", "z", "t", "u"},
         [](const Inputs& in) {
             return Results{{"loss", kernel_distance(in[0], in[1], in[2].value(), in[3].value())}};
         },
         {"t", "u"}},
    };
}

/// AB of two levels, from 4 to 5 and from 6 to 7 channels.
GoldenCase activation_boundary() {
    std::vector<std::string> inputs, names;
    for (const std::string i : {"0", "1"}) {
        for (const char* input : {"s", "t", "w", "g", "b"}) inputs.push_back(input + i);
        for (const char* end : {".conv.weight", ".bn.weight", ".bn.bias"}) names.push_back("c." + i + end);
    }
    auto parameters = std::make_shared<Parameters>(cpu());
    const Connectors connectors(*parameters, "c", {{1, 8, 6, 4}, {1, 4, 3, 6}}, {{1, 8, 6, 5}, {1, 4, 3, 7}}, mhgd_boundary);
    parameters->allocate(0);
    return {"ab",
            inputs,
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, {in[2], in[3], in[4], in[7], in[8], in[9]}, 0);
                return Results{{"loss", connectors.loss({scale(in[0], 2), scale(in[5], 2)}, {scale(in[1], 2), scale(in[6], 2)})}};
            },
            {"t0", "t1"}};
}

std::vector<GoldenCase> mhgd_baselines() {
    const auto soft_logits = [](const Inputs& in) {
        const std::vector<int32_t> labels = [] {
            std::vector<int32_t> drawn;
            for (uint64_t n = 0; n < 6; ++n) drawn.push_back(static_cast<int32_t>(golden_hash("soft.labels", n) % 10));
            return drawn;
        }();
        const Var s = scale(in[0], 5), t = scale(in[1], 5);
        const Var ce = scale(cross_entropy(s, integers(cpu(), labels)), 0.7f), kl = scale(kl_divergence(s, t.value(), 4), 0.3f);
        return Results{{"loss", add(ce, kl)}};
    };
    return {
        {"soft_logits", {"s", "t"}, soft_logits, {"t"}},
        {"flow_matrix",
         {"a", "b"},
         [](const Inputs& in) {
             return Results{{"y", flow_matrix(in[0], in[1])}};
         }},
        {"fsp",
         {"s0", "s1", "s2", "t0", "t1", "t2"},
         [](const Inputs& in) {
             return Results{{"loss", fsp_loss({in[0], in[1], in[2]}, {in[3], in[4], in[5]}, mhgd_flow)}};
         },
         {"t0", "t1", "t2"}},
        {"boundary",
         {"s", "t"},
         [](const Inputs& in) {
             return Results{{"loss", boundary_loss(scale(in[0], 2), scale(in[1], 2).value())}};
         },
         {"t"}},
        activation_boundary(),
    };
}

std::vector<GoldenCase> svd() {
    std::vector<GoldenCase> all;
    for (const char* name : {"svd_tall_", "svd_square_", "svd_wide_"})
        for (const int count : {1, 4})
            all.push_back(unary(name + std::to_string(count), [count](const Var& x) { return right_singular_vectors(relu(x), count); }));
    all.push_back({"svd_aligned",
                   {"s", "t"},
                   [](const Inputs& in) {
                       const Var student = right_singular_vectors(relu(in[0]), 4), teacher = right_singular_vectors(relu(in[1]), 2);
                       return Results{{"y", align_vectors(student, teacher.value())}};
                   },
                   {"t"}});
    return all;
}

/// VID of one level, from 4 to 17 channels.
GoldenCase information(const std::string& name) {
    std::vector<std::string> names;
    for (const char* end : {"regressor.0.weight", "regressor.2.weight", "regressor.4.weight", "log_scale"})
        names.push_back(std::string("vid.0.") + end);
    auto parameters = std::make_shared<Parameters>(cpu());
    const TeacherEstimator estimator(*parameters, "vid.0", 4, 17);
    parameters->allocate(0);
    return {name,
            {"s", "t", "w0", "w1", "w2", "a"},
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, 2);
                return Results{{"loss", estimator(in[0], in[1])}};
            },
            {"t"}};
}

/// The benchmark's AB: of the first level's shapes no connector, of the second's a convolution of stride 2.
GoldenCase benchmark_boundaries() {
    std::vector<std::string> names;
    for (const char* end : {"conv.weight", "conv.bias", "bn.weight", "bn.bias"}) names.push_back(std::string("c.1.") + end);
    auto parameters = std::make_shared<Parameters>(cpu());
    const Connectors connectors(*parameters, "c", {{1, 4, 4, 5}, {1, 8, 8, 6}}, {{1, 4, 4, 5}, {1, 4, 4, 7}}, benchmark_boundary);
    parameters->allocate(0);
    return {"ab_benchmark",
            {"s0", "t0", "s1", "t1", "w1", "b1", "g1", "h1"},
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, 4);
                return Results{{"loss", connectors.loss({scale(in[0], 2), scale(in[2], 2)}, {scale(in[1], 2), scale(in[3], 2)})}};
            },
            {"t0", "t1", "b1"}};
}

/// The benchmark's Factor Transfer, from 4 channels to the factor of 6, 3.
GoldenCase benchmark_factors_of(const std::string& name) {
    std::vector<std::string> inputs{"s", "t"}, names, constants{"t", "b0", "b1", "b2"};  // a bias before BatchNorm changes nothing
    for (const char* i : {"0", "1", "2"})
        for (const char* input : {"w", "b", "g", "h"}) inputs.push_back(std::string(input) + i);
    for (const int i : {0, 3, 6})
        for (const std::string& end : {text(i, ".weight"), text(i, ".bias"), text(i + 1, ".weight"), text(i + 1, ".bias")})
            names.push_back("translator.encoder." + end);
    for (const char* i : {"0", "1", "2"})
        for (const char* input : {"v", "c"}) inputs.push_back(std::string(input) + i), constants.push_back(inputs.back());
    for (const int i : {0, 3, 6})
        for (const char* end : {".weight", ".bias"}) names.push_back(text("paraphraser.encoder.", i, end));
    auto parameters = std::make_shared<Parameters>(cpu());
    const Translator translator(*parameters, "translator", 4, 3, 0.1f, benchmark_factors);
    const Paraphraser paraphraser(*parameters, "paraphraser", 6, 0.5, 0.1f, benchmark_factors);
    parameters->allocate(0);
    return {name, inputs,
            [=](const Inputs& in) {
                bind_parameters(*parameters, names, in, 2);
                return Results{{"loss", factor_map_loss(translator(in[0]), paraphraser.factor(in[1]))}};
            },
            constants};
}

std::vector<GoldenCase> benchmark_losses() {
    const auto dkd = [](const std::string& name, float target, float others) {
        return distance(name, [=](const Var& s, const Var& t) {
            return decoupled_divergence(five(s), five(t).value(), labels("dkd.labels"), 4, 16 * target, 16 * others);
        });
    };
    std::vector<GoldenCase> all = {
        dkd("dkd", 1, 8),
        dkd("dkd_target", 1, 0),
        dkd("dkd_others", 0, 1),
        distance("sp", similarity_loss),
        {"cc",
         {"s", "t", "ws", "bs", "wt", "bt"},
         [](const Inputs& in) {
             return Results{{"loss", neighbour_products(linear(in[0], in[2], in[3]), linear(in[1], in[4], in[5]))}};
         },
         {"t"}},
        information("vid"),
        information("vid_larger"),
        distance("rkd_distance", [](const Var& s, const Var& t) { return distance_loss(s, t.value()); }),
        distance("rkd_angle", [](const Var& s, const Var& t) { return angle_loss(s, t.value()); }),
        distance("pkt", [](const Var& s, const Var& t) { return probability_loss(s, t.value()); }),
    };
    all.push_back({"fsp_benchmark",
                   {"s0", "s1", "s2", "t0", "t1", "t2"},
                   [](const Inputs& in) {
                       return Results{{"loss", fsp_loss({in[0], in[1], in[2]}, {in[3], in[4], in[5]}, benchmark_flow)}};
                   },
                   {"t0", "t1", "t2"}});
    all.push_back(benchmark_boundaries());
    for (const char* name : {"ft_benchmark", "ft_benchmark_larger"}) all.push_back(benchmark_factors_of(name));
    for (const char* name : {"at", "at_larger", "at_smaller"}) all.push_back(distance(name, attention_loss));
    for (const char* name : {"nst_channels", "nst_pixels", "nst_larger"}) all.push_back(distance(name, selectivity_loss));
    return all;
}

}  // namespace

TEST_CASE("golden: pieces of MHGD and KD-SVD like PyTorch's") {
    GoldenTable table("mhgd_pieces.csv");
    for (const GoldenCase& c : mhgd()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: Soft-logits, FSP and AB like PyTorch's") {
    GoldenTable table("mhgd_baselines.csv");
    for (const GoldenCase& c : mhgd_baselines()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: FEED and Factor Transfer like PyTorch's") {
    GoldenTable table("feed.csv");
    for (const GoldenCase& c : feed()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: the CRD benchmark's losses and DKD like PyTorch's") {
    GoldenTable table("benchmark_losses.csv");
    for (const GoldenCase& c : benchmark_losses()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: singular vectors like PyTorch's in double") {
    GoldenTable table("svd.csv");
    for (const GoldenCase& c : svd()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: operations like PyTorch's") {
    GoldenTable table("ops.csv");
    for (const GoldenCase& c : operations()) compare(table, c);
    table.finish();
}

TEST_CASE("golden: losses like PyTorch's") {
    GoldenTable table("losses.csv");
    for (const GoldenCase& c : losses()) compare(table, c);
    table.finish();
}
