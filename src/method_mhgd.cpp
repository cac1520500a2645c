#include "method_mhgd.h"

#include "base_error.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_weight_files.h"
#include "core_philox.h"
#include "data_loader.h"
#include "method_features.h"
#include "method_singular_vectors.h"
#include "method_teacher.h"
#include "net_pair.h"
#include "train_loop.h"
#include "train_options.h"
#include "train_run_folder.h"

namespace distill {
namespace {

// The authors add 5e-4·‖w‖² to the attention network's loss.
constexpr float attention_weight_decay = 1e-3f;

std::string name_of(size_t pair) { return "mha." + std::to_string(pair); }

}  // namespace

// ---- the attention network ----------------------------------------------------------------------------------------------------

AttentionNetwork::Projection::Projection(Parameters& p, const std::string& name, int64_t in, int64_t out)
    : weight(p.add(name + ".fc.weight", {out, 1, 1, in}, Layout::matrix, Linear::scaled_init(out))), bn(p, name + ".bn", out) {}

Var AttentionNetwork::Projection::operator()(const Var& x, Statistics statistics, bool relu) const {
    const Var y = linear(x, weight);
    if (statistics == Statistics::running) return bn(y, Mode::evaluate, relu);
    BatchNormOptions options;
    options.relu = relu;
    return batchnorm(y, bn.gamma, bn.beta, statistics == Statistics::batch ? RunningStatistics{} : bn.running(), options);
}

AttentionNetwork::Projection AttentionNetwork::Projection::still() const {
    Projection copy = *this;
    copy.weight = weight.detached();
    copy.bn = bn.still();
    return copy;
}

AttentionNetwork::AttentionNetwork(Parameters& p, const std::string& name, int64_t front, int64_t back, int heads)
    : heads_(heads),
      theta_(p, name + ".theta", back, heads * ((front + back) / 2)),
      phi_(p, name + ".phi", front, heads * ((front + back) / 2)),
      f1_(p, name + ".f1", front, (front + back) / 2),
      f2_(p, name + ".f2.fc", heads * ((front + back) / 2), back, Linear::scaled_init(back), Init::constant(0)) {}

Var AttentionNetwork::scores(const Var& front, const Var& back, Statistics statistics) const {
    return head_products(theta_(back, statistics), phi_(front, statistics), heads_);
}

Var AttentionNetwork::estimate(const Var& scores, const Var& front, const Tensor& kept) const {
    const Var attended = matmul(softmax(scores), f1_(front, Statistics::batch_remembered, true));
    return f2_(concat_heads(attended, heads_, kept));
}

AttentionNetwork AttentionNetwork::still() const {
    AttentionNetwork copy = *this;
    for (Projection* projection : {&copy.theta_, &copy.phi_, &copy.f1_}) *projection = projection->still();
    copy.f2_.weight = f2_.weight.detached();
    copy.f2_.bias = f2_.bias.detached();
    return copy;
}

// ---- the method ---------------------------------------------------------------------------------------------------------------

Mhgd::Mhgd(const Setting& setting, const Options& o, const MhgdOptions& own)
    : StudentMethod(setting, o),
      teacher_(setting.teacher()),
      options_(o),
      own_(own),
      statistics_(own.mha_bn == "batch" ? Statistics::batch : Statistics::running),
      attention_(setting.backend),
      mixing_(allocated(o.start()), GradientMixing::rule_of(own.mixing)) {
    require_pair("mhgd", teacher_.network(), *student_, {Need::two_stages, Need::same_channels});
    const std::vector<int64_t> channels = teacher_.network().stage_channels();
    for (size_t p = 0; p + 1 < channels.size(); ++p)
        networks_.emplace_back(attention_, name_of(p), channels[p], channels[p + 1], own.heads);
    attention_.allocate(o.start());
    for (const AttentionNetwork& network : networks_) still_.push_back(network.still());
    if (!own.mha.empty()) load_attention(own.mha);
}

Var Mhgd::attention_loss(const Batch& batch) const {
    const Beside<Output> t = teacher_(batch.images, Keep::activations);
    const std::vector<Var> v = teacher_vectors(t->maps(&Stage::activated));
    std::vector<Var> distances;
    for (size_t p = 0; p < networks_.size(); ++p) {
        const Var &front = v[p], &back = v[p + 1];
        const uint64_t key = random_key(options_.start(), Purpose::dropout, hash_name(name_of(p)));
        Tensor kept;
        if (own_.head_dropping) kept = draw_kept_heads(front.backend(), batch.size(), own_.heads, key, batch.step);
        const Var scores = networks_[p].scores(front, back, Statistics::batch_remembered);
        distances.push_back(cosine_loss(networks_[p].estimate(scores, front, kept), back.value()));
    }
    return sum(distances);
}

std::vector<Phase> Mhgd::phases() {
    if (!own_.mha.empty()) return {};
    Phase p;
    p.epochs = own_.mha_epochs;
    p.parameters = &attention_;
    p.loss = "loss_mha";
    p.step = [this](const Batch& batch) { return attention_loss(batch); };
    p.sgd = sgd_options(options_);
    p.sgd->weight_decay = attention_weight_decay;
    p.in_steps_csv = true;
    p.keep = [this](const RunFolder& folder) { save_attention(folder.file("mha.safetensors")); };
    return {p};
}

/// G of each pair.
std::vector<Var> Mhgd::graphs(const std::vector<Var>& v) const {
    std::vector<Var> all;
    for (size_t p = 0; p < still_.size(); ++p) all.push_back(tanh(still_[p].scores(v[p], v[p + 1], statistics_)));
    return all;
}

StepResult Mhgd::step(const Batch& batch) {
    const Beside<Output> t = teacher_(batch.images, Keep::activations);
    const auto v_t = t.then([](const Output& shown) { return teacher_vectors(shown.maps(&Stage::activated)); });
    const auto graphs_t = v_t.then([this](const std::vector<Var>& v) { return graphs(v); });
    const Output s = student_->forward(batch.images, Mode::train, Keep::activations);
    const std::vector<Var> graphs_s = graphs(student_vectors(s.maps(&Stage::activated), *v_t));
    std::vector<Var> divergences;
    for (size_t p = 0; p < graphs_s.size(); ++p) divergences.push_back(graph_divergence(graphs_s[p], graphs_t->at(p).value()));
    const Var transfer = sum(divergences), ce = cross_entropy(s.logits, batch.labels);
    return {add(ce, transfer), {ce, transfer}, s.logits};
}

void Mhgd::backward(Tape& tape, const StepResult& result) { mixing_.backward(tape, result.named[0], result.named[1]); }

/// The attention networks, where no preparation has them.
std::vector<std::pair<std::string, Tensor>> Mhgd::state() const {
    auto all = mixing_.state();
    if (own_.mha.empty()) return all;
    all.emplace_back("attention.values", attention_.values());
    all.emplace_back("attention.buffers", attention_.buffers());
    return all;
}

// ---- mha.safetensors ----------------------------------------------------------------------------------------------------------

std::map<std::string, std::string> Mhgd::attention_metadata() const {
    return {{"method", "mhgd"},
            {"heads", std::to_string(own_.heads)},
            {"teacher", teacher_.network().name()},
            {"teacher_sha256", teacher_.file().empty() ? "" : sha256_of_file(teacher_.file())},
            {"classes", std::to_string(teacher_.network().classes())},
            {"dataset", options_.dataset},
            {"normalization", options_.normalize},
            {"seed", std::to_string(options_.seed)}};
}

void Mhgd::save_attention(const fs::path& path) const { write_safetensors(path, {attention_.to_file(), attention_metadata()}); }

void Mhgd::load_attention(const std::string& path) {
    const WeightFile file = read_weights(path);
    const auto here = attention_metadata();
    for (const char* key : {"heads", "teacher", "teacher_sha256"}) {
        const auto said = file.metadata.find(key);
        if (said == file.metadata.end() || said->second == here.at(key)) continue;
        const auto whole = [&](const std::map<std::string, std::string>& of) {
            const auto teacher = of.find("teacher"), sum = of.find("teacher_sha256"), heads = of.find("heads");
            const auto value = [&](auto found) { return found == of.end() ? "?" : found->second; };
            return text("teacher ", value(teacher), " (SHA-256 ", value(sum).substr(0, 12), "…) and ", value(heads), " heads");
        };
        input_error("--mha ", path, ": was trained for ", whole(file.metadata), ", expected ", whole(here),
                    "; name that teacher and --heads, or train anew without --mha");
    }
    attention_.from_file(file, path);
}

// ---- its options --------------------------------------------------------------------------------------------------------------

void MhgdOptions::add_to(OptionTable& t) {
    constexpr int most = 1024;
    t.add("--heads", heads, {1, most}, "attention heads");
    add_all_but_heads_to(t);
}

void MhgdOptions::add_all_but_heads_to(OptionTable& t) {
    t.add("--mha", mha, "attention networks trained before, on the same teacher (a run's mha.safetensors); they are not trained again")
        .place();
    t.add("--mha-epochs", mha_epochs, {0}, "the attention networks are trained so long first, on the teacher alone (0: as they are)")
        .of_phase();
    t.add("--mha-bn", mha_bn, {"running", "batch"}, "statistics of their BatchNorm in the transfer");
    t.add_on_off("--head-dropping", head_dropping, "while they are trained, each sample keeps the heads whose noise is above its mean");
    add_mixing_options(t, mixing);
    t.add_fixed("--beta", 0, "the transfer loss is not weighed, either");
}

void MhgdOptions::settle(Options& o) {
    if (mha_epochs == 0 && mha.empty() && o.init.empty())
        input_error("--mha-epochs 0: needs trained attention networks; name the mha.safetensors that has them with --mha, or an --init");
}

std::vector<std::pair<std::string, std::string>> MhgdOptions::files() const {
    std::vector<std::pair<std::string, std::string>> named;
    if (!mha.empty()) named.emplace_back("mha", mha);
    return named;
}

std::unique_ptr<Method> MhgdOptions::make(const Setting& s, const Options& o) const {
    const int64_t last = s.records % o.batch;
    if (o.batch == 1 || (last == 1 && !o.drop_last))
        input_error("--batch ", o.batch, ": ", o.batch == 1 ? "a" : "the last", " batch of the ", s.records,
                    " training images has one image, and MHGD's graphs are between images; take another size",
                    o.batch == 1 ? "" : ", or --drop-last on");
    return std::make_unique<Mhgd>(s, o, *this);
}

const MethodRow mhgd_row = {"mhgd",       "Graph-based Knowledge Distillation by Multi-head Attention Network (BMVC 2019)",
                            "1907.02226", Teaching::one,
                            "mhgd",       default_options<MhgdOptions>};

}  // namespace distill
