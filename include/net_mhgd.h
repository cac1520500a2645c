// net_mhgd.h: what the slides of "Graph-based Knowledge Distillation by Multi-head Attention Network" say of its networks.
// defines: SlideCount, slide_count
#pragma once
#include <string>

namespace distill {

/// What the paper's slides print of a network on CIFAR-100, in millions; 0: nothing. It does not follow from the slides' own layouts.
struct SlideCount {
    double operations = 0, parameters = 0;
};
SlideCount slide_count(const std::string& name);

}  // namespace distill
