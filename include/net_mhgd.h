// net_mhgd.h: the networks of "Graph-based Knowledge Distillation by Multi-head Attention Network" that net.cpp has not
// (resnet-mhgd and the wrn are there; docs/papers.md §8.4): vgg16-mhgd, vgg7-mhgd, vggm-mhgd,
// mobilenet-mhgd, each also as -tiny, for images of 64x64.
// defines: without_tiny, is_mhgd_network, make_mhgd_network, SlideCount, slide_count
#pragma once
#include <memory>
#include <string>

#include "net.h"

namespace distill {

/// A network's name without the "-tiny" at its end, if it has that.
std::string without_tiny(const std::string& name);

bool is_mhgd_network(const std::string& name);
/// `name` is one of them; else as make_network.
std::unique_ptr<Network> make_mhgd_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix);

/// What the paper's slides print of a network on CIFAR-100, in millions; 0: nothing. It does not follow from the slides' own layouts.
struct SlideCount {
    double operations = 0, parameters = 0;
};
SlideCount slide_count(const std::string& name);

}  // namespace distill
