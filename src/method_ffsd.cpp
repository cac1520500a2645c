#include "method_ffsd.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base_error.h"
#include "base_notes.h"
#include "base_texts.h"
#include "core_streams.h"
#include "data_loader.h"
#include "method_features.h"
#include "net_foreign_weights.h"
#include "net_table.h"
#include "train_options.h"

namespace distill {
namespace {

enum Weight : int64_t { of_diversity, of_fusion, of_self, weights };

std::string numbered(const char* name, size_t i) { return name + std::to_string(i); }
std::string prefix_of(size_t student) { return numbered("student", student) + "."; }
const std::string transfer_bare = "trans_fusion_module", transfer_name = "leader." + transfer_bare, leader_self_name = "sd_leader";

Var concatenated(const std::vector<Var>& maps) {
    Var all = maps.front();
    for (size_t i = 1; i < maps.size(); ++i) all = concat_channels(all, maps[i]);
    return all;
}

Var mean_of(const std::vector<Var>& logits) { return scale(sum(logits), 1.0f / static_cast<float>(logits.size())); }

/// S doubles a map from stage to stage, and the shift is by a third of the last map's pixels.
void require_stages(const Network& network, const Shape& image) {
    std::string found;
    bool fits = network.stages().size() > 1;
    for (size_t s = 0; s < network.stages().size(); ++s) {
        const Shape here = network.stage_shape(s, image);
        found += (s > 0 ? ", " : "") + text(here.h, "x", here.w);
        if (s == 0) continue;
        const Shape before = network.stage_shape(s - 1, image);
        fits = fits && before.h == 2 * here.h && before.w == 2 * here.w;
    }
    const Shape last = network.stages().empty() ? Shape{} : network.stage_shape(network.stages().size() - 1, image);
    if (!fits || last.h * last.w < 3)
        input_error("ffsd: ", network.name(), " on images of ", image.h, "x", image.w, ": its stages' maps are ",
                    found.empty() ? "none" : found,
                    ", expected each twice as high and wide as the next, and the last of 3 pixels or more; ",
                    "name a network of three stages, resnet20 or wrn-16-2");
}

bool has_any(const WeightFile& file, const std::string& prefix) {
    const auto found = file.tensors.lower_bound(prefix);
    return found != file.tensors.end() && starts_with(found->first, prefix);
}

/// Our files once had the transposed convolutions of S as "convtranspose"; the authors' spelling is without the s.
void spell_as_authors(WeightFile& file) {
    const std::string once = ".convtranspose.", now = ".convtranpose.";
    std::vector<std::string> old;
    for (const auto& [name, tensor] : file.tensors)
        if (starts_with(name, "sd") && name.find(once) != std::string::npos) old.push_back(name);
    for (const std::string& name : old) rename_tensor(file, name, std::string(name).replace(name.find(once), once.size(), now));
}

/// Takes out of `file` what is under `prefixes` and not in `own`, and says so.
void leave_out(WeightFile& file, const std::string& path, const std::vector<std::string>& prefixes,
               const std::map<std::string, std::vector<int64_t>>& own) {
    std::vector<std::string> unused;
    for (const std::string& prefix : prefixes)
        for (auto at = file.tensors.lower_bound(prefix); at != file.tensors.end() && starts_with(at->first, prefix);) {
            if (own.count(at->first) == 0) unused.push_back(at->first);
            at = own.count(at->first) > 0 ? std::next(at) : file.tensors.erase(at);
        }
    if (!unused.empty())
        tell_once(text("note: ", path, ": ", unused.size(),
                       " tensors of modules that are not there by these options are not taken from it (", unused.front(), ", …)"));
}

}  // namespace

/// What a network shows of a batch.
struct Ffsd::Shown {
    Var logits;
    std::vector<Var> maps;       ///< of its stages, shallow to deep
    std::vector<Var> attention;  ///< of these, where it is compared
    const Var& last() const { return maps.back(); }
};

/// What F makes of the students, and what it is made of.
struct Ffsd::Fused {
    Var maps, map, logits, mean;
};

Ffsd::Ffsd(const Setting& setting, const Options& o, const FfsdOptions& own)
    : StudentMethod(setting, o),
      own_(own),
      temperature_(static_cast<float>(own.temperature)),
      leads_(!own.no_leader),
      diverse_(!own.no_diversity),
      maps_(leads_ && !own.no_fusion_map),
      selves_(!own.no_self),
      self_rate_([lr = own.self_lr, steps = parse_lr_steps(o.lr_steps)](int epoch) { return learning_rate(lr, steps, epoch); }),
      weights_(Tensor::zeros(setting.backend, {1, 1, 1, weights})) {
    require_stages(*student_, setting.image);
    const auto n = static_cast<size_t>(own.students);
    for (size_t i = first_of_others(); i < n; ++i) more_.push_back(make_network(o.student, setting.classes, parameters_, prefix_of(i)));
    if (!leads_) students_.push_back(student_.get());
    for (const auto& network : more_) students_.push_back(network.get());
    const int64_t channels = student_->map_channels(), all = static_cast<int64_t>(n) * channels;
    fusion_.emplace(parameters_, "fusion", all, channels, setting.classes);
    if (maps_ && !own.no_trans) transfer_.emplace(parameters_, transfer_name, channels, all);
    for (size_t i = 1; i < n && selves_ && diverse_; ++i) self_.emplace_back(parameters_, numbered("sd", i), student_->stage_channels());
    if (maps_ && selves_) leader_self_.emplace(parameters_, leader_self_name, student_->stage_channels());
    parameters_.allocate(o.start());
}

std::vector<std::string> Ffsd::loss_names() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < students_.size(); ++i) {
        for (const char* name : {"loss_ce_", "loss_kl_"}) names.push_back(numbered(name, i));
        if (i > 0 && diverse_) names.push_back(numbered("loss_diversity_", i));
        if (i > 0 && !self_.empty()) names.push_back(numbered("loss_sd_", i));
    }
    for (const char* name : {"loss_ce_fusion", "loss_kl_fusion"}) names.emplace_back(name);
    if (leads_)
        for (const char* name : {"loss_ce_leader", "loss_kl_leader"}) names.emplace_back(name);
    if (maps_) names.emplace_back("loss_map_leader");
    if (transfer_) names.emplace_back("loss_trans_leader");
    if (leader_self_) names.emplace_back("loss_sd_leader");
    std::vector<std::string> trained;
    for (size_t i = 1; i <= self_.size(); ++i) trained.push_back(std::to_string(i));
    if (leader_self_) trained.emplace_back("leader");
    for (const std::string& of : trained)
        for (const char* name : {"loss_sd_feature_", "loss_sd_attention_"}) names.push_back(name + of);
    return names;
}

