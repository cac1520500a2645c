// net.h: what a network is to everything else: its stages, known before a forward pass, and what a pass gives. The networks
// themselves are net_<family>.cpp, each with its rows of the table (net_table.h) at its end.
// defines: Stage, Keep, keeps, Output, features_of, StageLayout, ClassifierStart, ClassifierRule, uniform_start, uniform_weight_start,
//          normal_start_by_inputs, normal_start_by_classes, small_normal_start, NetworkSetting, Network, NetworkMaker, NetworkRow
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net_layers.h"
#include "net_name.h"

namespace distill {

/// The map that ends a stage, (N,h,w,C). Undefined: not asked for, or the network has none.
struct Stage {
    Var output;          ///< what the next stage gets, the public benchmark's feature: after the last ReLU; a wrn's raw sum
    Var pre_activation;  ///< what a teacher shows before activation: before that ReLU; for a wrn the next BatchNorm of the sum
    Var activated;       ///< after the activation, which a wrn's next stage begins with; of a stage that has none its output
};

/// Which maps of the stages a forward pass keeps; | joins. In any case it keeps Output::map(), pooled and logits. apart: pre-activations that
/// a BatchNorm makes are made apart from its own pass, as in the CRD benchmark's code, so that in training its running statistics move twice.
enum class Keep : unsigned { last = 0, outputs = 1, pre_activations = 2, activations = 4, apart = 8 };
constexpr Keep operator|(Keep a, Keep b) { return static_cast<Keep>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
constexpr bool keeps(Keep all, Keep one) { return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0; }

struct Output {
    Stage stem;                 ///< before the first stage; has an output alone, if that
    std::vector<Stage> stages;  ///< shallow to deep; as many as Network::stages()
    Var pooled;                 ///< (N,1,1,C) what the classifier gets; undefined where that is no pooled map
    Var logits;                 ///< (N,1,1,classes)

    /// (N,h,w,C) the last stage after its activation, before pooling and before a head that is no stage.
    const Var& map() const { return stages.back().activated; }
    /// One of a stage's maps, of every stage: maps(&Stage::activated).
    std::vector<Var> maps(Var Stage::*which) const;

    // For a network's forward pass: each takes of what it is given what `keep` says.
    void add_stem(Keep keep, const Var& output);
    void add_stage(Keep keep, const Stage& stage);
    /// Pools `y` over height and width, and classifies.
    void classify(const Var& y, const Linear& classifier);
};

/// The public benchmark's list: the stem's output (f0), the stages' outputs, the pooled vector; those that are there.
std::vector<Var> features_of(const Output& output);

/// What is known of a stage before a forward pass.
struct StageLayout {
    int64_t channels;
    int stride;  ///< rows (and columns) of the image to one of the map
};

/// How a classifier starts, from its inputs and classes.
struct ClassifierStart {
    Init weight, bias;
};
using ClassifierRule = ClassifierStart (*)(int64_t inputs, int64_t classes);
ClassifierStart uniform_start(int64_t inputs, int64_t classes);            ///< U(±1/√inputs), both: PyTorch's default
ClassifierStart uniform_weight_start(int64_t inputs, int64_t classes);     ///< U(±1/√inputs), bias 0
ClassifierStart normal_start_by_inputs(int64_t inputs, int64_t classes);   ///< N(0, 2/inputs), bias 0
ClassifierStart normal_start_by_classes(int64_t inputs, int64_t classes);  ///< N(0, 2/classes), bias 0
ClassifierStart small_normal_start(int64_t inputs, int64_t classes);       ///< N(0, 0.01²), bias 0

/// What every network is built from.
struct NetworkSetting {
    std::string name;
    int classes;
    Parameters& parameters;
    std::string prefix;         ///< of its parameters' names
    ClassifierRule classifier;  ///< the row's
};

class Network {
  public:
    virtual ~Network() = default;
    /// x (N,H,W,3) normalised.
    virtual Output forward(const Var& x, Mode mode, Keep keep = Keep::last) const = 0;
    /// InputError where this network is not made for images of this size, by default where nothing would be left of a stage's map: names
    /// the size that it needs, or the network to use.
    virtual void require_images(int64_t height, int64_t width) const;

    const std::vector<StageLayout>& stages() const { return stages_; }  ///< none: an ensemble, which has no maps of its own
    std::vector<int64_t> stage_channels() const;
    int64_t map_channels() const { return stages_.back().channels; }  ///< of Output::map()
    int64_t pooled_channels() const { return pooled_channels_; }      ///< of Output::pooled, which may be wider than the map; 0: none
    int64_t stem_channels() const { return stem_channels_; }          ///< of Output::stem; 0: none
    /// (1,h,w,channels) of a stage for one image: as many rows as strides, a last incomplete one counted. For another rule overridden.
    virtual Shape stage_shape(size_t stage, const Shape& image) const;
    /// Do its shortcuts add channels of zeros, behind the others (option A)? Others' networks may have them elsewhere, and a file of theirs is
    /// then brought into this order by its blocks' names, layer<s>.<b>.conv1 and .conv2 (net_foreign_weights.h).
    virtual bool adds_zeros() const { return false; }
    /// The layer that makes the logits: weight (classes,1,1,inputs), bias; undefined where others' logits are only added (an ensemble).
    const Linear& classifier() const { return classifier_; }
    const std::string& classifier_name() const { return classifier_name_; }  ///< of its parameters, "fc"
    const std::string& name() const { return name_; }
    int classes() const { return classes_; }

  protected:
    Network(std::string name, int classes, std::vector<StageLayout> stages, int64_t pooled_channels, int64_t stem_channels = 0)
        : name_(std::move(name)),
          classes_(classes),
          stages_(std::move(stages)),
          pooled_channels_(pooled_channels),
          stem_channels_(stem_channels) {}
    Network(const NetworkSetting& s, std::vector<StageLayout> stages, int64_t pooled_channels, int64_t stem_channels = 0)
        : Network(s.name, s.classes, std::move(stages), pooled_channels, stem_channels) {}
    /// Registers the classifier as NAME.weight and NAME.bias.
    void add_classifier(const NetworkSetting&, const std::string& name, int64_t inputs);

  private:
    std::string name_;
    int classes_;
    std::vector<StageLayout> stages_;
    int64_t pooled_channels_, stem_channels_;
    Linear classifier_;
    std::string classifier_name_;
};

using NetworkMaker = std::function<std::unique_ptr<Network>(const NetworkSetting&)>;

/// A row of the table: networks that are named and started by one rule.
struct NetworkRow {
    const char* family;         ///< what is published of a whole family counts for all its rows
    const char* examples;       ///< names for messages and help, "resnet8x4, resnet32x4"
    const char* rule;           ///< how others are named, or what sets these apart, "any depth 6n+2"; "": nothing
    const char* tiny;           ///< what messages call those that are also there as NAME-tiny, "wrn-…"; null: none is
    ClassifierRule classifier;  ///< how the last layer starts; the others start as their file says
    /// What builds the network; empty where the name is none of this row's. A -tiny is asked for only where the row has such.
    NetworkMaker (*parse)(const NetworkName& name);
    bool lower_rate = false;  ///< the benchmark's authors train it as a student at a lower learning rate (Recipe::lower_lr)
};

}  // namespace distill
