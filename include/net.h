// net.h: the networks, by name. Layouts, initialisation and parameter names as in the public CRD benchmark (docs/papers.md §8);
// MHGD's own are in net_mhgd.h. NAME-tiny is the variant for images of 64x64 (Tiny-ImageNet) of wrn-<d>-<r> and of every *-mhgd.
// defines: Feature, Output, Network, make_network, network_names, family_of
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "net_layers.h"

namespace distill {

/// A named point of a network.
struct Feature {
    std::string name;
    Var value;           ///< what the next stage gets: after the last ReLU; a wrn's raw sum
    Var pre_activation;  ///< before that ReLU; for a wrn the next BatchNorm of the sum. Undefined unless asked for
};

struct Output {
    Var logits;                     ///< (N,1,1,classes)
    Var map;                        ///< (N,h,w,C) the last stage after its last activation, before pooling
    std::vector<Feature> features;  ///< f0 stem, f1…f3 stages, f4 the pooled vector (N,1,1,C); a VGG's five stages; shallow to deep
    std::vector<Var> sensing;       ///< sensing points (docs/papers.md §4.2): the stages' outputs after activation, shallow to deep
    std::vector<Var> sensing_pre_activation;  ///< the same before their ReLU; empty unless asked for
};

class Network {
  public:
    virtual ~Network() = default;
    /// x (N,H,W,3) normalised. `pre_activation`: also keep features and sensing points before their ReLU.
    virtual Output forward(const Var& x, Mode mode, bool pre_activation = false) const = 0;
    /// InputError naming the network to use for images of this size, where this one is not made for them.
    virtual void require_images(int64_t /*height*/, int64_t /*width*/) const {}
    /// Channels of f1, f2, f3, f4; the last are the map's.
    const std::vector<int64_t>& feature_channels() const { return feature_channels_; }
    /// Channels of the sensing points.
    const std::vector<int64_t>& sensing_channels() const { return sensing_channels_; }
    const std::string& name() const { return name_; }
    int classes() const { return classes_; }

  protected:
    Network(std::string name, int classes, std::vector<int64_t> feature_channels, std::vector<int64_t> sensing_channels = {})
        : name_(std::move(name)),
          classes_(classes),
          feature_channels_(std::move(feature_channels)),
          sensing_channels_(std::move(sensing_channels)) {}

  private:
    std::string name_;
    int classes_;
    std::vector<int64_t> feature_channels_, sensing_channels_;
};

/// Builds a network's modules in `parameters`, their names after `prefix`. InputError listing the valid names for an unknown one.
std::unique_ptr<Network> make_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix = "");

/// "resnet", "resnet-x4", "resnet-a", "wrn" or "mhgd"; InputError as make_network.
std::string family_of(const std::string& name);

/// For messages and help: the names the papers use, and the patterns.
std::string network_names();

}  // namespace distill