std::vector<ParameterGroup> Ffsd::groups(const SgdOptions& of_run) const {
    SgdOptions slow_decay = of_run;
    slow_decay.weight_decay = static_cast<float>(own_.fusion_weight_decay);
    std::vector<ParameterGroup> all{{"fusion.", slow_decay}};
    AdamOptions adam;
    adam.weight_decay = own_.self_weight_decay;
    if (!self_.empty() || leader_self_) all.push_back({"sd", adam, self_rate_});
    return all;
}

void Ffsd::begin_epoch(int epoch) {
    const double left = 1 - (epoch + 1.0) / own_.kd_warmup;  // the paper counts from 1
    const double warmup = own_.kd_warmup > 0 && left > 0 ? std::exp(-5 * left * left) : 1;
    std::vector<float> now(weights);
    now[of_diversity] = static_cast<float>(own_.diversity * warmup);
    now[of_fusion] = static_cast<float>(own_.fusion * warmup);
    now[of_self] = static_cast<float>(own_.self * warmup);
    weights_.upload(now.data());
}

/// One forward pass of every network, each on a stream of its own: the common students, then the leader.
std::vector<Ffsd::Shown> Ffsd::show(const Var& images) const {
    std::vector<Shown> all(students_.size() + (leads_ ? 1 : 0));
    for (size_t i = 0; i < all.size(); ++i) {
        const OnStream beside(images.backend(), static_cast<int>(i) + 1);
        const Network& network = i < students_.size() ? *students_[i] : *student_;
        const Output out = network.forward(images, Mode::train, Keep::outputs);
        all[i].logits = out.logits;
        all[i].maps = out.maps(&Stage::output);
        all[i].maps.back() = out.map();
        const bool leader = i == students_.size(), learns = leader ? maps_ : diverse_ && i > 0;
        const bool everywhere = leader ? leader_self_.has_value() : !self_.empty() && i > 0, at_last = leader ? maps_ : diverse_;
        all[i].attention.resize(all[i].maps.size());
        for (size_t l = 0; l < all[i].maps.size(); ++l)
            if (const Var& map = all[i].maps[l]; everywhere || (at_last && l + 1 == all[i].maps.size()))
                all[i].attention[l] = attention_map(learns ? map : map.detached());
    }
    join(images.backend());
    return all;
}

/// CE + T²·KL(mean of the students' logits ‖ F).
Ffsd::Fused Ffsd::fuse(const std::vector<Shown>& students, const Batch& batch, Losses& losses) const {
    Fused f;
    {
        const NoGrad no_grad;
        std::vector<Var> logits, last;
        for (size_t i = 0; i < students_.size(); ++i) logits.push_back(students[i].logits), last.push_back(students[i].last());
        f.mean = mean_of(logits);
        f.maps = concatenated(last);
    }
    const FusionModule::Result made = (*fusion_)(f.maps, Mode::train);
    f.map = made.map.detached();
    f.logits = made.logits;
    losses.push_back(cross_entropy(f.logits, batch.labels));
    losses.push_back(kd_loss(f.logits, f.mean.value(), temperature_));
    return f;
}

/// Σ over the shallow stages of how far the attention is from that of what S makes of `given`, by running statistics.
Var Ffsd::follow(const Shown& player, const SelfDistillation& self, const Var& given) const {
    std::vector<Tensor> targets;
    {
        const NoGrad no_grad;
        for (const Var& map : self(given, Mode::evaluate)) targets.push_back(attention_map(map).value());
    }
    std::vector<Var> distances;
    for (size_t l = 0; l < targets.size(); ++l) distances.push_back(unit_distance(player.attention[l], targets[l]));
    return sum(distances);
}

/// S learns to make the owner's shallow maps, and their attention, out of its last.
void Ffsd::train_self(const Shown& player, const SelfDistillation& self, Losses& losses) const {
    const std::vector<Var> made = self(player.last().detached(), Mode::train);
    std::vector<Var> features, attentions;
    for (size_t l = 0; l < made.size(); ++l) {
        features.push_back(unit_distance(made[l], player.maps[l].value()));
        attentions.push_back(unit_distance(attention_map(made[l]), player.attention[l].value()));
    }
    for (const auto& distances : {features, attentions}) losses.push_back(scale(sum(distances), weights_.view(of_self, {})));
}

/// CE + T²/(n − 1)·Σ KL(the others ‖ i); from 1 on w·[div + Σ d], of what student i − 1 shows.
void Ffsd::add_student(size_t i, const std::vector<Shown>& students, const Batch& batch, Losses& losses) const {
    const Shown& own = students[i];
    losses.push_back(cross_entropy(own.logits, batch.labels));
    std::vector<Var> divergences;
    for (size_t j = 0; j < students_.size(); ++j)
        if (j != i) divergences.push_back(kl_divergence(own.logits, students[j].logits.value(), temperature_));
    const auto others = static_cast<float>(divergences.size());
    losses.push_back(scale(sum(divergences), temperature_ * temperature_ / others));
    if (i == 0 || !diverse_) return;
    const Shown& neighbour = students[i - 1];
    const Tensor weight = weights_.view(of_diversity, {});
    const TurnedAttention turned = turn_attention(neighbour.attention.back().value(), neighbour.last().shape().c);
    losses.push_back(scale(mse(l2_normalize(own.attention.back()), Var(turned.turned)), weight));
    if (self_.empty()) return;
    const Tensor last = neighbour.last().value();
    losses.push_back(scale(follow(own, self_[i - 1], Var(own_.no_shift ? last : lift_channels(last, turned.lift))), weight));
}

/// CE + T²·KL(F ‖ leader) + w·[d(map, fused map) + d(Tr(map), the students' maps) + Σ d of the shallow stages].
void Ffsd::add_leader(const Shown& leader, const Fused& fused, const Batch& batch, Losses& losses) const {
    const Tensor weight = weights_.view(of_fusion, {});
    losses.push_back(cross_entropy(leader.logits, batch.labels));
    const Var& teacher = own_.leader_target == "ensemble" ? fused.mean : fused.logits;
    losses.push_back(kd_loss(leader.logits, teacher.value(), temperature_));
    if (!maps_) return;
    const auto near = [](const Var& attention, const Var& map) { return unit_distance(attention, attention_map(map.detached()).value()); };
    losses.push_back(scale(near(leader.attention.back(), fused.map), weight));
    if (transfer_) losses.push_back(scale(near(attention_map((*transfer_)(leader.last(), Mode::train)), fused.maps), weight));
    if (leader_self_) losses.push_back(scale(follow(leader, *leader_self_, fused.map), weight));
}

StepResult Ffsd::step(const Batch& batch) {
    const std::vector<Shown> shown = show(batch.images);
    Losses losses;
    for (size_t i = 0; i < students_.size(); ++i) add_student(i, shown, batch, losses);
    const Fused fused = fuse(shown, batch, losses);
    if (leads_) add_leader(shown.back(), fused, batch, losses);
    // After every target is made: this is what changes the running statistics of S.
    for (size_t i = 0; i < self_.size(); ++i) train_self(shown[i + 1], self_[i], losses);
    if (leader_self_) train_self(shown.back(), *leader_self_, losses);
    return {sum(losses), losses, (leads_ ? shown.back() : shown.front()).logits};
}

std::vector<OtherNetwork> Ffsd::others() const {
    std::vector<OtherNetwork> all;
    for (size_t i = first_of_others(); i < students_.size(); ++i) all.push_back({std::to_string(i), students_[i], prefix_of(i)});
    for (const char* name : {"ensemble", "fusion"}) all.push_back({name, nullptr, ""});
    return all;
}

std::vector<Var> Ffsd::answers(const Var& images) const {
    std::vector<Var> logits, maps;
    for (const Network* student : students_) {
        const Output out = student->forward(images, Mode::evaluate);
        logits.push_back(out.logits);
        maps.push_back(out.map());
    }
    std::vector<Var> all = logits;
    if (leads_) all.insert(all.begin(), student_->forward(images, Mode::evaluate).logits);  // else it is the first of them
    all.push_back(mean_of(logits));
    all.push_back((*fusion_)(concatenated(maps), Mode::evaluate).logits);
    return all;
}

std::vector<std::string> Ffsd::test_columns() const {
    std::vector<std::string> names{"test_acc_mean"};
    for (const OtherNetwork& other : others()) names.push_back("test_loss_" + other.name);
    return names;
}

std::vector<double> Ffsd::test_values(const Evaluation& student, const std::vector<Evaluation>& others) const {
    double accuracies = leads_ ? 0 : student.accuracy;
    for (size_t i = 0; i + 2 < others.size(); ++i) accuracies += others[i].accuracy;  // behind them the ensemble and F
    std::vector<double> values{accuracies / static_cast<double>(students_.size())};
    for (const Evaluation& other : others) values.push_back(other.loss);
    return values;
}

/// A network's own file has bare names. A leader's, as its authors write it, has Tr among them, which is taken where Tr is used; the other
/// modules and networks stay as they were drawn.
void Ffsd::take_leader(WeightFile& file, const std::string& path) const {
    const std::string theirs = transfer_bare + ".";
    if (!has_any(file, theirs)) return;
    if (!transfer_) return leave_out(file, path, {theirs}, {});
    std::map<std::string, HostTensor> all = parameters_.to_file();
    for (const std::string& given : {student_prefix, transfer_name + "."})
        for (auto at = all.lower_bound(given); at != all.end() && starts_with(at->first, given);) at = all.erase(at);
    for (auto& [name, tensor] : file.tensors) all[(starts_with(name, theirs) ? "leader." : student_prefix) + name] = std::move(tensor);
    file.tensors = std::move(all);
}

/// The authors' "leader." (without one, "student0.") is our student; what switches leave out is taken out; nothing may be missing.
void Ffsd::take_start(WeightFile& file, const std::string& path) {
    const std::string theirs = leads_ ? "leader." : prefix_of(0);
    const auto outside = [&](const std::string& name) {
        return starts_with(name, student_prefix) ? theirs + name.substr(student_prefix.size()) : name;
    };
    if (!has_any(file, theirs) && !has_any(file, prefix_of(1)) && !has_any(file, "fusion.")) return take_leader(file, path);
    spell_as_authors(file);
    const auto own = parameters_.file_shapes();
    constexpr size_t shown = 6;
    std::vector<std::string> missing;
    for (const auto& [name, shape] : own) {
        if (outside(name) == name) continue;
        if (auto tensor = file.tensors.extract(outside(name))) tensor.key() = name, file.tensors.insert(std::move(tensor));
    }
    for (const auto& [name, shape] : own)
        if (file.tensors.count(name) == 0) missing.push_back(outside(name));
    if (!missing.empty())
        input_error(path, ": lacks ", missing.size(), " of the ", own.size(), " tensors of FFSD's networks and modules: ",
                    joined({missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(std::min(shown, missing.size()))}),
                    missing.size() > shown ? ", …" : "", "; name a file that has all of them, or the leader's own, of bare names");
    leave_out(file, path, {"leader.", "sd"}, own);
}

// ---- its options --------------------------------------------------------------------------------------------------------------

void FfsdOptions::add_to(OptionTable& t) {
    // In config.csv `students` are paths: feed reconstruct's.
    t.add("--students,--common-students", students, {2}, "common students, beside the leader");
    t.add("--temperature", temperature, {0, Range().high, true}, "T of all softmaxes that are compared");
    t.add("--lambda-diversity", diversity, {0}, "weight of the students' diversity, and of their shallow stages'");
    t.add("--lambda-fusion", fusion, {0}, "weight of the leader's maps");
    t.add("--lambda-self", self, {0}, "weight by which self-distillation modules are trained");
    t.add("--kd-warmup", kd_warmup, {0}, "epochs over which these three weights rise (0: full at once)").in_epochs();
    t.add("--fusion-weight-decay", fusion_weight_decay, {0}, "of the fusion module");
    t.add("--self-lr", self_lr, {0}, "learning rate at the start of the self-distillation modules, by Adam; falls with --lr");
    t.add("--self-weight-decay", self_weight_decay, {0}, "of these");
    t.add_switch("--no-diversity", no_diversity, "ablation: the students learn from labels and each other's logits alone");
    t.add_switch("--no-shift", no_shift, "ablation: a student's self-distillation module sees its neighbour's map as it is");
    t.add_switch("--no-self", no_self, "ablation: no self-distillation modules");
    t.add_switch("--no-fusion-map", no_fusion_map, "ablation: the leader learns from labels and logits alone");
    t.add_switch("--no-trans", no_trans, "ablation: the leader is not compared with the students' maps before their fusion");
    t.add_switch("--no-leader", no_leader, "ablation: common students and fusion module alone; student 0 is kept");
    t.add("--leader-target", leader_target, {"fusion", "ensemble"},
          "whose logits teach the leader: the fusion module's, or the students' mean");
}

void FfsdOptions::settle(Options&) {
    const auto refuse = [](bool both, const char* switch_, const char* needs, const char* without) {
        if (both) input_error(switch_, ": changes ", needs, ", which ", without, " leaves out; give one of the two");
    };
    refuse(no_shift && no_diversity, "--no-shift", "what a student's self-distillation module is shown", "--no-diversity");
    refuse(no_shift && no_self, "--no-shift", "what a student's self-distillation module is shown", "--no-self");
    refuse(no_trans && no_fusion_map, "--no-trans", "the leader's maps", "--no-fusion-map");
    refuse(no_trans && no_leader, "--no-trans", "the leader", "--no-leader");
    refuse(no_fusion_map && no_leader, "--no-fusion-map", "the leader", "--no-leader");
    refuse(leader_target != "fusion" && no_leader, "--leader-target", "the leader", "--no-leader");
}

std::unique_ptr<Method> FfsdOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Ffsd>(s, o, *this); }

const MethodRow ffsd_row = {"ffsd",       "Distilling a Powerful Student Model via Online Knowledge Distillation (FFSD; TNNLS 2022)",
                            "2103.14473", Teaching::none,
                            "ffsd",       default_options<FfsdOptions>};

}  // namespace distill
